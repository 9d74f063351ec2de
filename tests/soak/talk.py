"""A process that talks, and what it holds meanwhile: memory, descriptors, threads, tasks.

    python -m tests.soak.talk live SECONDS ASR_URL LLM_URL TTS_URL
    python -m tests.soak.talk virtual SECONDS

Live is in real time: recorded, followed and shown, as `flowkit run` does it. Virtual is on the heap pump.
Prints a JSON list of samples, taken at even distances.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import trio
from rich.console import Console

from flowkit.figures.follower import Follower
from flowkit.figures.layout import layout_of
from flowkit.plan.graph import Plan
from flowkit.replay.heap import HeapPump
from flowkit.report.live import LiveView
from flowkit.runtime.echo import EchoWatch
from flowkit.runtime.host import run_alone
from flowkit.testing.sessions import scripted_plan, scripts_of
from flowkit.trace.recorder import open_recorder
from tests.contract.test_pipeline import EVERY_MS, soak_plan

SAMPLES = 60
_EVERY_S = 10
"""Between two turns on the heap pump."""


def sample(tasks: int = 0) -> dict[str, int]:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": tasks,
    }


def tasks_of(task: trio.lowlevel.Task) -> int:
    """A task and all below it."""
    return 1 + sum(tasks_of(child) for nursery in task.child_nurseries for child in nursery.child_tasks)


def live(seconds: int, urls: list[str]) -> list[dict[str, int]]:
    """Talk with the three services at `urls`, whatever faults they have."""
    asr, llm, tts = urls
    cloud = {"asr": SimpleNamespace(ws_url=asr), "llm": SimpleNamespace(url=llm), "tts": SimpleNamespace(ws_url=tts)}
    samples: list[dict[str, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        plan = soak_plan(cloud, seconds * 1000 // EVERY_MS, Path(folder))
        view = LiveView(plan, console=Console(file=io.StringIO(), width=100, height=40))
        recorder = open_recorder(Path(folder) / "talk.jsonl", plan)

        async def look() -> None:
            while True:
                await trio.sleep(seconds / SAMPLES)
                view.picture()
                root = trio.lowlevel.current_root_task()
                assert root is not None
                samples.append(sample(tasks_of(root)))

        async def main() -> str:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(look)
                outcome = await run_alone(
                    plan,
                    notice=view.say,
                    observers=(EchoWatch(plan, view.say), recorder, view.state),
                    started=view.started,
                    duration_us=seconds * 1_000_000,
                )
                nursery.cancel_scope.cancel()
            return outcome.reason

        recording = recorder.close(trio.run(main))
    assert not recording.lost, recording.lost
    return samples


def virtual(seconds: int) -> list[dict[str, int]]:
    """Talk on the heap pump; the rows are followed, and let go."""
    plan = _plan(seconds)
    pump, follower = HeapPump(plan, scripts_of(plan)), Follower(layout_of(plan))
    samples, turns = list[dict[str, int]](), 0
    for second in range(10, seconds + 1, 10):
        pump.run(until_us=second * 1_000_000)
        for row in pump.engine.journal.take():
            turns += len(follower.row(row))
        if second * SAMPLES // seconds > len(samples):
            samples.append(sample())
    assert turns >= seconds // _EVERY_S - 2
    return samples


def _plan(seconds: int) -> Plan:
    """A turn every ten seconds; each tenth interrupts the reply to the one before."""
    turns = range(seconds // _EVERY_S)
    early = {turn: 6_000 if turn % 10 == 9 else 0 for turn in turns}
    return scripted_plan(
        mic={"speech": [{"at": f"{500 + 10_000 * n - early[n]}ms", "lasts": "900ms"} for n in turns]},
        asr={"utterances": [f"Question number {turn}, please?" for turn in turns]},
        llm={"replies": [{"text": "There are three ways: by train, in two hours; by bus, which is cheap; or by car."}]},
    )


if __name__ == "__main__":
    how, length, *rest = sys.argv[1:]
    print(json.dumps(live(int(length), rest) if how == "live" else virtual(int(length))))
