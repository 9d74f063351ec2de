"""A microphone that yields a soft hiss. Replace it by your own source of audio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.messages import Frames, Message
from flowkit.providers.base import Emit, Provider


class MyMic(Provider):
    """Emits frames without end, each at the time of its last sample."""

    kind = "mic"
    name = "mine"

    class Options(opt.Options):
        level: int = Field(default=8, ge=0, le=32_767)
        """Level of the hiss, from 0 to 32,767."""

    options: Options

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        around, level = self.around, self.options.level
        samples = around.input_rate_hz * around.frame_us // 1_000_000
        pcm = b"".join((level if n % 2 else -level).to_bytes(2, "little", signed=True) for n in range(samples))
        begin_us = around.now_us()
        for index in count():
            await trio.sleep_until(around.at_s(begin_us + (index + 1) * around.frame_us))
            await emit(Frames(index, 1, pcm))
