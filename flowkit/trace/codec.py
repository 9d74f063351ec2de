"""Rows to text and back: how a journal is written into the attributes of ``flowkit.journal`` spans.

Text is cut into chunks, each readable without the others. Where they are cut follows from the rows alone (700 ms of the
session, or so many rows), so equal journals and only they have equal text, and the digest of a journal is that of its text.
The field-by-field specification is in docs/trace-format.md.

Most rows of a session are microphone frames on their way to VAD and ASR, and the VAD's answers. Such a *quiet* stretch is stored
as one entry with columns; everything else as an entry a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, compress
from operator import sub
from typing import Any, NamedTuple

from flowkit.errors import TraceError
from flowkit.messages import Credit, Frames, Message, Probability
from flowkit.trace.layout import Layout
from flowkit.trace.rows import FATES, RowTuple, kind_named, message_of, stored_content

CHUNK_US = 700_000
CHUNK_ROWS = 1000
CHUNK_CHARS = 40_000
"""A chunk ends before a row that is handled in the next 700 ms of the session, or behind this many rows or characters
of content, so that no line comes near the 1 MiB that readers accept."""


class Chunk(NamedTuple):
    """A stretch of the journal: `rows` rows from number `first` on (counted from 0), handled from `begin_us` to `end_us`."""

    number: int
    first: int
    rows: int
    begin_us: int
    end_us: int
    text: str


@dataclass(slots=True)
class Quiet:
    """A quiet stretch. `pattern` has a letter a step: F a frame that source and all its followers took, P a probability,
    C a credit; `handled_us` and `available_us` are the steps' times. `ns`: rows before it, by stage."""

    wiring: Wiring
    ns: list[int]
    epoch: int
    turn: int
    frame: int
    answered: int
    pattern: str
    handled_us: list[int]
    available_us: list[int]
    ps: list[float]
    credits: list[int]
    tally: list[tuple[int, int]]
    """How many rows it has, by stage."""

    @property
    def count(self) -> int:
        """How many rows it has."""
        return sum(count for _, count in self.tally)

    def times(self, step: str, times: list[int]) -> Iterator[int]:
        """Those of `times` (`handled_us` or `available_us`) that belong to steps of that letter."""
        return compress(times, map(step.__eq__, self.pattern))

    def rows(self) -> Iterator[RowTuple]:
        """The rows, one by one."""
        wiring, ns, frame, answered = self.wiring, list(self.ns), self.frame, self.answered
        ps, credits = iter(self.ps), iter(self.credits)
        for step, now_us, sent_us in zip(self.pattern, self.handled_us, self.available_us, strict=True):
            message: Message
            if step == "F":
                message, stage, frame = Frames(frame, 1), wiring.source, frame + 1
            elif step == "P":
                message, stage, answered = Probability(answered, next(ps)), wiring.vad, answered + 1
            else:
                stage, message = next(credits), Credit(next(credits))
            ns[stage] += 1
            name = wiring.ids[stage]
            yield (name, ns[stage], "", 0, sent_us, now_us, message.lane, self.epoch, self.turn, message, "")
            if step == "F":
                cause = ns[stage]
                for follower in wiring.followers:
                    ns[follower] += 1
                    to = wiring.ids[follower]
                    yield (to, ns[follower], name, cause, now_us, now_us, "D", self.epoch, self.turn, message, "")


def rows_of(items: Iterable[RowTuple | Quiet]) -> Iterator[RowTuple]:
    """Every row, one by one."""
    for item in items:
        if isinstance(item, Quiet):
            yield from item.rows()
        else:
            yield item


class Wiring(NamedTuple):
    """The part of a layout that the codec needs: stage ids, and the indexes of the source, of who takes its frames, of the VAD."""

    ids: tuple[str, ...]
    places: dict[str, int]
    source: int
    followers: tuple[int, ...]
    vad: int


@lru_cache(maxsize=16)
def wiring_of(layout: Layout) -> Wiring:
    """The wiring of a layout."""
    ids = tuple(id_ for id_, _ in layout.kinds)
    index = {id_: i for i, id_ in enumerate(ids)}
    source = layout.only("mic")
    followers = sorted({index[e.stage] for e in layout.edges if e.source == source and e.port == "audio"})
    return Wiring(ids, index, index.get(source, -1), tuple(followers), index.get(layout.only("vad"), -1))


# -- writing -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """The chunk under way: what its entries refer to, and the entries."""

    first: int
    begin_us: int
    ns: list[int]
    now_us: int
    until_us: int
    at: tuple[int, int] = (-1, -1)
    rows: int = 0
    chars: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    entries: list[list[Any]] = field(default_factory=list)


class Encoder:
    """Takes rows as they come and gives chunks as they fill."""

    def __init__(self, layout: Layout) -> None:
        self._wiring = wiring_of(layout)
        self._source = self._wiring.ids[self._wiring.source] if self._wiring.source >= 0 else ""
        self._held: list[RowTuple] = []
        self._ending = False
        self._ns = [0] * len(self._wiring.ids)
        self._row = 0
        self._number = 0
        self._open: _Open | None = None
        self._quiet: list[Any] | None = None

    def add(self, rows: Sequence[RowTuple]) -> Iterator[Chunk]:
        """Take rows; yields each chunk that is full. How the rows are dealt out makes no difference."""
        rows, self._held = [*self._held, *rows] if self._held else rows, []
        i, count = 0, len(rows)
        last_whole = count if self._ending else count - len(self._wiring.followers)
        while i < count:
            row = rows[i]
            if i >= last_whole and row[0] == self._source:
                # Whoever takes the source's frame may follow in the next hand-over.
                self._held = list(rows[i:])
                return
            chunk = self._open
            if chunk is not None and (
                row[5] >= chunk.until_us or chunk.rows >= CHUNK_ROWS or chunk.chars >= CHUNK_CHARS
            ):
                yield self._closed()
                chunk = None
            chunk = chunk or self._begin(row[5])
            taken = self._take(chunk, rows, i)
            chunk.now_us = row[5]
            chunk.rows += taken
            self._row += taken
            i += taken

    def pending(self) -> Chunk | None:
        """The chunk under way as far as it goes, or None. It stays under way and keeps its number."""
        chunk = self._open
        if chunk is None:
            return None
        quiet, self._quiet = self._quiet, None
        text = self._text(chunk)
        self._quiet = quiet
        return Chunk(self._number, chunk.first, chunk.rows, chunk.begin_us, chunk.now_us, text)

    def finish(self) -> Iterator[Chunk]:
        """The last chunks."""
        self._ending = True
        yield from self.add(())
        if self._open is not None:
            yield self._closed()

    def _begin(self, now_us: int) -> _Open:
        self._open = _Open(self._row, now_us, list(self._ns), now_us, (now_us // CHUNK_US + 1) * CHUNK_US)
        return self._open

    def _closed(self) -> Chunk:
        chunk = self.pending()
        assert chunk is not None
        self._open = self._quiet = None
        self._number += 1
        return chunk

    def _text(self, chunk: _Open) -> str:
        stored = [chunk.first, chunk.begin_us, chunk.ns, list(chunk.kinds), [_packed(entry) for entry in chunk.entries]]
        text = json.dumps(stored, separators=(",", ":"), ensure_ascii=False)
        # Half a surrogate pair, which a model may well emit, has no UTF-8.
        return text if _storable(text) else json.dumps(stored, separators=(",", ":"))

    def _take(self, chunk: _Open, rows: Sequence[RowTuple], i: int) -> int:
        """Store the row at `i`, with those that go with it; returns how many."""
        row = rows[i]
        stage = self._wiring.places[row[0]]
        if row[2] == "" and row[10] == "":
            message = row[9]
            kind = type(message)
            if kind is Frames and stage == self._wiring.source and (taken := self._followed(rows, i)):
                self._step(chunk, row, "F", message.index, None)  # type: ignore[attr-defined]
                for member in (stage, *self._wiring.followers):
                    self._ns[member] += 1
                return taken
            if kind is Probability and stage == self._wiring.vad:
                self._step(chunk, row, "P", message.frame, [message.p])  # type: ignore[attr-defined]
                self._ns[stage] += 1
                return 1
            if kind is Credit:
                self._step(chunk, row, "C", None, [stage, message.count])  # type: ignore[attr-defined]
                self._ns[stage] += 1
                return 1
        self._entry(chunk, row, stage)
        return 1

    def _followed(self, rows: Sequence[RowTuple], i: int) -> int:
        """How many rows a frame and its followers are, if they are just what follows from the frame; else 0."""
        first = rows[i]
        frames: Frames = first[9]  # type: ignore[assignment]
        followers, ids = self._wiring.followers, self._wiring.ids
        if frames.count != 1 or not followers or i + len(followers) >= len(rows):
            return 0
        expected = (first[0], first[1], first[5], first[5], "D", first[7], first[8])
        for follower in followers:
            i += 1
            row = rows[i]
            if row[2:9] != expected or row[0] != ids[follower] or type(row[9]) is not Frames or row[10] != "":
                return 0
            if row[9].index != frames.index or row[9].count != 1:
                return 0
        return 1 + len(followers)

    def _step(self, chunk: _Open, row: RowTuple, step: str, place: int | None, values: list[Any] | None) -> None:
        """Add a step to the quiet stretch under way, or begin one."""
        at = (row[7], row[8])
        quiet = self._quiet
        column = 3 if step == "F" else 4
        if quiet is None or chunk.at != at or (place is not None and quiet[column] not in (None, place)):
            quiet = self._quiet = [-1, self._at(chunk, at), [None, None], None, None, [], [], [], [], []]
            chunk.entries.append(quiet)
        if place is not None:
            if quiet[column] is None:
                quiet[2][column - 3] = place
            quiet[column] = place + 1
        quiet[5].append(step)
        quiet[6].append(row[5] - chunk.now_us)
        quiet[7].append(row[5] - row[4])
        chunk.now_us = row[5]
        if values is not None:
            quiet[8 if step == "P" else 9] += values

    def _entry(self, chunk: _Open, row: RowTuple, stage: int) -> None:
        _, _, cause, cause_n, sent_us, now_us, _, epoch, turn, message, fate = row
        self._quiet = None
        self._ns[stage] += 1
        cause_stage = self._index(cause) + 1 if cause else 0
        back = self._ns[cause_stage - 1] - cause_n if cause else 0
        kind = chunk.kinds.setdefault(type(message).__name__, len(chunk.kinds))
        stored = stored_content(message)
        at = self._at(chunk, (epoch, turn))
        entry = [stage, kind, now_us - chunk.now_us, now_us - sent_us, cause_stage, back, at, stored]
        chunk.entries.append([*entry, FATES.index(fate)] if fate else entry)
        chunk.chars += sum(len(value) for value in stored if isinstance(value, str | tuple))

    @staticmethod
    def _at(chunk: _Open, at: tuple[int, int]) -> Any:
        """Epoch and turn, or 0 where they are those of the entry before."""
        if chunk.at == at:
            return 0
        chunk.at = at
        return list(at)

    def _index(self, stage: str) -> int:
        return self._wiring.places[stage]


def _packed(entry: list[Any]) -> list[Any]:
    """A quiet stretch as stored; a column of zeros is a single 0."""
    if entry[0] != -1:
        return entry
    _, at, places, _, _, steps, deltas, lags, ps, credits = entry
    return [-1, at, *places, "".join(steps), deltas, lags if any(lags) else 0, ps, credits]


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


# -- reading -----------------------------------------------------------------------------------------------------------


def decode(text: str, layout: Layout) -> Iterator[RowTuple | Quiet]:
    """The rows and quiet stretches of a chunk's text. Raises TraceError if it is not one."""
    try:
        _, begin_us, ns, kinds, entries = json.loads(text)
        yield from _Decoder(wiring_of(layout), begin_us, list(ns), [kind_named(name) for name in kinds]).items(entries)
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

    def items(self, entries: list[Any]) -> Iterator[RowTuple | Quiet]:
        """Rows and quiet stretches in order."""
        for entry in entries:
            yield self._quiet(*entry) if entry[0] == -1 else self._row(*entry)

    def _place(self, at: Any) -> tuple[int, int]:
        if at != 0:
            epoch, turn = at
            self._at = (int(epoch), int(turn))
        return self._at

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
        if min(stage, kind, delta_us, cause, fate) < 0:
            raise ValueError("a negative number where none can be")
        self._now_us += delta_us
        self._ns[stage] += 1
        message = message_of(self._kinds[kind], stored)
        ids, now_us = self._wiring.ids, self._now_us
        cause_stage, cause_n = (ids[cause - 1], self._ns[cause - 1] - back) if cause else ("", 0)
        epoch, turn = self._place(at)
        sent_us = now_us - lag_us
        return (
            ids[stage], self._ns[stage], cause_stage, cause_n, sent_us, now_us, message.lane, epoch, turn, message, FATES[fate]
        )  # fmt: skip

    def _quiet(
        self,
        _: int,
        at: Any,
        frame: Any,
        answered: Any,
        pattern: str,
        deltas: list[int],
        lags: Any,
        ps: Any,
        credits: Any,
    ) -> Quiet:
        epoch, turn = self._place(at)
        frames, answers = pattern.count("F"), pattern.count("P")
        credited = len(pattern) - frames - answers
        lengths = (len(deltas), len(lags or deltas), len(ps), len(credits))
        if not pattern or lengths != (len(pattern), len(pattern), answers, 2 * credited) or min(deltas) < 0:
            raise ValueError("a quiet stretch's columns do not fit its pattern")
        if not set(map(type, ps)) <= _NUMBERS or not set(map(type, lags or ())) <= _WHOLE:
            raise ValueError("a quiet stretch's columns hold something else")
        handled_us = list(accumulate(deltas, initial=self._now_us))
        del handled_us[0]
        available_us = list(map(sub, handled_us, lags)) if lags else handled_us
        tally = self._tally(frames, answers, credits)
        ns = self._ns.copy()
        frame, answered = frame or 0, answered or 0
        quiet = Quiet(
            self._wiring, ns, epoch, turn, frame, answered, pattern, handled_us, available_us, ps, credits, tally
        )
        self._now_us = handled_us[-1]
        for stage, count in tally:
            self._ns[stage] += count
        return quiet

    def _tally(self, frames: int, answers: int, credits: list[int]) -> list[tuple[int, int]]:
        wiring = self._wiring
        tally = dict.fromkeys((wiring.source, *wiring.followers), frames) if frames else {}
        if answers:
            tally[wiring.vad] = tally.get(wiring.vad, 0) + answers
        for stage in credits[::2]:
            tally[stage] = tally.get(stage, 0) + 1
        return list(tally.items())


_NUMBERS, _WHOLE = {int, float}, {int}
