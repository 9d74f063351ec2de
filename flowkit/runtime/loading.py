"""Loading: a host loads what its sessions share; a session makes its own providers ready, all at the same time, and releases
them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio

from flowkit.errors import FlowkitError
from flowkit.messages import Message
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.inline import InlineCall, InlineProvider
from flowkit.providers.models import Models
from flowkit.providers.sound.device_host import WITHOUT
from flowkit.runtime.failover import resilient


class Discard(InlineProvider):
    """Stands in for a speaker where there is none: takes everything, sounds nothing."""

    kind, name = "speaker", "none"

    def open(self, request: Message) -> InlineCall:
        return InlineCall()


@asynccontextmanager
async def loaded(plan: Plan, around: Surroundings, models: Models) -> AsyncIterator[Mapping[str, Provider]]:
    """The plan's providers by stage id, each in a task that holds it until the body ends. Their models are taken from `models`.

    What can be checked without loading anything is checked first. Raises, in an exception group, what a provider raises while it
    gets ready. The others are given up then.
    """
    silent: dict[str, Provider] = {
        stage.id: Discard(None, around) for stage in plan.stages if stage.kind == "speaker" and stage.provider is None
    }
    made = dict(silent)
    for stage in plan.stages:
        _check(stage)
    release = trio.Event()

    # A task for each: they get ready at the same time, and each is closed in the task that opened it.
    async def hold(stage: PlannedStage, *, task_status: trio.TaskStatus[None]) -> None:
        async with resilient(stage, around, models) as made[stage.id]:
            task_status.started()
            await release.wait()

    async with trio.open_nursery() as holding:
        async with trio.open_nursery() as loading:
            for stage in plan.stages:
                if stage.provider is not None:
                    loading.start_soon(partial(holding.start, hold, stage))
        # Now, because what else is missing may be an error, and then there is no session.
        if silent:
            around.notice(f"no speaker: nothing will be played; {WITHOUT['output']}")
        try:
            yield made
        finally:
            release.set()


@asynccontextmanager
async def preloaded(plan: Plan, models: Models) -> AsyncIterator[None]:
    """Everything that the plan's providers load, held in `models` until the body ends.

    Raises, in an exception group, what a provider raises while it loads, unless its stage has another that loads. A model that
    breaks down later is loaded again.
    """
    for stage in plan.stages:
        _check(stage)
    release = trio.Event()

    async def hold(choice: ProviderChoice, *, task_status: trio.TaskStatus[None]) -> None:
        loaded_once = False
        while not release.is_set():
            try:
                async with models.shared(choice.cls, choice.options):
                    # A model that broke down is loaded again, but can report that it is ready only once.
                    if not loaded_once:
                        task_status.started()
                    loaded_once = True
                    await release.wait()
            except FlowkitError:
                if not loaded_once:
                    raise
                await trio.sleep(_AGAIN_S)

    async def load(stage: PlannedStage) -> None:
        errors: list[FlowkitError] = []
        for choice in stage.choices:
            try:
                await holding.start(partial(hold, choice))
            except FlowkitError as error:
                errors.append(error)
        if errors and len(errors) == len(stage.choices):
            raise errors[0]

    async with trio.open_nursery() as holding:
        async with trio.open_nursery() as loading:
            for stage in plan.stages:
                loading.start_soon(load, stage)
        try:
            yield
        finally:
            release.set()


_AGAIN_S = 1.0
"""After so long a model that broke down is loaded again."""


def _check(stage: PlannedStage) -> None:
    """Raises what is wrong with the stage's provider, unless it has another that may be asked instead."""
    errors: list[FlowkitError] = []
    choices = stage.choices
    for choice in choices:
        try:
            choice.cls.check(choice.options)
        except FlowkitError as error:
            errors.append(error)
    if errors and len(errors) == len(choices):
        raise errors[0]
