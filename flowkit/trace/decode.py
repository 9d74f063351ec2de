"""Reads the text of a chunk: the reverse of ``chunks``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any, NamedTuple

from flowkit.engine import Fate, Row
from flowkit.errors import TraceError
from flowkit.figures.layout import Layout
from flowkit.messages import Message
from flowkit.trace.chunks import FIRST_LETTER
from flowkit.trace.columns import between, unpacked
from flowkit.trace.names import CHUNK_ROWS, MOST
from flowkit.trace.rows import FATES, has_call, kind_named, messages_of, waits
from flowkit.trace.schema import ShapeHead, StoredRows, parsed, typed

_NUMBERS = between(0, MOST)
# The constructor of a NamedTuple is Python code, and would run once for each row.
_row = tuple.__new__


class _Shape(NamedTuple):
    """What the steps of one letter have in common, and an iterator over what differs. See ``chunks`` for shapes and steps."""

    stage: int
    """Place of the stage in the pipeline."""
    cause: int
    """Place of the cause's stage; -1 if there is no cause."""
    fate: Fate
    followers: Sequence[int]
    """Places of the stages that passed the message on."""
    steps: Iterator[tuple[int, int, int, int, Message]]
    """For each step (time, age, distance, call, message): time counts from the beginning of the chunk, age is how long
    the message had waited, and distance is how many rows of the cause's stage came after the cause."""


def decode(text: str, layout: Layout) -> list[Row]:
    """The rows of a chunk's text. Raises TraceError if it is malformed."""
    try:
        return _rows(layout, typed(parsed(text), StoredRows))
    except (ValueError, RecursionError) as error:
        raise TraceError(f"a journal chunk is malformed: {str(error)[:200]}") from error


def _rows(layout: Layout, stored: StoredRows) -> list[Row]:
    """The rows of a parsed chunk."""
    ids, (_, begin_us, ns, ats, pattern, parsed_shapes) = [id_ for id_, _ in layout.kinds], stored
    counts = Counter(pattern)
    letters = [chr(FIRST_LETTER + number) for number in range(len(parsed_shapes))]
    if len(ns) != len(ids) or set(counts) != set(letters):
        raise ValueError("the row counts do not fit the stages, or the shapes not the pattern")
    shapes = {
        letter: _shape(len(ids), counts[letter], *shape) for letter, shape in zip(letters, parsed_shapes, strict=True)
    }
    # A short text must not stand for very many rows.
    if sum(many * (1 + len(shapes[letter].followers)) for letter, many in counts.items()) > CHUNK_ROWS + 2 * len(ids):
        raise ValueError("more rows than a chunk can have")
    rows, last_us = list[Row](), begin_us
    for (begin, epoch, turn), (end, _, _) in pairwise([*ats, (len(pattern), 0, 0)]):
        if not begin < end or (begin and not rows):
            raise ValueError("the epochs do not fit the steps")
        for letter in pattern[begin:end]:
            place, cause, fate, followers, steps = shapes[letter]
            handled_us, lag_us, back, call, message = next(steps)
            now_us = begin_us + handled_us
            if now_us < last_us:
                raise ValueError("time runs backwards")
            last_us = now_us
            stage, n = ids[place], ns[place] + 1
            ns[place] = n
            cause_id, cause_n = (ids[cause], ns[cause] - back) if cause >= 0 else ("", 0)
            rows.append(
                _row(Row, (stage, n, cause_id, cause_n, now_us - lag_us, now_us, epoch, turn, message, fate, call))
            )
            for follower in followers:
                ns[follower] += 1
                copy = (ids[follower], ns[follower], stage, n, now_us, now_us, epoch, turn, message, Fate.HANDLED, 0)
                rows.append(_row(Row, copy))
    return rows


def _shape(stages: int, count: int, head: Any, *columns: Any) -> _Shape:
    """A shape from its head and its columns of `count` values."""
    (stage, kind, cause, fate), followers = typed(typed(head, list[Any])[:4], ShapeHead), typed(head[4:], list[int])
    places = [stage, *followers]
    if len(followers) > 2 * stages or not 0 <= min(places) <= max(*places, cause - 1) < stages:
        raise ValueError("a shape of a stage that does not exist")
    of = kind_named(kind)
    called = has_call(of, caused=cause > 0)
    if len(columns) < 1 + waits(of) + (cause > 0) + called:
        raise ValueError("a shape without its times, causes or calls")
    waiting = iter(columns)

    def numbers(stored: bool = True) -> Sequence[Any] | repeat[int]:
        return unpacked(next(waiting), count, _NUMBERS) if stored else repeat(0)

    handled_us, lags_us, backs, calls = numbers(), numbers(waits(of)), numbers(cause > 0), numbers(called)
    messages = messages_of(of, list(waiting), count)
    # Not strict: a column that is not stored repeats forever. The others were counted when they were unpacked.
    steps = zip(handled_us, lags_us, backs, calls, messages, strict=False)
    return _Shape(stage, cause - 1, FATES[fate], followers, steps)
