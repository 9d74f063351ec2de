"""Moonshine tiny (English) on the CPU: the default of an embedded pipeline. It transcribes a second of speech in about
0.1 s.

flowkit's VAD finds the speech. Moonshine's own VAD is switched off, because it invents words at the start. For partial
transcripts the growing utterance is decoded again and again. Given silence, the model returns "You".
https://github.com/moonshine-ai/moonshine

    {kind: asr, provider: moonshine, every: 600ms}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.providers.moonshine.model import RATE_HZ, Decoder
from flowkit.providers.segments.asr import SegmentAsr, SegmentOptions
from flowkit.providers.waitlist import SharedOptions
from flowkit.providers.weights import MOONSHINE_DECODER, MOONSHINE_ENCODER, SETUP_LOCAL


class Moonshine(SegmentAsr):
    """Answers with ``Partial`` while the user speaks, and with one ``Final`` for each end of utterance."""

    name = "moonshine"
    requires = ("moonshine_voice", "numpy")
    install = SETUP_LOCAL
    licences = (("moonshine-voice", "MIT"), ("Moonshine tiny (model)", "MIT"))

    class Options(SegmentOptions, SharedOptions):
        """Those of every ASR that decodes segments, of every model that sessions share, and one more."""

        ahead: opt.Duration = opt.us("0ms")
        """Quiet after which there is a first transcript of what was said, such as 40ms, for an answer that is begun early
        (`preempt`). 0ms: none. The one that counts follows after 100 ms of quiet, and knows soft last consonants."""

    options: Options

    @classmethod
    def languages(cls, options: Any) -> tuple[str, ...]:
        """The bundled model is the English one."""
        return ("en",)

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderMissing if the model is not installed."""
        for weights in (MOONSHINE_ENCODER, MOONSHINE_DECODER):
            weights.path()

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Decoder]:
        """Load the model and run it once."""
        decoder = await trio.to_thread.run_sync(Decoder, options)
        async with decoder.closing():
            yield decoder

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Raises ProviderError if the input rate is not 16 kHz."""
        if self.around.input_rate_hz != RATE_HZ:
            raise ProviderError(f"asr moonshine: takes {RATE_HZ} Hz, the session has {self.around.input_rate_hz} Hz")
        self.ahead_us = self.options.ahead
        yield

    @property
    def free(self) -> bool:
        decoder: Decoder = self.model
        return decoder.free

    async def decode(self, pcm: bytes) -> str:
        decoder: Decoder = self.model
        return await decoder.decode(pcm, self.around)
