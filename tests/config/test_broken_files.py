"""Sixty files as users break them. Place and hint were noted from the documentation alone, before the first run.

`line` and `col` are where the mark has to be (`col` is null where only the line is promised), `hint` is a word that the
help has to hold, `also` words that say the same. `known` names what does not hold yet (exit, place or hint), and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flowkit.cli import main

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "broken" / "cases.json").read_text(encoding="utf-8"))
HINTS = 60  # of 60, as measured


class Answer(NamedTuple):
    code: int
    places: list[tuple[int, int]]
    helps: list[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(case: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    (here / "my.yaml").write_text("\n".join(case["text"]), encoding="utf-8")
    code = main(["check", "--format", "full", "my.yaml"])
    streams = capsys.readouterr()
    lines = (streams.out + streams.err).splitlines()
    places = [line.split(":", 3)[1:3] for line in lines if line.startswith("my.yaml:")]
    helps = [line for line in lines if line.startswith("    help: ")]
    return Answer(code, [(int(line), int(col)) for line, col in places], helps)


def is_placed(case: dict[str, Any], answer: Answer) -> bool:
    return any(line == case["line"] and case["col"] in (None, col) for line, col in answer.places)


def is_mended(case: dict[str, Any], answer: Answer) -> bool:
    words = [case["hint"], *([case["also"]] if "also" in case else [])]
    return any(word in line for line in answer.helps for word in words)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_is_refused_at_its_place(case: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = check(case, here, capsys)
    known = case.get("known", {})
    assert "exit" in known or answer.code == 2, answer
    assert "place" in known or is_placed(case, answer), answer
    assert "hint" in known or is_mended(case, answer), answer


def test_most_hints_mend_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(CASES) == 60
    mended = [c["name"] for c in CASES if "hint" not in c.get("known", {}) and is_mended(c, check(c, here, capsys))]
    assert len(mended) >= HINTS, sorted({case["name"] for case in CASES} - set(mended))
