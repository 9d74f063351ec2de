"""Many sessions in one process: CPU, latency and memory, with recording on. Prints JSON.

Everybody's fakes keep one contract. The microphone gives 16 kHz in frames of 20 ms, in real time. The final transcript comes 100 ms
after the last voiced frame. The first token comes after 150 ms, then 60 a second. The voice's first sound comes after 80 ms, then
20 ms of sound every 5 ms. The first sentence has ten tokens, so the ideal time to first audio is 480 ms. The chunker waits for the
token behind the sentence, another 17 ms, which are taken off: peers are given the same (their scripts report both).

    taskset -c 1 .venv/bin/python tests/benchmarks/bench_sessions.py 25 --turns 4

One session is compared with a bare Trio program that does the same waiting (`bare_over_ideal_ms`): the difference is flowkit's own
share. With `--vad silero` each session runs the model on every window, and answers as the script would, so that
the ideal is known.

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
from flowkit.providers import silero
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.providers.silero import WINDOW, Detector
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import SessionOutcome

FIRST = ("Sure", ",", " I", " can", " help", " you", " with", " that", " today", ".")
REST = (" Let", " me", " check", " it", " now", ".")
TOKEN_US = 16_667
IDEAL_US = 100_000 + 150_000 + 9 * TOKEN_US + 80_000
SPEECH_US, PERIOD_US, LEAD_IN_US = 400_000, 3_600_000, 500_000
END_US, FRAME_US, FRAME = 100_000, 20_000, 320
"""The silence that ends an utterance, and a frame's length in time and in samples."""


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


class Scripted(Detector):
    """The work of the model and the answers of the script: any sound is a voice."""

    def judge(self, window: bytes) -> float:
        super().judge(window)
        return 0.95 if any(window[-64:]) else 0.02


def resident_mb() -> float:
    """This process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def pipeline(phase_us: int, turns: int, vad: str = "scripted") -> str:
    """A session's pipeline file; its user begins to speak `phase_us` later than others."""
    speech = [f"{{at: {begin_us(phase_us, i)}us, lasts: {SPEECH_US}us}}" for i in range(turns)]
    return f"""flowkit: 1
name: bench
stages:
  - {{kind: mic, provider: scripted, speech: [{", ".join(speech)}], length: {begin_us(phase_us, turns)}us}}
  - {{kind: vad, provider: {vad}, end: 100ms, start: 20ms}}
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


async def measured(sessions: int, turns: int, folder: Path, vad: str) -> dict[str, object]:
    """Run them all, each recorded, and say what they took."""
    phases = [2_400_000 * i // sessions for i in range(sessions)]
    configs = [load("bench.yaml", text=pipeline(phase, turns, vad)) for phase in phases]
    plans = [with_ear(config) for config in configs]
    outcomes: list[SessionOutcome] = []

    async def session(host: Host, i: int) -> None:
        await trio.sleep(0.02 * i / sessions)
        outcomes.append(await host.run_session(plans[i], trace=folder / f"{i}.jsonl"))

    async with open_host(configs[0], max_lag_us=10_000_000) as host:
        set_up_ms = [await set_up(host, plans[0], folder / f"set-up-{i}.jsonl") for i in range(6)]
        gauges = host.gauges
        before_mb, cpu_s, wall_s = resident_mb(), time.process_time(), time.perf_counter()
        async with trio.open_nursery() as nursery:
            for i in range(sessions):
                nursery.start_soon(session, host, i)
            await trio.sleep(begin_us(0, turns) / 1e6 - 0.5)
            gauges, after_mb = host.gauges, resident_mb()
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    ears = [plan.stage("speaker").provider.options for plan in plans]  # type: ignore[union-attr]
    late_ms = [late / 1000 for phase, ear in zip(phases, ears, strict=True) for late in over_ideal_us(phase, ear, vad)]
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


def over_ideal_us(phase_us: int, ear: Any, vad: str) -> list[int]:
    """What each turn took beyond the ideal; the detector counts whole frames, and silero whole windows."""
    ends = [-(-(begin_us(phase_us, i) + SPEECH_US) // FRAME_US) for i in range(len(ear.first_us))]
    decided_us = [(silero_frame(end) if vad == "silero" else end) * FRAME_US + END_US for end in ends]
    heard_us = [ear.first_us[epoch] for epoch in sorted(ear.first_us)]
    return [heard - decided + END_US - IDEAL_US - TOKEN_US for heard, decided in zip(heard_us, decided_us, strict=True)]


def silero_frame(end: int) -> int:
    """How many frames the decision needs, less the silence, where the voice ended with frame number `end` - 1.

    Its last voiced window may end in silence. The decision falls with the first window that ends late enough.
    """
    windows = [(n + 1) * WINDOW // FRAME - 1 for n in range(end * FRAME // WINDOW + 8)]
    voiced = max(frame for n, frame in enumerate(windows) if (n + 1) * WINDOW - 32 < end * FRAME)
    decides = min(n for n, frame in enumerate(windows) if (frame - voiced) * FRAME_US >= END_US)
    return -(-(decides + 1) * WINDOW // FRAME) - END_US // FRAME_US


async def bare(turns: int) -> list[float]:
    """Milliseconds over the ideal of a bare Trio program: one task and one channel for each of ASR, LLM and voice."""
    late_ms = list[float]()
    ready, heard, done = (trio.open_memory_channel[float](1) for _ in range(3))

    async def asr() -> None:
        async for end_s in heard[1]:
            await trio.sleep_until(end_s + END_US / 1e6)
            await ready[0].send(trio.current_time())

    async def llm() -> None:
        async for asked_s in ready[1]:
            for token in range(len(FIRST)):
                await trio.sleep_until(asked_s + (150_000 + token * TOKEN_US) / 1e6)
            await done[0].send(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(asr)
        nursery.start_soon(llm)
        for _ in range(turns):
            await trio.sleep(0.1)
            end_s = trio.current_time()
            await heard[0].send(end_s)
            await trio.sleep_until(await done[1].receive() + 0.08)
            late_ms.append(1000 * (trio.current_time() - end_s) - IDEAL_US / 1000)
        nursery.cancel_scope.cancel()
    return late_ms


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
    parser.add_argument("--vad", choices=("scripted", "silero"), default="scripted")
    parser.add_argument("--virtual", action="store_true", help="time jumps from event to event")
    parser.add_argument("--peers", type=Path, default=Path(), help="folder with the peers' scripts")
    parser.add_argument("--pipecat", help="Python that has Pipecat")
    parser.add_argument("--livekit", help="Python that has LiveKit Agents")
    args = parser.parse_args()
    silero.Detector = Scripted  # type: ignore[misc]
    begin = time.thread_time()
    sum(i for i in range(3_000_000))
    loop_s = time.thread_time() - begin
    clock = MockClock(autojump_threshold=0) if args.virtual else None
    with tempfile.TemporaryDirectory() as folder:
        found = trio.run(measured, args.sessions, args.turns, Path(folder), args.vad, clock=clock)
    if args.sessions == 1:
        found["bare_over_ideal_ms"] = spread(trio.run(bare, args.turns))
    number, seconds = str(args.sessions), str(round(begin_us(0, args.turns) / 1e6))
    found |= {
        "python_loop_of_3M_s": round(loop_s, 3),
        "pipecat": peer(args.pipecat, args.peers, "pipecat_sessions.py", number, str(args.turns), "minimal"),
        "livekit": peer(args.livekit, args.peers, "livekit_sessions.py", "-n", number, "--seconds", seconds),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
