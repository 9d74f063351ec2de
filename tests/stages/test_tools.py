"""The tools stage, and what the LLM's turn makes of calls and outcomes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import (
    Acted,
    Ask,
    Called,
    CancelTool,
    Done,
    EndOfReply,
    EndOfStep,
    EndSession,
    Exchange,
    Failed,
    Filler,
    Interrupt,
    Message,
    ReplyStep,
    RunTools,
    Timer,
    Token,
    ToolCall,
    ToolOutcome,
    Utterance,
)
from flowkit.stages.base import Action, Emit, Feed, Open, SetTimer
from flowkit.stages.llm import LlmState, LlmTurn
from flowkit.stages.tools import ToolRunner, ToolState

BOOK: dict[str, Any] = {"call": "bistro.tables:book", "timeout": "5s", "say_after": {"after": "500ms", "text": "Wait."}}
LOOK: dict[str, Any] = {"call": "bistro.tables:look", "on_interrupt": "cancel"}
BYE: dict[str, Any] = {"name": "bye", "builtin": "end_session"}


def runner(*tools: dict[str, Any]) -> tuple[ToolRunner, ToolState]:
    stage = ToolRunner(ToolRunner.Options.model_validate({"tools": tools or (BOOK, LOOK, BYE)}))
    return stage, stage.fresh()


def call(n: int, name: str = "book", arguments: str = "{}") -> ToolCall:
    return ToolCall(f"call_{n}", name, arguments)


def outcome(n: int, content: str = "ok", status: str = "result") -> ToolOutcome:
    return ToolOutcome(f"call_{n}", status, content)


def emitted(actions: Any) -> list[Message]:
    return [action.message for action in actions if isinstance(action, Emit)]


def test_a_call_is_fed_and_its_outcome_passed_on() -> None:
    stage, state = runner()
    assert list(stage.step(state, call(1), 1_000)) == [
        Open(RunTools()),
        Feed(call(1)),
        Emit("progress", Acted()),
        SetTimer(5_001_000, "timeout_call_1"),
        SetTimer(501_000, "say_call_1"),
    ]
    assert emitted(stage.step(state, outcome(1), 2_000)) == [outcome(1)]
    assert Open(RunTools()) not in stage.step(state, call(2), 3_000)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("bok", "{}", "There is no tool 'bok'. Tools: book, look, bye."),
        ("book", '{"people": ', "not valid JSON"),
        ("book", "[1]", "must be a JSON object"),
        ("book", "[" * 100_000, "not valid JSON"),
    ],
)
def test_a_call_that_cannot_be_made_is_an_error_that_the_model_can_mend(name: str, arguments: str, told: str) -> None:
    stage, state = runner()
    (said,) = emitted(stage.step(state, call(1, name, arguments), 0))
    assert isinstance(said, ToolOutcome)
    assert said.status == "error"
    assert told in said.content
    assert not state.running


def test_a_call_that_takes_too_long_is_told_once_and_what_comes_later_is_stale() -> None:
    stage, state = runner()
    stage.step(state, call(1), 0)
    actions = stage.step(state, Timer("timeout_call_1"), 5_000_000)
    assert actions[0] == Feed(CancelTool("call_1"))
    assert emitted(actions) == [outcome(1, "book took longer than 5000 ms.", "timeout")]
    assert stage.stale(state, outcome(1))
    assert emitted(stage.step(state, Timer("say_call_1"), 6_000_000)) == []


def test_the_filler_is_said_only_while_the_tool_runs() -> None:
    stage, state = runner()
    stage.step(state, call(1), 0)
    assert emitted(stage.step(state, Timer("say_call_1"), 500_000)) == [Filler("Wait.")]
    stage.step(state, outcome(1), 600_000)
    assert emitted(stage.step(state, Timer("say_call_1"), 600_000)) == []


def test_an_interrupt_cancels_the_tools_that_are_declared_so_and_no_other() -> None:
    stage, state = runner()
    for n, name in ((1, "book"), (2, "look")):
        stage.step(state, call(n, name), 0)
    actions = list(stage.step(state, Interrupt(), 100_000))
    assert Feed(CancelTool("call_2")) in actions
    assert Feed(CancelTool("call_1")) not in actions
    assert SetTimer(None, "say_call_1") in actions
    assert emitted(actions) == [outcome(2, "The user interrupted, so it was cancelled.", "cancelled")]
    assert emitted(stage.step(state, outcome(1), 200_000)) == [outcome(1)]


def test_end_session_is_told_to_the_gate() -> None:
    stage, state = runner()
    assert emitted(stage.step(state, call(1, "bye"), 0)) == [outcome(1, "The session ends.", "ended"), EndSession()]


@pytest.mark.parametrize("end", [Failed("error", "the process died"), Done()])
def test_whoever_runs_the_tools_may_die(end: Message) -> None:
    stage, state = runner()
    stage.step(state, call(1), 0)
    stage.step(state, call(2, "look"), 0)
    said = emitted(stage.step(state, end, 10))
    assert [(o.id, o.status) for o in said if isinstance(o, ToolOutcome)] == [("call_1", "error"), ("call_2", "error")]
    assert Open(RunTools()) in stage.step(state, call(3), 20)


EVENTS = st.one_of(
    st.builds(call, st.integers(1, 4), st.sampled_from(("book", "look", "bye", "none"))),
    st.builds(outcome, st.integers(1, 4)),
    st.builds(Timer, st.builds("{}_call_{}".format, st.sampled_from(("timeout", "say")), st.integers(1, 4))),
    st.sampled_from((Interrupt(), Done(), Failed("error", "gone"))),
)


@given(st.lists(EVENTS, max_size=40))
def test_each_call_has_one_outcome_whatever_happens(events: list[Message]) -> None:
    stage, state = runner()
    calls, outcomes = list[str](), list[str]()
    for now_us, event in enumerate([*events, Done()]):
        if isinstance(event, ToolCall):
            event = call(len(calls) + 1, event.name)
            calls.append(event.id)
        if isinstance(event, ToolOutcome) and stage.stale(state, event):
            continue
        outcomes += [said.id for said in emitted(stage.step(state, event, now_us)) if isinstance(said, ToolOutcome)]
    assert sorted(outcomes) == sorted(calls)


# -- the model's side --------------------------------------------------------------------------------------------------


@pytest.fixture
def llm() -> LlmTurn:
    return LlmTurn(LlmTurn.Options())


def said(stage: LlmTurn, state: LlmState, *messages: Message) -> list[Action]:
    actions: list[Action] = []
    for message in messages:
        actions = list(stage.step(state, message, 0))
    return actions


BOOKED = Called("call_1", "book", '{"n": 2}', "result", "ok")


def calling(llm: LlmTurn, *more: ToolCall) -> LlmState:
    """A turn whose model has said something and called `book`."""
    state = llm.fresh()
    said(llm, state, Utterance(1, "A table.", ""), Token(0, "Let me see."), ToolCall("x", "book", '{"n": 2}'), *more)
    return state


def test_calls_leave_when_the_model_has_finished_and_the_outcome_is_asked_about(llm: LlmTurn) -> None:
    state = calling(llm)
    assert said(llm, state, Done()) == [
        Emit("tokens", EndOfStep()),
        Emit("calls", ToolCall("call_1", "book", '{"n": 2}')),
    ]
    assert "utterance" not in llm.accepts(state)
    assert said(llm, state, outcome(1)) == [Open(Ask(1, "A table.", steps=(ReplyStep("Let me see.", (BOOKED,)),)))]
    assert said(llm, state, Token(0, "Booked."), Done()) == [Emit("tokens", EndOfReply())]


def test_the_model_is_asked_when_the_last_of_several_outcomes_is_there(llm: LlmTurn) -> None:
    state = calling(llm, ToolCall("x", "look", "{}"))
    calls = [
        action.message.id
        for action in said(llm, state, Done())
        if isinstance(action, Emit) and isinstance(action.message, ToolCall)
    ]
    assert calls == ["call_1", "call_2"], "numbered anew: the model gave both the same id"
    assert said(llm, state, outcome(2, "free")) == []
    (asked,) = said(llm, state, outcome(1))
    looked = Called("call_2", "look", "{}", "result", "free")
    assert asked == Open(Ask(1, "A table.", steps=(ReplyStep("Let me see.", (BOOKED, looked)),)))


def test_a_request_that_fails_has_called_nothing(llm: LlmTurn) -> None:
    state = calling(llm)
    actions = said(llm, state, Failed("error", "broke off"))
    assert not any(isinstance(action, Emit) and action.port == "calls" for action in actions)
    assert said(llm, state, Utterance(2, "Well?", "")) == [Open(Ask(2, "Well?"))]


def test_an_outcome_after_an_interrupt_stands_in_the_history_of_the_next_request(llm: LlmTurn) -> None:
    state = calling(llm)
    said(llm, state, Done())
    state = llm.reset(state)
    (asked,) = said(llm, state, Utterance(2, "Stop.", "Let me"))
    running = BOOKED._replace(status="running", content="")
    assert asked == Open(Ask(2, "Stop.", (Exchange("A table.", "", (ReplyStep("Let me", (running,)),)),)))
    assert said(llm, state, outcome(1)) == []
    said(llm, state, Token(0, "Fine."), Done())
    (asked,) = said(llm, state, Utterance(3, "And?", "Fine."))
    past = (Exchange("A table.", "", (ReplyStep("Let me", (BOOKED,)),)), Exchange("Stop.", "Fine."))
    assert asked == Open(Ask(3, "And?", past))


def test_a_turn_that_is_answered_again_waits_for_the_tool_that_it_called(llm: LlmTurn) -> None:
    state = calling(llm)
    said(llm, state, Done())
    state = llm.reset(state)
    assert said(llm, state, Utterance(1, "A table.", "", "Let me")) == []
    assert "utterance" not in llm.accepts(state)
    step = ReplyStep("Let me see.", (BOOKED,))
    assert said(llm, state, outcome(1)) == [Open(Ask(1, "A table.", steps=(step,)))]


@pytest.mark.parametrize(
    ("heard", "said_since"),
    [
        ("", ""),
        ("Let", ""),
        ("Let me see.", ""),
        ("Let me see. It is", "It is"),
        ("Something else.", "Something else."),
    ],
)
def test_a_turn_that_is_answered_again_goes_on_behind_what_was_heard_of_its_last_step(
    llm: LlmTurn, heard: str, said_since: str
) -> None:
    state = calling(llm)
    said(llm, state, Done(), outcome(1), Token(0, "It is booked."), Done())
    state = llm.reset(state)
    step = ReplyStep("Let me see.", (BOOKED,))
    assert said(llm, state, Utterance(1, "A table.", "", heard)) == [
        Open(Ask(1, "A table.", said=said_since, steps=(step,)))
    ]


def test_rounds_are_bounded() -> None:
    stage = LlmTurn(LlmTurn.Options(tool_rounds=2))
    state = stage.fresh()
    actions = said(stage, state, Utterance(1, "Go.", ""))
    for n in (1, 2, 3):
        (asked,) = (action.request for action in actions if isinstance(action, Open))
        assert isinstance(asked, Ask)
        assert asked.tools is (n < 3)
        actions = said(stage, state, Token(0, "Hm."), ToolCall("", "book", "{}"), Done())
        if n < 3:
            actions = said(stage, state, outcome(n))
    assert Emit("tokens", EndOfReply()) in actions, "a call at the bound is not made"


def test_a_good_bye_that_was_said_with_the_call_needs_no_other(llm: LlmTurn) -> None:
    state = calling(llm)
    said(llm, state, Done())
    assert said(llm, state, outcome(1, "The session ends.", "ended")) == [Emit("tokens", EndOfReply())]


def test_a_silent_end_is_asked_about(llm: LlmTurn) -> None:
    state = llm.fresh()
    said(llm, state, Utterance(1, "Bye.", ""), ToolCall("", "bye", "{}"), Done())
    (asked,) = said(llm, state, outcome(1, "The session ends.", "ended"))
    assert isinstance(asked, Open)


def test_a_filler_is_said_only_while_tools_run(llm: LlmTurn) -> None:
    state = calling(llm)
    assert said(llm, state, Filler("Wait.")) == []
    said(llm, state, Done())
    assert said(llm, state, Filler("Wait.")) == [Emit("tokens", Filler("Wait.", 1))]
    said(llm, state, outcome(1))
    assert said(llm, state, Filler("Wait.")) == []


def test_what_the_agent_says_of_its_own_accord_is_remembered(llm: LlmTurn) -> None:
    state = llm.fresh()
    assert said(llm, state, Utterance(1, "", "", say="Hello.")) == [
        Emit("tokens", Token(0, "Hello.")),
        Emit("tokens", EndOfReply()),
    ]
    assert said(llm, state, Utterance(2, "Hi.", "Hello.")) == [Open(Ask(2, "Hi.", (Exchange("", "Hello."),)))]
