"""Rows to text: how a journal is written into the attributes of ``flowkit.journal`` spans. ``stretch`` reads it back.

Text is cut into chunks, each readable without the others. Where they are cut follows from the rows alone (700 ms of the
session, or so many rows), so equal journals and only they have equal text, and the digest of a journal is that of its text.
The field-by-field specification is in docs/trace-format.md.

Most rows of a session are a few kinds of message over and over: microphone frames on their way to VAD and ASR, the VAD's
answers, the voice on its way to the device. So a chunk is kept as columns. Rows of one *shape* (stage, kind, cause's stage, fate)
share columns, and a letter a step says whose turn it is. A step is a row, or one with those that only pass its message on at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from flowkit.messages import Message
from flowkit.trace.columns import packed
from flowkit.trace.layout import Layout
from flowkit.trace.rows import FATES, RowTuple, content_of
from flowkit.trace.wiring import wiring_of

CHUNK_US = 700_000
CHUNK_ROWS = 1000
CHUNK_CHARS = 40_000
"""A chunk ends before a row that is handled in the next 700 ms of the session, or behind this many rows or characters
of content, so that no line comes near the 1 MiB that readers accept."""

FIRST_LETTER = ord("a")
"""The letter of a chunk's first shape; the others follow it in Unicode."""

_Key: TypeAlias = tuple[Any, ...]
"""A shape: stage, kind, cause's stage or the empty string, fate's number, then the stages that took the message on."""


class Chunk(NamedTuple):
    """A stretch of the journal: `rows` rows from number `first` on (counted from 0), handled from `begin_us` to `end_us`."""

    number: int
    first: int
    rows: int
    begin_us: int
    end_us: int
    text: str


class _Shape(NamedTuple):
    """A shape's letter, and its columns as they grow: when its rows were handled, counted from the chunk's beginning, how long
    they had been there, how far back their causes are, and their contents, a tuple a row."""

    letter: str
    handled_us: list[int]
    lags_us: list[int]
    backs: list[int]
    values: list[tuple[Any, ...]]
    values_of: Callable[[Message], tuple[Any, ...]]
    texts: tuple[int, ...]
    defaults: tuple[Any, ...]

    def columns(self) -> list[Any]:
        """Packed; the last ones left out where all have their defaults, so that a field which a message gets later changes nothing
        in what was, and is still, stored."""
        columns: list[Any] = list(zip(*self.values, strict=True))
        while columns and columns[-1] == (self.defaults[len(columns) - 1],) * len(self.values):
            columns.pop()
        told = [self.handled_us, self.lags_us, self.backs] if self.backs else [self.handled_us, self.lags_us]
        return [packed(column) for column in (*map(tuple, told), *columns)]

    def copy(self) -> _Shape:
        """One that may grow while this does not."""
        handled_us, lags_us, backs = self.handled_us.copy(), self.lags_us.copy(), self.backs.copy()
        return self._replace(handled_us=handled_us, lags_us=lags_us, backs=backs, values=self.values.copy())


@dataclass(slots=True)
class _Open:
    """The chunk under way. `ns`: rows before it, by stage; `ats`: the steps from which on epoch and turn are others."""

    first: int
    begin_us: int
    ns: list[int]
    until_us: int
    end_us: int = 0
    epoch: int = -1
    turn: int = -1
    rows: int = 0
    chars: int = 0
    shapes: dict[_Key, _Shape] = field(default_factory=dict)
    ats: list[tuple[int, int, int]] = field(default_factory=list)
    pattern: list[str] = field(default_factory=list)

    def fill(self, rows: Sequence[RowTuple], i: int, ns: dict[str, int], *, ending: bool) -> int:
        """Take rows from number `i` on until this is full, or there are no more; unless they are `ending`, the last step waits for
        rows that may pass its message on. Counts the rows in `ns`; returns the number of the first row that was not taken."""
        shapes, letters, begin_us, count, first = self.shapes, self.pattern, self.begin_us, len(rows), i
        until_us, room, last_epoch, last_turn = self.until_us, i + CHUNK_ROWS - self.rows, self.epoch, self.turn
        while i < count:
            stage, n, cause, cause_n, sent_us, now_us, _, epoch, turn, message, fate = rows[i]
            if now_us >= until_us or i >= room or self.chars >= CHUNK_CHARS:
                break
            behind = i + 1
            if behind < count and rows[behind][3] == n and rows[behind][2] == stage:
                behind = _passed_on(rows, i)
            if behind == count and not ending:
                break
            ns[stage] += 1
            key: _Key = (stage, type(message), cause, FATES.index(fate) if fate else 0)
            back = ns[cause] - cause_n if cause else 0
            if behind > i + 1:
                for row in rows[i + 1 : behind]:
                    ns[row[0]] += 1
                    key = (*key, row[0])
            letter, handled_us, lags_us, backs, values, values_of, texts, _ = shapes.get(key) or self.shape(key)
            handled_us.append(now_us - begin_us)
            lags_us.append(now_us - sent_us)
            if cause:
                backs.append(back)
            values.append(held := values_of(message))
            if texts:
                self.chars += sum([len(held[text]) for text in texts])
            if epoch != last_epoch or turn != last_turn:
                last_epoch, last_turn = epoch, turn
                self.ats.append((len(letters), epoch, turn))
            letters.append(letter)
            i = behind
        if i > first:
            self.rows, self.end_us, self.epoch, self.turn = self.rows + i - first, rows[i - 1][5], last_epoch, last_turn
        return i

    def full(self, now_us: int) -> bool:
        """Whether a row that is handled at `now_us` belongs into the next one."""
        return now_us >= self.until_us or self.rows >= CHUNK_ROWS or self.chars >= CHUNK_CHARS

    def shape(self, key: _Key) -> _Shape:
        """A new shape."""
        letter = chr(FIRST_LETTER + len(self.shapes))
        content = content_of(key[1])
        shape = self.shapes[key] = _Shape(letter, [], [], [], [], content.values, content.texts, content.defaults)
        return shape

    def copy(self) -> _Open:
        """One that may grow while this does not."""
        shapes = {key: shape.copy() for key, shape in self.shapes.items()}
        return replace(self, shapes=shapes, ats=self.ats.copy(), pattern=self.pattern.copy())

    def text(self, places: dict[str, int]) -> str:
        """As it is stored, stages by their places."""
        shapes = [[_head(key, places), *shape.columns()] for key, shape in self.shapes.items()]
        stored = [self.first, self.begin_us, self.ns, self.ats, "".join(self.pattern), shapes]
        text = json.dumps(stored, separators=(",", ":"), ensure_ascii=False)
        # Half a surrogate pair, which a model may well emit, has no UTF-8.
        return text if _storable(text) else json.dumps(stored, separators=(",", ":"))


def _head(key: _Key, places: dict[str, int]) -> list[Any]:
    """A shape as stored: stage, kind, cause's stage plus 1, fate, followers; zeros at the end left out."""
    stage, kind, cause, fate, *followers = key
    head = [
        places[stage],
        kind.__name__,
        places[cause] + 1 if cause else 0,
        fate,
        *(places[stage] for stage in followers),
    ]
    while head[-1] == 0 and len(head) > 2 and not followers:
        head.pop()
    return head


class Encoder:
    """Takes rows as they come and gives chunks as they fill."""

    def __init__(self, layout: Layout) -> None:
        self._places = wiring_of(layout).places
        self._held: list[RowTuple] = []
        self._ns = dict.fromkeys(self._places, 0)
        self._row = 0
        self._number = 0
        self._open: _Open | None = None

    def add(self, rows: Sequence[RowTuple]) -> Iterator[Chunk]:
        """Take rows; yields each chunk that is full. How the rows are dealt out makes no difference."""
        yield from self._add(rows, ending=False)

    def pending(self) -> list[Chunk]:
        """The chunk under way as far as it goes, or none; two, if the last row is of the next. They stay under way and keep their
        numbers."""
        twin = copy(self)
        twin._ns, twin._open = self._ns.copy(), self._open.copy() if self._open is not None else None
        return list(twin.finish())

    def finish(self) -> Iterator[Chunk]:
        """The last chunks."""
        yield from self._add((), ending=True)
        if self._open is not None:
            yield self._closed(self._open)

    def _add(self, rows: Sequence[RowTuple], *, ending: bool) -> Iterator[Chunk]:
        rows, self._held = [*self._held, *rows] if self._held else rows, []
        i = 0
        while i < len(rows):
            chunk = self._open or self._begin(rows[i][5])
            behind = chunk.fill(rows, i, self._ns, ending=ending)
            self._row += behind - i
            i = behind
            if i < len(rows) and chunk.full(rows[i][5]):
                yield self._closed(chunk)
            elif i < len(rows):
                # Whoever passes the last one on may follow in the next hand-over.
                self._held = list(rows[i:])
                return

    def _begin(self, now_us: int) -> _Open:
        until_us = (now_us // CHUNK_US + 1) * CHUNK_US
        self._open = _Open(self._row, now_us, list(self._ns.values()), until_us)
        return self._open

    def _closed(self, chunk: _Open) -> Chunk:
        self._open = None
        self._number += 1
        text = chunk.text(self._places)
        return Chunk(self._number - 1, chunk.first, chunk.rows, chunk.begin_us, chunk.end_us, text)


def _passed_on(rows: Sequence[RowTuple], i: int) -> int:
    """Behind the rows that follow row `i` at once, were caused by it, and carry its message at its time, epoch and turn."""
    stage, n, _, _, _, now_us, lane, epoch, turn, message, fate = rows[i]
    passed, behind = (stage, n, now_us, now_us, lane, epoch, turn), i + 1
    while not fate and behind < len(rows):
        row = rows[behind]
        if row[2:9] != passed or row[10] or not (row[9] is message or _same(row[9], message)):
            break
        behind += 1
    return behind


def _same(a: Message, b: Message) -> bool:
    """Equal, and stored alike; 1, 1.0 and True are equal too."""
    return type(a) is type(b) and repr(a) == repr(b)


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def digest_of(texts: Iterable[str]) -> str:
    """blake2b of chunk texts, 16 bytes in hex."""
    state = blake2b(digest_size=16)
    for text in texts:
        state.update(text.encode())
        state.update(b"\n")
    return state.hexdigest()


def journal_digest(rows: Sequence[RowTuple], layout: Layout) -> str:
    """The digest of a whole journal: equal journals and only they have equal digests."""
    encoder = Encoder(layout)
    chunks = [*encoder.add(rows), *encoder.finish()]
    return digest_of(chunk.text for chunk in chunks)
