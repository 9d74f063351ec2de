"""The writing side of a recording: from hand-overs to lines of a trace and samples of a sound file.

Used by the recorder's writing thread alone, and before and after it. After a failure it takes no more, and says why.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.clock import wall_us
from flowkit.engine import Row
from flowkit.errors import FlowkitError, OutputError
from flowkit.figures.layout import Layout
from flowkit.figures.reference import Reference
from flowkit.figures.report import QueueReport
from flowkit.files import said
from flowkit.trace import names
from flowkit.trace.audio import RawSound, Sound
from flowkit.trace.journal import JournalDraft, JournalWriter
from flowkit.trace.redact import Redactor
from flowkit.trace.writer import ROOT, SpanWriter, open_new

_FOLDERS = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)*(?=(?:[\w.+-]+/){1,2}[\w.+-]+\.py\b)")
"""Folders ahead of a source file in a stall's stack: they say where on a machine flowkit lies, and whose machine it is."""


class Job(NamedTuple):
    """What one hand-over brings: rows, frames with their index, sound by rate, events as (time, name, detail)."""

    rows: list[Row]
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
        self.tell: Callable[[str], None] = lambda line: None
        """Is told at once when recording fails; from the writing thread."""
        self._file = open_new(path)
        self._head = head
        self._redactor = redactor
        self._audio = audio
        self._draft = JournalDraft(layout)
        self._journal = JournalWriter(layout, self._draft)
        self._writer: SpanWriter | None = None

    def begin(self, base_us: int) -> None:
        """The session begins now. Only the first call counts."""
        if self._writer is not None:
            return
        # Two sessions may begin in one microsecond, but not with one file.
        session_id = blake2b(b"%d %s" % (base_us, os.fsencode(self.path.resolve())), digest_size=8).hexdigest()
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
        """Nothing has come for a while: write the part under way, unless that was done."""
        self._guarded(lambda writer: self._journal.provisional(writer))

    def close(self, reason: str, queues: tuple[QueueReport, ...]) -> Recording:
        """Write the end and close the files."""
        self.begin(wall_us())
        self._guarded(lambda writer: self._end(writer, reason, queues))
        assert self._writer is not None
        written, identity = self._writer.bytes, os.fstat(self._file.fileno())
        try:
            self._writer.close()
        except OutputError as error:
            self.lose(str(error))
        if self.lost:
            self._audio.abandon()
        else:
            written -= self._draft.remove(self.path, identity)
        return Recording(self.path, self._journal.digest(), self._journal.rows, written, self.lost)

    def _guarded(self, write: Callable[[SpanWriter], None]) -> None:
        """Do it, unless recording has failed; a failure ends the recording, not the session. What a message of somebody's own holds
        may be anything, so anything may fail."""
        if self.lost or self._writer is None:
            return
        try:
            write(self._writer)
        except OSError as error:
            self.lose(f"cannot write {error.filename or self.path}: {said(error)}")
        except FlowkitError as error:
            self.lose(str(error))
        except Exception as error:
            self.lose(f"a message cannot be written: {type(error).__name__}: {error}")

    def lose(self, why: str) -> None:
        """Recording ends here, and it is said at once."""
        if not self.lost:
            self.lost = why
            self.tell(f"recording has ended: {why}; what stands is readable, and the session goes on")

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


class Sounds:
    """The ruler's levels and the sound files. Levels are kept where sound is not, for figures need them."""

    def __init__(self, path: Path, rate_hz: int, frame_us: int, *, keeps: bool) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self._frame_samples = rate_hz * frame_us // 1_000_000
        self._reference = Reference(self._frame_samples)
        self._keeps = keeps
        self._files: dict[str, RawSound] = {}

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

    def _file(self, role: str, rate_hz: int) -> RawSound:
        if role not in self._files:
            self._files[role] = RawSound(self._path, role, rate_hz)
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
