"""A resampler for streams that adds next to no delay: a windowed sinc, one row of taps for each phase.

soxr's streams keep back 37 ms between 16 and 24 kHz, and 115 ms between 8 and 16 kHz (measured in pieces of 20 ms), because they
work in blocks. All of that would be heard as a slower answer. These 16 zero crossings keep back 1 ms and 2 ms.
"""

from __future__ import annotations

import math
from functools import cache
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
_CYCLES = 8
"""So many samples of each phase are made at once. With one there would be more copying than computing, with many more zeros."""


@cache
def _taps(rate_hz: int, wanted_hz: int) -> Any:
    """The taps of each phase: of an output sample that lies so many parts behind an input sample. Shared, so never changed."""
    up = wanted_hz // math.gcd(rate_hz, wanted_hz)
    half = math.ceil(_CROSSINGS * max(1.0, rate_hz / wanted_hz))
    at = np.arange(1 - half, half + 1)[None, :] - np.arange(up)[:, None] / up
    cut = _PASSED * min(1.0, wanted_hz / rate_hz)
    taps = np.sinc(cut * at) * np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - (at / half) ** 2)))
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def _block(rate_hz: int, wanted_hz: int, first: int) -> Any:
    """What makes a row of output samples, the first one of phase `first`, out of a row of input samples."""
    taps = _taps(rate_hz, wanted_hz)
    up, width = taps.shape
    places = [divmod(first + rate_hz * up // wanted_hz * number, up) for number in range(_CYCLES * up)]
    block = np.zeros((width + places[-1][0], len(places)), np.float32)
    for number, (index, phase) in enumerate(places):
        block[index : index + width, number] = taps[phase]
    return block


class Resampler:
    """A stream of 16-bit mono samples at another rate."""

    def __init__(self, rate_hz: int, wanted_hz: int) -> None:
        self._rates = rate_hz, wanted_hz
        common = math.gcd(rate_hz, wanted_hz)
        self._up, self._down = wanted_hz // common, rate_hz // common
        self._half = math.ceil(_CROSSINGS * max(1.0, rate_hz / wanted_hz))
        self._held = np.zeros(self._half - 1, np.float32)
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
        """In rows of a few samples of each phase: all rows at once."""
        index, phase = divmod(self._at, self._up)
        block, step = _block(*self._rates, phase), _CYCLES * self._down
        rows = -(-count // (_CYCLES * self._up))
        # The last row may be cut, and what it would read must be there.
        held = np.concatenate([held, np.zeros(step, np.float32)])
        windows = np.ndarray((rows, len(block)), np.float32, held, 4 * index, (4 * step, 4))
        # A copy, because BLAS takes no rows that overlap.
        return (windows.copy() @ block).ravel()[:count]

    def _by_sample(self, held: Any, count: int) -> Any:
        """Each sample with the taps of its phase. With many phases, such as from 22.05 kHz, this is faster."""
        if not count:
            return np.zeros(0, np.float32)
        places = self._at + self._down * np.arange(count)
        windows = sliding_window_view(held, 2 * self._half)[places // self._up]
        return np.einsum("nt,nt->n", windows, _taps(*self._rates)[places % self._up])
