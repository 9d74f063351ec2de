"""``smart_turn``: Pipecat's Smart Turn v3.2, a model of speech that judges the sound of a turn. On the CPU, in a thread.

The model (8.7 MB, ONNX) is in the wheel of pipecat-ai, from which ``flowkit setup turn`` takes it. It judges the last 8 s.
A judgement takes about 60 ms of processor time. https://github.com/pipecat-ai/smart-turn

    {kind: turn, provider: smart_turn}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.providers.onnx import load_model
from flowkit.providers.turn_sound import SoundPredictor
from flowkit.providers.weights import SETUP_TURN, SMART_TURN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ = 16_000
_SAMPLES = 8 * RATE_HZ
_WINDOW, _HOP, _BANDS = 400, 160, 80


class SmartTurn(SoundPredictor):
    """Answers each pause."""

    name = "smart_turn"
    requires = ("onnxruntime", "numpy")
    install = SETUP_TURN
    licences = (("onnxruntime", "MIT"), ("Smart Turn v3.2 (model, pipecat-ai)", "BSD-2-Clause"))

    class Options(opt.Options):
        threads: int = Field(default=1, ge=1, le=64)
        """Number of threads for a judgement."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderMissing if the model is not installed."""
        SMART_TURN.path()

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Any]:
        """Load the model and run it once."""
        yield await trio.to_thread.run_sync(_loaded, options)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Raises ProviderError if the input rate is not 16 kHz."""
        if self.around.input_rate_hz != RATE_HZ:
            raise ProviderError(f"turn smart_turn: takes {RATE_HZ} Hz, the session has {self.around.input_rate_hz} Hz")
        yield

    def judge(self, pcm: bytes) -> float:
        return _judged(self.model, pcm)


def _loaded(options: Any) -> Any:
    model = load_model(SMART_TURN, options.threads)
    _judged(model, bytes(2 * _SAMPLES))
    return model


def _judged(model: Any, pcm: bytes) -> float:
    import numpy as np

    sound = np.frombuffer(pcm, "<i2").astype(np.float32)[-_SAMPLES:] / 32_768
    # The model was trained with the silence in front.
    padded = np.pad(sound, (_SAMPLES - len(sound), 0)).astype(np.float32)
    return round(float(model.run(None, {"input_features": features(padded)[None]})[0].item()), 3)


def features(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """The log energies in 80 mel bands that Whisper and Smart Turn take, shape (80, 800).

    Args:
        sound: 8 s at 16 kHz, shape (128000,).
    """
    import numpy as np

    sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    padded = np.pad(sound.astype(np.float64), _WINDOW // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW + 1)[:-1], axis=-1)) ** 2
    logs = np.log10(np.maximum(1e-10, _mel_bands() @ power.T))[:, :-1]
    found: NDArray[np.float32] = ((np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
    return found


@cache
def _mel_bands() -> NDArray[np.float64]:
    """Slaney's triangular bands with equal areas, shape (80, 201)."""
    import numpy as np

    # 200/3 Hz a mel up to 1 kHz (15 mel), and from there 27 mel for a factor of 6.4.
    top = 15 + np.log(8.0) * 27 / np.log(6.4)
    mels = np.linspace(0, top, _BANDS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
    slopes = edges[None] - np.linspace(0, RATE_HZ / 2, _WINDOW // 2 + 1)[:, None]
    rising, falling = -slopes[:, :-2] / np.diff(edges)[:-1], slopes[:, 2:] / np.diff(edges)[1:]
    bands = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))
    return np.ascontiguousarray(bands.T)
