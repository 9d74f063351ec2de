"""The journal: a row for every message, appended before the message is acted on; dropped ones too, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from flowkit.messages import Message


class Fate(StrEnum):
    """What became of a message."""

    HANDLED = ""
    DROPPED = "dropped"
    """A full queue's policy."""
    DISCARDED = "discarded"
    """It waited when its reply was interrupted."""
    STALE = "stale"
    """It came after its call or its epoch had ended."""


class Row(NamedTuple):
    """One message at one stage. `n` counts the stage's rows from 1; the cause is the row whose handling sent it (`""`, 0 for a
    stimulus or a timer). `sent_us` is when it was sent, or for a stimulus was available; `handled_us` when it was taken."""

    stage: str
    n: int
    cause_stage: str
    cause_n: int
    sent_us: int
    handled_us: int
    lane: str
    epoch: int
    turn: int
    message: Message
    fate: Fate

    @property
    def kind(self) -> str:
        return type(self.message).__name__

    def plain(self) -> tuple[Any, ...]:
        """The row as JSON-able values, the message's content last."""
        content = [getattr(self.message, name) for name in _fields(type(self.message))]
        return (*self[:7], self.kind, self.epoch, self.turn, content, self.fate.value)


_FIELDS: dict[type[Message], tuple[str, ...]] = {}


def _fields(cls: type[Message]) -> tuple[str, ...]:
    """Names of a message's fields that belong into the journal, in order of declaration."""
    if cls not in _FIELDS:
        _FIELDS[cls] = tuple(field.name for field in fields(cls) if field.name != "pcm")
    return _FIELDS[cls]


RowTuple: TypeAlias = tuple[str, int, str, int, int, int, str, int, int, Message, Fate]
"""A row as the engine appends it, without the cost of a named tuple."""


class Journal:
    """Rows in order. A writer may ``take`` them as the session goes, so that a long session does not fill the memory.

    Whoever reads a row finds its message without sound. Until then the row holds the message as it came, because a copy for every
    frame would cost more than the row.
    """

    def __init__(self) -> None:
        self._rows: list[RowTuple] = []
        self.append = self._rows.append
        self.taken = 0

    def __len__(self) -> int:
        return self.taken + len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        message = kept = None
        for row in self._rows:
            if not row[9].bulky:
                yield Row._make(row)
                continue
            if row[9] is not message:  # the same one reaches several stages in a row
                message = row[9]
                kept = message.journaled()
            yield Row._make((*row[:9], kept, row[10]))

    @property
    def rows(self) -> list[Row]:
        """The rows that have not been taken."""
        return list(self)

    @property
    def waiting(self) -> int:
        """How many rows have not been taken."""
        return len(self._rows)

    def take(self) -> list[Row]:
        """The rows since the last take; the journal lets go of them."""
        rows = list(self)
        self.taken += len(rows)
        self._rows.clear()
        return rows

    def digest(self) -> str:
        """blake2b of the rows held, 16 bytes in hex: equal journals and only they have equal digests."""
        return digest(self.rows)


def digest(rows: list[Row]) -> str:
    """blake2b of `rows`, 16 bytes in hex."""
    state = blake2b(digest_size=16)
    for row in rows:
        state.update(repr(row.plain()).encode("utf-8", "surrogatepass"))
        state.update(b"\n")
    return state.hexdigest()
