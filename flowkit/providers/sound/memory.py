"""A microphone and a speaker in memory, for tests and for programs that embed flowkit and have their own audio.

source = MemorySource(MemorySource.Options(pcm=recording), around)
sink = MemorySink(MemorySink.Options(on_pop=heard.append), around)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from flowkit import options as opt
from flowkit.messages import Message
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.inline import InlineCall, InlineProvider
from flowkit.providers.sound.capture import captured
from flowkit.providers.sound.sink import render
from flowkit.providers.sound.timeline import Pop

OnPop = Annotated[Callable[[Pop], Any], WithJsonSchema({"not": {}, "description": "only from Python"})]


class MemorySource(InlineProvider):
    """A microphone that plays `pcm` and `frames`, and then silence."""

    kind = "mic"
    name = "memory"

    class Options(opt.Options):
        pcm: bytes = b""
        """The audio: signed 16-bit little-endian mono at the session's input rate."""
        frames: tuple[bytes, ...] = Field(default=(), repr=False)
        """More audio after `pcm`, in pieces of any length."""

    options: Options

    def open(self, request: Message) -> InlineCall:
        pcm = self.options.pcm + b"".join(self.options.frames)
        return InlineCall(opened=lambda: captured(pcm, self.around))


class MemorySink(Provider):
    """A speaker that collects the audio that it plays in `pops`, frame by frame."""

    kind = "speaker"
    name = "memory"

    class Options(opt.Options):
        on_pop: OnPop | None = None
        """Called with each piece of audio when it is played. Then `pops` stays empty."""

    options: Options

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.pops: list[Pop] = []

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async def heard(pops: list[Pop], until_us: int) -> None:
            for pop in pops:
                (self.options.on_pop or self.pops.append)(pop)

        await render(fed, self.around, heard)
