"""Runs a plan with its real models in virtual time: faster than life, and with the times of life.

What a model computes takes the processor time that it needs, so that a busy machine changes little.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio
import trio.testing

from flowkit.engine import Row
from flowkit.errors import InputError, UsageError
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.base import Provider
from flowkit.providers.loading import lone_error
from flowkit.providers.registry import has_model
from flowkit.providers.sound.memory import MemorySource
from flowkit.providers.sound.wav_read import read_channels, read_recording
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.testing.sessions import providers_of
from flowkit.testing.turns.labels import Labelled
from flowkit.testing.virtual import VirtualTime, kept_model


def rehearsed(plan: Plan, prompt: Callable[[TrioPump, SessionClock], Awaitable[None]]) -> list[Row]:
    """The rows of a session that lasts until `prompt` returns.

    Raises ProviderError; UsageError if a provider needs a network or a process.
    """
    virtual = VirtualTime(computes=True)
    models = _models(plan)

    async def main() -> list[Row]:
        clock = SessionClock()
        async with open_alarms() as alarms, providers_of(plan, clock, models=models) as providers:
            settled = trio.testing.wait_all_tasks_blocked
            pump = TrioPump(plan, providers, clock, alarms, settled=settled)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump.run)
                await prompt(pump, clock)
                nursery.cancel_scope.cancel()
        return list(pump.engine.journal.rows)

    async def watched() -> list[Row]:
        rows: list[Row] = []
        with lone_error(), virtual.inside():
            rows = await main()
        return rows

    with virtual.started():
        return trio.run(watched, clock=trio.testing.MockClock(autojump_threshold=0))


def _models(plan: Plan) -> Mapping[type[Provider], Any]:
    """The models of the plan, loaded on the real clock."""
    models = {}
    for stage in plan.stages:
        if (choice := stage.provider) is None:
            continue
        choice.cls.check(choice.options)
        if not has_model(choice.cls) or choice.cls.loads_nothing(choice.options):
            continue
        kept = kept_model(choice.cls, choice.options)
        if kept.bound:
            raise UsageError(
                f"{stage.kind} {choice.name} works in a loop or a process of its own, for which virtual time does not wait",
                hint="record sessions with it, label them (flowkit label TRACE), and give the traces",
            )
        models[choice.cls] = kept.value
    return models


def user_sound(recording: Labelled, rate_hz: int) -> bytes:
    """The user's side of a WAV file, as s16le mono. Raises InputError."""
    path, channel = recording.path, recording.labels.channel
    if channel is None:
        return read_recording(path, rate_hz).pcm
    channels, _ = read_channels(path, rate_hz)
    if channel >= len(channels):
        raise InputError(f"{path}: has no channel {channel}; its labels name it, and the first one is 0")
    return channels[channel]


def playing(pcm: bytes) -> ProviderChoice:
    """A microphone that plays this sound."""
    return ProviderChoice("memory", MemorySource, MemorySource.Options(pcm=pcm))
