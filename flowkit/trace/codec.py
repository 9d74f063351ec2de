"""A journal's text: chunks, each readable without the others, as ``flowkit.journal`` spans hold them. ``decode`` reads it back.

A chunk is some parts joined. Parts are short, so that little is lost with a killed session; chunks are long, for much of what each
costs to keep and to read is the same however many rows it has. Where they end follows from the rows alone, so equal journals, and
only they, have equal text, and the digest of a journal is that of its chunks' text. docs/trace-format.md specifies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import NamedTuple

from flowkit.engine import Row
from flowkit.figures.layout import Layout
from flowkit.trace.parts import PART_US, Cutter, Part

CHUNK_US = 80 * PART_US
CHUNK_ROWS = 20_000
CHUNK_VALUES = 40_000
CHUNK_SHAPES = 1000
CHUNK_EPOCHS = 1000
"""A chunk ends before a part that begins in the next 64 s of the session, or with which it would have more than this many rows,
shapes, changes of epoch or turn, or numbers and characters of content: in a line a number takes up to 25 bytes and a character up
to 14, and readers accept 1 MiB."""


class JournalChunk(NamedTuple):
    """A stretch of the journal: `rows` rows from number `first` on (counted from 0), handled from `begin_us` to `end_us`."""

    number: int
    first: int
    rows: int
    begin_us: int
    end_us: int
    text: str


class Joiner:
    """Takes parts in order and gives chunks as they fill. The parts are its own from then on: it joins them to one another."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._number = 0
        self._open: Part | None = None
        self._values = 0

    def add(self, part: Part) -> JournalChunk | None:
        """Take a part; returns the chunk before it, if that is full."""
        values = part.values()
        if self._open is not None and _fits(self._open, part) and self._values + values <= CHUNK_VALUES:
            self._open.join(part)
            self._values += values
            return None
        full, self._open, self._values = self._open, part, values
        return None if full is None else self._chunk(full)

    def finish(self) -> JournalChunk | None:
        """The last chunk."""
        last, self._open = self._open, None
        return None if last is None else self._chunk(last)

    def _chunk(self, joined: Part) -> JournalChunk:
        self._number += 1
        text = joined.text(self._layout)
        return JournalChunk(self._number - 1, joined.first, joined.rows, joined.begin_us, joined.end_us, text)


def _fits(chunk: Part, part: Part) -> bool:
    return (
        part.begin_us // CHUNK_US == chunk.begin_us // CHUNK_US
        and chunk.rows + part.rows <= CHUNK_ROWS
        and len(chunk.shapes) + len(part.shapes) <= CHUNK_SHAPES
        and len(chunk.ats) + len(part.ats) <= CHUNK_EPOCHS
    )


class Encoder:
    """Takes rows as they come and gives chunks as they fill, for whoever has no use for parts."""

    def __init__(self, layout: Layout) -> None:
        self._cutter = Cutter(layout)
        self._joiner = Joiner(layout)

    def add(self, rows: Sequence[Row]) -> Iterator[JournalChunk]:
        """Take rows; yields each chunk that is full. How the rows are dealt out makes no difference."""
        yield from self._joined(self._cutter.add(rows))

    def finish(self) -> Iterator[JournalChunk]:
        """The last chunks."""
        yield from self._joined(self._cutter.finish())
        if (last := self._joiner.finish()) is not None:
            yield last

    def _joined(self, parts: Iterable[Part]) -> Iterator[JournalChunk]:
        for part in parts:
            if (chunk := self._joiner.add(part)) is not None:
                yield chunk


def digest_of(texts: Iterable[str]) -> str:
    """blake2b of chunk texts, 16 bytes in hex."""
    state = blake2b(digest_size=16)
    for text in texts:
        state.update(text.encode())
        state.update(b"\n")
    return state.hexdigest()


def journal_digest(rows: Iterable[Row], layout: Layout) -> str:
    """The digest of a whole journal: equal journals and only they have equal digests."""
    encoder, rows = Encoder(layout), iter(rows)
    dealt = iter(lambda: list(islice(rows, _DEALT)), [])
    chunks = chain(chain.from_iterable(map(encoder.add, dealt)), encoder.finish())
    return digest_of(chunk.text for chunk in chunks)


_DEALT = 10_000
"""Rows that are held at once."""
