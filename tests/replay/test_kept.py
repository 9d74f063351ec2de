"""The traces that are kept in the repository, of every version of the format: read, replayed exactly, simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.messages import Frames, Utterance
from flowkit.replay.check import exactly
from flowkit.replay.simulate import simulate
from flowkit.trace.audio import read_sound
from flowkit.trace.codec import Encoder
from flowkit.trace.metrics import measure
from flowkit.trace.reader import read_trace
from flowkit.trace.stretch import decode, rows_of

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
    """What is stored is what this code makes; a change of the code that changes it is shown, and the trace recorded anew."""
    result = exactly(path)
    assert result.difference is None, result.difference
    assert result.same


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_has_the_figures_of_its_rows(path: Path) -> None:
    """However long its stretches are: a figure rests on what had come by then, as it did in the live session."""
    trace = read_trace(path)
    of_stretches = measure(trace.items(), plan=trace.layout, voiced=trace.ruler)
    assert of_stretches == measure(trace.rows(), plan=trace.layout, voiced=trace.ruler)


@pytest.mark.parametrize("name", ["barge-in", "conversation"])
def test_a_frame_that_is_handled_in_an_utterances_instant_but_behind_it_does_not_count_for_it(name: str) -> None:
    trace = read_trace(next(path for path in KEPT if path.stem == name))
    rows = trace.rows()
    for place, row in enumerate(rows):
        if type(row[9]) is not Utterance:
            continue
        behind = next(at for at in range(place, len(rows)) if type(rows[at][9]) is Frames)
        # The frame was there before any other of its seconds, so that it is the one by which the ruler goes.
        moved = [(*other[:5], row[5], *other[6:]) for other in rows[place : behind + 3]]
        for at in range(behind, behind + 3):
            sent_us = row[5] - 400_000 if at == behind else row[5]
            moved[at - place] = (*moved[at - place][:4], sent_us, *moved[at - place][5:])
        changed = [*rows[:place], *moved, *rows[behind + 3 :]]
        chunks = [*(encoder := Encoder(trace.layout)).add(changed), *encoder.finish()]
        stretches = [stretch for chunk in chunks for stretch in decode(chunk.text, trace.layout)]
        by_rows = measure(rows_of(stretches), plan=trace.layout, voiced=trace.ruler)
        assert measure(stretches, plan=trace.layout, voiced=trace.ruler) == by_rows


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_simulates_near_to_what_was_live(path: Path) -> None:
    live, replayed = exactly(path).report, simulate(path).report
    assert [turn.agent for turn in replayed.turns] == [turn.agent for turn in live.turns]
    for before, after in zip(live.turns, replayed.turns, strict=True):
        assert (before.ttfa_us is None) == (after.ttfa_us is None)
        if before.ttfa_us is not None and after.ttfa_us is not None:
            # At most a tick of the device's grid, where the live session just missed one.
            assert abs(before.ttfa_us - after.ttfa_us) <= 21_000
