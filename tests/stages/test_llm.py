"""The LLM's turn: what it is asked, what it is reminded of, and that every reply ends."""

import pytest

from flowkit.messages import Ask, Done, EndOfReply, Exchange, Failed, Fault, Final, Message, Token, Utterance
from flowkit.stages.base import PROVIDER, Action, Emit, Open
from flowkit.stages.llm import LlmState, LlmTurn


def said(stage: LlmTurn, state: LlmState, *messages: Message) -> list[Action]:
    return [action for message in messages for action in stage.step(state, message, 0)]


@pytest.fixture
def stage() -> LlmTurn:
    return LlmTurn(LlmTurn.Options())


def test_an_utterance_is_asked_and_answered(stage: LlmTurn) -> None:
    state = stage.fresh()
    assert said(stage, state, Utterance(1, "Hello?", "")) == [Open(Ask(1, "Hello?", ()))]
    assert stage.accepts(state) == {PROVIDER}
    assert said(stage, state, Token(0, "Hi"), Token(1, "!")) == [
        Emit("tokens", Token(0, "Hi")),
        Emit("tokens", Token(1, "!")),
    ]
    assert said(stage, state, Done()) == [Emit("tokens", EndOfReply())]
    assert "utterance" in stage.accepts(state)


def test_tokens_are_numbered_whatever_the_provider_says(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "Hello?", ""))
    assert said(stage, state, Token(7, "a"), Token(7, "b")) == [
        Emit("tokens", Token(0, "a")),
        Emit("tokens", Token(1, "b")),
    ]


def test_the_history_is_what_was_heard(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""), Token(0, "A long answer"), Done())
    (opened,) = said(stage, state, Utterance(2, "Two?", "A long"))
    assert opened == Open(Ask(2, "Two?", (Exchange("One?", "A long"),)))


def test_a_reply_of_which_nothing_was_heard_is_not_remembered(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""))
    assert said(stage, state, Utterance(2, "One? Two?", "")) == [Open(Ask(2, "One? Two?", ()))]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_old_turns_are_forgotten(most: int) -> None:
    stage = LlmTurn(LlmTurn.Options(max_history=most))
    state = stage.fresh()
    for turn in range(1, 8):
        said(stage, state, Utterance(turn, f"Q{turn}", f"A{turn - 1}" if turn > 1 else ""))
    expected = tuple(Exchange(f"Q{n}", f"A{n}") for n in range(1, 7))
    assert state.history == expected[len(expected) - most :]


def test_a_failure_ends_the_reply_and_is_told(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""))
    actions = said(stage, state, Failed("timeout", "nothing came"))
    assert actions == [Emit("faults", Fault("llm", "nothing came")), Emit("tokens", EndOfReply())]
    assert "utterance" in stage.accepts(state)


def test_a_reset_keeps_the_history_only(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""), Utterance(2, "Two?", "Yes."), Token(0, "a"))
    assert stage.reset(state) == LlmState(history=(Exchange("One?", "Yes."),), asked="Two?")


def test_without_a_gate_a_final_transcript_is_asked(stage: LlmTurn) -> None:
    state = stage.fresh()
    assert said(stage, state, Final("", 1)) == []
    assert said(stage, state, Final("Hello?", 2)) == [Open(Ask(1, "Hello?", ()))]
