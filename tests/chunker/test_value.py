"""Values are frozen dataclasses to whoever asks, and importing the chunker imports nothing that would make them such."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys

import pytest

from flowkit.chunker import Chunk, FirstRules, Reason, Rules, Speak
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
        ((), {}, "missing 1 required positional argument: 'x'"),
        ((1, 2, "a", 4), {}, "takes from 2 to 4 positional arguments but 5 were given"),
        ((1,), {"x": 1}, "multiple values for argument 'x'"),
        ((1,), {"z": 1}, "unexpected keyword argument 'z'"),
        ((), {"z": 1}, "unexpected keyword argument 'z'"),
    ],
)
def test_wrong_arguments_are_refused_as_by_a_dataclass(
    arguments: tuple[object, ...], named: dict[str, object], said: str
) -> None:
    class Fresh(Point):  # one that no other test has made a dataclass
        pass

    for kind in (Fresh, Fresh, Point):
        with pytest.raises(TypeError, match=said):
            kind(*arguments, **named)  # type: ignore[arg-type]


def test_fields_are_checked_together_and_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="x must be"):
        Point(-1)
    for point in (Point(1), Solid(1)):
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
            point.x = 2  # type: ignore[misc]
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
            del point.x
        assert point.x == 1


def test_values_are_compared_hashed_and_shown_by_their_fields() -> None:
    class Fresh(Point):
        pass

    assert Fresh(1) == Fresh(1, 2, "other") != Fresh(2)
    assert Fresh(1) != Point(1)
    assert hash(Fresh(1)) == hash(Fresh(1, 2, "other"))
    assert repr(Point(1, label="a")) == "Point(x=1, y=2)"
    assert Chunk("a", "b", 1, Reason.END, ((1, 1),)) == Chunk("a", "b", 1, Reason.END)
    assert repr(FirstRules()) == "FirstRules(min_tokens=5)"


def test_dataclasses_take_them_for_their_own() -> None:
    rules = dataclasses.replace(Rules(), language="de", first=FirstRules(7))
    assert (rules.language, rules.first.min_tokens, rules.comma_after) == ("de", 7, 12)
    with pytest.raises(ValueError, match="max_tokens must be >= 1"):
        dataclasses.replace(rules, max_tokens=0)
    assert [field.name for field in dataclasses.fields(FirstRules)] == ["min_tokens"]
    assert dataclasses.asdict(rules)["speak"] == dataclasses.asdict(Speak())
    assert [field.name for field in dataclasses.fields(Chunk) if not field.compare] == ["marks"]
    assert not dataclasses.is_dataclass(Value)


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
