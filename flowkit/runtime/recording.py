"""The recording of a session: made as the pipeline file's ``trace:`` asks, in a thread that all sessions of a host share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flowkit.errors import UsageError
from flowkit.figures.queues import queue_reports
from flowkit.files import PRIVATE, PRIVATE_FOLDER, make_folder, sounds_beside
from flowkit.plan import Plan, with_playback
from flowkit.secrets import known
from flowkit.trace.retention import fresh_path, has_rule, remove_old
from flowkit.trace.thread import WritingThread

if TYPE_CHECKING:
    from flowkit.config import Config
    from flowkit.config.schema import TraceOptions
    from flowkit.engine.observer import Observer
    from flowkit.runtime.session import SessionOutcome
    from flowkit.trace.recorder import Recorder


_EVERY_S = 600
"""How often old recordings are looked for."""


@asynccontextmanager
async def open_recordings(config: Config | None, notice: Callable[[str], None]) -> AsyncIterator[Recordings]:
    """The recordings of a host, and the rule about old ones, which is applied at once and then at intervals."""
    recordings = Recordings(config, notice)
    async with trio.open_nursery() as nursery:
        if config is not None and has_rule(config.top.trace):
            await recordings.tidy(config.top.trace)
            nursery.start_soon(recordings.keep_tidy, config.top.trace, name="old recordings")
        yield recordings
        nursery.cancel_scope.cancel()


class Recordings:
    """Makes the recordings of a host. `config` is what its sessions run; without it nothing can be recorded."""

    def __init__(self, config: Config | None, notice: Callable[[str], None]) -> None:
        # The stages that the plan has, or a replay would lack the speaker.
        self._config = None if config is None else with_playback(config)
        self._notice = notice
        self._thread = WritingThread()
        self._limiter = trio.CapacityLimiter(_AT_ONCE)
        self._busy: set[Path] = set()
        """The files of recordings that are not finished."""

    def check(self, variables: Mapping[str, str]) -> None:
        """Raises FlowkitError if these are not the values that the configuration needs."""
        from flowkit.plan.variables import check_given

        if self._config is not None:
            check_given(self._config, variables)

    @asynccontextmanager
    async def of(self, path: Path | bool | None, plan: Plan, variables: Mapping[str, str]) -> AsyncIterator[Record]:
        """A record of one session of `plan`, in which `variables` are filled in, at `path`; True: in the folder for traces,
        under a name of its own.

        Once the body has ended the file is finished, in a thread; until then it is not lost even if the session is
        cancelled. Raises OutputError if the file cannot be made.
        """
        if not path:
            yield Record(None)
            return
        if path is True:
            path = fresh_path(self._configured().top.trace, self._configured().name)
        self._busy.add(path)
        try:
            record = await trio.to_thread.run_sync(partial(self.open, path, plan, variables))
            try:
                yield record
            finally:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(record.finish, limiter=self._limiter)
        finally:
            self._busy.discard(path)

    async def keep_tidy(self, settings: TraceOptions) -> None:
        """Remove old recordings, at intervals."""
        while True:
            await trio.sleep(_EVERY_S)
            await self.tidy(settings)

    async def tidy(self, settings: TraceOptions) -> None:
        """Remove old recordings, in a thread, because a folder may hold many."""
        for gone in await trio.to_thread.run_sync(remove_old, settings, frozenset(self._busy)):
            self._notice(f"removed {gone}, as trace.keep and trace.at_most say")

    def open(self, path: Path, plan: Plan, variables: Mapping[str, str]) -> Record:
        """Begin a record. Raises OutputError if the file cannot be made."""
        config = self._configured()
        # Imported here: a host that records nothing need not load the recorder.
        from flowkit.plan.show import show
        from flowkit.plan.variables import fill
        from flowkit.trace import open_recorder

        settings = config.top.trace
        # A user who may read the file must also be able to enter its folder.
        make_folder(path.parent, PRIVATE_FOLDER | (settings.mode & 0o066) | (settings.mode & 0o044) >> 2)
        recorder = open_recorder(
            path,
            plan,
            config=show(fill(config, variables), plan),
            secrets=known().values,
            keep=settings.redact.keep if settings.redact is not None else None,
            audio=settings.audio,
            thread=self._thread,
        )
        recorder.on_loss(self._notice)
        return Record(recorder, path, settings.mode)

    def _configured(self) -> Config:
        if self._config is None:
            raise UsageError(
                "a recording holds the configuration, and this host was opened with a plan alone",
                hint="open it with a pipeline file or a Config",
            )
        return self._config


_AT_ONCE = 2
"""Recordings that are finished at the same time. Turning sound into FLAC takes CPU time that calls need."""


class Record:
    """One session's recording, or nothing."""

    def __init__(self, recorder: Recorder | None, path: Path = Path(), mode: int = PRIVATE) -> None:
        self._recorder = recorder
        self._path = path
        self._mode = mode
        self.outcome: SessionOutcome | None = None
        """How the session went, once that is known."""

    @property
    def observers(self) -> tuple[Observer, ...]:
        return () if self._recorder is None else (self._recorder,)

    def _discard(self) -> None:
        for path in (self._path, *sounds_beside(self._path)):
            # The failure of the session matters more.
            with suppress(OSError):
                path.unlink()

    def finish(self) -> None:
        """Write what is left. Takes a moment."""
        assert self._recorder is not None
        if self.outcome is None:
            self._recorder.close("failed")
            if self._recorder.empty:  # a provider did not get ready, so there was no session
                self._discard()
                return
        else:
            reports = queue_reports(self.outcome.inboxes)
            self.outcome.recording = self._recorder.close(self.outcome.reason, reports)
        if self._mode != PRIVATE:  # while it was being recorded only its owner could read it
            for path in (self._path, *sounds_beside(self._path)):
                # The recording is complete; only other users cannot read it.
                with suppress(OSError):
                    path.chmod(self._mode)
