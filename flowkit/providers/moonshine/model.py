"""The shared model. It decodes `parallel` segments at a time; further calls wait in line."""

from __future__ import annotations

import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from flowkit.providers.base import Surroundings
from flowkit.providers.waitlist import Waitlist
from flowkit.providers.weights import MOONSHINE_DECODER, MOONSHINE_ENCODER

RATE_HZ = 16_000


class Decoder:
    """The model with the options ``Moonshine.Options``, in `parallel` copies.

    The constructor loads it and runs it once, so call it in a thread.
    """

    def __init__(self, options: Any) -> None:
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber

        folder = str(Path(MOONSHINE_ENCODER.checked()).parent)
        MOONSHINE_DECODER.checked()
        # 0 switches the library's own VAD off, which invents words at the start.
        arguments: Any = {"options": {"vad_threshold": "0"}}
        self.models = [Transcriber(folder, ModelArch.TINY, **arguments) for _ in range(options.parallel)]
        self._waitlist = Waitlist("asr moonshine", self.models, options.waiting)
        for model in self.models:
            decoded(model, bytes(2 * RATE_HZ))

    @property
    def free(self) -> bool:
        """Whether a call would not have to wait."""
        return self._waitlist.free

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close the model when the body ends, unless the library still computes for a cancelled call after
        ``GRACE_S``."""
        try:
            yield
        finally:
            if await self._waitlist.settled():
                with trio.CancelScope(shield=True):
                    for model in self.models:
                        await trio.to_thread.run_sync(model.close)  # takes a tenth of a second

    async def decode(self, pcm: bytes, around: Surroundings) -> str:
        """Transcribe `pcm` (s16le mono, 16 kHz) for the session `around`. Raises ProviderError."""
        return await self._waitlist.in_thread(around, lambda model: decoded(model, pcm))


def decoded(model: Any, pcm: bytes) -> str:
    """The transcript of `pcm` (s16le mono, 16 kHz) by one of a decoder's models."""
    # Through the library's C interface: its Python wrapper copies the samples one by one with the GIL held, 60 ms for 15 s.
    import numpy as np
    from moonshine_voice.errors import check_error
    from moonshine_voice.moonshine_api import TranscriptC

    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
    pointer = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    transcript = ctypes.POINTER(TranscriptC)()
    arguments = (model._handle, pointer, len(samples), RATE_HZ, 0, ctypes.byref(transcript))
    check_error(model._lib.moonshine_transcribe_without_streaming(*arguments))
    if not transcript:
        return ""
    found = transcript.contents
    texts = (found.lines[i].text for i in range(found.line_count))
    return " ".join(ctypes.string_at(text).decode(errors="replace").strip() for text in texts if text)
