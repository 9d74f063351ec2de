"""A what-if replay whose tools are really called.

Each call runs to its end while the replay stands still, and its outcome comes as long after the call as that took. So
figures that depend on a tool are not the same on every run.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace

import trio

from flowkit.clock import US_PER_S, monotonic_us
from flowkit.errors import UsageError
from flowkit.messages import Message, RunTools, ToolCall, ToolOutcome
from flowkit.plan.graph import Plan, PlannedStage
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.inline import InlineCall, Script
from flowkit.providers.models import opened
from flowkit.replay.settings import changed_plan, recorded_plan
from flowkit.replay.simulate import Replayed, simulate
from flowkit.tools import Tools, tool_named
from flowkit.trace.reader import Trace


class LiveTools(Script):
    """Answers each tool call with what `call` returns; None is no outcome. `calls` counts them."""

    def __init__(self, call: Callable[[ToolCall], ToolOutcome | None]) -> None:
        self._call = call
        self.calls = 0

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        # A tool that is to be stopped is over already.
        if not isinstance(item, ToolCall):
            return []
        self.calls += 1
        started_us = monotonic_us()
        outcome = self._call(item)
        return [] if outcome is None else [(monotonic_us() - started_us, outcome)]


def simulate_with_tools(trace: Trace, *, pipeline: str | None = None, overrides: tuple[str, ...] = ()) -> Replayed:
    """Replay a trace as ``simulate`` does, but call its tools.

    A pipeline file may use environment variables then, because a tool may need its keys. A trace holds none.

    Raises:
        TraceError: the trace cannot be replayed.
        UsageError: the pipeline has no tools, or a change needs answers that no recording holds.
        ConfigError: a tool may not be used, or is none.
    """
    plan = changed_plan(trace, recorded_plan(trace), pipeline=pipeline, overrides=overrides, environ=os.environ)
    stage = plan.only("tools")
    if stage is None or stage.provider is None:
        raise UsageError(f"{trace.path.name}: its pipeline has no tools to call")
    # A name of its own, so that a service does not take a call for the recorded one.
    around = _around(plan, stage, f"{trace.head.session_id}-replay")

    async def main(cls: type[Provider], options: object) -> Replayed:
        async with opened(cls, options, around) as provider:

            async def call(item: ToolCall) -> ToolOutcome | None:
                return await _outcome(provider, stage, item)

            tools = LiveTools(lambda item: trio.from_thread.run(call, item))
            # In a thread, because a replay waits for nothing: its tools run here meanwhile.
            replayed = await trio.to_thread.run_sync(
                lambda: simulate(trace, pipeline=pipeline, overrides=overrides, tools=tools)
            )
        made = f"{tools.calls} tool call{'s were' if tools.calls != 1 else ' was'} really made"
        notice = f"{made}; what depends on how long a tool takes differs between runs"
        report = replace(replayed.report, notices=(*replayed.report.notices, notice))
        return replace(replayed, report=report)

    return trio.run(main, stage.provider.cls, stage.provider.options)


def _around(plan: Plan, stage: PlannedStage, session: str) -> Surroundings:
    return Surroundings(
        plan.input_rate_hz, plan.frame_us, monotonic_us, lambda line: None, stage=stage.options, session=session
    )


async def _outcome(provider: Provider, stage: PlannedStage, call: ToolCall) -> ToolOutcome | None:
    """What comes of a call; None if it takes longer than it may."""
    found: list[ToolOutcome] = []

    async def fed() -> AsyncIterator[Message]:
        yield call

    async def emit(item: Message) -> None:
        if isinstance(item, ToolOutcome):
            found.append(item)

    tool = tool_named(stage.options.tools, call.name) if isinstance(stage.options, Tools) else None
    with trio.move_on_after(tool.timeout / US_PER_S if tool else 0):
        await provider.call(RunTools(), fed(), emit)
    return found[0] if found else None
