"""Where a session's trace goes, and what it is given: one record for every ``flowkit run``."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.clock import US_PER_S, wall_us
from flowkit.files import PRIVATE, PRIVATE_FOLDER, make_folder, sounds_beside
from flowkit.secrets import known

if TYPE_CHECKING:
    from flowkit.config import Config
    from flowkit.config.schema import TraceOptions
    from flowkit.engine.observer import Observer
    from flowkit.plan import Plan
    from flowkit.runtime.session import SessionOutcome
    from flowkit.trace.recorder import Recorder


class Record:
    """The trace of one session: `path`, or None if none is kept. At the end the journal's `digest` is there, and `lost` says why
    the trace is not whole."""

    def __init__(self, path: Path | None = None, recorder: Recorder | None = None, mode: int = PRIVATE) -> None:
        self.path = path
        self._mode = mode
        self.lost = self.digest = ""
        self._recorder = recorder

    @property
    def observers(self) -> tuple[Observer, ...]:
        return () if self._recorder is None else (self._recorder,)

    def on_loss(self, say: Callable[[str], None]) -> None:
        """`say` is told at once should the record not become whole."""
        if self._recorder is not None:
            self._recorder.on_loss(say)

    def end(self, outcome: SessionOutcome) -> None:
        """The session came to its end: write what is left of it."""
        from flowkit.figures.queues import queue_reports

        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recording = recorder.close(outcome.reason, queues=queue_reports(outcome.inboxes))
            self.lost, self.digest = recording.lost, recording.digest
        self._open_up()

    def _open_up(self) -> None:
        """Who may read it was declared; while it was being recorded only its owner could."""
        if self.path is not None and self._mode != PRIVATE:
            for path in (self.path, *sounds_beside(self.path)):
                with suppress(OSError):
                    path.chmod(self._mode)

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
    make_folder(path.parent, PRIVATE_FOLDER | (settings.mode & 0o066) | (settings.mode & 0o044) >> 2)
    recorder = open_recorder(
        path,
        plan,
        config=show(config, plan),
        secrets=known().values,
        keep=settings.redact.keep if settings.redact is not None else None,
        audio=settings.audio,
    )
    return Record(path, recorder, settings.mode)


_NAMED = re.compile(r".+-\d{8}-\d{6}-\d+\.jsonl")
_UNDER_WAY_US = 60 * US_PER_S


def remove_old(settings: TraceOptions) -> list[Path]:
    """Keep the rules of ``trace: {keep, at_most}`` in its folder. Only what ``run`` named itself is removed, with its sound:
    neither what is still being written nor a trace with expectations. Returns the traces that are gone."""
    if settings.keep is None and settings.at_most is None:
        return []
    aged = list(_aged(Path(settings.dir)))
    gone, left = list[Path](), sum(size for _, size, _ in aged)
    for age_us, size, path in sorted(aged, reverse=True):
        too_old = settings.keep is not None and age_us > settings.keep
        too_much = settings.at_most is not None and left > settings.at_most
        if age_us > _UNDER_WAY_US and (too_old or too_much):
            left -= size
            gone.append(path)
            with suppress(OSError):
                for file in (*sounds_beside(path), path):
                    file.unlink()
    return gone


def _aged(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Age in microseconds, size in bytes and path of each trace that may be removed."""
    with suppress(OSError):
        for path in folder.iterdir():
            kept = path.with_name(path.name.removesuffix(".jsonl") + ".expect.yaml").exists()
            if _NAMED.fullmatch(path.name) and path.is_file() and not path.is_symlink() and not kept:
                size = sum(file.stat().st_size for file in (path, *sounds_beside(path)))
                yield wall_us() - path.stat().st_mtime_ns // 1000, size, path


def _fresh(folder: Path, name: str) -> Path:
    """A name by time of day and process, so that sessions started in the same second do not meet. It lies in `folder`, whatever the
    pipeline is called."""
    name = re.sub(r"[^\w.-]", "_", name).strip(".")[:100] or "pipeline"
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(wall_us() // US_PER_S))
    return folder / f"{name}-{when}-{os.getpid()}.jsonl"
