"""The LLM stage: its requests, its history, and that every reply ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.history import size, size_of
from flowkit.messages import (
    Ask,
    Done,
    EndOfReply,
    Exchange,
    Failed,
    Fault,
    Final,
    Message,
    Token,
    ToolCall,
    ToolOutcome,
    Utterance,
)
from flowkit.stages.base import PROVIDER, Action, Emit, Open
from flowkit.stages.llm import LlmState, LlmTurn
from flowkit.stages.past import Numbered, Past


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


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(0, 200), st.integers(0, 6))
def test_the_past_is_cut_from_the_oldest_by_count_and_by_size(words: list[int], tokens: int, most: int) -> None:
    stage = LlmTurn(LlmTurn.Options(max_history=most, history_tokens=tokens))
    state = stage.fresh()
    for turn, count in enumerate(words, 1):
        said(stage, state, Utterance(turn, "word " * count, f"A{turn}" if turn > 1 else ""))
    everything = [Exchange("word " * count, f"A{turn + 1}") for turn, count in enumerate(words[:-1], 1)]
    kept = list(state.past.history)
    assert kept == everything[len(everything) - len(kept) :]
    assert len(kept) <= most
    assert sum(size(exchange.user, exchange.agent) for exchange in kept) <= tokens


REFUSED = Failed("length", "context_length_exceeded")


def test_a_request_that_is_too_long_is_made_once_more_with_less_past() -> None:
    stage = LlmTurn(LlmTurn.Options())
    state = stage.fresh()
    for turn in range(1, 9):
        said(stage, state, Utterance(turn, f"Question {turn}", f"Answer {turn - 1}" if turn > 1 else ""))
    (again,) = said(stage, state, REFUSED)
    past = tuple(Exchange(f"Question {n}", f"Answer {n}") for n in range(1, 8))
    assert again == Open(Ask(8, "Question 8", past[4:], shortened=True))
    assert said(stage, state, REFUSED) == [
        Emit("faults", Fault("llm", "context_length_exceeded")),
        Emit("tokens", EndOfReply()),
    ]
    assert "utterance" in stage.accepts(state)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(60, 400), st.sampled_from(["", "Sorry."]))
def test_a_line_that_is_too_long_costs_its_own_turn_only(words: list[int], limit: int, apology: str) -> None:
    """Whatever is said, at a model that refuses all above its limit: one that fits by itself is answered, at the second request
    at the latest, also behind one that does not fit and was answered by an apology."""
    stage = LlmTurn(LlmTurn.Options())
    state, heard = stage.fresh(), ""
    for turn, count in enumerate([*words, 1000, *words], 1):
        text = "word " * count
        (asked,) = (action for action in said(stage, state, Utterance(turn, text, heard)) if isinstance(action, Open))
        requests = 1
        while size_of(asked.request) > limit:  # type: ignore[arg-type]
            again = [action for action in said(stage, state, REFUSED) if isinstance(action, Open)]
            if not again:
                break
            (asked,) = again
            requests += 1
        answered = size_of(asked.request) <= limit  # type: ignore[arg-type]
        if answered:
            said(stage, state, Token(0, "Yes."), Done())
        heard = "Yes." if answered else apology
        assert requests <= 2
        assert answered or size(text) > limit // 2
        if count == 1:
            assert answered


@pytest.mark.parametrize("nothing", ["", " \n", "...", "\N{GRINNING FACE}", "<think>A plan.</think>**", "<br>"])
def test_a_reply_without_words_is_asked_for_once_more_and_then_a_fault(stage: LlmTurn, nothing: str) -> None:
    state = stage.fresh()
    asked = said(stage, state, Utterance(1, "Hello?", ""))
    assert said(stage, state, Token(0, nothing), Done())[-1] == asked[0]
    *rest, fault, end = said(stage, state, Token(0, nothing), Done())
    assert (fault, end) == (
        Emit("faults", Fault("llm", "the model's reply has no words")),
        Emit("tokens", EndOfReply()),
    )
    assert not any(isinstance(action, Open) for action in rest)
    assert "utterance" in stage.accepts(state)


def test_the_second_reply_stands_apart_from_the_marks_of_the_first(stage: LlmTurn) -> None:
    """Else the minus of the one would belong to the number of the other."""
    state = stage.fresh()
    asked = said(stage, state, Utterance(1, "Hello?", ""))
    assert said(stage, state, Token(0, "-"), Done()) == [
        Emit("tokens", Token(0, "-")),
        Emit("tokens", Token(1, "\n")),
        *asked,
    ]
    assert said(stage, state, Token(0, "5."), Done()) == [
        Emit("tokens", Token(2, "5.")),
        Emit("tokens", EndOfReply()),
    ]


def test_a_reply_that_was_cut_off_for_nothing_goes_on_behind_what_was_heard(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""), Token(0, "The capital of France is Paris."), Done())
    state = stage.reset(state)
    again = said(stage, state, Utterance(1, "One?", "", "The capital of"))
    assert again == [Open(Ask(1, "One?", (), "The capital of"))]
    heard = said(stage, state, Token(0, "The capital"), Token(1, " of France"), Token(2, " is Paris."), Done())
    assert heard[:-1] == [Emit("tokens", Token(0, " France")), Emit("tokens", Token(1, " is Paris."))]
    assert said(stage, state, Utterance(2, "Two?", "The capital of France is Paris.")) == [
        Open(Ask(2, "Two?", (Exchange("One?", "The capital of France is Paris."),)))
    ]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_old_turns_are_forgotten(most: int) -> None:
    stage = LlmTurn(LlmTurn.Options(max_history=most))
    state = stage.fresh()
    for turn in range(1, 8):
        said(stage, state, Utterance(turn, f"Q{turn}", f"A{turn - 1}" if turn > 1 else ""))
    expected = tuple(Exchange(f"Q{n}", f"A{n}") for n in range(1, 7))
    assert state.past.history == expected[len(expected) - most :]


def test_a_failure_ends_the_reply_and_is_told(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""))
    actions = said(stage, state, Failed("timeout", "nothing came"))
    assert actions == [Emit("faults", Fault("llm", "nothing came")), Emit("tokens", EndOfReply())]
    assert "utterance" in stage.accepts(state)


def test_a_reset_keeps_the_history_only(stage: LlmTurn) -> None:
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""), Utterance(2, "Two?", "Yes."), Token(0, "a"))
    past = (Exchange("One?", "Yes."),)
    assert stage.reset(state) == LlmState(past=Past((Numbered(1, past[0]),)), asked=Ask(2, "Two?", past))


@pytest.mark.parametrize(
    ("history", "kept"), [("heard", "The capital"), ("generated", "The capital of France is Paris.")]
)
def test_what_is_remembered_of_an_interrupted_reply(history: str, kept: str) -> None:
    stage = LlmTurn(LlmTurn.Options.model_validate({"history": history}))
    state = stage.fresh()
    said(stage, state, Utterance(1, "One?", ""), Token(0, "The capital of France"), Token(1, " is Paris."))
    state = stage.reset(state)
    said(stage, state, Utterance(2, "Two?", "The capital"), Token(0, "Well."), Done())
    assert state.past.history == (Exchange("One?", kept),)
    said(stage, state, Utterance(3, "Two? Three?", ""))
    assert state.past.history == (Exchange("One?", kept),), (
        "of a reply of which nothing was heard nothing is remembered"
    )


def test_without_a_gate_a_final_transcript_is_asked(stage: LlmTurn) -> None:
    state = stage.fresh()
    assert said(stage, state, Final("", 1)) == []
    assert said(stage, state, Final("Hello?", 2)) == [Open(Ask(1, "Hello?", ()))]


@pytest.mark.parametrize(
    ("heard", "texts", "behind"),
    [
        ("", ["", ""], ""),
        ("Let me", ["Let me", ""], ""),
        ("Let me see. One", ["Let me see.", "One"], ""),
        ("Let me see. One more. It is booked.", ["Let me see.", "One more."], "It is booked."),
        ("Something else.", ["", ""], "Something else."),
    ],
)
def test_what_was_heard_before_a_call_stands_before_it_in_the_history(
    stage: LlmTurn, heard: str, texts: list[str], behind: str
) -> None:
    call = ToolCall("", "look", "{}")
    steps = [
        [Token(0, "Let me see."), call, Done(), ToolOutcome("call_1", "result", "1")],
        [Token(0, "One more."), call, Done(), ToolOutcome("call_2", "result", "2")],
        [Token(0, "It is booked."), Done()],
    ]
    state = stage.fresh()
    said(stage, state, Utterance(1, "A table.", ""), *(message for step in steps for message in step))
    said(stage, state, Utterance(2, "Thank you.", heard))
    (exchange,) = state.past.history
    assert ([step.text for step in exchange.steps], exchange.agent) == (texts, behind)
