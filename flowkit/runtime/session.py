"""A whole live session: load the providers, run the pump under watch, end in order whatever happens."""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

import trio

from flowkit.clock import monotonic_us
from flowkit.engine import Engine, Row
from flowkit.engine.mailbox import Inbox
from flowkit.engine.observer import Observer
from flowkit.figures.live import LiveFigures
from flowkit.figures.records import TurnEnd
from flowkit.figures.stalls import held_event, starved_event
from flowkit.plan.graph import Plan
from flowkit.providers.base import Surroundings
from flowkit.providers.models import Models, open_models
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.loading import loaded
from flowkit.runtime.masking import Masking
from flowkit.runtime.pump import TrioPump
from flowkit.runtime.realtime import in_real_time
from flowkit.runtime.watchdog import Stall, Watchdog
from flowkit.secrets import mask

INTERRUPTED = "interrupted"


@dataclass(slots=True)
class SessionOutcome:
    """How a session went. `figures`: of its turns and interrupts; `reason` as the engine gave it (`input_ended`, `closed`,
    `interrupted`, `failed: ...`); `wall_us`: the session itself."""

    figures: LiveFigures
    reason: str = "closed"
    inboxes: list[tuple[str, Inbox]] = field(default_factory=list)
    wall_us: int = 0


class _Counter(Observer):
    """Waits until `turns` turns are over: the reply of the last one has been played, or the next one has begun."""

    def __init__(self, turns: int, figures: LiveFigures) -> None:
        self._turns = turns
        self._figures = figures
        self._over = trio.Event()

    def rows(self, rows: list[Row]) -> None:
        turn = self._figures.follower.turn
        if turn is None:
            return
        played = turn.ended_us is not None and turn.end is not TurnEnd.INTERRUPTED
        if turn.number > self._turns or (turn.number == self._turns and played):
            self._over.set()

    async def close(self, pump: TrioPump) -> None:
        """End the session in order when it is time."""
        await self._over.wait()
        pump.close("closed")


async def run_session(
    plan: Plan,
    *,
    notice: Callable[[str], None],
    observers: tuple[Observer, ...] = (),
    clock: SessionClock | None = None,
    settled: Callable[[], Awaitable[None]] | None = None,
    duration_us: int | None = None,
    turns: int | None = None,
    started: Callable[[Engine, LiveFigures], None] | None = None,
    models: Models | None = None,
) -> SessionOutcome:
    """Run one live session of `plan` to its end, at the latest after `duration_us`, or when `turns` turns are over.

    `started` is handed the engine and the figures, to look at, before anything happens. The figures have followed the rows that an
    observer is handed. `models` are those of the process, for sessions that share them.
    The first Ctrl-C ends it in order (reason ``interrupted``), a second one at once. Raises whatever a provider raises while it
    is loaded; what fails later ends a turn or the session, not the process.
    """
    clock = clock or SessionClock()
    outcome = SessionOutcome(LiveFigures(plan))
    counter = None if turns is None else _Counter(turns, outcome.figures)
    watching: tuple[Observer, ...] = (Masking((outcome.figures, *((counter,) if counter else ()), *observers)),)
    around = _around(plan, clock, lambda line: notice(mask(line)), watching)
    async with trio.open_nursery() as nursery:
        stop = _Stop(nursery.cancel_scope)
        await nursery.start(stop.listen)
        async with _models(models, notice) as models, loaded(plan, around, models) as providers:
            options = {"settled": settled} if settled else {}
            watchdog = Watchdog(lambda stall: _stalled(stall, watching, clock))
            pump = TrioPump(plan, providers, clock, observers=watching, timed=watchdog.timed, **options)
            stop.in_order = pump.close
            if started is not None:
                started(pump.engine, outcome.figures)
            if duration_us is not None:
                nursery.start_soon(_close_after, pump, duration_us)
            if counter is not None:
                nursery.start_soon(counter.close, pump)
            session_us = monotonic_us()
            with in_real_time(), watchdog:
                outcome.reason = mask(await pump.run())
            outcome.wall_us = monotonic_us() - session_us
            outcome.inboxes = pump.engine.inboxes()
        nursery.cancel_scope.cancel()
    if stop.asked:
        outcome.reason = INTERRUPTED
    return outcome


def _around(
    plan: Plan, clock: SessionClock, notice: Callable[[str], None], observers: tuple[Observer, ...]
) -> Surroundings:
    def event(at_us: int, name: str, detail: str) -> None:
        for observer in observers:
            observer.event(at_us, name, detail)

    mic = plan.only("mic")
    ring_us = getattr(mic.options, "ring", None) if mic is not None else None
    return Surroundings(
        plan.input_rate_hz, plan.frame_us, clock.now_us, notice, clock.at_s, event, ring_us=ring_us or 1_000_000
    )


def _models(given: Models | None, notice: Callable[[str], None]) -> AbstractAsyncContextManager[Models]:
    """Those of the process, or the session's own."""
    return open_models(notice) if given is None else nullcontext(given)


async def _close_after(pump: TrioPump, duration_us: int) -> None:
    await trio.sleep(duration_us / 1_000_000)
    pump.close("closed")


def _stalled(stall: Stall, observers: tuple[Observer, ...], clock: SessionClock) -> None:
    name, detail = held_event(stall.task, stall.lasted_us, stall.stack)
    if not stall.held:
        name, detail = starved_event(stall.task, stall.waited_us, stall.lasted_us)
    for observer in observers:
        observer.event(clock.now_us(), name, detail)


class _Stop:
    """Ctrl-C, SIGTERM, a terminal that is closed: in order at the first, at once at the second."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        self.in_order: Callable[[str], None] | None = None
        self.asked = False

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        if threading.current_thread() is not threading.main_thread():
            task_status.started()  # only the main thread is told of signals
            return
        closed = (signal.SIGHUP,) if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else ()  # under nohup it is
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *closed) as signals:
            task_status.started()
            async for _ in signals:
                if self.asked or self.in_order is None:
                    self.asked = True
                    self._scope.cancel()
                    return
                self.asked = True
                self.in_order(INTERRUPTED)
