"""Traces of earlier formats, kept in ``formats/`` as NUMBER.jsonl, say what they always said."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.replay.check import exactly
from flowkit.trace import names
from flowkit.trace.reader import read_trace

KEPT = Path(__file__).parent / "formats"
NOW = Path(__file__).parents[2] / "traces" / "conversation.jsonl"
EARLIER = range(1, names.FORMAT)


@pytest.mark.parametrize("version", EARLIER)
def test_an_earlier_format_holds_the_same_session(version: int) -> None:
    kept, now = read_trace(KEPT / f"{version}.jsonl"), read_trace(NOW)
    assert (kept.head.format, now.head.format) == (version, names.FORMAT)
    assert kept.rows() == now.rows()
    assert (kept.digest, kept.levels, kept.events) == (now.digest, now.levels, now.events)


@pytest.mark.parametrize("version", EARLIER)
def test_an_earlier_format_replays_exactly(version: int) -> None:
    kept = KEPT / f"{version}.jsonl"
    stretches, frames = exactly(kept), exactly(kept, frame_by_frame=True)
    assert stretches.same
    assert frames.same
    assert stretches.report.digest == frames.report.digest == read_trace(NOW).digest
    assert stretches.report.turns == frames.report.turns == exactly(NOW).report.turns


def test_every_earlier_format_is_kept() -> None:
    assert {path.name for path in KEPT.glob("*.jsonl")} == {f"{version}.jsonl" for version in EARLIER}
