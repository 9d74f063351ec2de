"""A stream of samples at another rate: the pieces in which it comes change nothing, and both ways to compute it agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.serve.realtime import resample
from flowkit.serve.realtime.resample import Resampler

RATES = [(24_000, 16_000), (16_000, 24_000), (8_000, 16_000), (22_050, 24_000), (24_000, 8_000)]
NOISE = np.random.default_rng(21).integers(-30_000, 30_000, 3_000).astype(np.int16)


def streamed(rates: tuple[int, int], sizes: list[int]) -> Any:
    stream, at, made = Resampler(*rates), 0, []
    for size in sizes:
        made.append(stream(NOISE[at : at + size]))
        at += size
    return np.concatenate([*made, stream(NOISE[at:], last=True)]).astype(np.int32)


@given(rates=st.sampled_from(RATES), sizes=st.lists(st.integers(0, 700), max_size=4))
def test_pieces_and_methods_agree(rates: tuple[int, int], sizes: list[int]) -> None:
    whole, pieces = streamed(rates, []), streamed(rates, sizes)
    assert abs(whole - pieces).max() <= 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "_FEW", 0)
        assert abs(streamed(rates, sizes) - whole).max() <= 1
    assert abs(len(whole) - len(NOISE) * rates[1] / rates[0]) <= 2
