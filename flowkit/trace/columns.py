"""Columns of values as a trace stores them. A column that is constant or rises evenly takes only a few numbers.

A column is ``{"all": value}``, ``{"from": first, "by": step}``, or the list of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

from flowkit.trace.names import MAX_DEPTH

WHOLE = frozenset({int})
_EVEN = frozenset({int, float, str})


def packed(values: tuple[Any, ...], kinds: Set[type] = frozenset()) -> Any:
    """A column's values in the shortest form. A single value is stored as it is.

    Args:
        values: the values, at least one.
        kinds: their types, if the caller knows them and all are plain JSON types. It saves a pass over the values.
    """
    first, count = values[0], len(values)
    if count == 1:
        return values if type(first) in _PLAIN else (_plain(first),)
    if not kinds:
        kinds = set(map(type, values))
        if not kinds <= _PLAIN:
            values = tuple(map(_plain, values))
            first, kinds = values[0], set(map(type, values))
    if len(kinds) > 1 or not kinds <= _EVEN:
        return values
    # The last value is compared first: most columns that are neither constant nor even differ there.
    last_one = values[-1]
    if first == last_one and values.count(first) == count and (first or float not in kinds):  # 0.0 and -0.0 are equal
        return {"all": first}
    if int in kinds:
        by = values[1] - first
        if by and last_one == first + by * (count - 1) and values == tuple(range(first, first + by * count, by)):
            return {"from": first, "by": by}
    return values


def _plain(value: Any) -> Any:
    """A number or text of a subclass as the plain type that it will be when it is read back.

    numpy's floats and enumerations of strings are such subclasses.
    """
    if isinstance(value, str):
        # `str(value)` would give the name of a member of an enumeration, not its text.
        return str.__str__(value)
    if isinstance(value, int) and type(value) is not bool:
        return int(value)
    return float(value) if isinstance(value, float) else value


_PLAIN = frozenset({int, float, str, bool, tuple, list, dict, type(None)})


def unpacked(column: Any, count: int, check: Check) -> Sequence[Any]:
    """The `count` values of a stored column.

    Args:
        column: the column as parsed from JSON.
        count: how many values it must have.
        check: checks and converts the values.

    Raises:
        ValueError: the column is malformed, or has another number of values or a value of another type.
    """
    if type(column) is list:
        if len(column) != count:
            raise ValueError(f"a column has {len(column)} values for {count} steps")
        return check(column)
    form = set(column) if type(column) is dict else set()
    if form == {"all"}:
        return [*check([column["all"]])] * count
    # Exact types, because True is an int too. A step of zero is refused: `range` cannot have one.
    if form == {"from", "by"} and type(first := column["from"]) is type(by := column["by"]) is int and by:
        # All values lie between these two, so no others need a check.
        check([first, first + by * (count - 1)])
        return range(first, first + by * count, by)
    raise ValueError(f"{str(column)[:40]!r} is not a column")


# -- types of values ---------------------------------------------------------------------------------------------------

Check: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""Converts stored values to the values of a message. Raises ValueError for a value of the wrong type or range."""


def plain(*types: type) -> Check:
    """A check that the values have one of these types. They are not converted."""
    known = frozenset(types)

    def check(values: Sequence[Any]) -> Sequence[Any]:
        if not set(map(type, values)) <= known:
            wrong = next(value for value in values if type(value) not in known)
            raise ValueError(f"a column holds {str(wrong)[:40]!r}, a value of the wrong type")
        return values

    return check


def between(least: int, most: int) -> Check:
    """A check that the values are integers, `least` <= value < `most`."""
    whole = plain(int)

    def check(values: Sequence[Any]) -> Sequence[Any]:
        if whole(values) and not least <= min(values) <= max(values) < most:
            raise ValueError(f"a column holds a number that is not between {least} and {most}")
        return values

    return check


def check_of(hint: Any) -> Check:
    """The check for a field with this type hint. Values of unknown types are not checked; their lists become tuples."""
    known, parts = _CHECKS.get(hint), get_args(hint)
    if known is not None:
        return known
    if get_origin(hint) is tuple and len(parts) == 2 and parts[1] is ...:
        return _tuples(check_of(parts[0]))
    if get_origin(hint) is tuple:
        return _records(lambda *values: values, list(map(check_of, parts)))
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        checks = [check_of(part) for part in get_type_hints(hint).values()]
        return _records(hint, checks, len(checks) - len(getattr(hint, "_field_defaults", ())))
    return lambda values: [_frozen(value, MAX_DEPTH) for value in values]


_CHECKS: dict[Any, Check] = {int: plain(int), float: plain(float, int), str: plain(str), bool: plain(bool)}
_LISTS = plain(list)


def _tuples(check: Check) -> Check:
    """A check for tuples of any length. An item that several tuples share, as in a growing history, is converted once."""

    def checked(values: Sequence[Any]) -> Sequence[Any]:
        # By identity, because lists cannot be keys.
        items = {id(item): item for value in _LISTS(values) for item in value}
        made = dict(zip(items, check(list(items.values())), strict=True)) if items else {}
        return [tuple([made[id(item)] for item in value]) for value in values]

    return checked


def _records(make: Callable[..., Any], checks: list[Check], least: int | None = None) -> Check:
    """A check for tuples with one item for each of `checks`. `make` builds the tuple. It has defaults for the items after
    the first `least`, which an older trace does not have."""
    least = len(checks) if least is None else least

    def checked(values: Sequence[Any]) -> Sequence[Any]:
        lengths = set(map(len, _LISTS(values)))
        if not all(least <= length <= len(checks) for length in lengths):
            raise ValueError(f"a column holds a tuple that does not have {len(checks)} items")
        made = {length: iter(of_length([v for v in values if len(v) == length])) for length in lengths}
        return [next(made[len(value)]) for value in values]

    def of_length(values: Sequence[Any]) -> list[Any]:
        columns = [check(column) for check, column in zip(checks, zip(*values, strict=True), strict=False)]
        return list(map(make, *columns)) if columns else [make()] * len(values)

    return checked


def _frozen(value: Any, deeper: int) -> Any:
    """Lists as tuples, at all levels. Raises ValueError if they are nested too deeply."""
    if type(value) is not list:
        return value
    if not deeper:
        raise ValueError(f"a value is nested more than {MAX_DEPTH} deep")
    return tuple(_frozen(part, deeper - 1) for part in value)
