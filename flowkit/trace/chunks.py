"""A journal as text, in chunks that can be read one without another. Each is stored in a ``flowkit.journal`` span.

Most rows of a session are a few kinds of message over and over: microphone frames on their way to VAD and ASR, the
VAD's probabilities, audio on its way to the device. So values are stored by column.

A *step* is one row, together with the rows that pass its message on at once. Steps with the same stage, kind, cause's
stage, fate and followers have the same *shape* and share columns. One letter per step names its shape.

Where a chunk ends depends on the rows alone. So equal journals have equal text, and only they do. The digest of a journal
is the digest of its chunks' text. A chunk is short, because a killed session loses the one that was not written yet.
``decode`` reads the text back; docs/trace-format.md specifies it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, islice
from typing import Any, NamedTuple, TypeAlias

from flowkit.engine import Fate, Row
from flowkit.figures.layout import Layout
from flowkit.messages import Message
from flowkit.trace.columns import WHOLE, packed
from flowkit.trace.names import CHUNK_CHARS, CHUNK_ROWS
from flowkit.trace.rows import FATES, Content, content_of, has_call, size_of, waits

CHUNK_US = 800_000
"""A chunk ends before a row that is handled in the next 800 ms of the session, and after CHUNK_ROWS rows or CHUNK_CHARS
characters of content."""

FIRST_LETTER = ord("a")
"""The letter of the first shape. The other shapes have the characters that follow it in Unicode."""

_Key: TypeAlias = tuple[Any, ...]
"""A shape: stage, kind, cause's stage or an empty string, number of the fate, then the followers."""

_HANDLED = Fate.HANDLED
"""To look it up in the enum would take longer than all that is asked of it."""


class _Form(NamedTuple):
    """Which columns rows of a kind have: their content, and whether they have a wait, a cause and a call."""

    content: Content
    waits: bool
    caused: bool
    called: bool


_FORMS: dict[tuple[type[Message], bool], _Form] = {}


def _form(kind: type[Message], caused: bool) -> _Form:
    """The form of rows of a kind, with or without a cause."""
    if (kind, caused) not in _FORMS:
        _FORMS[kind, caused] = _Form(content_of(kind), waits(kind), caused, has_call(kind, caused=caused))
    return _FORMS[kind, caused]


_Step: TypeAlias = tuple[Any, ...]
"""(time, age, distance, call, content...): when it was handled, how long it had waited, how many rows of the cause's
stage came after the cause, its call, and the values of its message."""


@dataclass(slots=True)
class _Shape:
    """A shape's letter and its steps."""

    letter: str
    form: _Form
    steps: list[_Step] = field(default_factory=list)

    def columns(self, begin_us: int) -> list[Any]:
        """The steps as packed columns, with times counted from `begin_us`.

        Columns at the end are left out if all their values are the defaults. So a field that a later version adds to a
        message does not change the text of journals that do not use it.
        """
        _, waits, caused, called = self.form
        handled_us, lags_us, backs, calls, *columns = zip(*self.steps, strict=True)
        stored = [packed(tuple([at_us - begin_us for at_us in handled_us]), WHOLE)]
        if waits:
            stored.append(packed(lags_us, WHOLE))
        if caused:
            stored.append(packed(backs, WHOLE))
        if called:
            stored.append(packed(calls, WHOLE))
        defaults, count = self.form.content.defaults, len(handled_us)
        while columns and columns[-1] == (defaults[len(columns) - 1],) * count:
            columns.pop()
        return stored + list(map(packed, columns))


@dataclass(slots=True)
class JournalChunk:
    """Consecutive rows of the journal as columns."""

    first: int
    """Number of its first row, counted from 0."""
    begin_us: int
    """When its first row was handled."""
    ns: list[int]
    """How many rows each stage had before it."""
    end_us: int = 0
    """When its last row was handled."""
    # No session has these numbers, so the first step always notes its own epoch and turn.
    epoch: int = -1
    turn: int = -1
    rows: int = 0
    chars: int = 0
    """Length of its content."""
    shapes: dict[_Key, _Shape] = field(default_factory=dict)
    ats: list[tuple[int, int, int]] = field(default_factory=list)
    """(step, epoch, turn): from this step on, epoch and turn have these values."""
    pattern: list[str] = field(default_factory=list)
    """The letter of each step's shape."""

    def fill(self, rows: Sequence[Row], i: int, ns: dict[str, int], *, ending: bool) -> int:
        """Take rows from index `i` on until the chunk is full or there are no more rows.

        Unless the rows are `ending`, the last step is not taken, because the next rows may pass its message on. Counts
        the rows of each stage in `ns`. Returns the index of the first row that was not taken.
        """
        count, until_us, room = len(rows), self._until_us, i + CHUNK_ROWS - self.rows
        while i < count and i < room and self.chars < CHUNK_CHARS and (row := rows[i]).handled_us < until_us:
            behind, n = i + 1, row.n
            while behind < count and (next_row := rows[behind]).cause_n == n and _passes_on(next_row, row):
                behind += 1
            if behind == count and not ending:
                break
            self._take(row, rows[i + 1 : behind], ns)
            i = behind
        return i

    def _take(self, row: Row, followers: Sequence[Row], ns: dict[str, int]) -> None:
        """Add one step: a row, and the rows that pass its message on."""
        stage, _, cause, cause_n, sent_us, now_us, epoch, turn, message, fate, call = row
        ns[stage] += 1
        back = ns[cause] - cause_n if cause else 0
        key: _Key = (stage, type(message), cause, 0 if fate is _HANDLED else FATES.index(fate))
        for follower in followers:
            ns[follower.stage] += 1
            key += (follower.stage,)
        shape = self.shapes.get(key) or self._shape(key)
        content = shape.form.content
        held = content.values(message)
        shape.steps.append((now_us, now_us - sent_us, back, call, *held))
        for text in content.texts:
            self.chars += size_of(held[text])
        if epoch != self.epoch or turn != self.turn:
            self.epoch, self.turn = epoch, turn
            self.ats.append((len(self.pattern), epoch, turn))
        self.pattern.append(shape.letter)
        self.rows += 1 + len(followers)
        self.end_us = now_us

    def full(self, now_us: int) -> bool:
        """Whether a row that is handled at `now_us` belongs to the next chunk."""
        return now_us >= self._until_us or self.rows >= CHUNK_ROWS or self.chars >= CHUNK_CHARS

    @property
    def _until_us(self) -> int:
        """When the next chunk begins at the latest."""
        return (self.begin_us // CHUNK_US + 1) * CHUNK_US

    def _shape(self, key: _Key) -> _Shape:
        """Add a shape."""
        shape = self.shapes[key] = _Shape(chr(FIRST_LETTER + len(self.shapes)), _form(key[1], bool(key[2])))
        return shape

    def copy(self) -> JournalChunk:
        """A copy. The original may grow without changing it."""
        shapes = {key: replace(shape, steps=shape.steps.copy()) for key, shape in self.shapes.items()}
        return replace(self, shapes=shapes, ats=self.ats.copy(), pattern=self.pattern.copy())

    def text(self, layout: Layout) -> str:
        """The chunk as it is stored."""
        shapes = [[_head(key, layout), *shape.columns(self.begin_us)] for key, shape in self.shapes.items()]
        stored = [self.first, self.begin_us, self.ns, self.ats, "".join(self.pattern), shapes]
        text = _AS_IS(stored)
        # A model may emit half a surrogate pair. It cannot be encoded as UTF-8, so the whole text is escaped then.
        return text if _encodable(text) else _ESCAPED(stored)


_AS_IS = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_ESCAPED = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=1024)
def _head(key: _Key, layout: Layout) -> list[Any]:
    """A shape as it is stored: stage, kind, cause's stage plus 1, fate, followers. Trailing zeros are left out."""
    stage, kind, cause, fate, *followers = key
    places = layout.places
    head = [places[stage], kind.__name__, places[cause] + 1 if cause else 0, fate]
    head += [places[follower] for follower in followers]
    while head[-1] == 0 and len(head) > 2 and not followers:
        head.pop()
    return head


class Cutter:
    """Cuts rows into chunks. The result does not depend on how rows are grouped."""

    def __init__(self, layout: Layout) -> None:
        self._held: list[Row] = []
        self._ns = dict.fromkeys(layout.places, 0)
        self._row = 0
        self._open: JournalChunk | None = None

    def add(self, rows: Sequence[Row]) -> Iterator[JournalChunk]:
        """Add rows and yield each chunk that they complete."""
        yield from self._add(rows, ending=False)

    def pending(self) -> list[JournalChunk]:
        """The chunk under way as it is now, in a list, or an empty list. It stays under way."""
        # On a copy, because finishing takes a last step to which rows may still be added.
        twin = copy(self)
        twin._ns, twin._open = self._ns.copy(), self._open.copy() if self._open is not None else None
        return list(twin.finish())

    def finish(self) -> Iterator[JournalChunk]:
        """Yield the remaining chunks."""
        yield from self._add((), ending=True)
        if self._open is not None:
            yield self._closed(self._open)

    def _add(self, rows: Sequence[Row], *, ending: bool) -> Iterator[JournalChunk]:
        rows, self._held = [*self._held, *rows] if self._held else rows, []
        i = 0
        while i < len(rows):
            chunk = self._open or self._begin(rows[i].handled_us)
            end = chunk.fill(rows, i, self._ns, ending=ending)
            self._row += end - i
            i = end
            if i < len(rows) and chunk.full(rows[i].handled_us):
                yield self._closed(chunk)
            elif i < len(rows):
                # A row that passes the last message on may come with the next call.
                self._held = list(rows[i:])
                return

    def _begin(self, now_us: int) -> JournalChunk:
        self._open = JournalChunk(self._row, now_us, list(self._ns.values()))
        return self._open

    def _closed(self, chunk: JournalChunk) -> JournalChunk:
        self._open = None
        return chunk


def digest_of(texts: Iterable[str]) -> str:
    """The blake2b digest of chunk texts, 16 bytes in hex."""
    state = blake2b(digest_size=16)
    for text in texts:
        state.update(text.encode())
        # A separator, so that the same text cut at other places has another digest.
        state.update(b"\n")
    return state.hexdigest()


def journal_digest(rows: Iterable[Row], layout: Layout) -> str:
    """The digest of a whole journal. Only equal journals have equal digests."""
    cutter, rows = Cutter(layout), iter(rows)
    groups = iter(lambda: list(islice(rows, _GROUP)), [])
    chunks = chain(chain.from_iterable(map(cutter.add, groups)), cutter.finish())
    return digest_of(chunk.text(layout) for chunk in chunks)


_GROUP = 10_000
"""How many rows are in memory at once."""


def _passes_on(row: Row, first: Row) -> bool:
    """Whether `row` passes on the message of row `first` at once and unchanged. `row.cause_n` was compared already."""
    _, _, cause, _, sent_us, now_us, epoch, turn, message, fate, call = row
    stage, _, _, _, _, at_us, first_epoch, first_turn, passed, became, _ = first
    return (
        cause == stage
        and sent_us == now_us == at_us
        and epoch == first_epoch
        and turn == first_turn
        and fate is _HANDLED
        and became is _HANDLED
        and not call
        and (message is passed or _same(message, passed))
    )


def _same(a: Message, b: Message) -> bool:
    """Whether two messages are equal and are stored alike. ``1``, ``1.0`` and ``True`` are equal, but not stored alike."""
    return type(a) is type(b) and repr(a) == repr(b)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
