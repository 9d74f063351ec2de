"""The shared model. It decodes one segment at a time; further calls wait in order."""

from __future__ import annotations

import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from flowkit.providers.loading import settled
from flowkit.providers.weights import MOONSHINE_DECODER, MOONSHINE_ENCODER

RATE_HZ = 16_000


class Decoder:
    """The model. The constructor loads it and runs it once, so call it in a thread."""

    def __init__(self) -> None:
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber

        folder = str(Path(MOONSHINE_ENCODER.checked()).parent)
        MOONSHINE_DECODER.checked()
        # 0 switches the library's own VAD off, which invents words at the start.
        self._model = Transcriber(folder, ModelArch.TINY, options={"vad_threshold": "0"})
        self._free = trio.CapacityLimiter(1)
        self._decode(bytes(2 * RATE_HZ))

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close the model when the body ends, unless the library still computes for a cancelled call after
        ``GRACE_S``."""
        try:
            yield
        finally:
            if await settled(self._free):
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._model.close)  # takes a tenth of a second

    async def decode(self, pcm: bytes) -> str:
        """Transcribe `pcm` (s16le mono, 16 kHz). A cancelled call ends at once; the model is busy until the library
        returns."""
        return await trio.to_thread.run_sync(self._decode, pcm, limiter=self._free, abandon_on_cancel=True)

    def _decode(self, pcm: bytes) -> str:
        # Through the library's C interface: its Python wrapper copies the samples one by one with the GIL held, 60 ms for 15 s.
        import numpy as np
        from moonshine_voice.errors import check_error
        from moonshine_voice.moonshine_api import TranscriptC

        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
        pointer = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        transcript = ctypes.POINTER(TranscriptC)()
        model = self._model
        arguments = (model._handle, pointer, len(samples), RATE_HZ, 0, ctypes.byref(transcript))
        check_error(model._lib.moonshine_transcribe_without_streaming(*arguments))
        if not transcript:
            return ""
        found = transcript.contents
        texts = (found.lines[i].text for i in range(found.line_count))
        return " ".join(ctypes.string_at(text).decode(errors="replace").strip() for text in texts if text)
