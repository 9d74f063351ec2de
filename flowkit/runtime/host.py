"""A host runs any number of sessions in one process.

It loads the models once, and has one of each thing that a process needs only once: watchdog, alarms, collector policy, and the
thread that writes recordings. It admits sessions or refuses them, and it ends them in order. A session that fails ends alone.

    async with open_host("pipelines/assistant.yaml", max_sessions=50) as host:
        outcome = await host.run_session()
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from flowkit.clock import US_PER_S, whole_ms
from flowkit.config import Config, load
from flowkit.engine import Engine
from flowkit.engine.observer import Observer
from flowkit.errors import Refused, UsageError
from flowkit.figures.live import LiveFigures
from flowkit.figures.stalls import Stalls
from flowkit.plan import require
from flowkit.plan.graph import Plan
from flowkit.plan.tools import allowing
from flowkit.plan.variables import fill
from flowkit.providers.models import open_models
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.gauges import Gauges, queue_depths
from flowkit.runtime.handle import Session, in_background
from flowkit.runtime.load import Load
from flowkit.runtime.loading import preloaded
from flowkit.runtime.realtime import in_real_time
from flowkit.runtime.recording import Recordings, open_recordings
from flowkit.runtime.remote import Remote
from flowkit.runtime.session import (
    INTERRUPTED,
    LiveSession,
    SessionOutcome,
    Settled,
    Shared,
    Until,
    alone,
    cause,
    stall_event,
)
from flowkit.runtime.signals import open_signals
from flowkit.runtime.watchdog import Stall, Watchdog

MAX_LAG_US = 50_000


@dataclass(frozen=True, slots=True)
class Limits:
    """When a host refuses a session: at `max_sessions` sessions (None: any number), or while the event loop wakes more than
    `max_lag_us` late. Raises UsageError for a limit below 1."""

    max_sessions: int | None = None
    max_lag_us: int = MAX_LAG_US

    def __post_init__(self) -> None:
        for name, value in (("max_sessions", self.max_sessions), ("max_lag_us", self.max_lag_us)):
            if value is not None and value < 1:
                raise UsageError(f"{name}: must be at least 1 (got {value})")


class Host:
    """Runs sessions of `plan`. Made by ``open_host``."""

    def __init__(
        self, plan: Plan, limits: Limits, shared: Shared, recordings: Recordings, allow_tools: Collection[str] = ()
    ) -> None:
        self.plan = plan
        self._allow_tools = allow_tools
        self.limits = limits
        self.load = Load(shared.alarms, lambda: len(self._sessions))
        self._recordings = recordings
        self._shared = shared
        self._sessions: list[LiveSession] = []
        self._open = 0
        """Sessions that were admitted and are not over: their recording may still have to be made, or finished."""
        self._idle = trio.Event()
        self._draining = False
        self._begun = self._refused = self._failed = 0
        self._told_s = -math.inf
        self.stalls = Stalls()
        """How often the event loop was held up, and by whom."""

    async def run_session(
        self,
        plan: Plan | None = None,
        *,
        name: str | None = None,
        trace: Path | bool | None = None,
        observers: tuple[Observer, ...] = (),
        duration_us: int | None = None,
        turns: int | None = None,
        started: Callable[[Engine, LiveFigures], None] | None = None,
        clock: SessionClock | None = None,
        remote: Remote | None = None,
        variables: Mapping[str, str] | None = None,
        settled: Settled | None = None,
    ) -> SessionOutcome:
        """Run one session to its end, in the calling task, and return how it went.

        Args:
            plan: another plan than the host's, such as one with other ends.
            name: what notices and stalls call the session; by default its number.
            trace: record the session to this file, which must not exist; True: to a new file in the folder `trace.dir`.
            observers: who watches it, besides.
            duration_us: end after so many microseconds.
            turns: end when so many turns are over.
            started: called with the engine and the figures before anything happens.
            clock: the session's clock, if the caller wants to read it.
            remote: passes messages to the session while it runs.
            variables: the values of `{{name}}` in system prompts and the greeting.
            settled: for tests under a clock that jumps.

        Raises:
            Refused: the host is full, too busy, or draining.
            FlowkitError: a variable is missing or unknown, a provider cannot be made ready, or the trace cannot be made.
        """
        self._admit()
        given = variables or {}
        self._recordings.check(given)
        name = f"session {self._begun}" if name is None else name
        plan = self.plan if plan is None else allowing(plan, self._allow_tools)
        plan = fill(plan, given) if given else plan
        self._begun += 1
        # An event cannot be cleared, and the old one is set since the host was last idle.
        if not self._open:
            self._idle = trio.Event()
        self._open += 1
        try:
            async with self._recordings.of(trace, plan, given) as record:
                session = LiveSession(
                    plan,
                    self._shared,
                    name=name,
                    observers=(*observers, *record.observers),
                    until=Until(duration_us, turns),
                    started=started,
                    clock=clock,
                    remote=remote,
                    settled=settled,
                )
                record.outcome = outcome = await self._run(session)
            return outcome
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    def session(
        self, plan: Plan | None = None, *, observers: tuple[Observer, ...] = (), **options: Any
    ) -> AbstractAsyncContextManager[Session]:
        """Run a session in the background, while the body of ``async with`` runs. The value is a ``Session``.

            async with host.session() as session:
                session.type("Hello?")
                turn = await session.reply()
            outcome = await session.outcome()

        `options` are those of ``run_session`` except `remote`. Raises as ``run_session`` does.
        """

        def run(session: Session) -> Awaitable[SessionOutcome]:
            return self.run_session(plan, remote=session, observers=(*observers, session.awaited), **options)

        return in_background(run)

    async def _run(self, session: LiveSession) -> SessionOutcome:
        self._sessions.append(session)
        try:
            outcome = await session.run()
            self._failed += outcome.reason.startswith("failed")
            return outcome
        finally:
            self._sessions.remove(session)

    # -- admission --------------------------------------------------------------------------------------------------

    @property
    def accepting(self) -> bool:
        """Whether a session would be admitted now."""
        return not self._why_not()

    def _why_not(self) -> str:
        # Those too whose recording is being made or finished: a flood of callers must not pass while the disk is asked.
        sessions, limits = self._open, self.limits
        if self._draining:
            return "it is draining"
        if limits.max_sessions is not None and sessions >= limits.max_sessions:
            return f"it runs {sessions} sessions, as many as it may (max_sessions)"
        # The limit protects the sessions that run; without any there is nothing to protect.
        if sessions and self.load.lag_us > limits.max_lag_us:
            return f"its event loop wakes {whole_ms(self.load.lag_us)} ms late (max_lag_us)"
        return ""

    def _admit(self) -> None:
        if why := self._why_not():
            self._refused += 1
            raise Refused(f"this host takes no other session: {why}", hint="try again later, or another host")

    # -- ending -----------------------------------------------------------------------------------------------------

    def close(self, reason: str = "closed") -> None:
        """Admit no more, and end every session in order, now."""
        self._draining = True
        for session in list(self._sessions):
            session.close(reason)

    def cancel(self, reason: str = "closed") -> None:
        """Admit no more, and end every session at once."""
        self._draining = True
        for session in list(self._sessions):
            session.cancel(reason)

    async def drain(self, within_us: int | None = None) -> None:
        """Admit no more, and let the sessions end by themselves. After `within_us` those that are left are closed in order."""
        self._draining = True
        if within_us is not None:
            with trio.move_on_after(within_us / US_PER_S):
                await self._ended()
            self.close()
        await self._ended()

    async def _ended(self) -> None:
        """Wait until there is no session, and every recording is finished."""
        while self._open:
            await self._idle.wait()

    async def shut(self) -> None:
        """The host's body is over: no session outlives it. Sessions get the plan's `grace_us` to end in order."""
        # A cancelled body must not cut off the end of sessions and recordings.
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self.plan.grace_us / US_PER_S):
                self.close()
                await self._ended()
            self.cancel()
            await self._ended()

    # -- looking at it ----------------------------------------------------------------------------------------------

    @property
    def gauges(self) -> Gauges:
        """The host as it is now."""
        engines = [session.pump.engine for session in self._sessions if session.pump is not None]
        return Gauges(
            len(self._sessions),
            self._begun,
            self._refused,
            self._failed,
            self.stalls.held,
            self.load.lag_us,
            self.load.cpu_us_a_session_s,
            queue_depths(engines),
        )

    def stalled(self, stall: Stall) -> None:
        """Handle a stall of the event loop, which held every session. The host counts each. A session's trace gets each stall if
        the session is alone, and at most one a second otherwise, because recording them costs time that a busy host lacks.
        """
        self.stalls.add(*stall_event(stall))
        now_s = trio.current_time()
        if len(self._sessions) > 1 and now_s < self._told_s + 1:
            return
        self._told_s = now_s
        for session in self._sessions:
            session.event(*stall_event(stall))


def _say(line: str) -> None:
    print(f"flowkit: {line}", file=sys.stderr, flush=True)


@asynccontextmanager
async def open_host(
    source: Plan | Config | str | os.PathLike[str],
    *,
    max_sessions: int | None = None,
    max_lag_us: int = MAX_LAG_US,
    allow_tools: Collection[str] = (),
    notice: Callable[[str], None] = _say,
) -> AsyncIterator[Host]:
    """A host for sessions of a pipeline, with everything loaded that they share. Must be entered inside Trio.

    Args:
        source: the pipeline's YAML file, its Config, or a Plan. With a Plan alone nothing can be recorded.
        max_sessions: how many sessions may run at the same time; None for any number.
        max_lag_us: while the event loop wakes later than this, no session is admitted.
        allow_tools: packages that the tools of this host may be imported from, and programs that they may start. Those that the
            pyproject.toml of the current folder names may be too.
        notice: called with each line for people, such as the progress of loading; by default it goes to stderr.

    Raises:
        UsageError: a limit is below 1.
        ConfigError: the pipeline cannot work, or names a tool that is not allowed.
        FlowkitError: a model cannot be loaded.

    When the body ends, sessions that still run are ended in order.
    """
    limits = Limits(max_sessions, max_lag_us)
    if isinstance(source, Plan):
        plan, config = allowing(source, allow_tools), None
    else:
        config = source if isinstance(source, Config) else load(os.fspath(source), environ=os.environ)
        plan = require(allowing(config, allow_tools))
    async with _opened(plan, config, limits, notice, allow_tools) as host:
        yield host


@asynccontextmanager
async def _opened(
    plan: Plan,
    config: Config | None,
    limits: Limits,
    notice: Callable[[str], None],
    allow_tools: Collection[str] = (),
) -> AsyncIterator[Host]:
    failure: Exception | None = None
    try:
        async with AsyncExitStack() as stack:
            alarms = await stack.enter_async_context(open_alarms())
            models = await stack.enter_async_context(open_models(notice))
            await stack.enter_async_context(preloaded(plan, models))
            recordings = await stack.enter_async_context(open_recordings(config, notice))
            # After the models are loaded, so that their objects are frozen too.
            stack.enter_context(in_real_time())
            # A lambda, because the host is made below.
            watchdog = stack.enter_context(Watchdog(lambda stall: host.stalled(stall)))
            shared = Shared(models, alarms, watchdog, notice, lambda stall: host.stalled(stall))
            host = Host(plan, limits, shared, recordings, allow_tools)
            host.load.start()
            try:
                yield host
            except Exception as error:  # carried past the nurseries, which would wrap it into groups
                failure = error
            finally:
                await host.shut()
    except ExceptionGroup as group:
        raise alone(group) from cause(group)
    if failure is not None:
        raise failure


async def run_alone(
    plan: Plan,
    *,
    notice: Callable[[str], None],
    config: Config | None = None,
    **options: Any,
) -> SessionOutcome:
    """A host with one session, which the first Ctrl-C ends in order (reason ``interrupted``) and the second at once.

    `options` are those of ``Host.run_session``. Raises what a provider raises while it is loaded.
    """
    # This is the outcome of a Ctrl-C while the models are loaded.
    outcome = SessionOutcome(LiveFigures(plan), INTERRUPTED)
    try:
        async with open_signals() as signals, _opened(plan, config, Limits(), notice) as host:
            signals.in_order = lambda: host.close(INTERRUPTED)
            signals.at_once = lambda: host.cancel(INTERRUPTED)
            outcome = await host.run_session(name="", **options)
    except ExceptionGroup as group:
        raise alone(group) from cause(group)
    if signals.asked:
        outcome.reason = INTERRUPTED
    return outcome
