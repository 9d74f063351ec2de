"""Predictors that hear the turn: what they are given, when they are asked, and what becomes of the turn if they fail."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flowkit import options as opt
from flowkit.config import load
from flowkit.errors import ProviderError, ProviderMissing
from flowkit.messages import EndOfUtterance, Frames, Prediction, SpeechStarted, SpeechStopped
from flowkit.plan import Plan, resolve
from flowkit.plan.graph import ProviderChoice
from flowkit.providers import turn_smart
from flowkit.providers.base import Surroundings
from flowkit.providers.turn_smart import SmartTurn, features
from flowkit.providers.turn_sound import SoundPredictor, TurnSound
from flowkit.providers.weights import SMART_TURN
from flowkit.stages.endpointing import Endpointing, Silences
from flowkit.stages.predicting import PredictingBySound
from flowkit.testing.turns.labels import Labelled, Labels, UserTurn
from flowkit.testing.turns.listening import HeardRecording, hear
from flowkit.testing.turns.policies import Policy, judged

QUESTION = Path(__file__).resolve().parents[2] / "pipelines/audio/question.wav"
PIPELINE = """flowkit: 1
name: sound
stages:
  - {kind: mic}
  - {kind: vad, provider: webrtcvad, end: {}}
  - {kind: asr, provider: scripted}
  - {kind: turn, provider: smart_turn}
  - {kind: gate}
  - {kind: llm, provider: canned, text: Yes.}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker}
"""


class Loud(SoundPredictor):
    """As likely as what was said to it; it notes how much it was given."""

    name = "loud"
    p = 0.9
    given: list[int] = []

    class Options(opt.Options):
        pass

    def judge(self, pcm: bytes) -> float:
        self.given.append(len(pcm) // 640)
        return self.p


class Breaks(Loud):
    def judge(self, pcm: bytes) -> float:
        raise ProviderError("the model is damaged")


class Never(Loud):
    p = 0.0


def plan(cls: type[SoundPredictor]) -> Plan:
    drawn = resolve(load("sound.yaml", text=PIPELINE))
    assert drawn.stage("turn").cls is PredictingBySound
    stages = [
        replace(stage, provider=ProviderChoice(cls.name, cls, cls.Options())) if stage.id == "turn" else stage
        for stage in drawn.stages
    ]
    return replace(drawn, stages=tuple(stages))


def heard(cls: type[SoundPredictor]) -> HeardRecording:
    pytest.importorskip("webrtcvad")
    cls.given = []
    return hear(Labelled(QUESTION, Labels(turns=(UserTurn(begins=0.3, ends=1.8),))), plan(cls))


def predictions(found: HeardRecording) -> list[Prediction]:
    return [message for _, message in found.messages if isinstance(message, Prediction)]


def test_each_pause_is_judged_with_the_sound_of_the_turn() -> None:
    found = predictions(heard(Loud))
    assert found
    assert len(found) == len(Loud.given)
    assert {(item.p, item.by) for item in found} == {(0.9, "loud")}
    # The last one has the whole turn and the quiet that showed the pause, and not the silence before it.
    assert 60 <= Loud.given[-1] <= found[-1].until + 1
    ended = judged(Policy("", Silences()), [heard(Loud)], Endpointing.Options()).turns[0].end
    assert ended is not None
    assert (ended.why, ended.by) == ("complete", "loud")


@pytest.mark.parametrize(("cls", "why"), [(Breaks, "unsure"), (Never, "incomplete")])
def test_a_turn_ends_by_silence_if_it_breaks_or_is_wrong(cls: type[SoundPredictor], why: str) -> None:
    ended = judged(Policy("", Silences()), [heard(cls)], Endpointing.Options()).turns[0].end
    assert ended is not None
    assert ended.why == why


def test_the_sound_of_a_turn_begins_with_its_voice_and_ends_with_the_utterance() -> None:
    turn = TurnSound(2, 20_000)

    def frame(index: int) -> Frames:
        return Frames(index, 1, bytes([index]) * 4)

    for index in range(20):
        turn.take(frame(index))
    turn.take(SpeechStarted(15))
    turn.take(frame(22))
    assert (turn.until, turn.pcm()) == (22, b"".join(bytes([n]) * 4 for n in range(5, 20)) + bytes(8) + bytes([22]) * 4)
    turn.take(SpeechStarted(21))
    assert turn.pcm()[:4] == bytes([5]) * 4, "after a pause it is the same turn"
    turn.take(EndOfUtterance(1, 20))
    turn.take(SpeechStarted(22))
    turn.take(SpeechStopped(22))
    assert turn.pcm()[:4] == bytes([12]) * 4
    for index in range(23, 1000):
        turn.take(Frames(index, 1, b"abcd"))
    assert len(turn.pcm()) == 400 * 4, "eight seconds"


def test_the_features_are_whispers() -> None:
    """The tone of 1 kHz lies in the band around 15 mel of 45.2, and its level is 1.0 at most above the floor of -1."""
    seconds = np.arange(128_000) / 16_000
    found = features((0.1 * np.sin(2 * np.pi * 1_000 * seconds)).astype(np.float32))
    assert found.shape == (80, 800)
    assert set(found[:, 100:700].argmax(axis=0)) == {26}
    assert found.max() - found.min() == pytest.approx(2.0)


def smart() -> SmartTurn:
    pytest.importorskip("onnxruntime")
    try:
        SMART_TURN.path()
    except ProviderMissing as missing:
        pytest.skip(f"{missing} ({missing.hint})")
    options = SmartTurn.Options()
    around = Surroundings(16_000, 20_000, lambda: 0, lambda line: None)
    return SmartTurn(options, around, turn_smart._loaded(options))


def test_smart_turn_hears_that_a_question_is_over() -> None:
    predictor = smart()
    with wave.open(str(QUESTION)) as file:
        pcm = file.readframes(file.getnframes())
    until = 2 * 16_000 * 2
    assert predictor.judge(pcm[:until]) > predictor.judge(pcm[: until // 2])
    assert 0 <= predictor.judge(b"") <= 1
