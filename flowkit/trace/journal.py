"""A journal on its way into a trace: chunks, the spans of turns and calls, and while a session runs the draft of the next chunk."""

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

_UNTOLD = frozenset({Frames, Probability, Credit, Fed})
"""Most of a journal, of which no span tells."""


class JournalWriter:
    """The journal's chunks, and the spans of turns and calls that its rows make; with a `draft`, parts of chunks ahead of them."""

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
        """Levels of frames from `first` on, to go out with the next chunk."""
        if not levels:
            return
        self._levels.add(first, levels)
        if self._draft is not None:
            self._draft.levels.add(first, levels)

    def write(self, writer: SpanWriter, rows: list[Row]) -> None:
        """Write what the rows complete."""
        for part in self._cutter.add(rows):
            self._part(writer, part)
        for row in rows:
            if type(row.message) not in _UNTOLD and (over := self._follower.row(row)):
                _write_spans(writer, over)
        self.rows += len(rows)
        self.now_us = rows[-1].handled_us if rows else self.now_us

    def provisional(self, writer: SpanWriter) -> None:
        """Write the part under way into the draft; it will come again, longer."""
        if self._draft is not None:
            for part in self._cutter.pending():
                self._draft.write(writer, part)

    def finish(self, writer: SpanWriter) -> None:
        """The journal is whole."""
        for part in self._cutter.finish():
            self._part(writer, part)
        self._chunk(writer, self._joiner.finish())
        _write_spans(writer, self._follower.finish())

    def digest(self) -> str:
        """Of the chunks that were written."""
        return self._state.hexdigest()

    def _part(self, writer: SpanWriter, part: Part) -> None:
        self._chunk(writer, self._joiner.add(part))
        if self._draft is not None:
            self._draft.write(writer, part)

    def _chunk(self, writer: SpanWriter, chunk: JournalChunk | None) -> None:
        if chunk is None:
            return
        self._state.update(chunk.text.encode() + b"\n")
        told = {
            names.CHUNK: chunk.number,
            names.FIRST: chunk.first,
            names.ROWS: chunk.rows,
            names.TEXT: chunk.text,
            **self._levels.taken(),
        }
        writer.span(names.JOURNAL, chunk.begin_us, chunk.end_us, told)


class JournalDraft:
    """Parts of a journal, written as soon as they fill so that a kill loses little. Chunks replace them, and in the end they go."""

    def __init__(self, layout: Layout) -> None:
        self.levels = _Levels()
        self._layout = layout
        self._shown = 0
        self._lines = array("L")
        """Numbers of the parts' lines, rising."""

    def write(self, writer: SpanWriter, part: Part) -> None:
        """Write a part, unless all its rows are written; of two that begin with one row the longer counts."""
        if part.first + part.rows <= self._shown:
            return
        self._shown = part.first + part.rows
        told = {
            names.FIRST: part.first,
            names.ROWS: part.rows,
            names.TEXT: part.text(self._layout),
            **self.levels.taken(),
        }
        writer.span(names.JOURNAL_PART, part.begin_us, part.end_us, told)
        self._lines.append(writer.lines)

    def remove(self, path: Path, written: os.stat_result) -> int:
        """Replace the closed file by one without the parts, at one stroke, so that there is always a whole one. `written` is what
        was written: should another file have taken the path, it is left alone. Returns how many bytes the file is shorter; 0 if it
        could not be, as on a full disk. Then the parts stay, and a reader passes them over."""
        try:
            return self._replace(path, written) if self._lines and os.path.samestat(path.stat(), written) else 0
        except OSError:
            return 0

    def _replace(self, path: Path, written: os.stat_result) -> int:
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with open(descriptor, "wb") as shorter, path.open("rb") as file:
                removed = self._copy(file, shorter)
                shorter.flush()
                os.fsync(descriptor)
            shutil.copymode(path, name)
            if not os.path.samestat(path.stat(), written):
                raise FileNotFoundError(path)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        return removed

    def _copy(self, file: IO[bytes], shorter: IO[bytes]) -> int:
        """Copy all other lines; returns how many bytes were left out."""
        removed, parts = 0, iter(self._lines)
        part = next(parts, 0)
        for number, line in enumerate(file, 1):
            if number == part:
                removed, part = removed + len(line), next(parts, 0)
            else:
                shorter.write(line)
        return removed


class _Levels:
    """Levels of frames that wait for the next span; those that follow one another as one."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, bytearray]] = []
        self._next = 0

    def add(self, first: int, levels: bytes) -> None:
        """Take the levels of the frames from `first` on."""
        if not self._runs or first != self._next:
            self._runs.append((first, bytearray()))
        self._runs[-1][1].extend(levels)
        self._next = first + len(levels)

    def taken(self) -> dict[str, Any]:
        """What is there as a span's attributes, and no more here."""
        runs, self._runs = self._runs, []
        if not runs:
            return {}
        return {
            names.LEVELS_FIRST: [first for first, _ in runs],
            names.LEVELS: [base64.b64encode(levels).decode() for _, levels in runs],
        }


def _write_spans(writer: SpanWriter, over: Iterable[Ended]) -> None:
    for ended in over:
        for span in spans_of(ended):
            _write_span(writer, span)


def _write_span(writer: SpanWriter, span: SpanPlan) -> None:
    told = {"gen_ai.operation.name": span.name, "flowkit.turn": span.turn, **span.attributes}
    turn = f"turn {span.turn}"
    if span.name == "invoke_agent":
        writer.span(span.name, span.begin_us, span.end_us, told, key=turn, error=span.error)
    else:
        writer.span(span.name, span.begin_us, span.end_us, told, parent=turn if span.turn else ROOT, error=span.error)
