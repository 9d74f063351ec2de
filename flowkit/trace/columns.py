"""Columns of values as a trace stores them. A column that is constant or rises evenly takes only a few numbers.

A column is ``{"all": value}``, ``{"from": first, "by": step}``, ``{"runs": [[first, step, count], ...]}``, for tuples
``{"slides": [[left out, kept, new], ...]}``, or the list of its values.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import chain
from typing import Any

import numpy as np

from flowkit.errors import TraceError

WHOLE = frozenset({int})
NUMBERS = frozenset({int, float})
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
    if kinds == {tuple}:
        return _sliding(values)
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
        if count >= _FEW and (runs := _runs(values)):
            return {"runs": runs}
    return values


_FEW = 128
"""Columns with fewer values are stored as they are, without looking for runs."""
_SHORTER = 6
"""Runs are used only if there are at least this many times as many values as runs."""


def _runs(values: tuple[int, ...]) -> list[list[int]]:
    """The values as runs that rise evenly, [first, step, count] each. An empty list if there would be too many runs."""
    if not -_MOST < min(values) <= max(values) < _MOST:
        return []
    numbers = np.array(values, np.int64)
    steps = np.diff(numbers)
    changes = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    if len(changes) * _SHORTER > 2 * len(values):
        return []
    runs, begin = list[list[int]](), 0
    for change in [*changes.tolist(), len(steps)]:
        if change > begin:
            runs.append([values[begin], int(steps[begin]), change - begin + 1])
            begin = change + 1
    if begin < len(values):
        runs.append([values[begin], 0, 1])
    return runs if len(runs) * _SHORTER <= len(values) else []


_MOST = 1 << 62
"""Numbers are below this, so that differences of two fit into 64 bits."""


def _sliding(values: tuple[tuple[Any, ...], ...]) -> Any:
    """Tuples of which each continues the one before, such as a history that grows.

    For each tuple: how many items at the front of the previous one are left out, how many after them are kept, and the
    new items. If less than half of all items would be kept, the values as they are.
    """
    before, slides, kept = tuple[Any, ...](), list[list[Any]](), 0
    for value in values:
        lefts = (left for left in range(_LEFT) if before[left:] and before[left:] == value[: len(before) - left])
        left = next(lefts, len(before))
        keep = len(before) - left
        slides.append([left, keep, value[keep:]])
        before, kept = value, kept + keep
    return {"slides": slides} if 2 * kept > sum(map(len, values)) else values


_LEFT = 3
"""How many items may be left out at the front, plus one."""
_LONGEST = 1 << 22
"""How many items the tuples of a column may have together, once they are unpacked."""


def _plain(value: Any) -> Any:
    """A number or text of a subclass as the plain type that it will be when it is read back.

    numpy's floats and enumerations of strings are such subclasses.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and type(value) is not bool:
        return int(value)
    return float(value) if isinstance(value, float) else value


_PLAIN = frozenset({int, float, str, bool, tuple, list, dict, type(None)})


def unpacked(column: Any, count: int, types: frozenset[type] = frozenset()) -> Sequence[Any]:
    """The `count` values of a stored column.

    Args:
        column: the column as parsed from JSON.
        count: how many values it must have.
        types: the types that the values may have. Empty: any.

    Raises:
        TraceError: the column is malformed, or has another number of values or a value of another type.
    """
    values: Sequence[Any]
    if type(column) is list:
        if len(column) != count:
            raise TraceError(f"a column has {len(column)} values for {count} steps")
        values, kinds = column, set(map(type, column)) if types else types
    elif type(column) is dict and "all" in column:
        values, kinds = [column["all"]] * count, {type(column["all"])}
    elif type(column) is dict and "runs" in column:
        values, kinds = _of_runs(column["runs"], count), WHOLE
    elif type(column) is dict and "slides" in column:
        values, kinds = _of_slides(column["slides"], count), frozenset({list})
    elif type(column) is dict and type(first := column.get("from")) is type(by := column.get("by")) is int and by:
        values, kinds = range(first, first + by * count, by), WHOLE
    else:
        raise TraceError(f"{str(column)[:40]!r} is not a column")
    if types and not kinds <= types:
        wrong = next(value for value in values if type(value) not in types)
        raise TraceError(f"a column holds {str(wrong)[:40]!r}, a value of the wrong type")
    return values


def _of_runs(runs: Any, count: int) -> list[int]:
    """The values of a column of runs. Raises TraceError if they are not `count` whole numbers."""
    if type(runs) is not list or not all(type(run) is list and len(run) == 3 for run in runs):
        raise TraceError(f"{str(runs)[:40]!r} is not a list of runs")
    if not set(map(type, chain.from_iterable(runs))) <= WHOLE or min((many for _, _, many in runs), default=0) < 1:
        raise TraceError("a run consists of whole numbers and has at least one value")
    if sum(many for _, _, many in runs) != count:
        raise TraceError(f"the runs of a column do not have {count} values")
    return [first + step * by for first, by, many in runs for step in range(many)]


def _of_slides(slides: Any, count: int) -> list[list[Any]]:
    """The tuples of a column of slides, as lists. Raises TraceError if one does not continue the one before."""
    if type(slides) is not list or len(slides) != count:
        raise TraceError(f"a column does not have {count} tuples")
    before, values, items = list[Any](), list[list[Any]](), 0
    for left, keep, new in slides:
        if (
            type(left) is not int
            or type(keep) is not int
            or type(new) is not list
            or not 0 <= left <= left + keep <= len(before)
        ):
            raise TraceError("a tuple does not continue the one before it")
        before = [*before[left : left + keep], *new]
        values.append(before)
        items += len(before)
        if items > _LONGEST:
            raise TraceError("a column's tuples are too long")
    return values
