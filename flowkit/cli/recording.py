"""Where a session's trace goes, and what it is given: one record for every ``flowkit run``."""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.clock import US_PER_S, wall_us
from flowkit.secrets import known

if TYPE_CHECKING:
    from flowkit.config import Config
    from flowkit.engine.observer import Observer
    from flowkit.plan import Plan
    from flowkit.runtime.session import Outcome
    from flowkit.trace.recorder import Recorder


class Record:
    """The trace of one session: `path`, or None if none is kept. At the end the journal's `digest` is there, and `lost` says why
    the trace is not whole."""

    def __init__(self, path: Path | None = None, recorder: Recorder | None = None) -> None:
        self.path = path
        self.lost = self.digest = ""
        self._recorder = recorder

    @property
    def observers(self) -> tuple[Observer, ...]:
        return () if self._recorder is None else (self._recorder,)

    def end(self, outcome: Outcome) -> None:
        """The session came to its end: write what is left of it."""
        from flowkit.figures.queues import queue_reports

        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recording = recorder.close(outcome.reason, queues=queue_reports(outcome.inboxes))
            self.lost, self.digest = recording.lost, recording.digest

    def close(self) -> None:
        """Close the file of a session that never came to its end."""
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.close("failed")


def record_path(args: argparse.Namespace, config: Config) -> Path | None:
    """Where the session will be recorded; None if it will not."""
    if args.no_trace:
        return None
    return Path(args.trace) if args.trace else _fresh(Path(config.top.trace.dir), config.name)


def open_record(path: Path | None, config: Config, plan: Plan) -> Record:
    """Begin the record at `path`, as the file's ``trace:`` asks. Raises OutputError if it cannot be made."""
    if path is None:
        return Record()
    from flowkit.plan.show import show
    from flowkit.trace import open_recorder

    settings = config.top.trace
    recorder = open_recorder(
        path,
        plan,
        config=show(config, plan),
        secrets=known().values,
        keep=settings.redact.keep if settings.redact is not None else None,
        audio=settings.audio,
    )
    return Record(path, recorder)


def _fresh(folder: Path, name: str) -> Path:
    """A name by time of day and process, so that sessions started in the same second do not meet. It lies in `folder`, whatever the
    pipeline is called."""
    name = re.sub(r"[^\w.-]", "_", name).strip(".")[:100] or "pipeline"
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(wall_us() // US_PER_S))
    return folder / f"{name}-{when}-{os.getpid()}.jsonl"
