"""A list of recordings tells what was said first and how many turns there were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flowkit.replay.rerun import exactly
from flowkit.trace.opening import opening
from flowkit.trace.reader import read_trace

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["conversation", "barge-in", "silent-user", "tools"])
def test_it_is_what_the_report_says(name: str) -> None:
    path = ROOT / "traces" / f"{name}.jsonl"
    found, report = opening(path), exactly(read_trace(path)).report
    assert found is not None
    assert found.turns == len(report.turns)
    assert found.words == next(turn.user for turn in report.turns if turn.user)


def test_a_file_that_changes_is_read_again_and_one_that_is_no_trace_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert opening(path) is None
    for name in ("conversation", "barge-in"):
        shutil.copy(ROOT / "traces" / f"{name}.jsonl", path)
        assert opening(path) == opening(ROOT / "traces" / f"{name}.jsonl")
    path.write_text("nonsense")
    assert opening(path) is None
