"""Reads traces that need not be trusted.

The file is read line by line, within limits. Nothing is executed, and no path in it is followed. A trace of a killed
session is read as far as it goes, and its notices say what is missing. Anything else that is wrong raises TraceError
with the line number.

Lines may be in any order, and a chunk that occurs twice counts once, because collectors reorder and repeat spans.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flowkit.config import RunMode
from flowkit.engine import Row
from flowkit.errors import TraceError
from flowkit.figures.layout import Layout
from flowkit.figures.reference import MISSING, QUIETEST, Reference
from flowkit.figures.report import QueueReport
from flowkit.plural import counted
from flowkit.trace import names, schema
from flowkit.trace.chunks import digest_of
from flowkit.trace.decode import decode
from flowkit.trace.schema import Sound, StoredSpan

_LEVELS = bytes([*range(QUIETEST + 1), MISSING])
_MOST_FRAMES = 50 * 3600 * 24
"""How many levels may be missing in a row."""


class SessionEvent(NamedTuple):
    """Something that is not a message: a stall, an event of a device, a retry."""

    at_us: int
    name: str
    detail: str


class StoredChunk(NamedTuple):
    """The text of a chunk as it is in the file."""

    first: int
    rows: int
    text: str


@dataclass(frozen=True, slots=True)
class Head:
    """What is known when a session starts."""

    format: int
    session_id: str
    pipeline: str
    """Name of the pipeline."""
    config: str
    """The resolved configuration as text, with secrets masked; empty if it was redacted."""
    layout: Layout
    rate_hz: int
    """Sample rate of the input."""
    base_us: int
    """When the session started, in microseconds since 1970."""
    versions: dict[str, str]
    """Versions of flowkit and Python, and the name of the system."""
    kept: frozenset[str] | None
    """The classes of content that a redacted trace still holds; None if the trace was not redacted."""
    mode: RunMode = RunMode.FILE


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """What is known when a session ends."""

    reason: str
    digest: str
    rows: int
    queues: tuple[QueueReport, ...]
    sounds: tuple[Sound, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded session."""

    path: Path
    head: Head
    chunks: tuple[StoredChunk, ...]
    end: SessionEnd | None
    """None if the session was killed."""
    levels: bytes
    """One byte for each input frame; see ``figures.reference``."""
    events: tuple[SessionEvent, ...]
    notices: tuple[str, ...] = ()
    """What is missing, for people."""

    @property
    def layout(self) -> Layout:
        """The stages and the bounded edges."""
        return self.head.layout

    def journal(self) -> Iterator[Row]:
        """Yield the rows. Only one chunk of them is in memory at a time. Raises TraceError if a chunk is malformed."""
        now_us = 0
        for chunk in self.chunks:
            rows = decode(chunk.text, self.layout)
            if len(rows) != chunk.rows:
                raise TraceError(f"{self.path.name}: a chunk says {chunk.rows} rows and has {len(rows)}")
            # Each chunk is decoded alone, so only here can their order in time be checked.
            if rows[0].handled_us < now_us:
                raise TraceError(f"{self.path.name}: a chunk begins before the one before it ends")
            now_us = rows[-1].handled_us
            yield from rows

    def rows(self) -> list[Row]:
        """All rows of the journal."""
        return list(self.journal())

    @property
    def row_count(self) -> int:
        """How many rows the chunks claim to hold."""
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def digest(self) -> str:
        """The digest of the journal as far as it is there."""
        return digest_of(chunk.text for chunk in self.chunks)

    @property
    def masked(self) -> bool:
        """Whether a secret occurred in the session and was masked."""
        return any(event.name == names.MASKED for event in self.events)

    @property
    def whole(self) -> bool:
        """Whether the journal reaches the end of the session."""
        return self.end is not None and self.end.reason != names.CUT_OFF

    @property
    def reference(self) -> Reference | None:
        """The reference detector over the recorded levels, or None if there are none."""
        samples = self.head.rate_hz * self.layout.frame_us // 1_000_000
        return Reference(samples, self.levels) if self.levels else None

    @property
    def redacted(self) -> bool:
        """Whether content is masked, so that only the timing can be replayed."""
        kept = self.head.kept
        return kept is not None and not {"transcripts", "tokens", "clauses"} <= kept


def read_trace(path: Path | str) -> Trace:
    """Read the trace at `path`.

    Raises TraceError if the file is not a trace, is damaged anywhere but at its end, or exceeds a limit.
    """
    path = Path(path)
    lines = _Lines(path)
    try:
        if path.stat().st_size > names.MAX_FILE:
            raise TraceError(f"{path.name} is larger than {names.MAX_FILE >> 20} MiB")
        with path.open("rb") as file:
            # One byte more than is allowed, so that a line that is too long is noticed before all of it is read.
            lines.read(iter(lambda: file.readline(names.MAX_LINE + 1), b""))
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror}") from error
    return lines.trace()


@dataclass(slots=True)
class _Lines:
    """What has been read so far. `chunks` are by the number of their first row."""

    path: Path
    head: Head | None = None
    end: SessionEnd | None = None
    trace_id: str = ""
    chunks: dict[int, StoredChunk] = field(default_factory=dict)
    levels: list[tuple[int, bytes]] = field(default_factory=list)
    events: list[SessionEvent] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def read(self, lines: Iterator[bytes]) -> None:
        """Read all lines. Only the last may be incomplete, and only if it has no line break."""
        for number, line in enumerate(lines, 1):
            if len(line) > names.MAX_LINE or number > names.MAX_LINES:
                raise self._error(number, f"more than {names.MAX_LINE >> 10} KiB in a line or {names.MAX_LINES} lines")
            try:
                self._line(line)
            # JSON that is nested very deeply ends in a RecursionError of the parser.
            except (ValueError, RecursionError) as error:
                # Only a write that was cut short has no line break. Anything else is damage.
                if line.endswith(b"\n"):
                    raise self._error(number, f"not a line of an OTLP trace by flowkit ({str(error)[:120]})") from error
                self.notices.append(f"the last line is torn ({counted(len(line), 'byte')}) and was left out")

    def trace(self) -> Trace:
        """The trace that the lines make up."""
        if self.head is None:
            raise TraceError(
                f"{self.path.name}: no {names.START!r} span: not a trace by flowkit, or its beginning is missing"
            )
        chunks = self._contiguous()
        if self.end is None:
            self.notices.append("the session was cut off: its end was not recorded")
        missing = self.end is not None and sum(chunk.rows for chunk in chunks) != self.end.rows
        if missing and self.end is not None:
            self.notices.append(
                f"{self.end.rows - sum(chunk.rows for chunk in chunks)} of {counted(self.end.rows, 'row')} missing"
            )
        base_us = self.head.base_us
        # A set, because collectors may repeat a span.
        events = tuple(sorted({event._replace(at_us=event.at_us - base_us) for event in self.events}))
        trace = Trace(self.path, self.head, chunks, self.end, self._all_levels(), events, tuple(self.notices))
        # With rows missing the digest cannot be equal, and a notice already says that they are.
        if self.end is not None and not missing and (digest := trace.digest) != self.end.digest:
            raise TraceError(
                f"{self.path.name}: the journal's digest is {digest}, recorded was {self.end.digest}",
                hint="the trace was changed after it was recorded",
            )
        return trace

    def _error(self, number: int, what: str) -> TraceError:
        return TraceError(f"{self.path.name}:{number}: {what}")

    def _line(self, line: bytes) -> None:
        for span in schema.spans(line):
            # Spans of turns and calls are for other viewers. All that they say is in the journal.
            if (handle := _HANDLERS.get(span.name)) is not None:
                if self.trace_id not in ("", span.traceId):
                    raise TraceError(f"{self.path.name} holds more than one session", hint="split the file by trace id")
                self.trace_id = span.traceId
                handle(self, span)

    def start(self, span: StoredSpan) -> None:
        """Handle a ``session.start`` span."""
        attributes = span.values()
        # First, because a trace of another format would fail below with an error about some attribute.
        schema.refuse_other_format(attributes.get(names.FORMAT_VERSION), self.path.name)
        start = schema.typed(attributes, schema.StartSpan)
        self.head = Head(
            format=start.version,
            session_id=start.session_id,
            pipeline=start.pipeline,
            config=start.config,
            layout=schema.layout(start.layout),
            rate_hz=start.rate_hz,
            base_us=start.base_us,
            versions=schema.checked(start.versions, dict[str, str]),
            kept=None if start.kept is None else frozenset(schema.checked(start.kept, list[str])),
            mode=start.mode,
        )

    def session(self, span: StoredSpan) -> None:
        """Handle a ``flowkit.session`` span."""
        end = schema.typed(span.values(), schema.EndSpan)
        queues = tuple(QueueReport(*queue) for queue in schema.checked(end.queues, list[schema.QueueFigures]))
        self.end = SessionEnd(end.reason, end.digest, end.rows, queues, tuple(schema.checked(end.sounds, list[Sound])))

    def journal(self, span: StoredSpan) -> None:
        """Handle a ``flowkit.journal`` span. Of two with the same first row the longer counts; an empty one is ignored."""
        chunk, known = schema.typed(span.values(), schema.RowsSpan), self.chunks
        # Without `validate`, characters that are not Base64 would be skipped in silence.
        levels = (base64.b64decode(part, validate=True) for part in chunk.levels)
        for first, part in zip(chunk.levels_first, levels, strict=True):
            if part.translate(None, _LEVELS):
                raise ValueError(f"a level is 0 to {QUIETEST}, or {MISSING}")
            # Even those of a repeated chunk: the same levels written twice change nothing.
            self.levels.append((first, part))
        if chunk.rows > (known[chunk.first].rows if chunk.first in known else 0):
            known[chunk.first] = StoredChunk(chunk.first, chunk.rows, chunk.text)

    def event(self, span: StoredSpan) -> None:
        """Handle a ``flowkit.event`` span. Its time counts from the session's start once that is known."""
        event = schema.typed(span.values(), schema.EventSpan)
        self.events.append(SessionEvent(int(span.startTimeUnixNano) // 1000, event.name, event.detail))

    def _contiguous(self) -> tuple[StoredChunk, ...]:
        """The journal up to the first missing row."""
        whole, row = list[StoredChunk](), 0
        while chunk := self.chunks.get(row):
            whole.append(chunk)
            row += chunk.rows
        if later := sum(1 for first in self.chunks if first > row):
            self.notices.append(
                f"the journal is missing from row {row} on; {counted(later, 'chunk')} after it left out"
            )
        return tuple(whole)

    def _all_levels(self) -> bytes:
        levels = bytearray()
        for first, part in sorted(self.levels):
            # A single huge index would otherwise fill the memory with missing levels.
            if first - len(levels) > _MOST_FRAMES:
                raise TraceError(f"{self.path.name}: the levels of more than a day of frames are missing")
            levels.extend(bytes([MISSING]) * (first - len(levels)))
            levels[first : first + len(part)] = part
        return bytes(levels)


_HANDLERS = {
    names.START: _Lines.start,
    names.SESSION: _Lines.session,
    names.JOURNAL: _Lines.journal,
    names.EVENT: _Lines.event,
}
