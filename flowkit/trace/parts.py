"""Rows to columns: a journal cut into parts, of which ``codec`` makes the text of ``flowkit.journal`` spans.

Most rows of a session are a few kinds of message over and over: microphone frames on their way to VAD and ASR, the VAD's
answers, the voice on its way to the device. So they are kept as columns. Rows of one *shape* (stage, kind, cause's stage, fate)
share columns, and a letter a step says whose turn it is. A step is a row, or one with those that only pass its message on at once.

Where a part ends follows from the rows alone. It is short, for what a session has in it when it is killed is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from flowkit.engine import Fate, Row
from flowkit.figures.layout import Layout
from flowkit.messages import Message
from flowkit.trace.columns import WHOLE, packed
from flowkit.trace.rows import FATES, Content, content_of, has_call, size_of, waits

PART_US = 800_000
PART_ROWS = 1000
PART_CHARS = 40_000
"""A part ends before a row that is handled in the next 800 ms of the session, or behind this many rows or characters of
content."""

FIRST_LETTER = ord("a")
"""The letter of the first shape; the others follow it in Unicode."""

_Key: TypeAlias = tuple[Any, ...]
"""A shape: stage, kind, cause's stage or the empty string, fate's number, then the stages that took the message on."""

_NO_ROW: Any = ("", None, "", 0, 0, 0, 0, 0, None, Fate.HANDLED, 0)
"""Ahead of the first row and behind the last."""


class _Form(NamedTuple):
    """What is kept of rows of a kind: its content, and which columns they have besides."""

    content: Content
    waits: bool
    caused: bool
    called: bool

    @property
    def width(self) -> int:
        """How many columns there are at most."""
        return 1 + self.waits + self.caused + self.called + len(self.content.names)


_FORMS: dict[tuple[type[Message], bool], _Form] = {}


def _form(kind: type[Message], caused: bool) -> _Form:
    if (kind, caused) not in _FORMS:
        _FORMS[kind, caused] = _Form(content_of(kind), waits(kind), caused, has_call(kind, caused=caused))
    return _FORMS[kind, caused]


_Step: TypeAlias = tuple[Any, ...]
"""When it was handled, how long it had been there, how far back its cause is, its call, and what its message holds."""


@dataclass(slots=True)
class _Shape:
    """A shape's letter, and its steps."""

    letter: str
    form: _Form
    steps: list[_Step] = field(default_factory=list)

    def columns(self, begin_us: int) -> list[Any]:
        """Packed, times counted from `begin_us`. The last ones are left out where all have their defaults, so that a field which a
        message gets later changes nothing in what was, and is still, stored."""
        _, waits, caused, called = self.form
        handled_us, lags_us, backs, calls, *columns = zip(*self.steps, strict=True)
        told = [packed(tuple([at_us - begin_us for at_us in handled_us]), WHOLE)]
        if waits:
            told.append(packed(lags_us, WHOLE))
        if caused:
            told.append(packed(backs, WHOLE))
        if called:
            told.append(packed(calls, WHOLE))
        defaults, count = self.form.content.defaults, len(handled_us)
        while columns and columns[-1] == (defaults[len(columns) - 1],) * count:
            columns.pop()
        return told + list(map(packed, columns))


@dataclass(slots=True)
class Part:
    """Rows of the journal as columns: `rows` rows from number `first` on (counted from 0), handled from `begin_us` to `end_us`.
    `ns`: rows before it, by stage; `ats`: the steps from which on epoch and turn are others; `chars`: length of its content."""

    first: int
    begin_us: int
    ns: list[int]
    end_us: int = 0
    epoch: int = -1
    turn: int = -1
    rows: int = 0
    chars: int = 0
    shapes: dict[_Key, _Shape] = field(default_factory=dict)
    ats: list[tuple[int, int, int]] = field(default_factory=list)
    pattern: list[str] = field(default_factory=list)

    def fill(self, rows: Sequence[Row], i: int, ns: dict[str, int], *, ending: bool) -> int:
        """Take rows from number `i` on until this is full, or there are no more; unless they are `ending`, the last step waits for
        rows that may pass its message on. Counts the rows in `ns`; returns the number of the first row that was not taken."""
        shapes, letters, first, end_us = self.shapes, self.pattern, i, self.end_us
        until_us, room, last_epoch, last_turn = self._until_us, i + PART_ROWS - self.rows, self.epoch, self.turn
        # The row that began the step under way, in the order of a row: whoever passes its message on names it as the cause.
        by, by_n, above, above_n, came_us, at_us, in_epoch, in_turn, passed, became, of_call = _NO_ROW
        followers: tuple[str, ...] = ()
        handled = Fate.HANDLED  # looking it up in the enum takes longer than all that is asked of it
        for row in chain(rows[i:] if i else rows, (_NO_ROW,) if ending else ()):
            stage, n, cause, cause_n, sent_us, now_us, epoch, turn, message, fate, call = row
            if (
                cause_n == by_n
                and cause == by
                and sent_us == now_us == at_us
                and epoch == in_epoch
                and turn == in_turn
                and fate is handled
                and became is handled
                and not call
                and (message is passed or _same(message, passed))
            ):
                followers = (*followers, stage)
                continue
            if by_n is not None:  # the step is whole
                ns[by] += 1
                back = ns[above] - above_n if above else 0
                key: _Key = (by, type(passed), above, 0 if became is handled else FATES.index(became))
                if followers:
                    for follower in followers:
                        ns[follower] += 1
                    key, followers = key + followers, ()
                shape = shapes.get(key) or self._shape(key)
                content = shape.form.content
                held = content.values(passed)
                shape.steps.append((at_us, at_us - came_us, back, of_call, *held))
                if content.texts:
                    self.chars += sum([size_of(held[text]) for text in content.texts])
                if in_epoch != last_epoch or in_turn != last_turn:
                    last_epoch, last_turn = in_epoch, in_turn
                    self.ats.append((len(letters), in_epoch, in_turn))
                letters.append(shape.letter)
                i, end_us = i + len(key) - 3, at_us
            if now_us >= until_us or i >= room or self.chars >= PART_CHARS:
                break
            by, by_n, above, above_n, came_us, at_us = stage, n, cause, cause_n, sent_us, now_us
            in_epoch, in_turn, passed, became, of_call = epoch, turn, message, fate, call
        self.rows, self.end_us, self.epoch, self.turn = self.rows + i - first, end_us, last_epoch, last_turn
        return i

    def full(self, now_us: int) -> bool:
        """Whether a row that is handled at `now_us` belongs into the next one."""
        return now_us >= self._until_us or self.rows >= PART_ROWS or self.chars >= PART_CHARS

    def values(self) -> int:
        """How many numbers and characters it holds."""
        return self.chars + sum([len(shape.steps) * shape.form.width for shape in self.shapes.values()])

    @property
    def _until_us(self) -> int:
        """When the next part begins at the latest."""
        return (self.begin_us // PART_US + 1) * PART_US

    def _shape(self, key: _Key) -> _Shape:
        """A new shape."""
        shape = self.shapes[key] = _Shape(self._next_letter(), _form(key[1], bool(key[2])))
        return shape

    def _next_letter(self) -> str:
        return chr(FIRST_LETTER + len(self.shapes))

    def join(self, part: Part) -> None:
        """Take the rows of the part that follows this one. Column by column: no row is looked at."""
        steps, letters = len(self.pattern), dict[str, str]()
        for key, shape in part.shapes.items():
            own = self.shapes.get(key)
            if own is None:
                own = self.shapes[key] = _Shape(self._next_letter(), shape.form)
            own.steps.extend(shape.steps)
            letters[shape.letter] = own.letter
        goes_on = part.ats[0][1:] == (self.epoch, self.turn)
        self.ats.extend([(steps + step, epoch, turn) for step, epoch, turn in part.ats[goes_on:]])
        self.pattern.extend([letters[letter] for letter in part.pattern])
        self.rows, self.chars = self.rows + part.rows, self.chars + part.chars
        self.end_us, self.epoch, self.turn = part.end_us, part.epoch, part.turn

    def copy(self) -> Part:
        """One that may grow while this does not."""
        shapes = {key: replace(shape, steps=shape.steps.copy()) for key, shape in self.shapes.items()}
        return replace(self, shapes=shapes, ats=self.ats.copy(), pattern=self.pattern.copy())

    def text(self, layout: Layout) -> str:
        """As it is stored."""
        shapes = [[_head(key, layout), *shape.columns(self.begin_us)] for key, shape in self.shapes.items()]
        told = [self.first, self.begin_us, self.ns, self.ats, "".join(self.pattern)]
        text = self._json(_AS_IS, told, shapes)
        # Half a surrogate pair, which a model may well emit, has no UTF-8.
        return text if _storable(text) else self._json(_ESCAPED, told, shapes)

    def _json(self, encode: Callable[[Any], str], told: list[Any], shapes: list[list[Any]]) -> str:
        if self.rows <= PART_ROWS:
            return encode([*told, shapes])
        # A column at a time: no other thread runs while JSON is made of what is asked for at once.
        texts = [f"[{','.join(map(encode, shape))}]" for shape in shapes]
        return f"{encode(told)[:-1]},[{','.join(texts)}]]"


_AS_IS = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_ESCAPED = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=1024)
def _head(key: _Key, layout: Layout) -> list[Any]:
    """A shape as stored: stage, kind, cause's stage plus 1, fate, followers; zeros at the end left out."""
    stage, kind, cause, fate, *followers = key
    places = layout.places
    above, behind = places[cause] + 1 if cause else 0, [places[follower] for follower in followers]
    head = [places[stage], kind.__name__, above, fate, *behind]
    while head[-1] == 0 and len(head) > 2 and not followers:
        head.pop()
    return head


class Cutter:
    """Takes rows as they come and gives parts as they fill. How the rows are dealt out makes no difference."""

    def __init__(self, layout: Layout) -> None:
        self._held: list[Row] = []
        self._ns = dict.fromkeys(layout.places, 0)
        self._row = 0
        self._open: Part | None = None

    def add(self, rows: Sequence[Row]) -> Iterator[Part]:
        """Take rows; yields each part that is full."""
        yield from self._add(rows, ending=False)

    def pending(self) -> list[Part]:
        """The part under way as far as it goes, in a list, or none. It stays under way."""
        twin = copy(self)
        twin._ns, twin._open = self._ns.copy(), self._open.copy() if self._open is not None else None
        return list(twin.finish())

    def finish(self) -> Iterator[Part]:
        """The last parts."""
        yield from self._add((), ending=True)
        if self._open is not None:
            yield self._closed(self._open)

    def _add(self, rows: Sequence[Row], *, ending: bool) -> Iterator[Part]:
        rows, self._held = [*self._held, *rows] if self._held else rows, []
        i = 0
        while i < len(rows):
            part = self._open or self._begin(rows[i].handled_us)
            behind = part.fill(rows, i, self._ns, ending=ending)
            self._row += behind - i
            i = behind
            if i < len(rows) and part.full(rows[i].handled_us):
                yield self._closed(part)
            elif i < len(rows):
                # Whoever passes the last one on may follow in the next hand-over.
                self._held = list(rows[i:])
                return

    def _begin(self, now_us: int) -> Part:
        self._open = Part(self._row, now_us, list(self._ns.values()))
        return self._open

    def _closed(self, part: Part) -> Part:
        self._open = None
        return part


def _same(a: Message, b: Message) -> bool:
    """Equal, and stored alike; 1, 1.0 and True are equal too."""
    return type(a) is type(b) and repr(a) == repr(b)


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
