"""Values are immutable records, and importing the chunker imports nothing that is slow to import."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from flowkit.chunker import Chunk, FirstRules, Reason, Rules
from flowkit.chunker.value import Value


class Point(Value, apart=("label",)):
    x: int
    y: int = 2
    label: str = ""

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x must be >= 0")


class Solid(Point):
    z: int = 3


def test_fields_are_given_by_place_by_name_or_not_at_all() -> None:
    for point in (Point(1), Point(1, 2), Point(1, y=2), Point(y=2, x=1), Point(1, 2, "a")):
        assert (point.x, point.y) == (1, 2)
    assert (Solid(1).z, Solid(1, 5, "a", 6).z) == (3, 6)


@pytest.mark.parametrize(
    ("arguments", "named", "said"),
    [
        ((), {}, r"Point\(x, y, label\): missing: \['x'\]"),
        ((1, 2, "a", 4), {}, "too many given"),
        ((1,), {"x": 1}, r"unknown or given twice: \['x'\]"),
        ((1,), {"z": 1}, r"unknown or given twice: \['z'\]"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[object, ...], named: dict[str, object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        Point(*arguments, **named)  # type: ignore[arg-type]


def test_fields_are_checked_together_and_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="x must be"):
        Point(-1)
    for point in (Point(1), Solid(1)):
        with pytest.raises(AttributeError, match=r"\.x cannot be changed"):
            point.x = 2  # type: ignore[misc]
        with pytest.raises(AttributeError, match=r"\.x cannot be deleted"):
            del point.x
        assert point.x == 1


def test_values_are_compared_hashed_and_shown_by_their_fields() -> None:
    assert Point(1) == Point(1, 2, "other") != Point(2)
    assert Solid(1) != Point(1)
    assert hash(Point(1)) == hash(Point(1, 2, "other"))
    assert repr(Point(1, label="a")) == "Point(x=1, y=2)"
    assert Chunk("a", "b", 1, Reason.END, ((1, 1),)) == Chunk("a", "b", 1, Reason.END)
    assert repr(FirstRules()) == "FirstRules(min_tokens=5)"


def test_a_copy_may_have_other_fields() -> None:
    rules = Rules().replace(language="de", first=FirstRules(7))
    assert (rules.language, rules.first.min_tokens, rules.comma_after) == ("de", 7, 12)
    assert rules != Rules()
    with pytest.raises(ValueError, match="max_tokens must be >= 1"):
        rules.replace(max_tokens=0)


def test_values_are_matched_copied_and_pickled() -> None:
    chunk = Chunk("a", "b", 1, Reason.END, ((1, 1),))
    match chunk:
        case Chunk(text, _, tokens):
            assert (text, tokens) == ("a", 1)
    for other in (copy.copy(chunk), copy.deepcopy(chunk), pickle.loads(pickle.dumps(chunk))):
        assert (other, other.marks) == (chunk, chunk.marks)


def test_the_chunker_is_imported_made_and_fed_without_what_is_slow_to_import() -> None:
    slow = ("dataclasses", "inspect", "typing", "importlib.metadata", "urllib.parse", "pydantic")
    program = f"""
import sys
already = set(sys.modules)
from flowkit import Chunker
chunker = Chunker()
chunker.feed("Sure! Yes, of course: I can help you. ")
chunker.flush()
print(*[name for name in {slow} if name in sys.modules and name not in already])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
