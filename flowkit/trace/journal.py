"""Writes a journal into a trace: its chunks, and the spans of turns and calls."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from flowkit.engine import Row
from flowkit.figures.follower import Follower
from flowkit.figures.layout import Layout
from flowkit.figures.records import Ended
from flowkit.figures.spans import SpanPlan, spans_of
from flowkit.messages import Credit, Fed, Frames, Probability
from flowkit.trace import names
from flowkit.trace.chunks import Cutter, JournalChunk
from flowkit.trace.writer import ROOT, SpanWriter

_WITHOUT_SPAN = frozenset({Frames, Probability, Credit, Fed})
"""Messages that no span depends on. Most rows hold one of them, so skipping them saves time."""


class JournalWriter:
    """Turns rows into the chunks of a journal and into spans for turns and provider calls."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._cutter = Cutter(layout)
        self._follower = Follower(layout)
        self._state = blake2b(digest_size=16)
        self._levels = _Levels()
        self._written = 0
        """How many rows the chunks in the file hold, with the one under way if it was written."""
        self.rows = 0
        self.now_us = 0

    def levels(self, first: int, levels: bytes) -> None:
        """Add the levels of frames from index `first` on, one byte each. They are written with the next chunk."""
        if levels:
            self._levels.add(first, levels)

    def write(self, writer: SpanWriter, rows: list[Row]) -> None:
        """Add `rows` and write the chunks and spans that they complete."""
        self._chunks(writer, self._cutter.add(rows))
        for row in rows:
            if type(row.message) not in _WITHOUT_SPAN and (ended := self._follower.row(row)):
                _write_spans(writer, ended)
        self.rows += len(rows)
        self.now_us = rows[-1].handled_us if rows else self.now_us

    def provisional(self, writer: SpanWriter) -> None:
        """Write the chunk under way, unless it was written. It is written again when it is longer."""
        for chunk in self._cutter.pending():
            if chunk.first + chunk.rows > self._written:
                self._write(writer, chunk, chunk.text(self._layout))

    def finish(self, writer: SpanWriter) -> None:
        """Write what is left. There are no more rows."""
        self._chunks(writer, self._cutter.finish())
        _write_spans(writer, self._follower.finish())

    def digest(self) -> str:
        """The digest of the chunks that are complete."""
        return self._state.hexdigest()

    def _chunks(self, writer: SpanWriter, chunks: Iterable[JournalChunk]) -> None:
        for chunk in chunks:
            text = chunk.text(self._layout)
            self._state.update(text.encode() + b"\n")  # as ``digest_of`` does, but chunk by chunk
            if chunk.first + chunk.rows > self._written:
                self._write(writer, chunk, text)

    def _write(self, writer: SpanWriter, chunk: JournalChunk, text: str) -> None:
        self._written = chunk.first + chunk.rows
        attributes = {names.FIRST: chunk.first, names.ROWS: chunk.rows, names.TEXT: text, **self._levels.take()}
        writer.span(names.JOURNAL, chunk.begin_us, chunk.end_us, attributes)


class _Levels:
    """Levels of frames that wait for the next span. Consecutive frames form one run."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, bytearray]] = []
        self._next = 0

    def add(self, first: int, levels: bytes) -> None:
        """Add the levels of the frames from index `first` on."""
        if not self._runs or first != self._next:
            self._runs.append((first, bytearray()))
        self._runs[-1][1].extend(levels)
        self._next = first + len(levels)

    def take(self) -> dict[str, Any]:
        """Return the levels as attributes of a span and remove them."""
        runs, self._runs = self._runs, []
        if not runs:
            return {}
        return {
            names.LEVELS_FIRST: [first for first, _ in runs],
            names.LEVELS: [base64.b64encode(levels).decode() for _, levels in runs],
        }


def _write_spans(writer: SpanWriter, records: Iterable[Ended]) -> None:
    for record in records:
        for span in spans_of(record):
            _write_span(writer, span)


def _write_span(writer: SpanWriter, span: SpanPlan) -> None:
    attributes = {"gen_ai.operation.name": span.name, "flowkit.turn": span.turn, **span.attributes}
    turn = f"turn {span.turn}"
    if span.name == "invoke_agent":
        writer.span(span.name, span.begin_us, span.end_us, attributes, key=turn, error=span.error)
    else:
        writer.span(
            span.name, span.begin_us, span.end_us, attributes, parent=turn if span.turn else ROOT, error=span.error
        )
