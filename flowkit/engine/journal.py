"""The journal: a row for every message, appended before the message is acted on; dropped ones too, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

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
    stimulus, a timer, and what the engine does by itself). `sent_us` is when it was sent, or for a stimulus was available;
    `handled_us` when it was taken. `call` is the number of the provider call that gave the message, or that it left for; else 0."""

    stage: str
    n: int
    cause_stage: str
    cause_n: int
    sent_us: int
    handled_us: int
    epoch: int
    turn: int
    message: Message
    fate: Fate
    call: int = 0

    @property
    def kind(self) -> str:
        """The message's kind, by name."""
        return type(self.message).__name__

    @property
    def lane(self) -> str:
        """The message's lane: C control, D data, P to a provider."""
        return self.message.lane

    @property
    def cause(self) -> tuple[str, int]:
        """Stage and number of the row that sent it."""
        return self.cause_stage, self.cause_n

    def plain(self) -> tuple[Any, ...]:
        """The row as JSON-able values, the message's content last but for fate and call."""
        content = list(values_of(self.message))
        return (*self[:6], self.lane, self.kind, self.epoch, self.turn, content, self.fate.value, self.call)


_DEFAULTS: dict[type[Message], tuple[Any, ...]] = {}
_VALUES: dict[type[Message], Callable[[Message], tuple[Any, ...]]] = {}


def values_of(message: Message) -> tuple[Any, ...]:
    """A message's content as it belongs into the journal, without sound, in order of declaration."""
    return values_getter(type(message))(message)


def values_getter(cls: type[Message]) -> Callable[[Message], tuple[Any, ...]]:
    """``values_of`` for messages of one class."""
    if cls not in _VALUES:
        names = [field.name for field in fields(cls) if field.name != "pcm"]
        _VALUES[cls] = attrgetter(*names) if len(names) > 1 else _getter(*names)
    return _VALUES[cls]


def _getter(name: str = "") -> Callable[[Message], tuple[Any, ...]]:
    """What ``attrgetter`` is for several: for one name, or none."""
    return (lambda message: (getattr(message, name),)) if name else (lambda message: ())


def item_digest(item: Message, before: int) -> int:
    """CRC-32 of the items that a call was handed, `item` behind those of which `before` is the digest. Defaults at the end are left
    out, so that a field which a message gets later does not change the digests of earlier recordings."""
    cls, values = type(item), values_of(item)
    if cls not in _DEFAULTS:
        _DEFAULTS[cls] = tuple(field.default for field in fields(cls) if field.name != "pcm")
    defaults = _DEFAULTS[cls]
    while values and values[-1] == defaults[len(values) - 1]:
        values = values[:-1]
    return crc32(f"{cls.__name__}{values}".encode("utf-8", "surrogatepass"), before)


Entry: TypeAlias = tuple[str, int, int, Fate, Envelope, int]
"""A row as the engine appends it: (stage, n, handled_us, fate, the envelope that the message came in, call). Nothing is copied out
of the envelope before somebody reads the row."""


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
        for stage, n, handled_us, fate, (message, cause_stage, cause_n, sent_us, epoch, turn, _), call in self._entries:
            if message is not seen:  # the same one reaches several stages in a row
                seen, kept = message, message.journaled()
            yield _new(Row, (stage, n, cause_stage, cause_n, sent_us, handled_us, epoch, turn, kept, fate, call))

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
        return digest(self)


def digest(rows: Iterable[Row]) -> str:
    """blake2b of `rows`, 16 bytes in hex."""
    state = blake2b(digest_size=16)
    for row in rows:
        state.update(repr(row.plain()).encode("utf-8", "surrogatepass"))
        state.update(b"\n")
    return state.hexdigest()
