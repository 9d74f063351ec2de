"""Plays audio for a sink without a device: pops frames from a timeline in real time, as a sound card would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from flowkit.clock import US_PER_S
from flowkit.messages import Message, Play, Silence
from flowkit.providers.base import Surroundings
from flowkit.providers.loading import lone_error
from flowkit.providers.sound.timeline import Pop, Timeline

Heard = Callable[[list[Pop], int], Awaitable[None]]
"""Called at every tick with the audio that was played, which may be none, and with the session time up to which it was
played."""


async def render(fed: AsyncIterator[Message], around: Surroundings, heard: Heard) -> None:
    """Play the fed messages until they end, and pass what was played to `heard`.

    The grid of ticks starts with the session. The tick at t pops the frame from t to the next tick.
    """
    timeline = Timeline()
    with lone_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tick, timeline, around, heard)
            async for item in fed:
                if isinstance(item, Play):
                    timeline.play(item)
                elif isinstance(item, Silence):
                    timeline.silence(item.at_us)
            nursery.cancel_scope.cancel()


async def _tick(timeline: Timeline, around: Surroundings, heard: Heard) -> None:
    now_us = around.now_us()
    zero_s = trio.current_time() - now_us / US_PER_S
    t_us = now_us // around.frame_us * around.frame_us
    while True:
        t_us += around.frame_us
        # Counted from the session's start, because late ticks would add up.
        await trio.sleep_until(zero_s + t_us / US_PER_S)
        await heard(timeline.pop_until(t_us + around.frame_us), t_us + around.frame_us)
