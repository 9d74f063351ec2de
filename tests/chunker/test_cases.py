"""Replies with gold boundaries: those kept in the repository, and any other file named by FLOWKIT_CHUNKER_CASES."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowkit.testing.score import chunk, chunk_sentences, load, score

CASES = [
    *sorted((Path(__file__).parent / "cases").glob("*.jsonl")),
    *map(Path, os.environ.get("FLOWKIT_CHUNKER_CASES", "").split()),
]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_clauses_are_cut_where_a_voice_may_pause(path: Path) -> None:
    result = score(chunk, load(path))
    assert result.speak_f1 >= 0.99
    assert result.protected_cut <= 1
    assert (result.invariant, result.lost, result.failed) == (result.cases, 0, 0)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_sentences_are_cut_where_they_end(path: Path) -> None:
    result = score(chunk_sentences, load(path))
    assert result.strict_f1 >= 0.99
    assert result.protected_cut <= 1
    assert (result.invariant, result.lost, result.failed) == (result.cases, 0, 0)
