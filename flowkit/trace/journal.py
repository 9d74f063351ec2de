"""Writes a journal into a trace: its chunks, the spans of turns and calls, and, while a session runs, provisional parts."""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from flowkit.engine import Row
from flowkit.figures.follower import Follower
from flowkit.figures.layout import Layout
from flowkit.figures.records import Ended
from flowkit.figures.spans import SpanPlan, spans_of
from flowkit.messages import Credit, Fed, Frames, Probability
from flowkit.trace import names
from flowkit.trace.codec import Joiner, JournalChunk
from flowkit.trace.parts import Cutter, Part
from flowkit.trace.writer import ROOT, SpanWriter

_WITHOUT_SPAN = frozenset({Frames, Probability, Credit, Fed})
"""Messages that no span depends on. Most rows hold one of them, so skipping them saves time."""


class JournalWriter:
    """Turns rows into the chunks of a journal and into spans for turns and provider calls.

    With a `draft` it also writes each part as soon as it is complete, so that a killed session loses little.
    """

    def __init__(self, layout: Layout, draft: JournalDraft | None = None) -> None:
        self._cutter = Cutter(layout)
        self._joiner = Joiner(layout)
        self._follower = Follower(layout)
        self._draft = draft
        self._state = blake2b(digest_size=16)
        self._levels = _Levels()
        self.rows = 0
        self.now_us = 0

    def levels(self, first: int, levels: bytes) -> None:
        """Add the levels of frames from index `first` on, one byte each. They are written with the next chunk."""
        if not levels:
            return
        # To both: the parts are removed in the end, and a killed session may have nothing else.
        self._levels.add(first, levels)
        if self._draft is not None:
            self._draft.levels.add(first, levels)

    def write(self, writer: SpanWriter, rows: list[Row]) -> None:
        """Add `rows` and write the chunks, parts and spans that they complete."""
        for part in self._cutter.add(rows):
            self._part(writer, part)
        for row in rows:
            if type(row.message) not in _WITHOUT_SPAN and (ended := self._follower.row(row)):
                _write_spans(writer, ended)
        self.rows += len(rows)
        self.now_us = rows[-1].handled_us if rows else self.now_us

    def provisional(self, writer: SpanWriter) -> None:
        """Write the part under way into the draft. It is written again when it is longer."""
        if self._draft is not None:
            for part in self._cutter.pending():
                self._draft.write(writer, part)

    def finish(self, writer: SpanWriter) -> None:
        """Write what is left. There are no more rows."""
        for part in self._cutter.finish():
            self._part(writer, part)
        self._chunk(writer, self._joiner.finish())
        _write_spans(writer, self._follower.finish())

    def digest(self) -> str:
        """The digest of the chunks written so far."""
        return self._state.hexdigest()

    def _part(self, writer: SpanWriter, part: Part) -> None:
        self._chunk(writer, self._joiner.add(part))
        if self._draft is not None:
            self._draft.write(writer, part)

    def _chunk(self, writer: SpanWriter, chunk: JournalChunk | None) -> None:
        if chunk is None:
            return
        self._state.update(chunk.text.encode() + b"\n")  # as ``digest_of`` does, but chunk by chunk
        attributes = {
            names.CHUNK: chunk.number,
            names.FIRST: chunk.first,
            names.ROWS: chunk.rows,
            names.TEXT: chunk.text,
            **self._levels.take(),
        }
        writer.span(names.JOURNAL, chunk.begin_us, chunk.end_us, attributes)


class JournalDraft:
    """The parts of a journal that are written before their chunk is complete.

    Chunks replace them. When the session ends they are removed from the file.
    """

    def __init__(self, layout: Layout) -> None:
        self.levels = _Levels()
        self._layout = layout
        self._written = 0
        # An array, because a long session has very many parts.
        self._lines = array("L")
        """Line numbers of the parts in the file, in ascending order."""

    def write(self, writer: SpanWriter, part: Part) -> None:
        """Write a part, unless all its rows are written. Of two parts with the same first row, readers use the longer."""
        if part.first + part.rows <= self._written:
            return
        self._written = part.first + part.rows
        attributes = {
            names.FIRST: part.first,
            names.ROWS: part.rows,
            names.TEXT: part.text(self._layout),
            **self.levels.take(),
        }
        writer.span(names.JOURNAL_PART, part.begin_us, part.end_us, attributes)
        self._lines.append(writer.lines)

    def remove(self, path: Path, written: os.stat_result) -> int:
        """Replace the closed file by one without the parts. Returns how many bytes shorter it is.

        The replacement is atomic. `written` describes the file that was written; if another file has its path by now,
        nothing happens. Returns 0 also if the file could not be replaced, for example on a full disk. The parts then
        stay, and readers ignore them.
        """
        try:
            return self._replace(path, written) if self._lines and os.path.samestat(path.stat(), written) else 0
        except OSError:
            return 0

    def _replace(self, path: Path, written: os.stat_result) -> int:
        # In the same folder, because a renaming is atomic only within one file system.
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with open(descriptor, "wb") as shorter, path.open("rb") as file:
                removed = self._copy(file, shorter)
                shorter.flush()
                os.fsync(descriptor)  # before it replaces the trace, so that a crash of the machine leaves a whole one
            shutil.copymode(path, name)  # `mkstemp` lets only the owner read
            # Once more, because another file may have taken the name during the copying.
            if not os.path.samestat(path.stat(), written):
                raise FileNotFoundError(path)
            os.replace(name, path)
        # Ctrl-C too must leave no temporary file beside the trace.
        except BaseException:
            os.unlink(name)
            raise
        return removed

    def _copy(self, file: IO[bytes], shorter: IO[bytes]) -> int:
        """Copy all lines except the parts. Returns the size of what was left out."""
        # Lines count from 1, so 0 stands for no part.
        removed, parts = 0, iter(self._lines)
        part = next(parts, 0)
        for number, line in enumerate(file, 1):
            if number == part:
                removed, part = removed + len(line), next(parts, 0)
            else:
                shorter.write(line)
        return removed


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
