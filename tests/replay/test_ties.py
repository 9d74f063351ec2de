"""Other orders of simultaneous items: found, written as a short schedule, and run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.errors import UsageError
from flowkit.replay.simulate import Prepared, prepare
from flowkit.replay.ties import depending, differing, parse_schedule, permuted, schedule_text, scheduled, shortest
from tests.replay.test_rerun import recorded
from tests.trace.sessions import pipeline

TIED = pipeline(
    "{at: 280ms, lasts: 820ms}, {at: 1920ms, lasts: 900ms}",
    llm="per_token: 20ms",
    tts="first_audio: 100ms, per_piece: 20ms, piece: 100ms",
)
"""The interruption is decided in the instant in which the model gives a token."""
WHAT = "an interrupt's figures"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("ties"), TIED).path


@pytest.fixture(scope="module")
def prepared(path: Path) -> Prepared:
    return prepare(path)


def test_the_order_that_matters_is_a_short_schedule(prepared: Prepared) -> None:
    usual = prepared.run().report
    found = depending(usual, permuted(prepared, 3))
    assert list(found) == [WHAT]
    failed = found[WHAT][0].schedule
    short = shortest(prepared, usual, failed, WHAT)
    assert len(short) == 1 < len(failed)
    one, again = (scheduled(prepared, parse_schedule(schedule_text(short))).report for _ in range(2))
    assert differing(usual, one) == [WHAT]
    assert one.digest == again.digest != usual.digest
    assert scheduled(prepared, {}).report.digest == usual.digest


def test_the_command_prints_it_and_runs_it_again(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(path), "--permute-ties", "3"]) == 1
    told = capsys.readouterr().err
    [line] = [line for line in told.splitlines() if line.startswith(WHAT)]
    assert main(["replay", str(path), "--schedule", line.rpartition(" ")[2]]) == 1
    assert f"{WHAT}: other than in the usual order" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("17", "'17' is no tie with its choice"),
        ("1.1,x.2", "'x.2' is no tie with its choice"),
        ("999999.1", "ties, and not all of these choices"),
        ("2.99", "ties, and not all of these choices"),
    ],
)
def test_a_schedule_of_another_session_is_refused(prepared: Prepared, text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        scheduled(prepared, parse_schedule(text))
