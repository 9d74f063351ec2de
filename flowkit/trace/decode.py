"""Reads the text of a chunk: the reverse of ``parts`` and ``codec``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

from flowkit.engine import Fate, Row
from flowkit.errors import TraceError
from flowkit.figures.layout import Layout
from flowkit.messages import Message
from flowkit.trace.codec import CHUNK_EPOCHS, CHUNK_ROWS, CHUNK_SHAPES
from flowkit.trace.columns import WHOLE, unpacked
from flowkit.trace.parse import parsed
from flowkit.trace.parts import FIRST_LETTER
from flowkit.trace.rows import FATES, has_call, kind_named, messages_of, waits

_MOST = 1 << 48
"""More rows of a stage, or microseconds, than any session reaches."""
_MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError)
"""What the code below raises for a malformed chunk."""
_row = tuple.__new__


class _Shape(NamedTuple):
    """What the steps of one letter have in common, and an iterator over what differs. See ``parts`` for shapes and steps."""

    stage: int
    """Place of the stage in the pipeline."""
    cause: int
    """Place of the cause's stage; -1 if there is no cause."""
    fate: Fate
    followers: tuple[int, ...]
    """Places of the stages that passed the message on."""
    steps: Iterator[tuple[int, int, int, int, Message]]
    """For each step (time, age, distance, call, message): time counts from the beginning of the chunk, age is how long
    the message had waited, and distance is how many rows of the cause's stage came after the cause."""


def decode(text: str, layout: Layout) -> list[Row]:
    """The rows of a chunk's text. Raises TraceError if it is malformed."""
    try:
        return _rows(layout, *parsed(text))
    except _MALFORMED as error:
        raise TraceError(f"a journal chunk is malformed: {type(error).__name__}: {str(error)[:100]}") from error


def _rows(
    layout: Layout, _: int, begin_us: int, ns: list[int], ats: list[list[int]], pattern: str, stored: list[Any]
) -> list[Row]:
    """The rows of a parsed chunk."""
    ids = [id_ for id_, _ in layout.kinds]
    _check(ids, begin_us, ns, ats, pattern, stored)
    counts = Counter(pattern)
    shapes = {
        (letter := chr(FIRST_LETTER + number)): _shape(len(ids), counts[letter], *head, columns=columns)
        for number, (head, *columns) in enumerate(stored)
    }
    if set(counts) != set(shapes):
        raise ValueError("a letter without a shape, or a shape without a letter")
    if sum(many * (1 + len(shapes[letter].followers)) for letter, many in counts.items()) > CHUNK_ROWS + 2 * len(ids):
        raise ValueError("more rows than a chunk can have")
    rows, last_us = list[Row](), begin_us
    for begin, end, epoch, turn in _spans(ats, len(pattern)):
        for letter in pattern[begin:end]:
            place, cause, fate, followers, steps = shapes[letter]
            handled_us, lag_us, back, call, message = next(steps)
            now_us = begin_us + handled_us
            if now_us < last_us:
                raise ValueError("time runs backwards")
            last_us = now_us
            stage, n = ids[place], ns[place] + 1
            ns[place] = n
            above, above_n = (ids[cause], ns[cause] - back) if cause >= 0 else ("", 0)
            rows.append(
                _row(Row, (stage, n, above, above_n, now_us - lag_us, now_us, epoch, turn, message, fate, call))
            )
            for follower in followers:
                ns[follower] += 1
                copy = (ids[follower], ns[follower], stage, n, now_us, now_us, epoch, turn, message, Fate.HANDLED, 0)
                rows.append(_row(Row, copy))
    return rows


def _check(ids: list[str], begin_us: int, ns: list[int], ats: list[list[int]], pattern: str, stored: list[Any]) -> None:
    """Raises ValueError if the chunk exceeds what a writer writes.

    Without these limits a short text could stand for very many rows.
    """
    whole = [begin_us, *ns, *chain.from_iterable(ats)]
    if not set(map(type, whole)) <= WHOLE or not -_MOST < min(whole) <= max(whole) < _MOST:
        raise ValueError("times, row counts and epochs are whole numbers")
    if len(ns) != len(ids) or not pattern:
        raise ValueError("row counts do not fit the stages")
    if len(pattern) > CHUNK_ROWS or len(ats) > CHUNK_EPOCHS or len(stored) > CHUNK_SHAPES:
        raise ValueError("more steps, epochs or shapes than a chunk can have")
    if any(len(head) > 4 + 2 * len(ids) for head, *_ in stored):
        raise ValueError("more stages than a shape can have")
    begins = [begin for begin, _, _ in ats]
    if begins != sorted(set(begins)) or begins[0] != 0 or begins[-1] >= len(pattern):
        raise ValueError("epochs do not fit the steps")


def _spans(ats: list[list[int]], steps: int) -> Iterator[tuple[int, int, int, int]]:
    """(first step, step after the last, epoch, turn) for each range of steps in which epoch and turn stay the same."""
    ends = [*(begin for begin, _, _ in ats[1:]), steps]
    for (begin, epoch, turn), end in zip(ats, ends, strict=True):
        yield begin, end, epoch, turn


def _shape(
    stages: int, count: int, stage: int, kind: str, cause: int = 0, fate: int = 0, *followers: int, columns: list[Any]
) -> _Shape:
    """A stored shape, unpacked. Raises ValueError or TraceError if it is malformed."""
    places = (stage, *followers)
    if not all(type(n) is int and n >= 0 for n in (*places, cause, fate)):
        raise ValueError("a shape is numbers and a kind")
    if max(*places, cause - 1, 0) >= stages:
        raise ValueError("a shape of a stage that is not there")
    of = kind_named(kind)
    called = has_call(of, caused=cause > 0)
    if len(columns) < 1 + waits(of) + (cause > 0) + called:
        raise ValueError("a shape without its times, causes or calls")
    waiting = iter(columns)

    def numbers(stored: bool = True) -> Sequence[Any] | repeat[int]:
        return unpacked(next(waiting), count, WHOLE) if stored else repeat(0)

    handled_us, lags_us, backs, calls = numbers(), numbers(waits(of)), numbers(cause > 0), numbers(called)
    messages = messages_of(of, list(waiting), count)
    return _Shape(
        stage, cause - 1, FATES[fate], followers, zip(handled_us, lags_us, backs, calls, messages, strict=False)
    )
