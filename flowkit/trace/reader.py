"""Reading a trace that one need not trust: a line at a time, within declared limits, nothing executed, no path followed.

A killed session is read as far as it goes, and what is missing is said; anything else that does not fit is an error that names the
line. Lines may be in any order, and a chunk that comes twice counts once, for collectors do that to files.
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
    """Something that was no message: a stall, a device's event, a retry."""

    at_us: int
    name: str
    detail: str


class StoredChunk(NamedTuple):
    """A chunk, or a part of one, as it stands in the file."""

    first: int
    rows: int
    text: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a session begins with. `kept`: what a redacted trace has kept, None if nothing was redacted."""

    format: int
    session_id: str
    pipeline: str
    config: str
    layout: Layout
    rate_hz: int
    base_us: int
    versions: dict[str, str]
    kept: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """What a session ends with."""

    reason: str
    digest: str
    rows: int
    queues: tuple[QueueReport, ...]
    sounds: tuple[Sound, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded session. `end` is None for a killed one; `notices`: what is missing, for people; `parts`: how many of
    the `chunks` are only parts of one, which is not there."""

    path: Path
    head: Head
    chunks: tuple[StoredChunk, ...]
    end: SessionEnd | None
    levels: bytes
    events: tuple[SessionEvent, ...]
    notices: tuple[str, ...] = ()
    parts: int = 0

    @property
    def layout(self) -> Layout:
        """Stages and bounded edges."""
        return self.head.layout

    def journal(self) -> Iterator[Row]:
        """The rows, a chunk at a time, so that they need not be held all at once. Raises TraceError where a chunk is malformed."""
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
        """The journal, every row."""
        return list(self.journal())

    @property
    def row_count(self) -> int:
        """How many rows the chunks say they hold."""
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def digest(self) -> str:
        """The digest of the journal, as far as it is there; that of parts as it would be in chunks."""
        if self.parts:
            return journal_digest(self.journal(), self.layout)
        return digest_of(chunk.text for chunk in self.chunks)

    @property
    def masked(self) -> bool:
        """Whether a secret came up in the session and was masked."""
        return any(event.name == names.MASKED for event in self.events)

    @property
    def whole(self) -> bool:
        """Whether the journal goes to the session's end."""
        return self.end is not None and self.end.reason != names.CUT_OFF

    @property
    def ruler(self) -> Reference | None:
        """The reference detector over the recorded levels; None if there are none."""
        samples = self.head.rate_hz * self.layout.frame_us // 1_000_000
        return Reference(samples, self.levels) if self.levels else None

    @property
    def redacted(self) -> bool:
        """Content was masked, so that only the timing can be replayed."""
        kept = self.head.kept
        return kept is not None and not {"transcripts", "tokens", "clauses"} <= kept


def read_trace(path: Path | str) -> Trace:
    """Read a trace. Raises TraceError if it is none, is damaged other than at its end, or exceeds a limit."""
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
    """What has been read so far. `numbers` of chunks, the `chunks` and the `parts`, each by the number of its first row."""

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
        """Read all lines. Only a last line without a line break may be torn."""
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
                    raise self._error(number, f"not a line of an OTLP trace by flowkit ({_said(error)})") from error
                self.notices.append(f"the last line is torn ({len(line)} bytes) and was left out")

    def trace(self) -> Trace:
        """The trace that the lines make."""
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
        # Of a long line to count the brackets takes longer than to look: most are in its text.
        if len(line) > _LONG or line.count(b"[") + line.count(b"{") > names.MAX_DEPTH:
            _check_depth(stored)
        for of_resource in stored["resourceSpans"]:
            for of_scope in of_resource["scopeSpans"]:
                for span in of_scope["spans"]:
                    self._span(span)

    def _span(self, span: dict[str, Any]) -> None:
        take = _TAKERS.get(span["name"])
        if take is None:
            return
        if self.trace_id not in ("", span["traceId"]):
            raise TraceError(f"{self.path.name} holds more than one session", hint="split the file by trace id")
        self.trace_id = span["traceId"]
        told = {attribute["key"]: _value(attribute["value"]) for attribute in span.get("attributes", ())}
        take(self, told, span)

    def start(self, told: dict[str, Any], span: dict[str, Any]) -> None:
        """A ``session.start`` span."""
        version = told[names.FORMAT_VERSION]
        if version != names.FORMAT:
            newer = "upgrade flowkit-voice" if version > names.FORMAT else "record the session again"
            raise TraceError(f"{self.path.name} has format {version}; this flowkit reads {names.FORMAT}", hint=newer)
        kept = json.loads(told[names.KEPT]) if names.KEPT in told else None
        self.head = Head(
            format=_count(version),
            session_id=_text(told[names.SESSION_ID]),
            pipeline=_text(told[names.NAME]),
            config=_text(told[names.CONFIG]),
            layout=Layout.from_json(json.loads(told[names.LAYOUT])),
            rate_hz=_count(told[names.RATE]),
            base_us=_count(told[names.BASE]),
            versions={str(name): str(version) for name, version in json.loads(told[names.VERSIONS]).items()},
            kept=None if kept is None else frozenset(map(str, kept)),
        )
        if not self.head.layout.kinds or self.head.layout.frame_us < 1000 or self.head.rate_hz < 1000:
            raise ValueError("a layout without stages, or frames without length")

    def session(self, told: dict[str, Any], span: dict[str, Any]) -> None:
        """A ``flowkit.session`` span: the end."""
        queues = tuple(map(_queue, json.loads(told[names.QUEUES])))
        sounds = tuple(map(_sound, json.loads(told[names.AUDIO])))
        digests = [told[names.DIGEST], *(sound.digest for sound in sounds)]
        if not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests):
            raise ValueError("a digest is 32 hexadecimal digits")
        self.end = SessionEnd(_text(told[names.REASON]), told[names.DIGEST], _count(told[names.ROWS]), queues, sounds)

    def journal(self, told: dict[str, Any], span: dict[str, Any]) -> None:
        """A ``flowkit.journal`` span."""
        number, chunk = _count(told[names.CHUNK]), self._stored(told)
        self.numbers[chunk.first] = number
        _keep(self.chunks, chunk)

    def part(self, told: dict[str, Any], span: dict[str, Any]) -> None:
        """A ``flowkit.journal.part`` span."""
        _keep(self.parts, self._stored(told))

    def _stored(self, told: dict[str, Any]) -> StoredChunk:
        """The rows of a span; its levels are kept."""
        for first, levels in zip(told.get(names.LEVELS_FIRST, ()), told.get(names.LEVELS, ()), strict=True):
            self.levels.append((_count(first), base64.b64decode(levels, validate=True)))
        return StoredChunk(_count(told[names.FIRST]), _count(told[names.ROWS]), _text(told[names.TEXT]))

    def event(self, told: dict[str, Any], span: dict[str, Any]) -> None:
        """A ``flowkit.event`` span."""
        base_us = self.head.base_us if self.head is not None else 0
        at_us = int(span["startTimeUnixNano"]) // 1000 - base_us
        self.events.append(SessionEvent(at_us, _text(told[names.EVENT_NAME]), _text(told[names.EVENT_DETAIL])))

    def _contiguous(self) -> tuple[tuple[StoredChunk, ...], int]:
        """The journal up to the first row that is missing, parts where there is no chunk; and how many are parts."""
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


_TAKERS = {
    names.START: _Lines.start,
    names.SESSION: _Lines.session,
    names.JOURNAL: _Lines.journal,
    names.JOURNAL_PART: _Lines.part,
    names.EVENT: _Lines.event,
}


def _keep(known: dict[int, StoredChunk], chunk: StoredChunk) -> None:
    """Of two that begin with one row the longer counts; one without rows says nothing."""
    if chunk.rows > (known[chunk.first].rows if chunk.first in known else 0):
        known[chunk.first] = chunk


def _queue(told: list[Any]) -> QueueReport:
    """A queue's figures. Raises ValueError, TypeError."""
    stage, most, when_full, *figures = told
    return QueueReport(_text(stage), _count(most), _text(when_full), *map(_count, figures))


def _sound(told: list[Any]) -> Sound:
    """A sound of a role and rate that there are. Raises ValueError, TypeError."""
    sound = Sound(*told)
    if not ROLE.fullmatch(_text(sound.role)) or not 1_000 <= _count(sound.rate_hz) <= 999_999:
        raise ValueError("a sound is 'input' or 'voice-RATE', at a rate from 1 to 999 kHz")
    _count(sound.samples)
    return sound


def _value(stored: dict[str, Any]) -> Any:
    """An OTLP attribute's value."""
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
    """Raises ValueError for nesting beyond the limit; a level at a time, not recursively."""
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


def _said(error: Exception) -> str:
    if isinstance(error, binascii.Error):
        return "levels are not base64"
    return f"{type(error).__name__}: {error}"[:120]
