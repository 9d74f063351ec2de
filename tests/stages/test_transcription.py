"""The ASR stage: everything in order, one Final for each utterance, and the end of the input after the last one."""

import pytest

from flowkit.messages import (
    EndOfUtterance,
    Failed,
    Fault,
    Final,
    Frames,
    InputEnded,
    Message,
    Partial,
    SpeechStarted,
    Transcribe,
)
from flowkit.stages.base import Action, Emit, Feed, Open
from flowkit.stages.transcription import Transcription, TranscriptionState


@pytest.fixture
def stage() -> Transcription:
    return Transcription(Transcription.Options())


def said(stage: Transcription, state: TranscriptionState, *messages: Message) -> list[Action]:
    return [action for message in messages for action in stage.step(state, message, 0)]


def test_frames_and_marks_are_fed_in_order(stage: Transcription) -> None:
    items: list[Message] = [SpeechStarted(0), Frames(0, 1), EndOfUtterance(1, 0)]
    assert said(stage, stage.fresh(), *items) == [Feed(item) for item in items]
    assert list(stage.begin(stage.fresh())) == [Open(Transcribe())]


def test_transcripts_are_passed_on(stage: Transcription) -> None:
    texts: list[Message] = [Partial("a"), Final("a b", 1)]
    assert said(stage, stage.fresh(), *texts) == [Emit("transcript", text) for text in texts]


def test_the_input_s_end_waits_for_every_final_that_is_owed(stage: Transcription) -> None:
    state = stage.fresh()
    said(stage, state, EndOfUtterance(1, 5), EndOfUtterance(2, 9))
    assert said(stage, state, InputEnded(10), Final("a", 1)) == [Emit("transcript", Final("a", 1))]
    last: list[Message] = [Final("b", 2), InputEnded(10)]
    assert said(stage, state, Final("b", 2)) == [Emit("transcript", message) for message in last]


def test_the_input_s_end_goes_on_at_once_if_nothing_is_owed(stage: Transcription) -> None:
    assert said(stage, stage.fresh(), InputEnded(10)) == [Emit("transcript", InputEnded(10))]


def test_a_failure_is_a_fault(stage: Transcription) -> None:
    assert said(stage, stage.fresh(), Failed("error", "no ears")) == [Emit("faults", Fault("asr", "no ears"))]
