"""A speaker that measures how long it has sounded. Put your own sink in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator

from flowkit import options as opt
from flowkit.messages import Message
from flowkit.providers.base import Emit, Provider
from flowkit.providers.sound.sink import render
from flowkit.providers.sound.timeline import Pop


class MySpeaker(Provider):
    """Sounds what is fed, each sample in its time."""

    kind = "speaker"
    name = "mine"

    class Options(opt.Options):
        pass

    options: Options
    sounded_s = 0.0
    """So much has sounded."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        # `render` holds what is fed until it is due, and forgets what a Silence takes back.
        await render(fed, self.around, self._heard)

    async def _heard(self, pops: list[Pop], until_us: int) -> None:
        """What sounded up to `until_us`, a piece with its `pcm` for each `Play`. Called for every frame."""
        self.sounded_s += sum(pop.samples / pop.rate_hz for pop in pops)
