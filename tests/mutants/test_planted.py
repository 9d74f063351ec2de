"""The planted changes fit the source, and what ``make mutants`` does works: each mutant takes seconds, so CI runs few."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.planted import FLOWKIT, MUTANTS, Mutant
from tests.mutants.run import LEAST_CAUGHT, line, planted

NAMED = {mutant.name: mutant for mutant in MUTANTS}


@pytest.mark.parametrize("name", NAMED)
def test_it_fits_the_source(name: str) -> None:
    source = NAMED[name].source()
    assert source != (FLOWKIT / NAMED[name].file).read_text("utf-8")
    compile(source, NAMED[name].file, "exec")


def test_there_are_enough_of_every_kind() -> None:
    assert len(NAMED) == len(MUTANTS) >= 40
    assert {mutant.stage for mutant in MUTANTS} == {"vad", "asr", "gate", "llm", "chunker", "tts", "speaker", "tools"}
    assert LEAST_CAUGHT >= 36


def test_source_that_has_moved_is_an_error() -> None:
    moved = Mutant("moved", "vad", "stages/endpointing.py", "no such text", "other")
    with pytest.raises(ValueError, match="0 times: adapt the mutant"):
        moved.source()


def test_what_leaves_for_a_provider_is_caught_where_no_figure_changes(tmp_path: Path) -> None:
    """The model gets one turn of history more: no clause, delay or interrupt differs."""
    mutant = NAMED["the history has a turn more than it may"]
    found = planted(mutant, tmp_path)
    assert found["test"] == "long-history"
    assert any("sent to llm" in told for told in found["said"])
    assert any(
        told.startswith("first difference, at stage 'llm': another history of the Ask") for told in found["said"]
    )
    assert found["exact"]["stage"] == "llm"
    assert line(mutant, found).endswith("| llm | long-history | llm |")
