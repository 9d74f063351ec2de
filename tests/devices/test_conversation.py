"""The recorded conversation on a fake card: three turns, one interrupt, and a history that contains what was heard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import soundfile

from flowkit.config import load
from flowkit.figures.metrics import measure
from flowkit.messages import Utterance
from flowkit.plan import require
from flowkit.providers.sound.device_ring import DueBlock, SpeakerRing
from tests.devices.fake import FakeHost
from tests.devices.test_device_session import messages, session

ROOT = Path(__file__).resolve().parents[2]
STORY = (
    "Once there was a small brown dog who lived on a farm. He chased every cat, every mouse, and in the end himself."
)
MS_PER_CHARACTER = 60
PIPELINE = f"""
flowkit: 1
name: conversation
stages:
  - {{kind: mic, provider: device}}
  - {{kind: vad, provider: webrtcvad, aggressiveness: 3}}
  - kind: asr
    provider: scripted
    utterances: ["Tell me a story.", "How many legs does a spider have?", "What is the capital of France?"]
  - {{kind: gate}}
  - kind: llm
    provider: scripted
    replies: [{{text: "{STORY}"}}, {{text: "A spider has eight legs."}}, {{text: "The capital of France is Paris."}}]
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, per_char: {MS_PER_CHARACTER}ms}}
  - {{kind: speaker, provider: device}}
"""


def whole_words(text: str, characters: int) -> str:
    """The longest beginning of `text` in whole words with at most this many characters."""
    if characters >= len(text):
        return text
    return text[: characters + 1].rpartition(" ")[0]


def test_three_turns_one_interrupt_and_the_history_is_what_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("webrtcvad")
    samples, rate_hz = soundfile.read(ROOT / "pipelines/audio/conversation.wav", dtype="int16")
    assert rate_hz == 16_000
    pcm = samples.tobytes()
    popped: list[DueBlock] = []
    due = SpeakerRing._due

    def seen(ring: SpeakerRing, now_us: int) -> DueBlock | None:
        chunk = due(ring, now_us)
        if chunk is not None:
            popped.append(chunk)
        return chunk

    monkeypatch.setattr(SpeakerRing, "_due", seen)
    host = FakeHost(lambda tick: pcm[tick * 640 : (tick + 1) * 640].ljust(640, b"\0"))
    plan = require(load("conversation.yaml", text=PIPELINE, environ={}))
    _, watched = session(host, plan, monkeypatch, seconds=len(samples) / rate_hz + 6)
    report = measure(watched.all, plan=plan, events=watched.events)

    assert [turn.end_reason for turn in report.turns] == ["interrupted", "completed", "completed"]
    assert len(report.interrupts) == 1
    assert report.interrupts[0].stale_frames == 0
    # The second answer begins behind the first: epochs never fall, and never mix.
    epochs = [chunk.epoch for chunk in popped]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 3
    # The history of turn 1, against the samples that the device popped of it.
    sounded_ms = sum(20 for chunk in popped if chunk.epoch == epochs[0])
    characters = sounded_ms // MS_PER_CHARACTER
    heard = messages(watched, Utterance, "llm")[1].heard
    assert heard in {whole_words(STORY, characters + slack) for slack in range(-2, 3)}
    assert re.fullmatch(r"Once there was a small.*", heard)
    assert messages(watched, Utterance, "llm")[2].heard == "A spider has eight legs."
