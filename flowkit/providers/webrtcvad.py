"""WebRTC's voice activity detector. Use it where Silero has no wheel.

It takes 5 us per frame and loads no model, but often takes noise for speech. https://github.com/wiseman/py-webrtcvad

    {kind: vad, provider: webrtcvad, aggressiveness: 2}
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.messages import Frames, Message, Probability
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.providers.loading import imported
from flowkit.providers.sound.capture import frame_bytes
from flowkit.providers.weights import SETUP_LOCAL

_RATES_HZ = (8_000, 16_000, 32_000, 48_000)
_FRAMES_US = (10_000, 20_000, 30_000)


class WebRtcVad(InlineProvider):
    """Answers each frame with the probability 0.0 or 1.0."""

    kind = "vad"
    name = "webrtcvad"
    requires = ("webrtcvad",)
    install = SETUP_LOCAL
    licences = (("webrtcvad-wheels", "MIT"), ("WebRTC VAD (model)", "BSD-3-Clause"))

    class Options(opt.Options):
        aggressiveness: int = Field(default=2, ge=0, le=3)
        """How strictly non-speech is filtered out: 0 reports the most speech, 3 the least."""

    options: Options

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Import the library. Raises ProviderError for an input rate or a frame length that the detector does not
        support."""
        rate_hz, frame_us = self.around.input_rate_hz, self.around.frame_us
        if rate_hz not in _RATES_HZ or frame_us not in _FRAMES_US:
            raise ProviderError(
                f"vad webrtcvad: does not support frames of {frame_us / 1000:g} ms at {rate_hz} Hz",
                hint="it supports 10, 20 or 30 ms at 8, 16, 32 or 48 kHz",
            )
        await imported("webrtcvad")
        yield

    def open(self, request: Message) -> InlineCall:
        import webrtcvad

        vad = webrtcvad.Vad(self.options.aggressiveness)
        size, rate_hz = frame_bytes(self.around), self.around.input_rate_hz

        def fed(item: Message) -> Iterator[Answer]:
            if isinstance(item, Frames):
                for i in range(item.count):
                    voiced = vad.is_speech(item.pcm[i * size : (i + 1) * size], rate_hz)
                    yield Answer(0, Probability(item.index + i, float(voiced)))

        return InlineCall(fed=fed)
