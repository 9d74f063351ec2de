"""The recorder: an observer that writes a session's trace while the session runs.

The pump's thread only collects what happens. Another thread encodes and writes it. If the disk falls a minute behind,
recording ends with a notice, so that memory does not fill up.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from pathlib import Path

from flowkit import __version__
from flowkit.clock import wall_us
from flowkit.config import RunMode
from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.figures.layout import layout_of
from flowkit.figures.report import QueueReport
from flowkit.plan.graph import Plan
from flowkit.trace import names
from flowkit.trace.redact import Redactor
from flowkit.trace.tape import Job, Recording, Sounds, Tape, json_text
from flowkit.trace.thread import Backlog, WritingThread


class Recorder(Observer):
    """Records one session. Made by ``open_recorder``. Call ``close`` when the session has ended."""

    def __init__(self, tape: Tape, thread: WritingThread) -> None:
        self._tape = tape
        self._events: list[tuple[int, str, str]] = []
        self._backlog = Backlog(tape)
        self._at_us = 0
        self._recording: Recording | None = None
        self._thread = thread
        self.empty = True
        """Whether nothing has happened in the session."""
        thread.add(self._backlog)

    def begin(self, base_us: int | None = None) -> None:
        """Note that the session started at `base_us`, in microseconds since 1970, or starts now. Only the first call counts."""
        self._tape.begin(wall_us() if base_us is None else base_us)

    def rows(self, rows: list[Row]) -> None:
        """Pass everything since the last call to the writing thread."""
        job, self._events = Job(rows, self._events), []
        if rows:
            self._at_us, self.empty = rows[-1].handled_us, False
        if not self._tape.lost and not self._backlog.put(self._at_us, job):
            self._tape.fail("the disk could not keep up")

    def on_loss(self, notify: Callable[[str], None]) -> None:
        """Set the function that is called with a line of text when recording fails. It may be called from any thread."""
        self._tape.notify = notify

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Record an event that is not a message."""
        self._events.append((at_us, name, detail))

    def flush(self) -> None:
        """Wait until everything collected so far is written. This blocks."""
        self._thread.flush(self._backlog)

    def close(self, reason: str = "closed", queues: Iterable[QueueReport] = ()) -> Recording:
        """Write what is left, convert sound to FLAC, and return a description of the recording.

        This blocks until everything is written. `reason` is why the session ended. Only the first call counts.
        """
        if self._recording is None:
            # Sound and events that came after the last row would be lost otherwise.
            self.rows([])
            self._thread.remove(self._backlog)
            self._recording = self._tape.close(reason, tuple(queues))
        return self._recording


def open_recorder(
    path: Path,
    plan: Plan,
    *,
    config: str = "",
    secrets: Iterable[str] = (),
    keep: Iterable[str] | None = None,
    audio: bool = True,
    thread: WritingThread | None = None,
) -> Recorder:
    """A recorder that writes a new trace to `path`, and sound files next to it.

    Args:
        path: the trace. It must not exist.
        plan: the plan of the session.
        config: the resolved configuration as text, with secrets masked.
        secrets: values that are masked wherever they occur.
        keep: ``trace.redact.keep``, the classes of content to keep. None: all.
        audio: whether to keep sound.
        thread: the thread that writes it. By default it has one of its own.

    Raises:
        OutputError: the file cannot be created.
        UsageError: `keep` names an unknown class.
    """
    redactor = Redactor(keep, secrets)
    layout = layout_of(plan)
    head = {
        names.FORMAT_VERSION: names.FORMAT,
        names.NAME: plan.name,
        names.CONFIG: config if redactor.keeps("config") else "",
        names.LAYOUT: json_text(layout.to_json()),
        names.RATE: plan.input_rate_hz,
        names.VERSIONS: json_text(
            {"flowkit": __version__, "python": platform.python_version(), "system": platform.system()}
        ),
    }
    if plan.mode is not RunMode.FILE:
        head[names.MODE] = plan.mode
    if redactor.kept is not None:
        head[names.KEPT] = json_text(sorted(redactor.kept))
    sounds = Sounds(path, layout, plan.input_rate_hz, keeps=audio and redactor.keeps("audio"))
    return Recorder(Tape(path, head, layout, redactor, sounds), thread or WritingThread())
