"""A resampler for streams that adds next to no delay: a windowed sinc, one row of taps for each phase.

soxr's streams keep back 37 ms between 16 and 24 kHz, and 115 ms between 8 and 16 kHz (measured in pieces of 20 ms), because they
work in blocks. All of that would be heard as a slower answer. These 16 zero crossings keep back 1 ms and 2 ms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_CROSSINGS = 16
"""Zero crossings of the sinc on each side, at the lower of the two rates."""
_PASSED = 0.92
"""Share of the lower rate's band that passes. The rest is the filter's slope."""
_BETA = 7.0
"""Of the Kaiser window: 70 dB of attenuation."""

_FEW = 16


class Resampler:
    """A stream of 16-bit mono samples at another rate."""

    def __init__(self, rate_hz: int, wanted_hz: int) -> None:
        common = math.gcd(rate_hz, wanted_hz)
        self._up, self._down = wanted_hz // common, rate_hz // common
        self._half = half = math.ceil(_CROSSINGS * max(1.0, rate_hz / wanted_hz))
        # Distance of each tap from an output sample that lies `phase` behind an input sample.
        at = np.arange(1 - half, half + 1)[None, :] - np.arange(self._up)[:, None] / self._up
        cut = _PASSED * min(1.0, wanted_hz / rate_hz)
        taps = np.sinc(cut * at) * np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - (at / half) ** 2)))
        self._taps = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
        self._held = np.zeros(half - 1, np.float32)
        self._at = 0
        """Place of the next output sample, in parts of `up` of an input sample, counted from the first that is held."""

    def __call__(self, samples: Any, *, last: bool = False) -> Any:
        """The samples that can be computed now; with `last` all that are left. Both are int16."""
        if self._up == self._down:
            return samples
        rest = [np.zeros(self._half, np.float32)] if last else []
        held = np.concatenate([self._held, samples, *rest], dtype=np.float32, casting="unsafe")
        spare = len(held) - 2 * self._half
        count = max(0, ((spare + 1) * self._up - self._at - 1) // self._down + 1) if spare >= 0 else 0
        made = np.rint((self._by_phase if self._up <= _FEW else self._by_sample)(held, count))
        self._at += self._down * count
        gone = min(self._at // self._up, len(held))
        self._held, self._at = held[gone:], self._at - gone * self._up
        return np.minimum(np.maximum(made, -32_768, out=made), 32_767, out=made).astype(np.int16)

    def _by_phase(self, held: Any, count: int) -> Any:
        """All samples of a phase at once: their windows lie at equal distances, and are not copied."""
        made = np.empty(count, np.float32)
        for first in range(min(self._up, count)):
            index, phase = divmod(self._at + self._down * first, self._up)
            shape = (-(-(count - first) // self._up), 2 * self._half)
            windows = np.ndarray(shape, np.float32, held, 4 * index, (4 * self._down, 4))
            made[first :: self._up] = windows @ self._taps[phase]
        return made

    def _by_sample(self, held: Any, count: int) -> Any:
        """Each sample with the taps of its phase. With many phases, such as from 22.05 kHz, this is faster."""
        if not count:
            return np.zeros(0, np.float32)
        places = self._at + self._down * np.arange(count)
        windows = sliding_window_view(held, 2 * self._half)[places // self._up]
        return np.einsum("nt,nt->n", windows, self._taps[places % self._up])
