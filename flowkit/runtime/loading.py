"""Loading: every provider is made from the plan, loaded and warmed side by side, held while the session runs, then released."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio

from flowkit.errors import FlowkitError
from flowkit.messages import Message
from flowkit.plan.graph import Plan, PlannedStage
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.inline import InlineCall, InlineProvider
from flowkit.providers.models import Models
from flowkit.runtime.failover import resilient


class Discard(InlineProvider):
    """Stands in for a speaker where there is none: takes everything, sounds nothing."""

    kind, name = "speaker", "none"

    def open(self, request: Message) -> InlineCall:
        return InlineCall()


@asynccontextmanager
async def loaded(plan: Plan, around: Surroundings, models: Models) -> AsyncIterator[Mapping[str, Provider]]:
    """The plan's providers by stage id, each in a task that holds it until the body ends; what the process has of them already is
    taken from `models`.

    What can be known without loading anything is known first. Raises (in an exception group) what a provider raises while it
    loads; the others are then given up.
    """
    made: dict[str, Provider] = {
        stage.id: Discard(None, around) for stage in plan.stages if stage.kind == "speaker" and stage.provider is None
    }
    for stage in plan.stages:
        _check(stage)
    release = trio.Event()

    async def hold(stage: PlannedStage, *, task_status: trio.TaskStatus[None]) -> None:
        async with resilient(stage, around, models) as made[stage.id]:
            task_status.started()
            await release.wait()

    async with trio.open_nursery() as holding:
        async with trio.open_nursery() as loading:
            for stage in plan.stages:
                if stage.provider is not None:
                    loading.start_soon(partial(holding.start, hold, stage))
        try:
            yield made
        finally:
            release.set()


def _check(stage: PlannedStage) -> None:
    """Raises what is wrong with the stage's provider, unless it has another that may be asked instead."""
    errors: list[FlowkitError] = []
    choices = (*([stage.provider] if stage.provider else []), *stage.failover)
    for choice in choices:
        try:
            choice.cls.check(choice.options)
        except FlowkitError as error:
            errors.append(error)
    if errors and len(errors) == len(choices):
        raise errors[0]
