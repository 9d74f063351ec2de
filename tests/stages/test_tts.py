"""The TTS stage: one clause at a time, each between its start and its end."""

import pytest

from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    ClauseStarted,
    Done,
    EndOfReply,
    Failed,
    Fault,
    Filler,
    Message,
    Speak,
    Token,
    WordTimes,
)
from flowkit.stages.base import PROVIDER, Action, Emit, Open
from flowkit.stages.tts import TtsOrder, TtsState


@pytest.fixture
def stage() -> TtsOrder:
    return TtsOrder(TtsOrder.Options())


def said(stage: TtsOrder, state: TtsState, *messages: Message) -> list[Action]:
    return [action for message in messages for action in stage.step(state, message, 0)]


def clause(text: str, index: int = 0, spoken: str | None = None) -> Clause:
    return Clause(index, text, text if spoken is None else spoken, 1, "sentence")


def test_a_clause_is_one_call_between_two_marks(stage: TtsOrder) -> None:
    state, sound = stage.fresh(), Audio(0, 0, 160, 16_000)
    assert said(stage, state, clause("Hello.")) == [
        Emit("audio", ClauseStarted(0, "Hello.", "Hello.")),
        Open(Speak(0, "Hello.")),
    ]
    more = Audio(0, 160, 40, 16_000)
    assert said(stage, state, sound, more) == [Emit("audio", sound), Emit("audio", more)]
    assert said(stage, state, Done()) == [Emit("audio", ClauseEnded(0, 200))]


def test_no_other_clause_while_one_is_spoken(stage: TtsOrder) -> None:
    state = stage.fresh()
    assert "clauses" in stage.accepts(state)
    said(stage, state, clause("Hello."))
    assert stage.accepts(state) == {PROVIDER}
    said(stage, state, Done())
    assert "clauses" in stage.accepts(state)


def test_what_cannot_be_spoken_is_marked_and_passed_over(stage: TtsOrder) -> None:
    state = stage.fresh()
    marks = [Emit("audio", ClauseStarted(0, "**", " ")), Emit("audio", ClauseEnded(0, 0))]
    assert said(stage, state, clause("**", spoken=" ")) == marks
    assert "clauses" in stage.accepts(state)


def test_a_failure_is_told_and_the_clause_ended(stage: TtsOrder) -> None:
    state = stage.fresh()
    said(stage, state, clause("Hello."))
    actions = said(stage, state, Failed("error", "no voice"))
    assert actions[0] == Emit("faults", Fault("tts", "no voice"))
    assert isinstance(actions[-1], Emit)
    assert isinstance(actions[-1].message, ClauseEnded)
    assert "clauses" in stage.accepts(state)


def test_a_voice_that_fails_again_and_again_is_not_asked_for_the_rest_of_the_reply(stage: TtsOrder) -> None:
    state, opened = stage.fresh(), []
    for index in range(5):
        actions = said(stage, state, clause("Hello.", index), Failed("error", "no voice"))
        opened.append(Open(Speak(index, "Hello.")) in actions)
        assert Emit("audio", ClauseEnded(index, 0, whole=False)) in actions
    assert opened == [True, True, True, False, False]
    said(stage, state, EndOfReply())
    assert Open(Speak(0, "Hello.")) in said(stage, state, clause("Hello."))


def test_word_times_and_the_reply_s_end_go_on_in_band(stage: TtsOrder) -> None:
    state, times = stage.fresh(), WordTimes(0, (("Hello.", 200),))
    assert said(stage, state, times, EndOfReply()) == [Emit("audio", times), Emit("audio", EndOfReply())]


def test_tokens_can_be_spoken_without_a_chunker(stage: TtsOrder) -> None:
    actions = said(stage, stage.fresh(), Token(3, " word"))
    assert actions[-1] == Open(Speak(3, " word"))


def test_a_reset_forgets_the_clause(stage: TtsOrder) -> None:
    state = stage.fresh()
    said(stage, state, clause("Hello."))
    assert stage.reset(state) == stage.fresh()


def test_without_a_chunker_marks_are_not_spoken_before_the_first_word(stage: TtsOrder) -> None:
    state = stage.fresh()
    opened = []
    for index, text in enumerate(["...", "!", " Well", ",", " yes"]):
        opened += [action for action in said(stage, state, Token(index, text), Done()) if isinstance(action, Open)]
    assert opened == [Open(Speak(2, " Well")), Open(Speak(3, ",")), Open(Speak(4, " yes"))]
    said(stage, state, EndOfReply())
    assert not any(isinstance(action, Open) for action in said(stage, state, Token(0, "?!")))


def test_without_a_chunker_a_filler_is_a_clause_that_is_spoken_and_has_no_text(stage: TtsOrder) -> None:
    state = stage.fresh()
    assert said(stage, state, Filler("Wait.", 3)) == [
        Emit("audio", ClauseStarted(3, "", "Wait.")),
        Open(Speak(3, "Wait.")),
    ]
