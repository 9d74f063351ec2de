"""Columns of values as a trace stores them: what is always the same, or rises evenly, as a few numbers.

A column is ``{"all": value}``, ``{"from": first, "by": step}``, ``{"runs": [[first, step, count], ...]}``, for tuples
``{"slides": [[left out, kept, new], ...]}``, or the values themselves.
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
    """Values as stored; `kinds`: their types, where those are known to be plain ones. A single one is stored as it is."""
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
    # The last value first, for that is where most columns that are neither show it.
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
"""Values that are few enough to stand as they are."""
_SHORTER = 6
"""Values in runs are stored so only where there are at least so many times as many of them as of runs."""


def _runs(values: tuple[int, ...]) -> list[list[int]]:
    """The values as runs that rise evenly, (first, step, count) each; none if there would be too many."""
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


def _sliding(values: tuple[tuple[Any, ...], ...]) -> Any:
    """Tuples that go on from one another, such as a history that grows: for each how many items of the one before are left out,
    how many are kept, and what is new. As they are, where less than half would be kept."""
    before, slides, kept = tuple[Any, ...](), list[list[Any]](), 0
    for value in values:
        lefts = (left for left in range(_LEFT) if before[left:] and before[left:] == value[: len(before) - left])
        left = next(lefts, len(before))
        keep = len(before) - left
        slides.append([left, keep, value[keep:]])
        before, kept = value, kept + keep
    return {"slides": slides} if 2 * kept > sum(map(len, values)) else values


_LEFT = 3
"""Items that may be left out at the front."""
_LONGEST = 1 << 22
"""Items of all tuples of a column, once they are put together again."""


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
    elif type(column) is dict and "runs" in column:
        values, kinds = _of_runs(column["runs"], count), WHOLE
    elif type(column) is dict and "slides" in column:
        values, kinds = _of_slides(column["slides"], count), frozenset({list})
    elif type(column) is dict and type(first := column.get("from")) is type(by := column.get("by")) is int and by:
        values, kinds = range(first, first + by * count, by), WHOLE
    else:
        raise TraceError(f"{str(column)[:40]!r} is no column")
    if types and not kinds <= types:
        wrong = next(value for value in values if type(value) not in types)
        raise TraceError(f"a column holds {str(wrong)[:40]!r} where that cannot be")
    return values


def _of_runs(runs: Any, count: int) -> list[int]:
    if type(runs) is not list or not all(type(run) is list and len(run) == 3 for run in runs):
        raise TraceError(f"{str(runs)[:40]!r} are no runs")
    if not set(map(type, chain.from_iterable(runs))) <= WHOLE or min((many for _, _, many in runs), default=0) < 1:
        raise TraceError("runs are whole numbers, and none is empty")
    if sum(many for _, _, many in runs) != count:
        raise TraceError(f"the runs of a column do not have {count} values")
    return [first + step * by for first, by, many in runs for step in range(many)]


def _of_slides(slides: Any, count: int) -> list[list[Any]]:
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
            raise TraceError("a tuple does not go on from the one before it")
        before = [*before[left : left + keep], *new]
        values.append(before)
        items += len(before)
        if items > _LONGEST:
            raise TraceError("a column's tuples are too long")
    return values
