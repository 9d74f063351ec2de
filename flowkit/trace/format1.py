"""Chunks of format 1, which are still read: an entry a row, and quiet stretches with columns. See docs/trace-format.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flowkit.errors import TraceError
from flowkit.messages import Credit, Frames, Message, Probability
from flowkit.trace.layout import Layout
from flowkit.trace.rows import FATES, RowTuple, kind_named, messages_of
from flowkit.trace.wiring import Wiring, wiring_of

_QUIET = -1
"""The stage of an entry that is a quiet stretch."""


def decode(text: str, layout: Layout) -> Iterator[RowTuple]:
    """The rows of a chunk's text. Raises TraceError if it is not one."""
    try:
        _, begin_us, ns, kinds, entries = json.loads(text)
        yield from _Decoder(wiring_of(layout), begin_us, list(ns), [kind_named(name) for name in kinds]).rows(entries)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise TraceError(f"a journal chunk is malformed: {type(error).__name__}: {str(error)[:100]}") from error


class _Decoder:
    """Reads the entries of one chunk, keeping what they refer to."""

    def __init__(self, wiring: Wiring, now_us: int, ns: list[int], kinds: list[type[Message]]) -> None:
        if len(ns) != len(wiring.ids) or not all(type(n) is int for n in (*ns, now_us)):
            raise ValueError("row counts do not fit the stages")
        self._wiring = wiring
        self._now_us = now_us
        self._ns = ns
        self._kinds = kinds
        self._at = (0, 0)

    def rows(self, entries: list[Any]) -> Iterator[RowTuple]:
        """Rows in order."""
        for entry in entries:
            if entry[0] == _QUIET:
                yield from self._quiet(*entry[1:])
            else:
                yield self._row(*entry)

    def _row(
        self,
        stage: int,
        kind: int,
        delta_us: int,
        lag_us: int,
        cause: int,
        back: int,
        at: Any,
        stored: Any,
        fate: int = 0,
    ) -> RowTuple:
        if min(stage, kind, cause, fate) < 0:
            raise ValueError("a negative number where none can be")
        self._begin(delta_us, at)
        if type(stored) is not list:
            raise ValueError("a row without content")
        (message,) = messages_of(self._kinds[kind], [[value] for value in stored], 1)
        return self._made(stage, cause, back, lag_us, message, FATES[fate])

    def _quiet(
        self,
        at: Any,
        frame: Any,
        answered: Any,
        pattern: str,
        deltas: list[int],
        lags: Any,
        ps: list[Any],
        credits: list[int],
    ) -> Iterator[RowTuple]:
        counted = len(pattern) - pattern.count("F") - pattern.count("P")
        if (len(deltas), len(lags or deltas), len(credits)) != (len(pattern), len(pattern), 2 * counted):
            raise ValueError("a quiet stretch's columns do not fit its pattern")
        values, counts = iter(ps), iter(credits)
        for step, delta_us, lag_us in zip(pattern, deltas, lags or [0] * len(deltas), strict=True):
            self._begin(delta_us, at)
            at = 0
            if step == "F":
                frames = Frames(frame, 1)
                yield self._made(self._wiring.source, 0, 0, lag_us, frames, "")
                for follower in self._wiring.followers:
                    yield self._made(follower, self._wiring.source + 1, 0, 0, frames, "")
                frame += 1
            elif step == "P":
                (answer,) = messages_of(Probability, [[answered], [next(values)]], 1)
                yield self._made(self._wiring.vad, 0, 0, lag_us, answer, "")
                answered += 1
            else:
                yield self._made(next(counts), 0, 0, lag_us, Credit(next(counts)), "")

    def _begin(self, delta_us: int, at: Any) -> None:
        if delta_us < 0:
            raise ValueError("time that runs backwards")
        self._now_us += delta_us
        if at != 0:
            epoch, turn = at
            self._at = (int(epoch), int(turn))

    def _made(self, stage: int, cause: int, back: int, lag_us: int, message: Message, fate: str) -> RowTuple:
        self._ns[stage] += 1
        ids, sent_us = self._wiring.ids, self._now_us - lag_us
        cause_stage, cause_n = (ids[cause - 1], self._ns[cause - 1] - back) if cause else ("", 0)
        return (
            ids[stage], self._ns[stage], cause_stage, cause_n, sent_us, self._now_us, message.lane, *self._at, message, fate
        )  # fmt: skip
