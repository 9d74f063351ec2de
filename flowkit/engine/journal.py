"""The journal: a row for every message, appended before the message is acted on; dropped ones too, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from flowkit.engine.mailbox import Envelope
from flowkit.messages import Message

_new = tuple.__new__


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


Entry: TypeAlias = tuple[str, int, int, Fate, Envelope]
"""A row as the engine appends it: (stage, n, handled_us, fate, the envelope that the message came in). Nothing is copied out of
the envelope before somebody reads the row."""


class Journal:
    """Rows in order. A writer may ``take`` them as the session goes, so that a long session does not fill the memory.

    Whoever reads a row finds its message without sound. Until then the row holds the message as it came, because a copy for every
    frame would cost more than the row.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.append = self._entries.append
        self.taken = 0

    def __len__(self) -> int:
        return self.taken + len(self._entries)

    def __iter__(self) -> Iterator[Row]:
        seen = kept = None
        for stage, n, handled_us, fate, (message, cause_stage, cause_n, sent_us, epoch, turn, _) in self._entries:
            if message is not seen:  # the same one reaches several stages in a row
                seen, kept = message, message.journaled()
            yield _new(
                Row, (stage, n, cause_stage, cause_n, sent_us, handled_us, message.lane, epoch, turn, kept, fate)
            )

    @property
    def rows(self) -> list[Row]:
        """The rows that have not been taken."""
        return list(self)

    @property
    def waiting(self) -> int:
        """How many rows have not been taken."""
        return len(self._entries)

    def newest(self, most: int) -> list[Entry]:
        """The entries appended last, the newest first."""
        return self._entries[: -most - 1 : -1]

    def take(self) -> list[Row]:
        """The rows since the last take; the journal lets go of them."""
        rows = list(self)
        self.taken += len(rows)
        self._entries.clear()
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
