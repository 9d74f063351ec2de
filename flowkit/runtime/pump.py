"""The Trio pump: carries an engine's effects out to providers, and their items back in.

One nursery a session, one task a provider call; inline calls are run in place. Everything is decided in the engine; the pump only
chooses what happens next at an instant, by the same rule as the heap pump: deadlines, then credits, then items, by stage and call.
Whoever brings news while the pump's own task waits lets the pump go on at once, in its own task: to wake another one first would
hold up every item of a reply.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping

import trio

from flowkit.clock import US_PER_S
from flowkit.engine import (
    CallCancelled,
    CallEnded,
    CallFed,
    CallOpened,
    Effect,
    Engine,
    Finished,
    Stimulus,
    credit_batch,
)
from flowkit.engine.observer import Observer
from flowkit.messages import Credit, Done, Failed, Shutdown
from flowkit.plan.graph import Plan
from flowkit.providers.base import Provider
from flowkit.providers.inline import InlineProvider, guarded
from flowkit.runtime.calls import Call, LiveCall
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.inline import PlacedCall
from flowkit.runtime.watchdog import Timed, Watchdog

_ROWS_EVERY_US = 50_000
_ROWS_PATIENCE_US = 150_000
_AT_A_TIME = 100
"""Steps in a row, some milliseconds, before other tasks have their turn: inline calls may have more and more to say."""
_QUIET_US = 2_000
"""After so long without news nothing is under way that handing over rows could hold up."""


class TrioPump:
    """Runs one session of `plan`. `providers` maps the id of each stage that has one to its loaded provider.

    Live, an instant is whatever has arrived when the pump looks. Under a jumping clock `settled` is awaited before each choice: it
    lets every other task come to rest first, so that an instant's events are all there before the first of them is chosen.
    `timed` is the watchdog's: it measures how long inline calls take in place.
    """

    def __init__(
        self,
        plan: Plan,
        providers: Mapping[str, Provider],
        clock: SessionClock,
        *,
        observers: tuple[Observer, ...] = (),
        settled: Callable[[], Awaitable[None]] | None = None,
        timed: Callable[[str], Timed] | None = None,
    ) -> None:
        self.engine = Engine(plan)
        self._plan = plan
        self._providers = providers
        self._clock = clock
        self._observers = observers
        self._settled = settled
        self._timed = timed or Watchdog(lambda stall: None).timed
        self._calls: dict[int, Call] = {}
        """Open calls, in the order of their stages."""
        self._news = trio.Event()
        self._rest: trio.CancelScope | None = None
        """In which the pump's own task waits, if it does and others may go on for it."""
        self._error: Exception | None = None
        self._nursery: trio.Nursery | None = None
        self._rows_due_us = self._newest_us = 0

    async def run(self) -> str:
        """Run to the session's end and return its reason; providers are given the plan's `grace_us` to say goodbye."""
        self._clock.start()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                self._apply(self.engine.begin(0))
                while self.engine.finished is None:
                    await self._turn()
                await self._say_goodbye()
            finally:
                self._hand_over_rows()
                nursery.cancel_scope.cancel()
        return self.engine.finished or "closed"

    def close(self, reason: str) -> None:
        """End the session in order at the next instant; safe to call from any task."""
        gate = next(i for i, stage in enumerate(self._plan.stages) if stage.kind == "gate")
        stimulus = Stimulus(gate, 0, Shutdown(reason), self._clock.now_us())
        self._apply(self.engine.advance(self._clock.now_us(), (stimulus,)))
        self._look()

    # -- choosing ---------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Let one thing happen, or wait until something can."""
        if self._settled is not None:
            await self._settled()
        if not self._step():
            await self._wait()
        elif self._settled is None and self._go_on():
            await trio.lowlevel.checkpoint()

    def _go_on(self) -> bool:
        """Let things happen until nothing can; True if there was so much that others must come to their turn first."""
        return all(self.engine.finished is None and self._step() for _ in range(_AT_A_TIME))

    def _step(self) -> bool:
        """Let one thing happen; False if nothing can."""
        now_us = self._clock.now_us()
        deadline_us = self.engine.next_deadline()
        if deadline_us is not None and deadline_us <= now_us:
            self._apply(self.engine.advance(now_us))
        elif (stimulus := self._choose(now_us)) is not None:
            self._apply(self.engine.advance(now_us, (stimulus,)))
        else:
            return False
        self._newest_us = now_us
        return True

    def _choose(self, now_us: int) -> Stimulus | None:
        stimulus = self._credit(now_us) or self._offer(now_us)
        if stimulus is not None:
            for observer in self._observers:
                observer.stimulus(stimulus)
        return stimulus

    def _credit(self, now_us: int) -> Stimulus | None:
        for stage, call in self._calls.items():
            if count := call.credit():
                return Stimulus(stage, call.id, Credit(count), now_us)
        return None

    def _offer(self, now_us: int) -> Stimulus | None:
        for stage, call in self._calls.items():
            due_us = call.due_us
            if due_us is None or due_us > now_us or not self.engine.accepts_item(stage):
                continue
            if (offered := call.offered(now_us)) is not None:
                item, available_us = offered
                if isinstance(item, (Done, Failed)):
                    del self._calls[stage]
                return Stimulus(stage, call.id, item, available_us)
        return None

    async def _wait(self) -> None:
        """Until there is news, a deadline comes, or rows have waited long enough to be handed over."""
        with trio.CancelScope(deadline=self._wake_s()) as scope:
            self._rest = scope if self._settled is None else None
            try:
                await self._news.wait()
            finally:
                self._rest = None
        if self._error is not None:
            raise self._error
        if self._news.is_set():
            self._news = trio.Event()
        if self._clock.now_us() >= self._rows_at_us():
            self._hand_over_rows()

    def _look(self) -> None:
        """There is news: go on at once, or when the pump's own task comes to it."""
        if self._rest is None:
            self._news.set()
            return
        rest, self._rest = self._rest, None
        more = False
        try:
            more = self._go_on()
        except Exception as error:  # not the fault of whoever brought the news
            self._error = error
        if more or self._error is not None or self.engine.finished is not None:
            self._news.set()
        else:
            rest.deadline, self._rest = self._wake_s(), rest

    def _wake_s(self) -> float:
        """When the pump's own task is to wake without news."""
        deadline_us = self.engine.next_deadline()
        wake_us = math.inf if deadline_us is None else deadline_us
        for stage, call in self._calls.items():
            if call.due_us is not None and call.due_us < wake_us and self.engine.accepts_item(stage):
                wake_us = call.due_us
        if self._observers and self.engine.journal.waiting:
            wake_us = min(wake_us, self._rows_at_us())
        return math.inf if wake_us == math.inf else self._clock.at_s(int(wake_us))

    def _rows_at_us(self) -> int:
        """Rows are handed over when nothing else is to be done, so that they hold up no reply; after a while in any case."""
        return max(self._rows_due_us, min(self._newest_us + _QUIET_US, self._rows_due_us + _ROWS_PATIENCE_US))

    # -- doing ------------------------------------------------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            for observer in self._observers:
                observer.effect(effect)
            match effect:
                case CallFed(stage, id_, item):
                    if (call := self._calls.get(stage)) is not None and call.id == id_:
                        call.feed(item)
                case CallOpened():
                    self._open(effect)
                case CallEnded(stage, _):
                    self._calls[stage].end_input()
                case CallCancelled(stage, _):
                    if (call := self._calls.pop(stage, None)) is not None:
                        call.cancel()
                case Finished():
                    pass

    def _open(self, effect: CallOpened) -> None:
        stage, id_, request, _ = effect
        planned = self._plan.stages[stage]
        batch, provider = credit_batch(planned.window), self._providers[planned.id]
        if isinstance(provider, InlineProvider):
            timed = self._timed(f"{planned.id}: {provider.name} inline")
            with timed:
                answers = guarded(provider, request)
            self._calls[stage] = PlacedCall(stage, id_, batch, answers, self._engine_us, timed)
        else:
            call = LiveCall(stage, id_, planned.window, batch, self._clock.now_us, self._look)
            self._calls[stage] = call
            assert self._nursery is not None
            self._nursery.start_soon(call.run, provider, request, name=f"{planned.id} call {id_}")
        self._calls = dict(sorted(self._calls.items()))

    def _engine_us(self) -> int:
        """The instant that is being dealt with: delays of inline answers count from it."""
        return self.engine.now_us

    def _hand_over_rows(self) -> None:
        self._rows_due_us = self._clock.now_us() + _ROWS_EVERY_US
        if self._observers and (rows := self.engine.journal.take()):
            for observer in self._observers:
                observer.rows(rows)

    async def _say_goodbye(self) -> None:
        """End every call's input and let it finish; what it still offers is not listened to. A source has no input to end."""
        for call in self._calls.values():
            if self._plan.stages[call.stage].cls.inputs:
                call.end_input()
            else:
                call.cancel()
        assert self._nursery is not None
        with trio.move_on_after(self._plan.grace_us / US_PER_S):
            while self._nursery.child_tasks:
                for call in self._calls.values():
                    call.offered(self._clock.now_us())
                await trio.sleep(0.005)
