"""Many sessions in one process: CPU, latency and memory, with recording on. Prints JSON.

Everybody's fakes keep one contract. The microphone gives 16 kHz in frames of 20 ms, in real time. The final transcript comes 100 ms
after the last voiced frame. The first token comes after 150 ms, then 60 a second. The voice's first sound comes after 80 ms, then
20 ms of sound every 5 ms. The first sentence has ten tokens, so the ideal time to first audio is 480 ms. The chunker waits for the
token behind the sentence, another 17 ms, which are taken off: peers are given the same (their scripts report both).

    taskset -c 1 .venv/bin/python tests/benchmarks/bench_sessions.py 25 --turns 4

With `--virtual` time jumps from event to event: latencies are exact, and CPU time does not depend on who else uses the machine. No
two events coincide then, so the event loop wakes more often than live. Peers run if there is an environment for them:
``--peers FOLDER --pipecat PYTHON --livekit PYTHON``; the folder holds their scripts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import trio
from trio.testing import MockClock

from flowkit import options as opt
from flowkit.config import Config, load
from flowkit.messages import Message, Play
from flowkit.plan import require
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import SessionOutcome

FIRST = ("Sure", ",", " I", " can", " help", " you", " with", " that", " today", ".")
REST = (" Let", " me", " check", " it", " now", ".")
TOKEN_US = 16_667
IDEAL_US = 100_000 + 150_000 + 9 * TOKEN_US + 80_000
SPEECH_US, PERIOD_US, LEAD_IN_US = 400_000, 3_600_000, 500_000


class Ear(InlineProvider):
    """A speaker that notes when each reply's first sound came, and how late any sound was."""

    kind, name = "speaker", "ear"

    class Options(opt.Options):
        first_us: dict[int, int] = {}
        """When the first sound of each reply came."""
        late_us: list[int] = []
        """How late each piece of sound was."""

    options: Options

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> tuple[Answer, ...]:
        if isinstance(item, Play):
            now_us = self.around.now_us()
            self.options.first_us.setdefault(item.epoch, now_us)
            self.options.late_us.append(now_us - item.at_us)
        return ()


def resident_mb() -> float:
    """This process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def pipeline(phase_us: int, turns: int) -> str:
    """A session's pipeline file; its user begins to speak `phase_us` later than others."""
    speech = [f"{{at: {begin_us(phase_us, i)}us, lasts: {SPEECH_US}us}}" for i in range(turns)]
    return f"""flowkit: 1
name: bench
stages:
  - {{kind: mic, provider: scripted, speech: [{", ".join(speech)}], length: {begin_us(phase_us, turns)}us}}
  - {{kind: vad, provider: scripted, end: 100ms, start: 20ms}}
  - {{kind: asr, provider: scripted, final_after: 0ms, utterances: [{", ".join(["hello there"] * turns)}]}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, first_token: 150ms, per_token: {TOKEN_US}us,
     replies: [{{tokens: {json.dumps(FIRST + REST)}}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, first_audio: 80ms, per_piece: 5ms, piece: 20ms, per_char: 40ms}}
  - {{kind: speaker}}
"""


def begin_us(phase_us: int, turn: int) -> int:
    """When turn number `turn` begins."""
    return LEAD_IN_US + phase_us + turn * PERIOD_US


def with_ear(config: Config) -> Plan:
    """The pipeline with an ear of its own."""
    plan, ear = require(config), ProviderChoice("ear", Ear, Ear.Options())
    return replace(plan, stages=tuple(replace(s, provider=ear) if s.kind == "speaker" else s for s in plan.stages))


async def measured(sessions: int, turns: int, folder: Path) -> dict[str, object]:
    """Run them all, each recorded, and say what they took."""
    phases = [2_400_000 * i // sessions for i in range(sessions)]
    configs = [load("bench.yaml", text=pipeline(phase, turns)) for phase in phases]
    plans = [with_ear(config) for config in configs]
    outcomes: list[SessionOutcome] = []

    async def session(host: Host, i: int) -> None:
        await trio.sleep(0.02 * i / sessions)
        outcomes.append(await host.run_session(plans[i], trace=folder / f"{i}.jsonl"))

    async with open_host(configs[0], max_lag_us=10_000_000) as host:
        set_up_ms = [await set_up(host, with_ear(configs[0]), folder / f"set-up-{i}.jsonl") for i in range(6)]
        gauges = host.gauges
        before_mb, cpu_s, wall_s = resident_mb(), time.process_time(), time.perf_counter()
        async with trio.open_nursery() as nursery:
            for i in range(sessions):
                nursery.start_soon(session, host, i)
            await trio.sleep(begin_us(0, turns) / 1e6 - 0.5)
            gauges, after_mb = host.gauges, resident_mb()
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    ears = [plan.stage("speaker").provider.options for plan in plans]  # type: ignore[union-attr]
    late_ms = [late / 1000 for phase, ear in zip(phases, ears, strict=True) for late in over_ideal_us(phase, ear)]
    return {
        "sessions": sessions,
        "turns": turns,
        "cpu_ms_a_session_s": round(1000 * cpu_s / sum(begin_us(phase, turns) / 1e6 for phase in phases), 2),
        "over_ideal_ms": spread(late_ms),
        "sound_late_ms": spread([late / 1000 for ear in ears for late in ear.late_us]),  # type: ignore[attr-defined]
        "loop_lag_ms": gauges.lag_us / 1000,
        "mb_a_session": round((after_mb - before_mb) / sessions, 3),
        "set_up_ms": sorted(set_up_ms)[len(set_up_ms) // 2],
        "share_of_a_core": round(cpu_s / wall_s, 3),
        "reasons": sorted({outcome.reason for outcome in outcomes}),
        "recordings_lost": sum(bool(outcome.recording and outcome.recording.lost) for outcome in outcomes),
    }


async def set_up(host: Host, plan: Plan, path: Path) -> float:
    """Milliseconds from asking for a recorded session to its first moment."""
    began_s, ready_s = time.perf_counter(), list[float]()
    await host.run_session(plan, trace=path, duration_us=1, started=lambda *_: ready_s.append(time.perf_counter()))
    return round(1000 * (ready_s[0] - began_s), 2)


def over_ideal_us(phase_us: int, ear: Any) -> list[int]:
    """What each turn took beyond the ideal; the detector counts whole frames."""
    ends_us = [-(-(begin_us(phase_us, i) + SPEECH_US) // 20_000) * 20_000 for i in range(len(ear.first_us))]
    heard_us = [ear.first_us[epoch] for epoch in sorted(ear.first_us)]
    return [heard - end - IDEAL_US - TOKEN_US for heard, end in zip(heard_us, ends_us, strict=True)]


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    ordered = sorted(values)
    places = {"p50": len(ordered) // 2, "p99": len(ordered) * 99 // 100, "max": -1}
    return {name: round(ordered[place], 2) for name, place in places.items()} if ordered else {}


def peer(python: str | None, folder: Path, *script: str) -> object:
    """What a peer's script prints last, or that it was skipped."""
    if python is None:
        return "skipped: no environment given"
    ran = subprocess.run([python, *script], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sessions", type=int, nargs="?", default=25)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--virtual", action="store_true", help="time jumps from event to event")
    parser.add_argument("--peers", type=Path, default=Path(), help="folder with the peers' scripts")
    parser.add_argument("--pipecat", help="Python that has Pipecat")
    parser.add_argument("--livekit", help="Python that has LiveKit Agents")
    args = parser.parse_args()
    begin = time.thread_time()
    sum(i for i in range(3_000_000))
    loop_s = time.thread_time() - begin
    clock = MockClock(autojump_threshold=0) if args.virtual else None
    with tempfile.TemporaryDirectory() as folder:
        found = trio.run(measured, args.sessions, args.turns, Path(folder), clock=clock)
    number, seconds = str(args.sessions), str(round(begin_us(0, args.turns) / 1e6))
    found |= {
        "python_loop_of_3M_s": round(loop_s, 3),
        "pipecat": peer(args.pipecat, args.peers, "pipecat_sessions.py", number, str(args.turns), "minimal"),
        "livekit": peer(args.livekit, args.peers, "livekit_sessions.py", "-n", number, "--seconds", seconds),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
