"""The writing side of a recording: from hand-overs to lines of a trace and samples of a sound file.

Used by the recorder's writing thread alone, and before and after it. After a failure it takes no more, and says why.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.clock import wall_us
from flowkit.errors import FlowkitError
from flowkit.messages import Credit, Frames, Probability
from flowkit.trace import names
from flowkit.trace.audio import Sound, WavWriter
from flowkit.trace.codec import Chunk, Encoder
from flowkit.trace.figures import QueueReport
from flowkit.trace.layout import Layout
from flowkit.trace.redact import Redactor
from flowkit.trace.reference import Reference
from flowkit.trace.rows import RowTuple
from flowkit.trace.spans import SpanBuilder, SpanPlan
from flowkit.trace.writer import ROOT, SpanWriter, open_new

_FOLDERS = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)*(?=(?:[\w.+-]+/){1,2}[\w.+-]+\.py\b)")
"""Folders ahead of a source file in a stall's stack: they say where on a machine flowkit lies, and whose machine it is."""


class Job(NamedTuple):
    """What one hand-over brings: rows, frames with their index, sound by rate, events as (time, name, detail)."""

    rows: list[RowTuple]
    frames: list[tuple[int, bytes]]
    voices: list[tuple[int, bytes]]
    events: list[tuple[int, str, str]]


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded: the file, the journal's digest and length, and why the record is not whole, if it is not."""

    path: Path
    digest: str
    rows: int
    bytes: int
    lost: str = ""


class Tape:
    """The writing side: used by the writing thread alone, and before and after it. After a failure it takes no more."""

    def __init__(self, path: Path, head: Mapping[str, Any], layout: Layout, redactor: Redactor, audio: Sounds) -> None:
        self.path = path
        self.lost = ""
        self._file = open_new(path)
        self._head = head
        self._redactor = redactor
        self._audio = audio
        self._journal = JournalWriter(Encoder(layout), SpanBuilder(layout))
        self._writer: SpanWriter | None = None

    def begin(self, base_us: int) -> None:
        """The session begins now. Only the first call counts."""
        if self._writer is not None:
            return
        # Two sessions may begin in one microsecond, but not with one file.
        session_id = blake2b(f"{base_us} {self.path.resolve()}".encode(), digest_size=8).hexdigest()
        self._writer = SpanWriter(self._file, session_id, base_us, self._redactor.scrub)
        self._guarded(
            lambda writer: writer.span(
                names.START, 0, 0, {**self._head, names.SESSION_ID: session_id, names.BASE: base_us}
            )
        )

    def job(self, job: Job) -> None:
        """Write one hand-over."""
        self._guarded(lambda writer: self._job(writer, job))

    def idle(self) -> None:
        """Nothing has come for a while: write the chunk under way, unless that was done."""
        self._guarded(lambda writer: self._journal.provisional(writer))

    def close(self, reason: str, queues: tuple[QueueReport, ...]) -> Recording:
        """Write the end and close the files."""
        self.begin(wall_us())
        self._guarded(lambda writer: self._end(writer, reason, queues))
        assert self._writer is not None
        written = self._writer.bytes
        self._writer.close()
        if self.lost:
            self._audio.abandon()
        return Recording(self.path, self._journal.digest(), self._journal.rows, written, self.lost)

    def _guarded(self, write: Callable[[SpanWriter], None]) -> None:
        """Do it, unless recording has failed; a failure ends the recording, not the session. What a message of somebody's own holds
        may be anything, so anything may fail."""
        if self.lost or self._writer is None:
            return
        try:
            write(self._writer)
        except (OSError, FlowkitError) as error:
            self.lost = str(error)
        except Exception as error:
            self.lost = f"a message cannot be written: {type(error).__name__}: {error}"

    def _job(self, writer: SpanWriter, job: Job) -> None:
        self._journal.levels(*self._audio.hear(job.frames))
        self._audio.speak(job.voices)
        for at_us, name, detail in job.events:
            told = {names.EVENT_NAME: name, names.EVENT_DETAIL: self._redactor.text(_FOLDERS.sub("", detail), "events")}
            writer.span(names.EVENT, at_us, at_us, told)
        self._journal.write(writer, self._redactor.rows(job.rows))

    def _end(self, writer: SpanWriter, reason: str, queues: tuple[QueueReport, ...]) -> None:
        self._journal.finish(writer)
        told = {
            names.REASON: self._redactor.text(reason, "errors") if reason.startswith("failed") else reason,
            names.DIGEST: self._journal.digest(),
            names.ROWS: self._journal.rows,
            names.QUEUES: json_text(
                [[q.stage, q.max, q.when_full, q.high_water, q.dropped, q.blocked_us] for q in queues]
            ),
            names.AUDIO: json_text([list(sound) for sound in self._audio.close()]),
        }
        failed = reason if reason.startswith("failed") else ""
        root = {"gen_ai.operation.name": "invoke_agent", **told}
        writer.span(names.SESSION, 0, self._journal.now_us, root, key=ROOT, error=self._redactor.text(failed, "errors"))


_SILENT = frozenset({Frames, Probability, Credit})
"""Most of a journal, of which no span tells."""


class JournalWriter:
    """The journal's chunks, and the spans of turns and calls that its rows make."""

    def __init__(self, encoder: Encoder, spans: SpanBuilder) -> None:
        self._encoder = encoder
        self._spans = spans
        self._state = blake2b(digest_size=16)
        self._levels: list[tuple[int, bytes]] = []
        self._shown = -1
        self.rows = 0
        self.now_us = 0

    def levels(self, first: int, levels: bytes) -> None:
        """Levels of frames from `first` on, to go out with the next chunk."""
        if levels:
            self._levels.append((first, levels))

    def write(self, writer: SpanWriter, rows: list[RowTuple]) -> None:
        """Write what the rows complete."""
        for chunk in self._encoder.add(rows):
            self._full(writer, chunk)
        for row in rows:
            if type(row[9]) not in _SILENT:
                for span in self._spans.row(row):
                    _write_span(writer, span)
        self.rows += len(rows)
        self.now_us = rows[-1][5] if rows else self.now_us

    def provisional(self, writer: SpanWriter) -> None:
        """Write the chunk under way; it will come again, longer, under the same number, which replaces this one."""
        for chunk in self._encoder.pending():
            if chunk.first + chunk.rows > self._shown:
                self._shown = chunk.first + chunk.rows
                self._span(writer, chunk)

    def finish(self, writer: SpanWriter) -> None:
        """The journal is whole."""
        for chunk in self._encoder.finish():
            self._full(writer, chunk)
        for span in self._spans.finish(self.now_us):
            _write_span(writer, span)

    def digest(self) -> str:
        """Of what was written."""
        return self._state.hexdigest()

    def _full(self, writer: SpanWriter, chunk: Chunk) -> None:
        self._state.update(chunk.text.encode() + b"\n")
        self._span(writer, chunk)

    def _span(self, writer: SpanWriter, chunk: Chunk) -> None:
        told: dict[str, Any] = {
            names.CHUNK: chunk.number,
            names.FIRST: chunk.first,
            names.ROWS: chunk.rows,
            names.TEXT: chunk.text,
        }
        if self._levels:
            told[names.LEVELS_FIRST] = [first for first, _ in self._levels]
            told[names.LEVELS] = [base64.b64encode(levels).decode() for _, levels in self._levels]
            self._levels.clear()
        writer.span(names.JOURNAL, chunk.begin_us, chunk.end_us, told)


class Sounds:
    """The ruler's levels and the sound files. Levels are kept where sound is not, for figures need them."""

    def __init__(self, path: Path, rate_hz: int, frame_us: int, *, keeps: bool) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self._frame_samples = rate_hz * frame_us // 1_000_000
        self._reference = Reference(self._frame_samples)
        self._keeps = keeps
        self._files: dict[str, WavWriter] = {}

    def hear(self, frames: list[tuple[int, bytes]]) -> tuple[int, bytes]:
        """Take input frames; returns their levels, with the first frame's index."""
        frames = [(index, pcm) for index, pcm in frames if pcm]
        levels = b""
        for index, pcm in _joined(frames, 2 * self._frame_samples):
            if self._keeps:
                file = self._file("input", self._rate_hz)
                file.pad_to(index * self._frame_samples)
                file.write(pcm)
            gap = bytes([255]) * (index - frames[0][0] - len(levels))
            levels += gap + self._reference.add(index, pcm)
        return (frames[0][0] if frames else 0), levels

    def speak(self, voices: list[tuple[int, bytes]]) -> None:
        """Take the voice's sound, in the order in which it came."""
        for rate_hz, pcm in voices:
            if self._keeps and pcm:
                self._file(f"voice-{rate_hz}", rate_hz).write(pcm)

    def close(self) -> list[Sound]:
        """Turn every sound into FLAC."""
        return [file.close() for file in self._files.values()]

    def abandon(self) -> None:
        """Leave them as they are."""
        for file in self._files.values():
            file.abandon()

    def _file(self, role: str, rate_hz: int) -> WavWriter:
        if role not in self._files:
            self._files[role] = WavWriter(self._path, role, rate_hz)
        return self._files[role]


def _joined(frames: list[tuple[int, bytes]], frame_bytes: int) -> list[tuple[int, bytes]]:
    """Frames that follow one another as one piece, for numpy costs as much for one frame as for fifty."""
    joined: list[tuple[int, list[bytes]]] = []
    expected = -1
    for index, pcm in frames:
        if index == expected:
            joined[-1][1].append(pcm)
        else:
            joined.append((index, [pcm]))
        expected = index + len(pcm) // frame_bytes
    return [(index, b"".join(parts)) for index, parts in joined]


def json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _write_span(writer: SpanWriter, span: SpanPlan) -> None:
    told = {"gen_ai.operation.name": span.name, "flowkit.turn": span.turn, **span.attributes}
    turn = f"turn {span.turn}"
    if span.name == "invoke_agent":
        writer.span(span.name, span.begin_us, span.end_us, told, key=turn, error=span.error)
    else:
        writer.span(span.name, span.begin_us, span.end_us, told, parent=turn if span.turn else ROOT, error=span.error)
