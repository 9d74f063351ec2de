"""The reference detector while it still listens: it gives the same result as over the whole audio, in bounded time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.figures import reference
from flowkit.figures.reference import MISSING, QUIETEST, Reference

FRAME = 80
KINDS = {"noise": (0.002, 0.02), "voice": (0.1, 0.9), "weak": (0.01, 0.1), "quiet": (0.0, 0.0)}
stretches = st.lists(
    st.tuples(st.sampled_from([*KINDS]), st.integers(1, 700), st.integers(0, 2**32 - 1)), min_size=1, max_size=12
)


def sound(kind: str, frames: int, seed: int) -> bytes:
    """Frames of noise, each as loud as it happens."""
    dice = np.random.default_rng(seed)
    loud = dice.uniform(*KINDS[kind], (frames, 1)) * 32767
    return (dice.uniform(-1, 1, (frames, FRAME)) * loud).astype("<i2").tobytes()


def answers(detector: Reference, frames: int) -> list[int | None]:
    asked = range(0, frames, 37)
    return [detector.last_voiced(0, frame) for frame in asked] + [detector.onset(frame) for frame in asked]


@settings(max_examples=60, deadline=None)
@given(heard=stretches, asks=st.lists(st.booleans(), min_size=12, max_size=12), skipped=st.integers(0, 60))
def test_asked_at_any_time_it_answers_as_one_that_heard_all_at_once(
    heard: list[tuple[str, int, int]], asks: list[bool], skipped: int
) -> None:
    detector, frames = Reference(FRAME), 0
    for stretch, ask in zip(heard, asks, strict=False):
        detector.add(frames, sound(*stretch))
        frames = len(detector.levels)
        if ask:
            assert answers(detector, frames) == answers(Reference(FRAME, detector.levels), frames)
        frames += skipped
    assert answers(detector, frames) == answers(Reference(FRAME, detector.levels), frames)
    assert detector.levels.count(MISSING) == skipped * (len(heard) - 1)


def test_what_is_heard_again_counts_as_heard_now() -> None:
    detector = Reference(FRAME)
    detector.add(0, sound("noise", 2000, 1) + sound("voice", 100, 2) + sound("noise", 2000, 3))
    assert detector.onset(2050) == 2000
    detector.add(2000, sound("quiet", 100, 4))
    assert detector.levels[2050] == QUIETEST
    assert detector.onset(2050) is None
    assert answers(detector, 4100) == answers(Reference(FRAME, detector.levels), 4100)


def test_an_hour_of_listening_makes_no_question_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, whole = list[int](), reference._floor_and_peak
    monkeypatch.setattr(reference, "_floor_and_peak", lambda levels: looked.append(len(levels)) or whole(levels))
    detector, second = Reference(FRAME), sound("voice", 20, 5) + sound("noise", 30, 6)
    for at in range(0, 180_000, 50):
        detector.add(at, second)
        if at % 60_000 == 0:
            detector.onset(at)
    assert detector.last_voiced(0, 180_000) == 179_969
    # A minute that is not settled, and 22 seconds around it.
    assert max(looked) <= 3000 + 22 * 50
    assert sum(looked) <= 3 * 180_000
