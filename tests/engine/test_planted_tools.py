"""Bugs of tools, planted one at a time: the promises of tools must catch each on a few fixed conversations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from flowkit.errors import IllegalTurn
from flowkit.messages import (
    Ask,
    CancelTool,
    Failed,
    Filler,
    Interrupt,
    Message,
    ReplyStep,
    Token,
    ToolCall,
    ToolOutcome,
)
from flowkit.plan.graph import Plan
from flowkit.providers.inline import Answer, InlineCall
from flowkit.providers.scripted import ScriptedLlm
from flowkit.stages import llm, past
from flowkit.stages.base import Actions, Emit, Feed, SetTimer
from flowkit.stages.llm import LlmState, LlmTurn
from flowkit.stages.tools import ToolRunner, ToolState
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import Broken
from flowkit.testing.sessions import heap_session, scripted_plan
from flowkit.testing.tool_promises import check_tools

Monkey = pytest.MonkeyPatch
BOOKS = {"text": "Let me see.", "calls": ({"name": "book"},)}


def talk(
    *speech_ms: int, on_interrupt: str = "keep", takes: str = "600ms", replies: Any = (BOOKS, {"text": "Fine."})
) -> Plan:
    """The user speaks at these times. The first reply books a table, which takes a while, with a filler after 200 ms."""
    filler = {"after": "200ms", "text": "One moment."}
    return scripted_plan(
        mic={"speech": [{"at": f"{at}ms", "lasts": "200ms"} for at in speech_ms], "length": "5s"},
        vad={"end": "100ms", "speech_for": "40ms"},
        asr={"utterances": ("One.", "Two.", "Three.")},
        llm={"replies": (*replies, {"after": "book", "text": "Booked."})},
        tts={"per_char": "20ms"},
        tools={
            "tools": ({"call": "bistro:book", "on_interrupt": on_interrupt, "say_after": filler},),
            "outcomes": ({"tool": "book", "after": takes, "says": "ok"},),
        },
    )


class BreaksOff(ScriptedLlm):
    """Its first reply fails after a tool call, before it is whole."""

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Ask)
        return super().open(request) if request.turn > 1 else InlineCall(opened=self._broken)

    def _broken(self) -> Iterator[tuple[int, Message]]:
        yield Answer(180_000, Token(0, "Let me see."))
        yield Answer(200_000, ToolCall("0", "book", "{}"))
        yield Answer(300_000, Failed("error", "it broke off"))


def broken_off() -> Plan:
    plan = talk(100, 2_000)
    stages = (
        replace(stage, provider=replace(stage.provider, cls=BreaksOff))
        if stage.provider and stage.kind == "llm"
        else stage
        for stage in plan.stages
    )
    return replace(plan, stages=tuple(stages))


CONVERSATIONS = {
    "undisturbed": talk(100),
    "an outcome before the filler": talk(100, takes="100ms"),
    "interrupted while the tool runs": talk(100, 1_000, 3_000),
    "interrupted, and the tool is cancelled": talk(100, 1_000, 3_000, on_interrupt="cancel"),
    "interrupted before the filler": talk(100, 720, 3_000, on_interrupt="cancel"),
    "booked again before the first outcome": talk(100, 1_000, 3_500, takes="1200ms", replies=(BOOKS,)),
    "a request that breaks off": broken_off(),
}


def broken() -> set[str]:
    """The conversations in which a promise is broken."""
    return {name for name, plan in CONVERSATIONS.items() if _breaks(plan)}


def _breaks(plan: Plan) -> bool:
    evidence = Evidence(plan)
    with suppress(IllegalTurn):
        heap_session(plan, evidence, limit_us=20_000_000)
    try:
        check_tools(evidence)
    except Broken:
        return True
    return False


def test_without_a_bug_every_promise_is_kept_and_there_is_something_to_keep() -> None:
    assert broken() == set()
    for name, plan in CONVERSATIONS.items():
        evidence = Evidence(plan)
        heap_session(plan, evidence)
        calls = [row for row in evidence.rows if row.stage == "tools" and isinstance(row.message, ToolCall)]
        interrupts = [row for row in evidence.rows if row.stage == "tools" and isinstance(row.message, Interrupt)]
        assert {row.turn for row in calls} >= ({2} if name == "a request that breaks off" else {1}), name
        assert bool(interrupts) == ("interrupted" in name or "again" in name), name


def test_an_outcome_that_is_dropped_on_an_interrupt(monkeypatch: Monkey) -> None:
    def interrupt(self: ToolRunner, state: ToolState) -> Actions:
        state.running.clear()
        return ()

    monkeypatch.setattr(ToolRunner, "_interrupt", interrupt)
    assert "interrupted while the tool runs" in broken()


def test_an_outcome_that_is_dropped_by_the_llm_after_an_interrupt(monkeypatch: Monkey) -> None:
    outcome = LlmTurn._outcome

    def only_of_this_turn(self: LlmTurn, state: LlmState, message: ToolOutcome) -> Actions:
        here = state.asked is not None and any(c.id == message.id for step in state.asked.steps for c in step.calls)
        return outcome(self, state, message) if here else ()

    monkeypatch.setattr(LlmTurn, "_outcome", only_of_this_turn)
    assert "booked again before the first outcome" in broken()


def test_a_tool_that_is_cancelled_before_it_starts(monkeypatch: Monkey) -> None:
    """The call is fed later than it could be, so that it runs although the model was told that it was cancelled."""
    call, due = ToolRunner._call, ToolRunner._due
    waits: dict[str, ToolCall] = {}

    def later(self: ToolRunner, state: ToolState, message: ToolCall, now_us: int) -> Actions:
        waits[message.id] = message
        actions = [action for action in call(self, state, message, now_us) if not isinstance(action, Feed)]
        return (*actions, SetTimer(now_us + 300_000, f"start_{message.id}"))

    def start(self: ToolRunner, state: ToolState, what: str, id: str) -> Actions:
        return (Feed(waits[id]),) if what == "start" else due(self, state, what, id)

    monkeypatch.setattr(ToolRunner, "_call", later)
    monkeypatch.setattr(ToolRunner, "_due", start)
    assert "interrupted before the filler" in broken()


def test_a_cancelled_tool_that_is_left_running(monkeypatch: Monkey) -> None:
    interrupt = ToolRunner._interrupt

    def told_only(self: ToolRunner, state: ToolState) -> Actions:
        return [a for a in interrupt(self, state) if not (isinstance(a, Feed) and isinstance(a.item, CancelTool))]

    monkeypatch.setattr(ToolRunner, "_interrupt", told_only)
    assert "interrupted, and the tool is cancelled" in broken()


def test_a_call_that_leaves_before_the_request_is_whole(monkeypatch: Monkey) -> None:
    step = LlmTurn.step

    def at_once(self: LlmTurn, state: LlmState, message: Message, now_us: int) -> Actions:
        actions = step(self, state, message, now_us)
        if isinstance(message, ToolCall):
            return (*actions, Emit("calls", replace(message, id=f"call_{state.called + len(state.calls)}")))
        return [a for a in actions if not (isinstance(a, Emit) and isinstance(a.message, ToolCall))]

    monkeypatch.setattr(LlmTurn, "step", at_once)
    assert broken() == {"a request that breaks off"}


def test_a_filler_after_the_outcome(monkeypatch: Monkey) -> None:
    def due(self: ToolRunner, state: ToolState, what: str, id: str) -> Actions:
        return (Emit("outcomes", Filler("One moment.")),) if what == "say" else ()

    def over(self: ToolRunner, state: ToolState, outcome: ToolOutcome) -> Actions:
        del state.running[outcome.id]
        return (Emit("outcomes", outcome),)

    def step(self: LlmTurn, state: LlmState, message: Message, now_us: int) -> Actions:
        return (Emit("tokens", message),) if isinstance(message, Filler) else llm_step(self, state, message, now_us)

    llm_step = LlmTurn.step
    monkeypatch.setattr(ToolRunner, "_due", due)
    monkeypatch.setattr(ToolRunner, "_over", over)
    monkeypatch.setattr(LlmTurn, "step", step)
    assert "an outcome before the filler" in broken()


def test_a_late_outcome_in_the_wrong_turn(monkeypatch: Monkey) -> None:
    def by_name(steps: tuple[ReplyStep, ...], outcome: ToolOutcome) -> tuple[ReplyStep, ...]:
        """The last call of the tool takes the outcome, whichever it is of."""
        if not steps:
            return steps
        *before, last = steps
        calls = tuple(call._replace(status=outcome.status, content=outcome.content) for call in last.calls)
        return (*before, ReplyStep(last.text, calls))

    for module in (llm, past):
        monkeypatch.setattr(module, "settled", by_name)
    assert "booked again before the first outcome" in broken()
