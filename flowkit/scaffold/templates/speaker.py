"""A speaker that measures how much audio it has played. Replace it by your own sink."""

from __future__ import annotations

from collections.abc import AsyncIterator

from flowkit import options as opt
from flowkit.messages import Message
from flowkit.providers.base import Emit, Provider
from flowkit.providers.sound.sink import render
from flowkit.providers.sound.timeline import Pop


class MySpeaker(Provider):
    """Plays the fed audio, each sample at its time."""

    kind = "speaker"
    name = "mine"

    class Options(opt.Options):
        pass

    options: Options
    sounded_s = 0.0
    """Length of the audio that was played, in seconds."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        # `render` keeps the fed audio until it is due, and drops what a Silence takes back.
        await render(fed, self.around, self._heard)

    async def _heard(self, pops: list[Pop], until_us: int) -> None:
        """Take the audio that was played up to session time `until_us`. Each pop has its `pcm`. Called for every
        frame."""
        self.sounded_s += sum(pop.samples / pop.rate_hz for pop in pops)
