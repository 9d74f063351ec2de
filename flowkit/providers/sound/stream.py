"""A microphone that a program feeds: for programs that embed flowkit and get the sound from somewhere, such as a call.

source = StreamSource.Options(pcm=pieces)   # async def pieces(): yield b"..."
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Annotated

from pydantic import WithJsonSchema

from flowkit import options as opt
from flowkit.messages import Frames, InputEnded, Message
from flowkit.providers.base import Emit, Provider
from flowkit.providers.sound.capture import frame_bytes

Pieces = Annotated[Callable[[], AsyncIterable[bytes]], WithJsonSchema({"not": {}, "description": "only from Python"})]


class StreamSource(Provider):
    """A microphone that hears what is read from `pcm`, as it comes. The input ends where `pcm` does."""

    kind = "mic"
    name = "stream"

    class Options(opt.Options):
        pcm: Pieces
        """Called when the session begins. Gives signed 16-bit little-endian mono at the session's input rate, in pieces of any
        length."""

    options: Options

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        size, held, index = frame_bytes(self.around), bytearray(), 0
        async for piece in self.options.pcm():
            held += piece
            count = len(held) // size
            if count:
                await emit(Frames(index, count, bytes(held[: count * size])))
                del held[: count * size]
                index += count
        if held:
            await emit(Frames(index, 1, bytes(held).ljust(size, b"\0")))
            index += 1
        await emit(InputEnded(index))
