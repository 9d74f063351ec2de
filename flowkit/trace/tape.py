"""Writes the jobs of the recorder to the trace and to sound files.

The writing thread uses it while the session runs. The recorder begins it before that and closes it afterwards. After a
failure it writes nothing more and says why.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from flowkit.clock import wall_us
from flowkit.engine import Row
from flowkit.errors import FlowkitError, OutputError
from flowkit.figures.layout import Layout
from flowkit.figures.reference import Reference
from flowkit.figures.report import QueueReport
from flowkit.files import reason_of
from flowkit.messages import Audio, Frames
from flowkit.trace import names
from flowkit.trace.audio import RawSound
from flowkit.trace.journal import JournalWriter
from flowkit.trace.redact import Redactor
from flowkit.trace.schema import Sound
from flowkit.trace.writer import ROOT, SpanWriter, open_new

_FOLDERS = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)*(?=(?:[\w.+-]+/){1,2}[\w.+-]+\.py\b)")
"""The leading folders of a path to a source file in a stall's stack. They are removed, because they reveal the user's
name and where flowkit is installed."""


class Job(NamedTuple):
    """What the recorder passes to the writing thread at once."""

    rows: list[Row]
    events: list[tuple[int, str, str]]
    """(time in microseconds, name, detail)."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished recording."""

    path: Path
    digest: str
    """Digest of the journal."""
    rows: int
    bytes: int
    """Size of the file."""
    lost: str = ""
    """Why recording failed before the end of the session; empty if it did not."""


class Tape:
    """An open trace with its sound files."""

    def __init__(self, path: Path, head: Mapping[str, Any], layout: Layout, redactor: Redactor, audio: Sounds) -> None:
        self.path = path
        self.lost = ""
        self.notify: Callable[[str], None] = lambda line: None
        """Called with a line of text as soon as recording fails, from the writing thread."""
        self._file = open_new(path)
        self._head = head
        self._redactor = redactor
        self._audio = audio
        self._journal = JournalWriter(layout)
        self._writer: SpanWriter | None = None

    @property
    def begun(self) -> bool:
        """Whether the session has begun."""
        return self._writer is not None

    def begin(self, base_us: int) -> None:
        """Write the start of the session. `base_us` is the time now, in microseconds since 1970. Only the first call
        counts."""
        if self._writer is not None:
            return
        # Two sessions may start in the same microsecond, but they cannot write to the same file.
        session_id = blake2b(b"%d %s" % (base_us, os.fsencode(self.path.resolve())), digest_size=8).hexdigest()
        self._writer = SpanWriter(self._file, session_id, base_us, self._redactor.scrub)
        self._guarded(
            lambda writer: writer.span(
                names.START, 0, 0, {**self._head, names.SESSION_ID: session_id, names.BASE: base_us}
            )
        )

    def write(self, jobs: list[Job]) -> None:
        """Write consecutive jobs as one piece."""
        whole = zip(*jobs, strict=True)
        self.job(jobs[0] if len(jobs) == 1 else Job(*(list(chain.from_iterable(parts)) for parts in whole)))

    def job(self, job: Job) -> None:
        """Write one job."""
        self._guarded(lambda writer: self._job(writer, job))

    def idle(self) -> None:
        """Write the chunk under way, unless it was written. Called when no job has come for a while."""
        self._guarded(lambda writer: self._journal.provisional(writer))

    def close(self, reason: str, queues: tuple[QueueReport, ...]) -> Recording:
        """Write the end, close all files and return a description of the recording."""
        # A session that failed before its first effect has a readable trace too.
        self.begin(wall_us())
        self._guarded(lambda writer: self._end(writer, reason, queues))
        assert self._writer is not None
        try:
            self._writer.close()
        except OutputError as error:
            self.fail(str(error))
        if self.lost:
            # WAV files that end early can still be played, and a repair turns them into FLAC.
            self._audio.abandon()
        return Recording(self.path, self._journal.digest(), self._journal.rows, self._writer.bytes, self.lost)

    def _guarded(self, write: Callable[[SpanWriter], None]) -> None:
        """Call `write`, unless recording has failed. An exception ends the recording, not the session.

        Any exception is caught, because a message class of a third party may hold anything.
        """
        if self.lost or self._writer is None:
            return
        try:
            write(self._writer)
        except OSError as error:
            self.fail(f"cannot write {error.filename or self.path}: {reason_of(error)}")
        except FlowkitError as error:
            self.fail(str(error))
        except Exception as error:
            self.fail(f"a message cannot be written: {type(error).__name__}: {error}")

    def fail(self, why: str) -> None:
        """End the recording and say so at once."""
        if not self.lost:
            self.lost = why
            self.notify(f"recording has ended: {why}; what was written is readable, and the session goes on")

    def _job(self, writer: SpanWriter, job: Job) -> None:
        self._journal.levels(*self._audio.add(job.rows))
        for at_us, name, detail in job.events:
            attributes = {
                names.EVENT_NAME: name,
                names.EVENT_DETAIL: self._redactor.text(_FOLDERS.sub("", detail), "events"),
            }
            writer.span(names.EVENT, at_us, at_us, attributes)
        self._journal.write(writer, self._redactor.rows(job.rows))

    def _end(self, writer: SpanWriter, reason: str, queues: tuple[QueueReport, ...]) -> None:
        self._journal.finish(writer)
        attributes = {
            # The reason of a failure quotes an error, which may hold what someone said.
            names.REASON: self._redactor.text(reason, "errors") if reason.startswith("failed") else reason,
            names.DIGEST: self._journal.digest(),
            names.ROWS: self._journal.rows,
            names.QUEUES: json_text(
                [[q.stage, q.max, q.when_full, q.high_water, q.dropped, q.blocked_us] for q in queues]
            ),
            names.AUDIO: json_text([list(sound) for sound in self._audio.close()]),
        }
        failed = reason if reason.startswith("failed") else ""
        root = {"gen_ai.operation.name": "invoke_agent", **attributes}
        writer.span(names.SESSION, 0, self._journal.now_us, root, key=ROOT, error=self._redactor.text(failed, "errors"))


class Sounds:
    """The levels of the input and the sound files.

    The reference detector needs the levels. So they are computed even if sound is not kept.
    """

    def __init__(self, path: Path, layout: Layout, rate_hz: int, *, keeps: bool) -> None:
        self._path = path
        self._source, self._voice = layout.only("mic"), layout.only("tts")
        self._rate_hz = rate_hz
        self._frame_samples = rate_hz * layout.frame_us // 1_000_000
        self._reference = Reference(self._frame_samples)
        self._keeps = keeps
        self._files: dict[str, RawSound] = {}

    def add(self, rows: list[Row]) -> tuple[int, bytes]:
        """Add the sound of the microphone and the voice. Returns the index of the first frame and the levels, one byte for
        each frame."""
        frames, voices = list[tuple[int, bytes]](), list[tuple[int, bytes]]()
        for row in rows:
            message = row.message
            # These two stages get sound from their providers alone, so there is one row for each piece.
            if type(message) is Frames and row.stage == self._source:
                frames.append((message.index, message.pcm))
            elif type(message) is Audio and row.stage == self._voice:
                voices.append((message.rate_hz, message.pcm))
        self._add_voices(voices)
        return self._add_input([(index, pcm) for index, pcm in frames if pcm])

    def _add_input(self, frames: list[tuple[int, bytes]]) -> tuple[int, bytes]:
        levels = b""
        for index, pcm in _joined(frames, 2 * self._frame_samples):
            if self._keeps:
                file = self._file("input", self._rate_hz)
                file.pad_to(index * self._frame_samples)
                file.write(pcm)
            # Dropped frames get a level that says missing, because a level is found by the number of its frame.
            gap = bytes([255]) * (index - frames[0][0] - len(levels))
            levels += gap + self._reference.add(index, pcm)
        return (frames[0][0] if frames else 0), levels

    def _add_voices(self, voices: list[tuple[int, bytes]]) -> None:
        # Joined, because the files are unbuffered: each piece would cost a system call.
        for rate_hz, pieces in groupby(voices, itemgetter(0)):
            if self._keeps and (pcm := b"".join([pcm for _, pcm in pieces])):
                self._file(f"voice-{rate_hz}", rate_hz).write(pcm)

    def close(self) -> list[Sound]:
        """Convert every sound file to FLAC and describe them."""
        return [file.close() for file in self._files.values()]

    def abandon(self) -> None:
        """Close the sound files without converting them."""
        for file in self._files.values():
            file.abandon()

    def _file(self, role: str, rate_hz: int) -> RawSound:
        if role not in self._files:
            self._files[role] = RawSound(self._path, role, rate_hz)
        return self._files[role]


def _joined(frames: list[tuple[int, bytes]], frame_bytes: int) -> list[tuple[int, bytes]]:
    """Consecutive frames as one piece: numpy takes as long for one frame as for fifty."""
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
    """`value` as compact JSON with sorted keys."""
    # Sorted, so that the same session gives the same bytes.
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
