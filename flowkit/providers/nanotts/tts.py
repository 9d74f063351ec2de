"""NanoTTS (SVOX Pico), for machines on which Piper is too slow or too large. It needs 5 MB and about 25 ms per clause.

Its voice sounds robotic. https://github.com/gmn/nanotts

    {kind: tts, provider: nanotts, voice: en-GB}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import regex
from pydantic import Field

from flowkit.errors import ProviderError
from flowkit.messages import Message, Speak
from flowkit.providers.base import Emit, Provider
from flowkit.providers.plain import without_tags
from flowkit.providers.waitlist import SharedOptions
from flowkit.providers.weights import SETUP_LOCAL
from flowkit.providers.worker.voices import Voices
from flowkit.words import Word, words

_LESS_THAN = {
    "en": " less than ",
    "de": " kleiner als ",
    "es": " menor que ",
    "fr": " inférieur à ",
    "it": " minore di ",
}


class NanoTts(Provider):
    """Answers a ``Speak`` with its audio at 16 kHz, in pieces of at most 100 ms.

    The engine runs in a worker process, because it does not release the GIL.
    """

    kind = "tts"
    name = "nanotts"
    requires = ("py_nanotts",)
    install = SETUP_LOCAL
    licences = (("py-nanotts", "Apache-2.0"), ("SVOX Pico (voices)", "Apache-2.0"))

    class Options(SharedOptions):
        voice: Literal["en-US", "en-GB", "de-DE", "es-ES", "fr-FR", "it-IT"] = "en-US"
        """Language and accent."""
        speed: float = Field(default=1.0, ge=0.2, le=5.0)
        """Speed of speech: 1.0 is normal, 2.0 is twice as fast."""
        pitch: float = Field(default=1.0, ge=0.5, le=2.0)
        """Pitch of the voice: 1.0 is normal."""
        volume: float = Field(default=0.6, ge=0.0, le=5.0)
        """Volume. Loud vowels are distorted at 1.0."""

    options: Options

    @classmethod
    def languages(cls, options: Any) -> tuple[str, ...]:
        """That of the voice."""
        return (options.voice,)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Voices]:
        """Start the worker process and wait until its engine is loaded and has synthesized a phrase."""
        setup = options.model_dump(exclude=set(SharedOptions.model_fields))
        async with Voices("tts nanotts", "flowkit.providers.nanotts.process", setup, options).running() as voices:
            yield voices

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if isinstance(request, Speak) and (said := words(request.text)) and not any(map(_is_latin, said)):
            raise ProviderError(f"tts nanotts: {self.options.voice} cannot speak {request.text[:60]!r}")
        voices: Voices = self.model
        less_than = _LESS_THAN[self.options.voice[:2]]
        # Pico's tags can write files and end its process, so there is no option to allow them.
        await voices.answer(request, self.around, emit, lambda text: without_tags(text, less_than))


def _is_latin(word: Word) -> bool:
    return bool(regex.match(r"[\p{Latin}\p{N}]", word.key))
