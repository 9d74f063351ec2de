"""What devices cost, on a virtual sound card in real time: the callbacks, the way into the engine, the way to silence.

Prints JSON; times in microseconds. ``python tests/benchmarks/bench_devices.py [SECONDS]``
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.devices.card import Card, virtual_card, why_not  # noqa: E402

PIPELINE = """
flowkit: 1
name: bench
stages:
  - {kind: mic, provider: device}
  - {kind: vad, provider: webrtcvad, aggressiveness: 3}
  - {kind: asr, provider: scripted, utterances: [WORDS]}
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: "TALK"}]}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: device}
"""
TALK = "I will tell you a long story, one clause after another, about a dog, a cat, and a mouse. " * 4


class Probe:
    """Times each callback, and each frame from its callback to the engine."""

    def __init__(self) -> None:
        self.callbacks_us: list[float] = []
        self.worked_us: list[float] = []
        self.arrivals_us: list[float] = []
        self.events: list[tuple[int, str, str]] = []
        self._heard_at: dict[int, int] = {}

    def timed(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began, worked = time.perf_counter_ns(), time.thread_time_ns()
            answer = callback(*arguments)
            self.callbacks_us.append((time.perf_counter_ns() - began) / 1000)
            self.worked_us.append((time.thread_time_ns() - worked) / 1000)
            return answer

        return call

    def watch(self, engine: Any, figures: object) -> None:
        """Note when the engine gets a frame."""
        from flowkit.messages import Frames

        advance = engine.advance

        def noted(now_us: int, stimuli: Any = ()) -> Any:
            for stimulus in stimuli:
                if isinstance(stimulus.item, Frames):
                    self._heard_at[stimulus.item.index] = time.perf_counter_ns()
            return advance(now_us, stimuli)

        engine.advance = noted

    def begin(self) -> None: ...
    def rows(self, rows: object) -> None: ...
    def event(self, at_us: int, name: str, detail: str) -> None:
        self.events.append((at_us, name, detail))

    def arrived(self, blocks: list[int]) -> None:
        """`blocks`: when the callback had each block, from frame 0 on."""
        for index, at_ns in enumerate(blocks):
            if index in self._heard_at:
                self.arrivals_us.append((self._heard_at[index] - at_ns) / 1000)


def figures(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    picks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {"count": len(ordered)} | {
        name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) for name, share in picks.items()
    }


def talk(card: Card, stop: threading.Event) -> None:
    """A user who says the question again every three and a half seconds."""
    while not stop.wait(2.0):
        card.say(ROOT / "pipelines/audio/question.wav").wait()


def measured(card: Card, seconds: float) -> dict[str, Any]:
    import trio

    from flowkit.config import load
    from flowkit.plan import require
    from flowkit.providers.sound.device_ring import MicRing, SpeakerRing
    from flowkit.runtime.host import run_alone

    probe, blocks = Probe(), []
    heard, clear = MicRing.heard, MicRing.clear

    def noted(ring: MicRing, pcm: bytes, overflowed: bool) -> bool:
        blocks.append(time.perf_counter_ns())
        return heard(ring, pcm, overflowed)

    def cleared(ring: MicRing) -> int:
        blocks.clear()
        return clear(ring)

    MicRing.heard, MicRing.clear = probe.timed(noted), cleared  # type: ignore[method-assign]
    SpeakerRing.wants = probe.timed(SpeakerRing.wants)  # type: ignore[method-assign]
    words = ", ".join(['"Go on."'] * 200)
    plan = require(load("bench.yaml", text=PIPELINE.replace("WORDS", words).replace("TALK", TALK), environ={}))
    stop = threading.Event()
    user = threading.Thread(target=talk, args=(card, stop))
    user.start()
    duration_us = round(seconds * 1e6)
    options = {"observers": (probe,), "started": probe.watch, "duration_us": duration_us}
    outcome = trio.run(lambda: run_alone(plan, notice=lambda line: None, **options))
    stop.set()
    user.join()
    probe.arrived(blocks)
    report = outcome.figures.report()
    to_silence = [float(i.decision_to_silence_us - plan.frame_us) for i in report.interrupts]
    late = [event for event in probe.events if event[1] == "speaker began"]
    return {
        "callback_cpu_us": figures(probe.worked_us),
        "callback_wall_us": figures(probe.callbacks_us),
        "callback_to_engine_us": figures(probe.arrivals_us),
        "decision_to_last_frame_handed_over_us": figures(to_silence) if to_silence else None,
        "speaker_begins_late_us": figures([float(detail.rpartition("=")[2]) for _, _, detail in late]),
        "stale_frames": sum(i.stale_frames for i in report.interrupts),
        "device_events": sorted({name for _, name, _ in probe.events}),
        "stalls_over_20ms": outcome.figures.stalls.held,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    if reason := why_not():
        print(json.dumps({"skipped": reason}))
        return
    with tempfile.TemporaryDirectory() as folder, virtual_card(Path(folder)) as card:
        os.environ.update(card.environ)
        print(json.dumps(measured(card, float(sys.argv[1]) if len(sys.argv) > 1 else 60), indent=1))


if __name__ == "__main__":
    main()
