"""A TTS that hums, in proportion to the length of the text. Replace it by your own model."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.messages import Audio, Message, Speak
from flowkit.providers.base import Emit, Provider

RATE_HZ = 16_000
PIECE = RATE_HZ // 10
"""Samples emitted at a time: 100 ms, so that little of it is stale after a cancel."""


class TtsModel:
    """What a process needs once, such as weights."""

    def __init__(self, pitch: int) -> None:
        self._second = b"".join(
            round(3_000 * math.sin(2 * math.pi * pitch * n / RATE_HZ)).to_bytes(2, "little", signed=True)
            for n in range(RATE_HZ)
        )

    def speak(self, text: str) -> bytes:
        """Synthesize `text`: 50 ms of s16le mono for each character. Runs in a thread."""
        size = 2 * (len(text) * RATE_HZ // 20)
        return (self._second * (1 + size // len(self._second)))[:size]


class MyTts(Provider):
    """Answers a ``Speak`` with its audio, in pieces."""

    kind = "tts"
    name = "mine"

    class Options(opt.Options):
        pitch: int = Field(default=220, ge=50, le=1000)
        """Pitch of the hum in Hz."""

    options: Options

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[TtsModel]:
        """Load the voice, in a thread, for all sessions."""
        yield await trio.to_thread.run_sync(TtsModel, options.pitch)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Speak):
            raise ProviderError(f"tts mine: cannot speak {type(request).__name__}")
        if not request.text.strip():
            return
        model: TtsModel = self.model
        pcm = await trio.to_thread.run_sync(model.speak, request.text, abandon_on_cancel=True)
        total = len(pcm) // 2
        for first in range(0, total, PIECE):
            piece = pcm[2 * first : 2 * (first + PIECE)]
            await emit(Audio(request.clause, first, len(piece) // 2, RATE_HZ, total, piece))
