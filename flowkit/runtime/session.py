"""One live session inside a host: its clock, its providers and its pump, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from traceback import clear_frames
from typing import TYPE_CHECKING
from uuid import uuid4

import trio

from flowkit.clock import US_PER_S, monotonic_us
from flowkit.engine import Engine, Row
from flowkit.engine.mailbox import Inbox
from flowkit.engine.observer import Observer
from flowkit.errors import FlowkitError
from flowkit.figures.live import LiveFigures
from flowkit.figures.records import TurnEnd
from flowkit.figures.stalls import held_event, starved_event
from flowkit.plan.graph import Plan
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.models import Models
from flowkit.runtime.alarms import Alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.loading import loaded
from flowkit.runtime.masking import Masking
from flowkit.runtime.pump import TrioPump
from flowkit.runtime.remote import Remote
from flowkit.runtime.watchdog import IN_PLACE_US, LIMIT_US, Stall, Timed, Watchdog
from flowkit.secrets import mask

if TYPE_CHECKING:
    from flowkit.trace.tape import Recording

INTERRUPTED = "interrupted"

Settled = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class SessionOutcome:
    """How a session went.

    `figures` are those of its turns and interrupts. `reason` is ``input_ended``, ``closed``, ``interrupted``, ``agent_ended``,
    ``user_idle``, ``session_limit`` or ``failed: ...``.
    `error` is the exception that ended the session, if one did. `recording` says what was recorded, if anything was. `wall_us` is
    the session's length.
    """

    figures: LiveFigures
    reason: str = "closed"
    error: Exception | None = None
    recording: Recording | None = None
    inboxes: list[tuple[str, Inbox]] = field(default_factory=list)
    wall_us: int = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """What a host shares among its sessions. `stalled` is called when the event loop was held up."""

    models: Models
    alarms: Alarms
    watchdog: Watchdog
    notice: Callable[[str], None]
    stalled: Callable[[Stall], None]


@dataclass(frozen=True, slots=True)
class Until:
    """When a session ends, if its input does not end before: after `duration_us`, or when `turns` turns are over."""

    duration_us: int | None = None
    turns: int | None = None


class LiveSession:
    """One session of `plan`. `run` runs it, `close` ends it in order, `cancel` at once.

    `name` stands before the names of its tasks. `started` is called with the engine and the figures before anything happens.
    """

    def __init__(
        self,
        plan: Plan,
        shared: Shared,
        *,
        name: str = "",
        observers: tuple[Observer, ...] = (),
        clock: SessionClock | None = None,
        settled: Settled | None = None,
        until: Until = Until(),
        started: Callable[[Engine, LiveFigures], None] | None = None,
        remote: Remote | None = None,
    ) -> None:
        self.plan = plan
        self.name = name
        self.clock = clock or SessionClock()
        self.outcome = SessionOutcome(LiveFigures(plan))
        self.pump: TrioPump | None = None
        """None before the providers are ready, and after the session's end."""
        self.over = False
        self._shared = shared
        # Made here, so that the session can be cancelled before it runs.
        self._scope = trio.CancelScope()
        self._until = until
        self._settled = settled
        self._started = started or (lambda engine, figures: None)
        self._remote = remote or Remote()
        self._turns = None if until.turns is None else _Turns(until.turns, self.outcome.figures)
        own: tuple[Observer, ...] = (self.outcome.figures, *((self._turns,) if self._turns is not None else ()))
        # The figures follow the rows first, so that other observers find them up to date.
        self._observers: tuple[Observer, ...] = (Masking((*own, *observers)),)
        self._prompt = [o.at_once for o in observers if type(o).at_once is not Observer.at_once]

    async def run(self) -> SessionOutcome:
        """Run to the session's end.

        What fails while the providers get ready is raised. What fails later ends the session, with that reason.
        """
        if (error := await self._failure()) is None:
            return self.outcome
        first = alone(error)
        forget_locals(first)
        # An error may quote a key, and the reason is recorded and shown.
        reason = mask(f"failed: {type(first).__name__}: {first}")
        # Not in this session's own outcome: its traceback refers to the session.
        return replace(self.outcome, reason=reason, error=first)

    async def _failure(self) -> Exception | None:
        """Run to the session's end. Returns what it failed of, if it did."""
        began = False
        try:
            with self._scope:
                async with loaded(self.plan, self._around(), self._shared.models) as providers:
                    began = True
                    await self._run(providers)
        except Exception as error:
            if not began:
                raise alone(error) from cause(error)
            return error
        return None

    def close(self, reason: str = "closed") -> None:
        """End the session in order. One that is still loading ends at once."""
        if self.pump is not None:
            self.pump.close(reason)
        elif not self.over:
            self.cancel(reason)

    def cancel(self, reason: str = "closed") -> None:
        """End the session at once."""
        self.outcome.reason = reason
        self._scope.cancel()

    def event(self, name: str, detail: str) -> None:
        """Tell the observers of something that is no message."""
        for observer in self._observers:
            observer.event(self.clock.now_us(), name, detail)

    async def _run(self, providers: Mapping[str, Provider]) -> None:
        outcome, began_us = self.outcome, monotonic_us()
        self.pump = pump = TrioPump(
            self.plan,
            providers,
            self.clock,
            self._shared.alarms,
            observers=self._observers,
            prompt=self._prompt,
            settled=self._settled,
            timed=self._timed,
            title=self._titled(""),
        )
        try:
            self._started(pump.engine, outcome.figures)
            self._remote._attach(pump, outcome.figures)
            async with trio.open_nursery() as nursery:
                if self._until.duration_us is not None:
                    nursery.start_soon(self._close_after, self._until.duration_us)
                if self._turns is not None:
                    nursery.start_soon(self._close_after_turns, self._turns)
                try:
                    outcome.reason = mask(await pump.run())
                finally:
                    # The tasks that wait for a time or for turns would keep the nursery open.
                    nursery.cancel_scope.cancel()
        finally:
            self.pump = None
            self._remote._attach(None, outcome.figures)
            self.over = True
            outcome.wall_us = monotonic_us() - began_us
            outcome.inboxes = pump.engine.inboxes()

    async def _close_after(self, duration_us: int) -> None:
        await trio.sleep(duration_us / US_PER_S)
        self.close()

    async def _close_after_turns(self, turns: _Turns) -> None:
        await turns.over.wait()
        self.close()

    def _timed(self, name: str, limit_us: int = IN_PLACE_US) -> Timed:
        return self._shared.watchdog.timed(self._titled(name), self._stalled, limit_us)

    def _titled(self, name: str) -> str:
        return f"{self.name}: {name}" if self.name else name

    def _stalled(self, stall: Stall) -> None:
        """Handle an inline call that took too long. If it held the event loop, it concerns every session."""
        if stall.lasted_us > LIMIT_US:
            self._shared.stalled(stall)
        else:
            self.event(*stall_event(stall))

    def _around(self) -> Surroundings:
        def event(at_us: int, name: str, detail: str) -> None:
            for observer in self._observers:
                observer.event(at_us, name, detail)

        mic = self.plan.only("mic")
        ring_us = getattr(mic.options, "ring", None) if mic is not None else None
        return Surroundings(
            self.plan.input_rate_hz,
            self.plan.frame_us,
            self.clock.now_us,
            lambda line: self._shared.notice(mask(line)),
            self.clock.at_s,
            event,
            ring_us=ring_us or 1_000_000,
            session=uuid4().hex,
        )


class _Turns(Observer):
    """Sets `over` when `turns` turns are over: the reply of the last one has been played, or the next turn has begun."""

    def __init__(self, turns: int, figures: LiveFigures) -> None:
        self._turns = turns
        self._figures = figures
        self.over = trio.Event()

    def rows(self, rows: list[Row]) -> None:
        turn = self._figures.follower.turn
        if turn is None:
            return
        played = turn.ended_us is not None and turn.end is not TurnEnd.INTERRUPTED
        if turn.number > self._turns or (turn.number == self._turns and played):
            self.over.set()


def stall_event(stall: Stall) -> tuple[str, str]:
    """Name and detail of the event that the loop stood still, or that an inline call took too long."""
    if stall.held:
        return held_event(stall.task, stall.lasted_us, stall.stack)
    return starved_event(stall.task, stall.waited_us, stall.lasted_us)


def alone(error: Exception) -> Exception:
    """The first error of a group, itself no group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def forget_locals(error: BaseException) -> None:
    """Clear the local variables of all frames that an error has come through, and those that it came from. It can still be printed
    with its lines.

    The variables refer to the session and to the error itself. All of it would stay until the collector finds the cycle.
    """
    one: BaseException | None = error
    while one is not None:
        clear_frames(one.__traceback__)
        one = one.__context__


def cause(error: Exception) -> BaseException | None:
    """What to raise the first error of a group from. One of flowkit's own says everything, and the group of it alone would fill
    the terminal with nested tracebacks."""
    first = alone(error)
    if error is first:
        return first.__cause__
    only = error
    while isinstance(only, ExceptionGroup) and len(only.exceptions) == 1:
        only = only.exceptions[0]
    return first.__cause__ if only is first and isinstance(first, FlowkitError) else error
