"""The journal: one row for every message at every stage, in the order in which the engine handled them.

A row is appended before the stage handles its message. A message that is dropped, discarded or stale has a row too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple
from zlib import crc32

from flowkit.messages import Message


class Fate(StrEnum):
    """What became of a message."""

    HANDLED = ""
    """The stage handled it."""
    DROPPED = "dropped"
    """The queue was full, and its policy dropped the message."""
    DISCARDED = "discarded"
    """The message waited when its reply was interrupted."""
    STALE = "stale"
    """The message arrived after its call or its epoch had ended."""


class Row(NamedTuple):
    """One message at one stage. All times are microseconds since the session started."""

    stage: str
    n: int
    """Number of the row among the rows of its stage, from 1."""
    cause_stage: str
    """With `cause_n`, the row whose handling sent the message. Empty and 0 for a stimulus, for a timer, and for what the
    engine does by itself."""
    cause_n: int
    sent_us: int
    """When the message was sent; for a stimulus, when it was available."""
    handled_us: int
    """When the stage handled it, or its fate was decided."""
    epoch: int
    turn: int
    message: Message
    fate: Fate
    call: int = 0
    """Number of the provider call that the message came from or went to; 0 if neither."""

    @property
    def kind(self) -> str:
        """The name of the message's class."""
        return type(self.message).__name__

    @property
    def lane(self) -> str:
        """The message's lane: C control, D data, P to a provider."""
        return self.message.lane

    @property
    def cause(self) -> tuple[str, int]:
        """Stage and number of the row that sent the message."""
        return self.cause_stage, self.cause_n

    def plain(self) -> tuple[Any, ...]:
        """The row as JSON-able values: the first six fields, lane, kind, epoch, turn, content, fate, call."""
        content = list(values_of(self.message))
        return (*self[:6], self.lane, self.kind, self.epoch, self.turn, content, self.fate.value, self.call)


_DEFAULTS: dict[type[Message], tuple[Any, ...]] = {}
_fed: tuple[Message | None, bytes] = (None, b"")
"""The item whose bytes were computed last. A frame is fed to the VAD and then to the ASR."""
_VALUES: dict[type[Message], Callable[[Message], tuple[Any, ...]]] = {}


def values_of(message: Message) -> tuple[Any, ...]:
    """The values of a message's fields in order of declaration, without PCM."""
    return values_getter(type(message))(message)


def values_getter(cls: type[Message]) -> Callable[[Message], tuple[Any, ...]]:
    """The function that does ``values_of`` for messages of one class. It is built once per class."""
    if cls not in _VALUES:
        names = [field.name for field in fields(cls) if field.name != "pcm"]
        _VALUES[cls] = attrgetter(*names) if len(names) > 1 else _getter(*names)
    return _VALUES[cls]


def _getter(name: str = "") -> Callable[[Message], tuple[Any, ...]]:
    """What ``attrgetter`` does for several names, for one or none: return a tuple."""
    return (lambda message: (getattr(message, name),)) if name else (lambda message: ())


def item_digest(item: Message, before: int) -> int:
    """The CRC-32 of a series of fed items: that of `item`, continued from `before`, the digest of the items before it."""
    global _fed
    known, content = _fed
    if known is not item:
        content = _content(item)
        _fed = item, content
    return crc32(content, before)


def _content(item: Message) -> bytes:
    """The kind and content of a fed item.

    Trailing fields that have their default are left out. So a field that a later version adds to a message does not
    change the digests of earlier recordings.
    """
    cls, values = type(item), values_of(item)
    if cls not in _DEFAULTS:
        _DEFAULTS[cls] = tuple(field.default for field in fields(cls) if field.name != "pcm")
    defaults = _DEFAULTS[cls]
    while values and values[-1] == defaults[len(values) - 1]:
        values = values[:-1]
    # A model's text may hold half of a surrogate pair, which strict UTF-8 refuses.
    return f"{cls.__name__}{values}".encode("utf-8", "surrogatepass")


class Journal:
    """Rows in order. A reader may ``take`` them while the session runs, so that a long session does not fill the
    memory.

    A row holds its message as it came, with its sound.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        # Bound once, because the engine calls it for every message.
        self.append = self._rows.append
        self.taken = 0

    def __len__(self) -> int:
        return self.taken + len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @property
    def rows(self) -> list[Row]:
        """The rows that have not been taken."""
        return self._rows.copy()

    @property
    def waiting(self) -> int:
        """How many rows have not been taken."""
        return len(self._rows)

    def since(self, count: int) -> list[Row]:
        """The rows after the first `count` of the session. None of these may have been taken."""
        return self._rows[count - self.taken :]

    def newest(self, most: int) -> list[Row]:
        """The last `most` rows that have not been taken, the newest first."""
        return self._rows[: -most - 1 : -1]

    def take(self) -> list[Row]:
        """Return the rows since the last take and remove them from the journal."""
        rows = self._rows.copy()
        self.taken += len(rows)
        # Cleared and not replaced, because `append` is bound to this list.
        self._rows.clear()
        return rows

    def digest(self) -> str:
        """``digest`` of the rows that have not been taken."""
        return digest(self)


def digest(rows: Iterable[Row]) -> str:
    """The blake2b digest of `rows`, 16 bytes in hex. Only equal journals have equal digests."""
    state = blake2b(digest_size=16)
    for row in rows:
        state.update(repr(row.plain()).encode("utf-8", "surrogatepass"))
        # Ends the row, so that the rows of two journals cannot be divided differently and still have the same bytes.
        state.update(b"\n")
    return state.hexdigest()
