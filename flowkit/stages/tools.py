"""Tools: each call that the model makes gets exactly one outcome, whatever happens meanwhile.

Calls run side by side, in one provider call that lasts as long as the session: an interrupt ends the reply and not the
tool, unless the tool is declared so. The stage is not part of the reply, and calls and outcomes are control messages,
so no queue and no interrupt can lose one. ``ToolState.running`` holds the calls without an outcome. A call leaves it
with its outcome, so there cannot be two.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar

from flowkit.clock import whole_ms
from flowkit.messages import (
    Acted,
    CancelTool,
    Done,
    EndSession,
    Failed,
    Filler,
    Instruct,
    Interrupt,
    Message,
    RunTools,
    Timer,
    ToolCall,
    ToolOutcome,
    ToolStatus,
)
from flowkit.stages.base import NOTHING, Action, Actions, Emit, Feed, Open, SetTimer, Stage
from flowkit.tools import Effects, OnInterrupt, Tool, Tools, client_tool, tool_named, tools_of

_TIMEOUT, _SAY = "timeout", "say"
_ENDING = "The session ends."


@dataclass(slots=True)
class ToolState:
    """`running`: the tool of each call that has no outcome yet. `open`: the provider's call is. `of_client`: the tools that a
    client runs itself."""

    running: dict[str, Tool] = field(default_factory=dict)
    open: bool = False
    of_client: tuple[Tool, ...] = ()


class ToolRunner(Stage[ToolState]):
    """Calls -> outcomes."""

    kind = "tools"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"calls": ("calls",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"outcomes": "outcomes", "progress": "progress"}
    call_keys: ClassVar[frozenset[str]] = frozenset()
    """Every tool has its own timeout."""

    class Options(Tools):
        pass

    options: Options

    def fresh(self) -> ToolState:
        return ToolState()

    def stale(self, state: ToolState, item: Message) -> bool:
        # Such a call has its outcome already, by its timeout or an interrupt, and must not get a second one.
        return isinstance(item, ToolOutcome) and item.id not in state.running

    def step(self, state: ToolState, message: Message, now_us: int) -> Actions:
        match message:
            case ToolCall():
                return self._call(state, message, now_us)
            case ToolOutcome(id=id):
                # A client may answer twice, or too late.
                return self._over(state, message) if id in state.running else NOTHING
            case Instruct(tools=tools):
                state.of_client = tuple(client_tool(spec.name) for spec in tools_of(tools))
            case Timer(tag=tag):
                return self._due(state, *tag.split("_", 1))
            case Interrupt():
                return self._interrupt(state)
            case Failed(what=what):
                return self._all_over(state, what)
            case Done():
                return self._all_over(state, "the tools have stopped")
        return NOTHING

    def _call(self, state: ToolState, call: ToolCall, now_us: int) -> Actions:
        """Start the tool, or say at once why not."""
        known = (*self.options.tools, *state.of_client)
        tool = tool_named(known, call.name)
        if tool is None:
            # With the names at hand, the model can correct its call.
            there = ", ".join(title for tool in known for title in tool.titles) or "none"
            return _outcome(call.id, ToolStatus.ERROR, f"There is no tool {call.name!r}. Tools: {there}.")
        if problem := _problem(call.arguments):
            return _outcome(call.id, ToolStatus.ERROR, problem)
        if tool.builtin is not None:
            end = EndSession(tool.after_playout)
            return (*_outcome(call.id, ToolStatus.ENDED, _ENDING), Emit("progress", end))
        state.running[call.id] = tool
        if tool in state.of_client:  # the client sees the call in the journal, and its outcome comes from there
            return (Emit("progress", Acted()), SetTimer(now_us + tool.timeout, f"{_TIMEOUT}_{call.id}"))
        opened: tuple[Action, ...] = () if state.open else (Open(RunTools()),)
        state.open, filler = True, tool.say_after
        return (
            *opened,
            Feed(call),
            # A question that had an effect must not be asked again, or it would have it twice.
            *([Emit("progress", Acted())] if tool.effects is Effects.ONCE else []),
            SetTimer(now_us + tool.timeout, f"{_TIMEOUT}_{call.id}"),
            *([SetTimer(now_us + filler.after, f"{_SAY}_{call.id}")] if filler else []),
        )

    def _due(self, state: ToolState, what: str, id: str) -> Actions:
        # The timer may have been on its way already when the outcome removed it.
        if (tool := state.running.get(id)) is None:
            return NOTHING
        if what == _SAY:
            return (Emit("outcomes", Filler(tool.say_after.text)),) if tool.say_after else NOTHING
        late = ToolOutcome(
            id, ToolStatus.TIMEOUT.value, f"{tool.title or 'It'} took longer than {whole_ms(tool.timeout)} ms."
        )
        return (Feed(CancelTool(id)), *self._over(state, late))

    def _interrupt(self, state: ToolState) -> Actions:
        """Tools run on, but nothing is said about them in a reply that is over."""
        actions: list[Action] = []
        # A copy, because a call that is cancelled leaves the dictionary.
        for id, tool in list(state.running.items()):
            actions.append(SetTimer(None, f"{_SAY}_{id}"))
            if tool.on_interrupt is OnInterrupt.CANCEL:
                gone = ToolOutcome(id, ToolStatus.CANCELLED.value, "The user interrupted, so it was cancelled.")
                actions += [Feed(CancelTool(id)), *self._over(state, gone)]
        return actions

    def _all_over(self, state: ToolState, what: str) -> Actions:
        """The provider that runs the tools is gone. The next call opens it again."""
        state.open = False
        mine = [id for id, tool in state.running.items() if not tool.of_client]
        gone = [ToolOutcome(id, ToolStatus.ERROR.value, f"It failed: {what}.") for id in mine]
        return [action for outcome in gone for action in self._over(state, outcome)]

    def _over(self, state: ToolState, outcome: ToolOutcome) -> Actions:
        del state.running[outcome.id]
        id = outcome.id
        return (SetTimer(None, f"{_TIMEOUT}_{id}"), SetTimer(None, f"{_SAY}_{id}"), Emit("outcomes", outcome))


def _outcome(id: str, status: ToolStatus, content: str) -> tuple[Action, ...]:
    return (Emit("outcomes", ToolOutcome(id, status.value, content)),)


def _problem(arguments: str) -> str:
    """What is wrong with the arguments, so that the model can correct them. Empty if they are an object."""
    try:
        read = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        # Deeply nested JSON raises RecursionError, and what a model writes may be anything.
        return f"The arguments are not valid JSON: {error}."
    return "" if isinstance(read, dict) else "The arguments must be a JSON object."


__all__ = ["ToolRunner", "ToolState"]
