"""Journal chunks as they are stored, and many of them as one: much of what each costs is the same however many rows it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flowkit.errors import TraceError
from flowkit.trace.codec import CHUNK_EPOCHS, CHUNK_ROWS, CHUNK_SHAPES
from flowkit.trace.columns import WHOLE, joined_columns
from flowkit.trace.parse import parsed
from flowkit.trace.parts import FIRST_LETTER
from flowkit.trace.steps import Shape, shape_of
from flowkit.trace.wiring import Wiring

Numbers = npt.NDArray[np.int64]

_MOST = 1 << 48
"""Rows of a stage, or microseconds, that no session reaches."""
_JOINED_ROWS = 5 * CHUNK_ROWS
"""Rows from which no more chunks are joined: the more are, the less is gained, and all of them are held at once."""
MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError)
"""What a chunk that is none makes of the code that reads it."""


class Alike(NamedTuple):
    """The steps of one shape: how many, and their columns."""

    shape: Shape
    many: int
    columns: list[Any]


class Stored(NamedTuple):
    """Chunks. `begin_us`: from when times are counted; `ns`: rows before them, by stage; `ats`: where epoch and turn change, as
    (step, epoch, turn); `letters`: the number of each step's letter; `alike`: the steps of each."""

    begin_us: int
    ns: list[int]
    ats: list[list[int]]
    letters: Numbers
    alike: list[Alike]

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return sum(count * len(shape.members) for shape, count, _ in self.alike)

    def after(self) -> list[int]:
        """Rows of each stage before what follows."""
        ns = self.ns.copy()
        for shape, count, _ in self.alike:
            for stage in shape.members:
                ns[stage] += count
        return ns


def stored(text: str, wiring: Wiring) -> Stored:
    """A chunk's text as it is stored. Raises TraceError if it is none."""
    try:
        return _checked(wiring, *parsed(text))
    except MALFORMED as error:
        raise malformed(error) from error


def malformed(error: BaseException) -> TraceError:
    """What is said of a chunk that is none."""
    return TraceError(f"a journal chunk is malformed: {type(error).__name__}: {str(error)[:100]}")


def _checked(
    wiring: Wiring, _: int, begin_us: int, ns: list[int], ats: list[list[int]], pattern: str, shapes: list[Any]
) -> Stored:
    whole = [begin_us, *ns, *chain.from_iterable(ats)]
    if not set(map(type, whole)) <= WHOLE or not -_MOST < min(whole) <= max(whole) < _MOST:
        raise ValueError("times, row counts and epochs are whole numbers")
    if len(ns) != len(wiring.ids) or not pattern:
        raise ValueError("row counts do not fit the stages")
    # What the writer keeps to; a file that does not would make much of little.
    most = 2 * len(wiring.ids)
    if len(pattern) > CHUNK_ROWS or len(ats) > CHUNK_EPOCHS or len(shapes) > CHUNK_SHAPES:
        raise ValueError("more steps, epochs or shapes than a chunk can have")
    if any(len(head) > 4 + most for head, *_ in shapes):
        raise ValueError("more stages than a shape can have")
    begins = [begin for begin, _, _ in ats]
    if begins != sorted(set(begins)) or begins[0] != 0 or begins[-1] >= len(pattern):
        raise ValueError("epochs do not fit the steps")
    letters = np.frombuffer(pattern.encode("utf-32-le"), np.uint32).astype(np.int64) - FIRST_LETTER
    if not 0 <= letters.min() <= letters.max() < len(shapes):
        raise ValueError("a letter without a shape")
    counts = np.bincount(letters, minlength=len(shapes)).tolist()
    if not all(counts):
        raise ValueError("a shape without a letter")
    alike = [
        Alike(shape_of(wiring, *head), count, columns) for (head, *columns), count in zip(shapes, counts, strict=True)
    ]
    if any(len(columns) < 2 + (shape.cause >= 0) for shape, _, columns in alike):
        raise ValueError("a shape without its times or causes")
    chunk = Stored(begin_us, ns, ats, letters, alike)
    if chunk.rows > CHUNK_ROWS + most:
        raise ValueError("more rows than a chunk can have")
    return chunk


def in_lots(chunks: Iterable[Stored]) -> Iterator[Stored]:
    """Chunks in order, many as one where they can be. Raises TraceError where columns hold what they cannot."""
    lot, rows = list[Stored](), 0
    for chunk in chunks:
        lot.append(chunk)
        rows += chunk.rows
        if rows >= _JOINED_ROWS:
            yield from _joined(lot)
            lot, rows = [], 0
    if lot:
        yield from _joined(lot)


def _joined(chunks: list[Stored]) -> list[Stored]:
    """Chunks as one; or as they are, if they do not follow one another, have little in common, or store a shape in different
    ways."""
    if len(chunks) == 1:
        return chunks
    try:
        return [_join(chunks)]
    except _Apart:
        return chunks
    except MALFORMED as error:
        raise malformed(error) from error


class _Apart(Exception):
    """Chunks cannot be joined."""


def _join(chunks: list[Stored]) -> Stored:
    numbers, parts = dict[Shape, int](), list[list[tuple[Alike, int]]]()
    first, ns, ats, letters = chunks[0], chunks[0].ns, list[list[int]](), list[Numbers]()
    steps = 0
    for chunk in chunks:
        if chunk.ns != ns:
            raise _Apart
        places = list[int]()
        for alike in chunk.alike:
            number = numbers.setdefault(alike.shape, len(parts))
            if number == len(parts):
                parts.append([])
            elif len(parts[number][0][0].columns) != len(alike.columns):
                raise _Apart
            parts[number].append((alike, chunk.begin_us))
            places.append(number)
        if len(set(places)) < len(places):
            raise _Apart
        letters.append(np.array(places).take(chunk.letters))
        ats += [[steps + begin, *at] for begin, *at in chunk.ats if not ats or begin or ats[-1][1:] != at]
        steps += len(chunk.letters)
        ns = chunk.after()
        if len(parts) > CHUNK_SHAPES or len(ats) > CHUNK_EPOCHS:
            raise _Apart  # columns by shapes and epochs would be large and nearly empty
    return Stored(0, first.ns, ats, np.concatenate(letters), [_as_one(of) for of in parts])


def _as_one(parts: list[tuple[Alike, int]]) -> Alike:
    """The columns of a shape in chunks, each with when that begins, as those of one."""
    shape, counts = parts[0][0].shape, [alike.many for alike, _ in parts]
    handled, *others = zip(*(alike.columns for alike, _ in parts), strict=True)
    columns = [joined_columns(handled, counts, [begin_us for _, begin_us in parts])]
    columns += [joined_columns(column, counts) for column in others]
    return Alike(shape, sum(counts), columns)
