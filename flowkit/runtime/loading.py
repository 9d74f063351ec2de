"""Loading: every provider is made from the plan, loaded and warmed side by side, held while the session runs, then released."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from flowkit.messages import Message
from flowkit.plan.graph import Plan, PlannedStage
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.inline import InlineCall, InlineProvider
from flowkit.runtime.failover import resilient


class Discard(InlineProvider):
    """Stands in for a speaker where there is none: takes everything, sounds nothing."""

    kind, name = "speaker", "none"

    def open(self, request: Message) -> InlineCall:
        return InlineCall()


@asynccontextmanager
async def loaded(plan: Plan, around: Surroundings) -> AsyncIterator[Mapping[str, Provider]]:
    """The plan's providers by stage id, each in a task that holds it until the body ends.

    Raises (in an exception group) what a provider raises while it loads; the others are then given up.
    """
    made = {stage.id: provider for stage in plan.stages if (provider := _make(stage, around)) is not None}
    release = trio.Event()
    async with trio.open_nursery() as holding:
        async with trio.open_nursery() as loading:
            for provider in made.values():
                loading.start_soon(holding.start, _hold, provider, release)
        try:
            yield made
        finally:
            release.set()


async def _hold(
    provider: Provider, release: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async with provider.ready():
        task_status.started()
        await release.wait()


def _make(stage: PlannedStage, around: Surroundings) -> Provider | None:
    if stage.provider is not None:
        return resilient(stage, around)
    return Discard(None, around) if stage.kind == "speaker" else None
