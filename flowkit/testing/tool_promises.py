"""What is promised of tool calls, to be checked on the evidence of a session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from flowkit.engine import CallFed, Fate, Row
from flowkit.messages import Ask, Called, CancelTool, Clause, Filler, ToolCall, ToolOutcome, ToolStatus, Utterance
from flowkit.stages.base import Emit
from flowkit.stages.chunking import FILLER
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import Broken

M = TypeVar("M")


def check_tools(evidence: Evidence) -> None:
    """Every promise of tools. Raises Broken for the first that was not kept."""
    for promise in TOOL_PROMISES:
        promise(evidence)


def each_call_has_one_outcome(evidence: Evidence) -> None:
    """Every call that reached the tools has exactly one outcome, or still runs; no outcome is without a call."""
    calls = Counter(call.id for _, call in _rows(evidence, "tools", ToolCall))
    outcomes = Counter(outcome.id for _, outcome in _rows(evidence, "llm", ToolOutcome))
    _hold(all(count == 1 for count in calls.values()), f"calls that reached the tools twice: {calls}")
    _hold(all(count == 1 for count in outcomes.values()), f"calls with several outcomes: {outcomes}")
    _hold(outcomes.keys() <= calls.keys(), f"outcomes without a call: {outcomes.keys() - calls.keys()}")
    planned = evidence.plan.only("tools")
    running = set(evidence.engine.state(planned.id).running) if planned is not None else set()
    told = {
        action.message.id
        for step in evidence.steps
        for action in step.actions
        if step.stage == "tools" and isinstance(action, Emit) and isinstance(action.message, ToolOutcome)
    }
    lost = calls.keys() - told - running
    _hold(not lost, f"neither running nor over: {lost}")
    _hold(evidence.engine.finished is not None or outcomes.keys() == told, f"never arrived: {told - outcomes.keys()}")


def the_model_is_told_of_every_call(evidence: Evidence) -> None:
    """Each request knows every call that was made before it, and its outcome if there was one; unless the history was shortened."""
    known: dict[str, Called] = {}
    for row in evidence.rows:
        message = row.message
        if row.fate is not Fate.HANDLED:
            continue
        if row.stage == "tools" and isinstance(message, ToolCall):
            known[message.id] = Called(message.id, message.name, message.arguments)
        elif row.stage == "llm" and row.cause_stage and isinstance(message, ToolOutcome):
            known[message.id] = known[message.id]._replace(status=message.status, content=message.content)
        elif isinstance(message, Ask):
            steps = [*(step for exchange in message.history for step in exchange.steps), *message.steps]
            told = {call.id: call for step in steps for call in step.calls}
            for id, call in known.items():
                _hold(told.get(id) == call, f"the request at {row.handled_us} us knows {told.get(id)} of {call}")
            awaited = [
                call.id
                for call in (message.steps[-1].calls if message.steps else ())
                if call.status == ToolStatus.RUNNING
            ]
            _hold(not awaited, f"the model was asked at {row.handled_us} us before {awaited} were over")


def a_tool_is_stopped_once_it_was_started(evidence: Evidence) -> None:
    """Each call is fed to the provider once. If the stage gives up the call, the provider is asked to stop it, after its start."""
    started, stopped = set[str](), set[str]()
    for at_us, effect in evidence.effects:
        item = effect.item if isinstance(effect, CallFed) else None
        if isinstance(item, ToolCall):
            _hold(item.id not in started, f"{item.id} was started again at {at_us} us")
            started.add(item.id)
        elif isinstance(item, CancelTool):
            _hold(item.id in started, f"{item.id} was stopped at {at_us} us, before it was started")
            stopped.add(item.id)
    for row, outcome in _rows(evidence, "llm", ToolOutcome):
        given_up = outcome.status in (ToolStatus.CANCELLED, ToolStatus.TIMEOUT)
        _hold(
            not given_up or outcome.id in stopped, f"{outcome.id} runs on after {row.handled_us} us, and nobody waits"
        )


def fillers_are_said_while_tools_run(evidence: Evidence) -> None:
    """A filler is taken up only while the reply waits for a tool, and it is nobody's text."""
    running = set[str]()
    for row in evidence.rows:
        message = row.message
        if row.fate is not Fate.HANDLED:
            continue
        if row.stage == "llm" and isinstance(message, Utterance):
            running = set[str]()
        elif row.stage == "tools" and isinstance(message, ToolCall):
            running.add(message.id)
        elif row.stage == "llm" and row.cause_stage and isinstance(message, ToolOutcome):
            running.discard(message.id)
        elif row.stage in ("chunker", "tts") and isinstance(message, Filler) and row.sent_us == row.handled_us:
            _hold(bool(running), f"a filler at {row.handled_us} us, when no tool ran")
        elif isinstance(message, Clause) and message.reason == FILLER:
            _hold(not message.text, f"a filler has the text {message.text!r}")


def _hold(kept: bool, what: str) -> None:
    if not kept:
        raise Broken(what)


def _rows(evidence: Evidence, stage: str, kind: type[M]) -> Iterator[tuple[Row, M]]:
    for row in evidence.rows:
        if row.stage == stage and row.cause_stage and row.fate is Fate.HANDLED and isinstance(row.message, kind):
            yield row, row.message


TOOL_PROMISES = (
    each_call_has_one_outcome,
    the_model_is_told_of_every_call,
    a_tool_is_stopped_once_it_was_started,
    fillers_are_said_while_tools_run,
)
