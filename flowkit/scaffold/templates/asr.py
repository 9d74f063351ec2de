"""An ASR whose transcript says how long the user spoke. Replace it by your own model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from flowkit import options as opt
from flowkit.messages import EndOfUtterance, Final, Frames, Message, SpeechStarted
from flowkit.providers.base import Emit, Provider


class AsrModel:
    """What a process needs once, such as weights."""

    def transcribe(self, pcm: bytes, rate_hz: int) -> str:
        """Transcribe `pcm` (s16le mono). Runs in a thread."""
        return f"I spoke for {len(pcm) / 2 / rate_hz:.1f} seconds."


class MyAsr(Provider):
    """Answers each end of utterance with one ``Final``."""

    kind = "asr"
    name = "mine"

    class Options(opt.Options):
        pass

    options: Options

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[AsrModel]:
        """Load the model, in a thread, for all sessions."""
        yield await trio.to_thread.run_sync(AsrModel)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        heard, speaking = bytearray(), False
        async for item in fed:
            if isinstance(item, SpeechStarted):
                speaking = True
            elif isinstance(item, Frames) and speaking:
                heard += item.pcm
            elif isinstance(item, EndOfUtterance):
                text = await self._text(bytes(heard))
                heard.clear()
                speaking = False
                await emit(Final(text, item.utterance))

    async def _text(self, pcm: bytes) -> str:
        model: AsrModel = self.model
        return await trio.to_thread.run_sync(model.transcribe, pcm, self.around.input_rate_hz, abandon_on_cancel=True)
