"""A journal as text, in chunks that can be read one without another. Each is stored in a ``flowkit.journal`` span.

A chunk consists of parts. Parts are short, so that little is lost when a session is killed. Chunks are long, because
much of what a chunk costs to store and to read does not depend on its length.

Where parts and chunks end depends on the rows alone. So equal journals have equal text, and only they do. The digest of
a journal is the digest of its chunks' text. ``decode`` reads the text back; docs/trace-format.md specifies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import NamedTuple

from flowkit.engine import Row
from flowkit.figures.layout import Layout
from flowkit.trace.names import CHUNK_EPOCHS, CHUNK_ROWS, CHUNK_SHAPES, CHUNK_VALUES
from flowkit.trace.parts import PART_US, Cutter, Part

CHUNK_US = 80 * PART_US
"""A chunk ends before a part that begins in the next 64 s of the session. It also ends before a part with which it
would have more than CHUNK_ROWS rows, CHUNK_SHAPES shapes, CHUNK_EPOCHS changes of epoch or turn, or CHUNK_VALUES numbers
and characters of content."""


class JournalChunk(NamedTuple):
    """Consecutive rows of the journal as text."""

    number: int
    """The chunk's number, from 0."""
    first: int
    """Number of its first row, counted from 0."""
    rows: int
    begin_us: int
    """When its first row was handled."""
    end_us: int
    """When its last row was handled."""
    text: str


class Joiner:
    """Joins parts to chunks. It changes the parts that it is given, so the caller must not use them afterwards."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._number = 0
        self._open: Part | None = None
        self._values = 0

    def add(self, part: Part) -> JournalChunk | None:
        """Add the next part. Returns the previous chunk if the part begins a new one, else None."""
        values = part.values()
        if self._open is not None and _fits(self._open, part) and self._values + values <= CHUNK_VALUES:
            self._open.join(part)
            self._values += values
            return None
        full, self._open, self._values = self._open, part, values
        return None if full is None else self._chunk(full)

    def finish(self) -> JournalChunk | None:
        """Return the last chunk, or None if there were no parts."""
        last, self._open = self._open, None
        return None if last is None else self._chunk(last)

    def _chunk(self, joined: Part) -> JournalChunk:
        self._number += 1
        text = joined.text(self._layout)
        return JournalChunk(self._number - 1, joined.first, joined.rows, joined.begin_us, joined.end_us, text)


def _fits(chunk: Part, part: Part) -> bool:
    """Whether `part` may be joined to `chunk` under the limits above."""
    return (
        part.begin_us // CHUNK_US == chunk.begin_us // CHUNK_US
        and chunk.rows + part.rows <= CHUNK_ROWS
        and len(chunk.shapes) + len(part.shapes) <= CHUNK_SHAPES
        and len(chunk.ats) + len(part.ats) <= CHUNK_EPOCHS
    )


class Encoder:
    """Turns rows into chunks, without access to the parts."""

    def __init__(self, layout: Layout) -> None:
        self._cutter = Cutter(layout)
        self._joiner = Joiner(layout)

    def add(self, rows: Sequence[Row]) -> Iterator[JournalChunk]:
        """Add rows and yield each chunk that they complete. The result does not depend on how rows are grouped."""
        yield from self._joined(self._cutter.add(rows))

    def finish(self) -> Iterator[JournalChunk]:
        """Yield the remaining chunks."""
        yield from self._joined(self._cutter.finish())
        if (last := self._joiner.finish()) is not None:
            yield last

    def _joined(self, parts: Iterable[Part]) -> Iterator[JournalChunk]:
        for part in parts:
            if (chunk := self._joiner.add(part)) is not None:
                yield chunk


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
    encoder, rows = Encoder(layout), iter(rows)
    groups = iter(lambda: list(islice(rows, _GROUP)), [])
    chunks = chain(chain.from_iterable(map(encoder.add, groups)), encoder.finish())
    return digest_of(chunk.text for chunk in chunks)


_GROUP = 10_000
"""How many rows are in memory at once."""
