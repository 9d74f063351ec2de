"""Numbers that people read have their noun in the right number, and by one rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowkit.plural import counted, named

ROOT = Path(__file__).resolve().parents[1]
TOLD = ("cli", "report", "figures", "calls", "replay")
"""The packages whose lines are results for people. Elsewhere numbers are in errors, and most of them are bounds over 1."""
NOUNS = r" (?:[a-z]+ )?(?:turn|token|clause|frame|character|message|call|row|replay|change|expectation|prediction|fault|pause)s\b"
BOUNDS = {"_FEWEST_TURNS", "ENOUGH"}


def by_hand(source: str) -> Iterator[str]:
    """The f-strings in which a plural follows a number, or its s does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant) and node.left.value == "s":
            yield ast.unparse(node)
        if isinstance(node, ast.JoinedStr):
            for number, text in zip(node.values, node.values[1:], strict=False):
                if not isinstance(number, ast.FormattedValue) or ast.unparse(number.value) in BOUNDS:
                    continue
                if isinstance(text, ast.Constant) and re.match(NOUNS, str(text.value)):
                    yield ast.unparse(node)


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 turns"), (1, "1 turn"), (2, "2 turns"), ("1", "1 turn"), ("1 to 2", "1 to 2 turns")]
)
def test_one_is_no_plural(number: int | str, told: str) -> None:
    assert counted(number, "turn") == told


@pytest.mark.parametrize(("numbers", "told"), [((3,), "turn 3"), ((3, 4), "turns 3, 4")])
def test_what_is_named(numbers: tuple[int, ...], told: str) -> None:
    assert named(numbers, "turn") == told


def test_no_line_writes_a_plural_by_hand() -> None:
    for line in ('f"{n} turns"', 'f"{n} stale frames, and"', "f\"{n} turn{'s' * (n != 1)}\""):
        assert list(by_hand(line)) != []
    paths = [path for package in TOLD for path in sorted((ROOT / "flowkit" / package).rglob("*.py"))]
    assert {path.name: found for path in paths if (found := list(by_hand(path.read_text("utf-8"))))} == {}
