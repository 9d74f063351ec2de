"""The fewest turns that still show something."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.calls.shrink import _around, condition, shrink
from flowkit.cli import main
from flowkit.errors import UsageError
from flowkit.figures.report import Report
from flowkit.replay import exactly, run
from flowkit.trace.reader import read_trace
from tests.calls.support import talk

SAID = [f"Question number {n}." for n in range(40)]
SAID[13], SAID[29] = "My name is Alpha.", "What about Omega?"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talk(tmp_path_factory.mktemp("shrink") / "many.jsonl", SAID)


def both(report: Report) -> bool:
    """A fault that needs two turns: what the second one does depends on the first."""
    said = [turn.user for turn in report.turns]
    return SAID[13] in said and SAID[29] in said[said.index(SAID[13]) :]


def test_two_guilty_turns_are_left(trace: Path) -> None:
    found = shrink(read_trace(trace), both)
    assert found.turns == (14, 30)
    assert (found.of, [turn.user for turn in found.replayed.report.turns]) == (40, [SAID[13], SAID[29]])
    assert found.replays <= 4, "both stand in the figures of the whole"
    # The rest of the user is as it was: the answers take as long.
    usual = run(trace).report.turns
    for turn in found.replayed.report.turns:
        assert turn.ttfa_us is not None
        assert usual[13].ttfa_us is not None
        assert abs(turn.ttfa_us - usual[13].ttfa_us) <= 20_000  # the grid of the device


def test_a_single_turn_is_found_at_once(trace: Path) -> None:
    found = shrink(read_trace(trace), condition(["{what: user, contains: Omega}"]))
    assert (found.turns, found.replays) == ((30,), 1)


def test_a_turn_that_only_makes_another_one_show_it_is_found(trace: Path) -> None:
    """In the figures it is the last turn alone. What it takes besides is found by replays."""
    search = [0]

    def holds(some: tuple[int, ...]) -> bool:
        search[0] += 1
        return {14, 30} <= set(some)

    assert _around(tuple(range(1, 41)), (30,), holds) == (14, 30)
    assert search[0] < 20
    assert _around(tuple(range(1, 41)), (), holds) == (14, 30)
    assert _around(tuple(range(1, 41)), (12,), holds) == (14, 30), "the figures were misleading"


def test_a_fault_that_shows_late(trace: Path) -> None:
    """It needs turn 5, and shows only after four turns."""

    def shows(report: Report) -> bool:
        said = [turn.user for turn in report.turns]
        return SAID[4] in said and len(said) >= 4

    found = shrink(read_trace(trace), shows)
    assert len(found.turns) == 4
    assert 5 in found.turns


def test_the_command_writes_a_trace(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conditions = ["--if", "{what: user, contains: Alpha}", "--if", "{what: user, contains: Omega}"]
    assert main(["shrink", str(trace), *conditions, "-o", str(tmp_path / "few.jsonl")]) == 0
    assert "2 of 40 turns left" in capsys.readouterr().out
    few = read_trace(tmp_path / "few.jsonl")
    assert exactly(few).difference is None
    assert [turn.user for turn in run(few).report.turns] == [SAID[13], SAID[29]]
    assert few.reference is not None


def test_a_fault_stays_with_its_turn(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the shrunk session turn 30 is the first one, and the fault is in that."""
    few, line = tmp_path / "few.jsonl", ["shrink", str(trace), "--if", "{what: end_reason, equals: error}"]
    assert main([*line, "--fault", "llm: fail in turn 30", "-o", str(few)]) == 0
    assert "1 of 40 turns left" in capsys.readouterr().out
    assert exactly(read_trace(few)).difference is None
    (turn,) = run(few).report.turns
    assert (turn.user, turn.end_reason) == (SAID[29], "error")


def test_a_fault_that_does_nothing_is_refused(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(trace), "--if", "{what: turns, at_most: 99}", "--fault", "llm: fail in turn 41"]) == 2
    assert "hits nothing in a session of 40 turns" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["turns", "{what: nonsense, equals: 1}", "{what: turns}", "[", "{tool: 3}"])
def test_other_conditions_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        condition([text])


def test_a_condition_that_never_held(trace: Path) -> None:
    with pytest.raises(UsageError, match="does not hold"):
        shrink(read_trace(trace), condition(["{what: interrupts, equals: 3}"]))
