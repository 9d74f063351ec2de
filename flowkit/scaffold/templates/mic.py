"""A microphone that hears a soft hiss. Put your own source of sound in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.messages import Frames, Message
from flowkit.providers.base import Emit, Provider


class MyMic(Provider):
    """Answers with frames for ever, each when its last sample has been heard."""

    kind = "mic"
    name = "mine"

    class Options(opt.Options):
        level: int = Field(default=8, ge=0, le=32_767)
        """Of the hiss, of 32,767."""

    options: Options

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        around, level = self.around, self.options.level
        samples = around.input_rate_hz * around.frame_us // 1_000_000
        pcm = b"".join((level if n % 2 else -level).to_bytes(2, "little", signed=True) for n in range(samples))
        begin_us = around.now_us()
        for index in count():
            await trio.sleep_until(around.at_s(begin_us + (index + 1) * around.frame_us))
            await emit(Frames(index, 1, pcm))
