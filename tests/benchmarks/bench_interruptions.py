"""How the agent behaves when a caller talks while it speaks: who gets the floor, how fast, and who stops it for nothing.

Each clip's caller is played, alone, to a talking agent in virtual time. VAD and ASR are the real ones.

    python tests/benchmarks/bench_interruptions.py FOLDER [SET...]

FOLDER holds `audio/*.wav` and `scenarios/*.json` as hotato's corpus has them (https://github.com/attenlabs/hotato,
`corpus/real` and `corpus/vapi-defaults`), at any depth. SET are settings as for `--set`. A table goes to stderr, JSON to
stdout: `missed_interruption` counts take-overs that did not get the floor, `false_interruption` backchannels that stopped
the agent.
"""

from __future__ import annotations

import json
import statistics
import sys
import wave
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.config import load
from flowkit.engine import Row
from flowkit.messages import Frames, Hold, InputEnded, Interrupt, Message, Probability, Resume
from flowkit.plan import Plan, resolve
from flowkit.plan.graph import ProviderChoice
from flowkit.providers.base import Emit
from flowkit.providers.inline import InlineCall, InlineProvider
from flowkit.providers.moonshine.asr import Moonshine
from flowkit.providers.moonshine.model import decoded
from flowkit.providers.silero import RATE_HZ, Detectors, Silero, Windows, judge
from flowkit.testing.sessions import trio_session

_FRAME = RATE_HZ // 50
_LEAD_S = 5.5
"""When the clip begins. Before, the caller asks a question, and the agent begins to answer at about 2.7 s."""
_AFTER_S = 3
_DECODES = 0.1
"""Seconds that the ASR takes for a second of audio."""
PIPELINE = """flowkit: 1
stages:
  - {kind: mic, provider: scripted}
  - {kind: vad, provider: silero}
  - {kind: asr, provider: moonshine}
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: "%s"}, {text: Good.}]}
  - {kind: chunker}
  - {kind: tts, provider: scripted, per_char: 60ms}
  - {kind: speaker}
"""
_TALK = "We open at nine in the morning and we close at six, and on Fridays we stay until eight in the evening. " * 6


@dataclass(frozen=True)
class Clip:
    """One caller, as s16le mono at 16 kHz. `takes`: the caller wants the floor, from `onset_s` on."""

    name: str
    pcm: bytes
    onset_s: float
    takes: bool


def clips(folder: Path) -> Iterator[Clip]:
    """The labelled clips under `folder`."""
    for path in sorted(folder.rglob("scenarios/*.json")):
        label = json.loads(path.read_text())
        if "caller_onset_sec" not in label or "yield" not in label.get("expected", {}):
            continue
        sound = path.parents[1] / "audio" / (label.get("audio") or f"{label['id']}.example.wav")
        channel = label.get("channels", {}).get("caller_channel", 0)
        yield Clip(label["id"], _caller(sound, channel), label["caller_onset_sec"], bool(label["expected"]["yield"]))


def _caller(path: Path, channel: int) -> bytes:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        rate = file.getframerate()
    mono = samples[:, channel].astype(np.float32)
    if rate != RATE_HZ:
        at = np.arange(0, len(mono), rate / RATE_HZ)
        mono = np.interp(at, np.arange(len(mono)), mono)
    return mono.astype("<i2").tobytes()


# -- a session in virtual time -----------------------------------------------------------------------------------------


class ClipMic(InlineProvider):
    """Plays `sound`."""

    kind, name = "mic", "clip"
    sound = b""

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=self._frames)

    def _frames(self) -> Iterator[tuple[int, Message]]:
        count = len(self.sound) // (2 * _FRAME)
        for index in range(count):
            yield (index + 1) * 20_000, Frames(index, 1, self.sound[2 * index * _FRAME :][: 2 * _FRAME])
        yield count * 20_000, InputEnded(count)
        for index in range(count, count + 500):
            yield (index + 1) * 20_000, Frames(index, 1, bytes(2 * _FRAME))


class SileroAtOnce(Silero):
    """Silero without its thread, for which virtual time would not wait."""

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        self._detector = self.model.take()
        yield
        self.model.give_back(self._detector)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        self._detector.reset()
        windows = Windows(_FRAME)
        async for item in fed:
            if isinstance(item, Frames) and (full := windows.add(item)):
                for (frame, _), p in zip(full, judge(self._detector, [pcm for _, pcm in full]), strict=True):
                    await emit(Probability(frame, p))


class MoonshineInTime(Moonshine):
    """Moonshine without its thread. It takes the time that it takes on one core."""

    @property
    def free(self) -> bool:
        return True

    async def decode(self, pcm: bytes) -> str:
        await trio.sleep(_DECODES * len(pcm) / 2 / RATE_HZ)
        return decoded(self.model, pcm)


def plan_of(overrides: Iterable[str], sound: bytes, text: str = PIPELINE) -> Plan:
    """The pipeline with these settings, whose caller is `sound`."""
    plan = resolve(load("interruptions.yaml", text=text % _TALK.strip(), overrides=tuple(overrides)))
    mic = type("Mic", (ClipMic,), {"sound": sound})
    own: dict[str, Any] = {"mic": mic, "vad": SileroAtOnce, "asr": MoonshineInTime}
    stages = []
    for stage in plan.stages:
        if cls := own.get(stage.kind):
            options = stage.provider.options if stage.provider and stage.kind != "mic" else cls.Options()
            stage = replace(stage, provider=ProviderChoice(cls.name, cls, options))
        elif stage.kind == "speaker":
            stage = replace(stage, provider=None)
        stages.append(stage)
    return replace(plan, stages=tuple(stages), frame_us=20_000)


def models() -> dict[Any, Any]:
    """The loaded models."""
    from moonshine_voice.moonshine_api import ModelArch
    from moonshine_voice.transcriber import Transcriber

    from flowkit.providers.weights import MOONSHINE_ENCODER

    arguments: Any = {"options": {"vad_threshold": "0"}}
    decoder = Transcriber(str(Path(MOONSHINE_ENCODER.checked()).parent), ModelArch.TINY, **arguments)
    return {SileroAtOnce: Detectors(), MoonshineInTime: decoder}


def question() -> bytes:
    """The shipped question, and silence until the clip begins."""
    path = Path(__file__).resolve().parents[2] / "pipelines" / "audio" / "question.wav"
    return _caller(path, 0).ljust(int(_LEAD_S * RATE_HZ) * 2, b"\0")[: int(_LEAD_S * RATE_HZ) * 2]


# -- what happened -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """`stopped`: the agent lost the floor. `silent_ms`: from the onset to its last sound before that. `paused_ms`: how long it
    was held without being stopped."""

    clip: str
    takes: bool
    stopped: bool
    silent_ms: int
    paused_ms: int
    heard: str

    @property
    def right(self) -> bool:
        return self.stopped is self.takes


def outcome(clip: Clip, rows: list[Row]) -> Outcome:
    """What the agent did about the clip."""
    onset_us = int((_LEAD_S + clip.onset_s) * 1e6)
    held_us, paused_us, silent_us, stopped = None, 0, 0, False
    heard: list[str] = []
    for row in rows:
        text = getattr(row.message, "text", "")
        if (
            row.stage == "gate"
            and row.handled_us > _LEAD_S * 1e6
            and type(row.message).__name__ in ("Partial", "Final")
        ):
            heard.append(f"{row.handled_us / 1e6 - _LEAD_S - clip.onset_s:.2f}:{type(row.message).__name__[0]}:{text}")
        if row.stage != "speaker" or row.handled_us < onset_us - 300_000 or stopped:
            continue
        if isinstance(row.message, Hold):
            held_us = row.handled_us
        elif isinstance(row.message, Resume) and held_us is not None:
            paused_us, held_us = paused_us + row.handled_us - held_us, None
        elif isinstance(row.message, Interrupt):
            stopped, silent_us = True, (row.handled_us if held_us is None else held_us) - onset_us
    silent_ms = -(-silent_us // 20_000) * 20
    return Outcome(clip.name, clip.takes, stopped, silent_ms, paused_us // 1000, " | ".join(heard))


def measured(found: list[Clip], overrides: Iterable[str], loaded: dict[Any, Any]) -> list[Outcome]:
    """What the agent does about each clip."""
    lead, tail = question(), bytes(2 * _AFTER_S * RATE_HZ)
    outcomes = []
    for clip in found:
        plan = plan_of(overrides, lead + clip.pcm + tail)
        outcomes.append(outcome(clip, trio_session(plan, models=loaded).journal.rows))
    return outcomes


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """The figures over all clips."""
    takes = [one for one in outcomes if one.takes]
    backchannels = [one for one in outcomes if not one.takes]
    floor = [one.silent_ms for one in takes if one.stopped]
    return {
        "take_overs": len(takes),
        "missed_interruption": sum(not one.stopped for one in takes),
        "floor_ms_p50": statistics.median(floor) if floor else None,
        "backchannels": len(backchannels),
        "false_interruption": sum(one.stopped for one in backchannels),
        "paused_ms_p50": statistics.median([one.paused_ms for one in backchannels if not one.stopped] or [0]),
    }


def main() -> None:
    """Measure one setting, clip by clip."""
    found = list(clips(Path(sys.argv[1])))
    outcomes = measured(found, sys.argv[2:], models())
    for one in outcomes:
        kind = "take-over" if one.takes else "backchannel"
        did = f"stopped after {one.silent_ms:5} ms" if one.stopped else f"paused for   {one.paused_ms:5} ms"
        print(f"{'ok ' if one.right else 'BAD'} {kind:11} {one.clip:38} {did}  {one.heard}", file=sys.stderr)
    print(json.dumps({"set": sys.argv[2:], **summary(outcomes)}, indent=1))


if __name__ == "__main__":
    main()
