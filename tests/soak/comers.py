"""A host whose sessions come and go, in real time, and what its process holds meanwhile.

    python -m tests.soak.comers FOLDER SECONDS AT_ONCE LASTS_S

Each session lasts about so long, is recorded to FOLDER, and gives its place to the next. Most end in order; some are
cancelled, and some have an LLM that fails. Prints a line `begun N` for each session, and at last a JSON list of samples:
before the first session, while they come and go, and when all have gone.
Recordings are checked and removed, except the last ones.
"""

from __future__ import annotations

import json
import random
import sys
from itertools import count
from pathlib import Path
from typing import Any

import trio

from flowkit.config import load
from flowkit.files import sounds_beside
from flowkit.plan import require
from flowkit.runtime.host import Host, open_host
from flowkit.trace.reader import read_trace
from tests.soak.talk import sample, tasks_of

SPOKEN = [(7_000 * n + at, lasts) for n in range(30) for at, lasts in ((100, 300), (1_500, 300), (4_000, 1_000))]
SPEECH = ", ".join(f"{{at: {at}ms, lasts: {lasts}ms}}" for at, lasts in SPOKEN)
TALK = f"""flowkit: 1
name: talk
stages:
  - {{kind: mic, provider: scripted, speech: [{SPEECH}]}}
  - {{kind: vad, provider: scripted, end: 100ms}}
  - {{kind: asr, provider: scripted, utterances: [{", ".join(["Hello there.", "And now?", "And then?"] * 30)}]}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, replies: [{{text: Good day to you. What can I do?}}, {{text: Nothing. Nothing at all.}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker, provider: memory}}
"""
"""Talk for three and a half minutes."""
FAILING = TALK.replace("{text: Good day", "{fail_after: 2, text: Good day")
_SAMPLES = 60
_KEPT = 20


class Comers:
    """Sessions of a host, each in the place of one that has gone."""

    def __init__(self, host: Host, folder: Path, lasts_s: float) -> None:
        self._host = host
        self._folder = folder
        self._lasts_s = lasts_s
        self._dice = random.Random(19)
        self._numbers = count()
        self._gone: list[Path] = []
        self._failing = require(load("failing.yaml", text=FAILING))

    async def place(self) -> None:
        """One session after another."""
        while True:
            number = next(self._numbers)
            path = self._folder / f"{number:06}.jsonl"
            lasts_s = self._lasts_s * self._dice.uniform(0.5, 1.5)
            print(f"begun {number}", flush=True)
            with trio.CancelScope() as scope:
                if self._dice.random() < 0.1:
                    scope.deadline = trio.current_time() + lasts_s / 2
                plan = self._failing if self._dice.random() < 0.1 else None
                await self._host.run_session(plan, trace=path, duration_us=round(lasts_s * 1_000_000))
            # One that is cancelled while it is set up has no recording.
            if path.exists() or not scope.cancelled_caught:
                await self._tidy(path)

    async def _tidy(self, path: Path) -> None:
        """Check and remove the recording before the last ones."""
        self._gone.append(path)
        if len(self._gone) > _KEPT:
            await trio.to_thread.run_sync(_check, self._gone.pop(0))


def _check(path: Path) -> None:
    trace = read_trace(path)
    assert trace.end is not None, path
    for file in (path, *sounds_beside(path)):
        file.unlink()


Samples = list[dict[str, int]]


async def talk(folder: Path, seconds: float, at_once: int, lasts_s: float) -> Samples:
    """The samples: before the first session, while they come and go, and when all have gone."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    options: dict[str, Any] = {"max_sessions": at_once, "max_lag_us": 60_000_000}
    async with open_host(load("talk.yaml", text=TALK), notice=lambda line: None, **options) as host:
        samples = [sample(tasks_of(root))]
        async with trio.open_nursery() as nursery:
            comers = Comers(host, folder, lasts_s)
            for _ in range(at_once):
                nursery.start_soon(comers.place)
                await trio.sleep(lasts_s / at_once)
            for _ in range(_SAMPLES):
                await trio.sleep(seconds / _SAMPLES)
                samples.append(sample(tasks_of(root)))
            nursery.cancel_scope.cancel()
        assert host.gauges.refused == 0
        samples.append(sample(tasks_of(root)))
    return samples


if __name__ == "__main__":
    where, *numbers = sys.argv[1:]
    print(json.dumps(trio.run(talk, Path(where), float(numbers[0]), int(numbers[1]), float(numbers[2]))))
