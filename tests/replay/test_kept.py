"""The traces in the repository can be read, replayed exactly, and simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.replay.rerun import exactly
from flowkit.replay.simulate import simulate
from flowkit.trace.audio import read_sound
from flowkit.trace.reader import read_trace

KEPT = sorted((Path(__file__).resolve().parents[2] / "traces").glob("*.jsonl"))


def test_there_are_some() -> None:
    assert len(KEPT) >= 5


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_reads_with_its_sound(path: Path) -> None:
    trace = read_trace(path)
    assert trace.notices == ()
    assert trace.end is not None
    for sound in trace.end.sounds:
        assert len(read_sound(path, sound)) == sound.samples


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_replays_exactly(path: Path) -> None:
    """A stored trace equals what this code records. After a change that alters it, the trace must be recorded again."""
    assert exactly(path).difference is None


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_simulates_near_to_what_was_live(path: Path) -> None:
    live, replayed = exactly(path).report, simulate(path).report
    assert [turn.agent for turn in replayed.turns] == [turn.agent for turn in live.turns]
    for before, after in zip(live.turns, replayed.turns, strict=True):
        assert (before.ttfa_us is None) == (after.ttfa_us is None)
        if before.ttfa_us is not None and after.ttfa_us is not None:
            # At most a tick of the device's grid, where the live session just missed one.
            assert abs(before.ttfa_us - after.ttfa_us) <= 21_000
