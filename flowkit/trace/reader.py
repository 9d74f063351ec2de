"""Reads traces that need not be trusted.

The file is read line by line, within limits. Nothing is executed, and no path in it is followed. A trace of a killed
session is read as far as it goes, and its notices say what is missing. Anything else that is wrong raises TraceError
with the line number.

Lines may be in any order, and a chunk that occurs twice counts once, because collectors reorder and repeat spans.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.engine import Row
from flowkit.errors import TraceError
from flowkit.figures.layout import Layout
from flowkit.figures.reference import MISSING, Reference
from flowkit.figures.report import QueueReport
from flowkit.trace import names
from flowkit.trace.audio import ROLE, Sound
from flowkit.trace.codec import digest_of, journal_digest
from flowkit.trace.decode import decode
from flowkit.trace.parse import parsed

_DIGEST = re.compile(r"[0-9a-f]{32}")
_MOST_FRAMES = 50 * 3600 * 24
_LONG = 4096


class SessionEvent(NamedTuple):
    """Something that is not a message: a stall, an event of a device, a retry."""

    at_us: int
    name: str
    detail: str


class StoredChunk(NamedTuple):
    """The text of a chunk, or of a part of one, as it is in the file."""

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
    parts: int = 0
    """How many of the `chunks` are parts of a chunk that is missing."""

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
        """The digest of the journal as far as it is there. A journal of parts has the digest that its chunks would have."""
        if self.parts:
            return journal_digest(self.journal(), self.layout)
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

    Raises TraceError if the file is not a trace, is damaged elsewhere than at its end, or exceeds a limit.
    """
    path = Path(path)
    lines = _Lines(path)
    try:
        if path.stat().st_size > names.MAX_FILE:
            raise TraceError(f"{path.name} is larger than {names.MAX_FILE >> 20} MiB")
        with path.open("rb") as file:
            lines.read(iter(lambda: file.readline(names.MAX_LINE + 1), b""))
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror}") from error
    return lines.trace()


@dataclass(slots=True)
class _Lines:
    """What has been read so far. `chunks` and `parts` are by the number of their first row, as are the chunks' `numbers`."""

    path: Path
    head: Head | None = None
    end: SessionEnd | None = None
    trace_id: str = ""
    numbers: dict[int, int] = field(default_factory=dict)
    chunks: dict[int, StoredChunk] = field(default_factory=dict)
    parts: dict[int, StoredChunk] = field(default_factory=dict)
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
            except (
                ValueError,
                KeyError,
                TypeError,
                AttributeError,
                IndexError,
                RecursionError,
                OverflowError,
            ) as error:
                if line.endswith(b"\n"):
                    raise self._error(number, f"not a line of an OTLP trace by flowkit ({_reason(error)})") from error
                self.notices.append(f"the last line is torn ({len(line)} bytes) and was left out")

    def trace(self) -> Trace:
        """The trace that the lines make up."""
        if self.head is None:
            raise TraceError(
                f"{self.path.name}: no {names.START!r} span: not a trace by flowkit, or its beginning is missing"
            )
        chunks, parts = self._contiguous()
        if self.end is None:
            self.notices.append("the session was cut off: its end was not recorded")
        missing = self.end is not None and sum(chunk.rows for chunk in chunks) != self.end.rows
        if missing and self.end is not None:
            self.notices.append(
                f"{self.end.rows - sum(chunk.rows for chunk in chunks)} of {self.end.rows} rows are missing"
            )
        events = tuple(sorted(set(self.events)))
        trace = Trace(self.path, self.head, chunks, self.end, self._all_levels(), events, tuple(self.notices), parts)
        if self.end is not None and not missing and (digest := trace.digest) != self.end.digest:
            raise TraceError(
                f"{self.path.name}: the journal's digest is {digest}, recorded was {self.end.digest}",
                hint="the trace was changed after it was recorded",
            )
        return trace

    def _error(self, number: int, what: str) -> TraceError:
        return TraceError(f"{self.path.name}:{number}: {what}")

    def _line(self, line: bytes) -> None:
        stored = parsed(line)
        # A short line with few brackets cannot be nested too deeply. In a long line most brackets are inside texts, so it
        # is checked at once.
        if len(line) > _LONG or line.count(b"[") + line.count(b"{") > names.MAX_DEPTH:
            _check_depth(stored)
        for of_resource in stored["resourceSpans"]:
            for of_scope in of_resource["scopeSpans"]:
                for span in of_scope["spans"]:
                    self._span(span)

    def _span(self, span: dict[str, Any]) -> None:
        handle = _HANDLERS.get(span["name"])
        if handle is None:
            return
        if self.trace_id not in ("", span["traceId"]):
            raise TraceError(f"{self.path.name} holds more than one session", hint="split the file by trace id")
        self.trace_id = span["traceId"]
        attributes = {attribute["key"]: _value(attribute["value"]) for attribute in span.get("attributes", ())}
        handle(self, attributes, span)

    def start(self, attributes: dict[str, Any], span: dict[str, Any]) -> None:
        """Handle a ``session.start`` span."""
        version = attributes[names.FORMAT_VERSION]
        if version != names.FORMAT:
            newer = "upgrade flowkit-voice" if version > names.FORMAT else "record the session again"
            raise TraceError(f"{self.path.name} has format {version}; this flowkit reads {names.FORMAT}", hint=newer)
        kept = json.loads(attributes[names.KEPT]) if names.KEPT in attributes else None
        self.head = Head(
            format=_count(version),
            session_id=_text(attributes[names.SESSION_ID]),
            pipeline=_text(attributes[names.NAME]),
            config=_text(attributes[names.CONFIG]),
            layout=Layout.from_json(json.loads(attributes[names.LAYOUT])),
            rate_hz=_count(attributes[names.RATE]),
            base_us=_count(attributes[names.BASE]),
            versions={str(name): str(version) for name, version in json.loads(attributes[names.VERSIONS]).items()},
            kept=None if kept is None else frozenset(map(str, kept)),
        )
        if not self.head.layout.kinds or self.head.layout.frame_us < 1000 or self.head.rate_hz < 1000:
            raise ValueError("a layout without stages, or frames without length")

    def session(self, attributes: dict[str, Any], span: dict[str, Any]) -> None:
        """Handle a ``flowkit.session`` span."""
        queues = tuple(map(_queue, json.loads(attributes[names.QUEUES])))
        sounds = tuple(map(_sound, json.loads(attributes[names.AUDIO])))
        digests = [attributes[names.DIGEST], *(sound.digest for sound in sounds)]
        if not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests):
            raise ValueError("a digest is 32 hexadecimal digits")
        self.end = SessionEnd(
            _text(attributes[names.REASON]), attributes[names.DIGEST], _count(attributes[names.ROWS]), queues, sounds
        )

    def journal(self, attributes: dict[str, Any], span: dict[str, Any]) -> None:
        """Handle a ``flowkit.journal`` span."""
        number, chunk = _count(attributes[names.CHUNK]), self._stored(attributes)
        self.numbers[chunk.first] = number
        _keep(self.chunks, chunk)

    def part(self, attributes: dict[str, Any], span: dict[str, Any]) -> None:
        """Handle a ``flowkit.journal.part`` span."""
        _keep(self.parts, self._stored(attributes))

    def _stored(self, attributes: dict[str, Any]) -> StoredChunk:
        """The chunk or part in a span. Its levels are stored."""
        for first, levels in zip(attributes.get(names.LEVELS_FIRST, ()), attributes.get(names.LEVELS, ()), strict=True):
            self.levels.append((_count(first), base64.b64decode(levels, validate=True)))
        return StoredChunk(
            _count(attributes[names.FIRST]), _count(attributes[names.ROWS]), _text(attributes[names.TEXT])
        )

    def event(self, attributes: dict[str, Any], span: dict[str, Any]) -> None:
        """Handle a ``flowkit.event`` span."""
        base_us = self.head.base_us if self.head is not None else 0
        at_us = int(span["startTimeUnixNano"]) // 1000 - base_us
        self.events.append(
            SessionEvent(at_us, _text(attributes[names.EVENT_NAME]), _text(attributes[names.EVENT_DETAIL]))
        )

    def _contiguous(self) -> tuple[tuple[StoredChunk, ...], int]:
        """The journal up to the first missing row, and how many pieces of it are parts.

        A part is used where its chunk is missing.
        """
        whole: list[StoredChunk] = []
        row = number = parts = 0
        while piece := self.chunks.get(row) or self.parts.get(row):
            if row in self.chunks:
                number = self.numbers[row] + 1
            else:
                parts += 1
            whole.append(piece)
            row += piece.rows
        if later := sum(1 for first in self.chunks if first > row):
            self.notices.append(f"journal chunk {number} is missing; the {later} after it were left out")
        elif later := sum(1 for first in self.parts if first > row):
            self.notices.append(f"the journal is missing from row {row} on; {later} parts after it were left out")
        return tuple(whole), parts

    def _all_levels(self) -> bytes:
        levels = bytearray()
        for first, part in sorted(self.levels):
            if first > _MOST_FRAMES:
                raise TraceError(f"{self.path.name}: levels of more than a day of frames")
            levels.extend(bytes([MISSING]) * (first - len(levels)))
            levels[first : first + len(part)] = part
        return bytes(levels)


_HANDLERS = {
    names.START: _Lines.start,
    names.SESSION: _Lines.session,
    names.JOURNAL: _Lines.journal,
    names.JOURNAL_PART: _Lines.part,
    names.EVENT: _Lines.event,
}


def _keep(known: dict[int, StoredChunk], chunk: StoredChunk) -> None:
    """Keep a chunk. Of two with the same first row the longer counts; an empty one is ignored."""
    if chunk.rows > (known[chunk.first].rows if chunk.first in known else 0):
        known[chunk.first] = chunk


def _queue(stored: list[Any]) -> QueueReport:
    """A queue's figures. Raises ValueError or TypeError if they are malformed."""
    stage, most, when_full, *figures = stored
    return QueueReport(_text(stage), _count(most), _text(when_full), *map(_count, figures))


def _sound(stored: list[Any]) -> Sound:
    """The description of a sound. Raises ValueError or TypeError if it is malformed."""
    sound = Sound(*stored)
    if not ROLE.fullmatch(_text(sound.role)) or not 1_000 <= _count(sound.rate_hz) <= 999_999:
        raise ValueError("a sound is 'input' or 'voice-RATE', at a rate from 1 to 999 kHz")
    _count(sound.samples)
    return sound


def _value(stored: dict[str, Any]) -> Any:
    """The value of an OTLP attribute."""
    ((kind, value),) = stored.items()
    if kind == "intValue":
        return int(value)
    if kind == "arrayValue":
        return [_value(part) for part in value.get("values", ())]
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a number where text belongs")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a count is not below 0")
    return value


def _check_depth(stored: Any) -> None:
    """Raise ValueError if `stored` is nested too deeply. Goes level by level, because recursion could overflow the stack."""
    level = [stored]
    for _ in range(names.MAX_DEPTH):
        level = [
            part
            for value in level
            for part in (value.values() if type(value) is dict else value)
            if type(part) is dict or type(part) is list
        ]
        if not level:
            return
    raise ValueError(f"nested more than {names.MAX_DEPTH} deep")


def _reason(error: Exception) -> str:
    if isinstance(error, binascii.Error):
        return "levels are not base64"
    return f"{type(error).__name__}: {error}"[:120]
