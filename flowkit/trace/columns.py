"""Columns of values as a trace stores them: what is always the same, or rises evenly, as two numbers.

A column is ``{"all": value}``, ``{"from": first, "by": step}`` or the values themselves.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import pairwise
from operator import add
from typing import Any

from flowkit.errors import TraceError

WHOLE = frozenset({int})
NUMBERS = frozenset({int, float})
_EVEN = frozenset({int, float, str})


def packed(values: tuple[Any, ...], kinds: Set[type] = frozenset()) -> Any:
    """Values as stored; `kinds`: their types, where those are known to be plain ones. A single one is stored as it is."""
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
    # The last value first, for that is where most columns that are neither show it.
    last_one = values[-1]
    if first == last_one and values.count(first) == count and (first or float not in kinds):  # 0.0 and -0.0 are equal
        return {"all": first}
    if int in kinds:
        by = values[1] - first
        if by and last_one == first + by * (count - 1) and values == tuple(range(first, first + by * count, by)):
            return {"from": first, "by": by}
    return values


def _plain(value: Any) -> Any:
    """A number or text of somebody's own class as what it will be when it is read: numpy's floats, enumerations of texts."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and type(value) is not bool:
        return int(value)
    return float(value) if isinstance(value, float) else value


_PLAIN = frozenset({int, float, str, bool, tuple, list, dict, type(None)})


def unpacked(column: Any, count: int, types: frozenset[type] = frozenset()) -> Sequence[Any]:
    """The `count` values of a stored column. Raises TraceError if it is none, has more or fewer, or has one that is not of `types`,
    should any be named."""
    values: Sequence[Any]
    if type(column) is list:
        if len(column) != count:
            raise TraceError(f"a column has {len(column)} values for {count} steps")
        values, kinds = column, set(map(type, column)) if types else types
    elif type(column) is dict and "all" in column:
        values, kinds = [column["all"]] * count, {type(column["all"])}
    elif type(column) is dict and type(first := column.get("from")) is type(by := column.get("by")) is int and by:
        values, kinds = range(first, first + by * count, by), WHOLE
    else:
        raise TraceError(f"{str(column)[:40]!r} is no column")
    if types and not kinds <= types:
        wrong = next(value for value in values if type(value) not in types)
        raise TraceError(f"a column holds {str(wrong)[:40]!r} where that cannot be")
    return values


def shifted(column: Any, count: int, by: int) -> Sequence[int]:
    """The values of a column of whole numbers, `by` added to each."""
    values = unpacked(column, count, WHOLE)
    if type(values) is range:
        return range(values.start + by, values.stop + by, values.step)
    if not by:
        return values
    return list(map(add, values, [by] * count))


def joined_columns(columns: Sequence[Any], counts: Sequence[int], shifts: Sequence[int] | None = None) -> Any:
    """Columns one after another as one, packed where they go on in one way. `shifts`: what is to be added to each one's numbers.
    Raises TraceError as ``unpacked`` does."""
    first = columns[0]
    if shifts is None and type(first) is dict and type(first.get("all")) in _EVEN:
        value = first["all"]
        if all(c == first and type(c.get("all")) is type(value) for c in columns) and (
            value or type(value) is not float
        ):
            return first
    by = first.get("by") if type(first) is dict else None
    if type(by) is int and all(type(c) is dict and c.get("by") == by and "all" not in c for c in columns):
        runs = [shifted(*part) for part in zip(columns, counts, shifts or [0] * len(counts), strict=True)]
        if all(after[0] == before[-1] + by for before, after in pairwise(runs)):
            return {"from": runs[0][0], "by": by}
    values = list[Any]()
    for place, (column, count) in enumerate(zip(columns, counts, strict=True)):
        values += unpacked(column, count) if shifts is None else shifted(column, count, shifts[place])
    return values
