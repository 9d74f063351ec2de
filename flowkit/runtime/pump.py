"""The Trio pump: carries an engine's effects to providers, and their items back.

Each session has a nursery with one task for each provider call that does I/O. Inline calls run in place. The engine
makes all decisions. The pump only chooses what happens next at an instant, by the same rule as the heap pump:
deadlines, then credits, then items, by stage and call.

No task of its own runs the pump. A provider's task that has an item or a credit lets it proceed within that task, and
so do the host's alarms when a time is reached. To wake a task of the session first would cost every item of a reply two
passes of Trio's scheduler.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from flowkit.clock import US_PER_S
from flowkit.engine import (
    CallCancelled,
    CallEnded,
    CallFed,
    CallOpened,
    Effect,
    Engine,
    Row,
    Stimulus,
    credit_batch,
)
from flowkit.engine.observer import Observer
from flowkit.messages import Credit, Done, Failed, Message, Shutdown
from flowkit.plan.graph import Plan
from flowkit.providers.base import Provider
from flowkit.providers.inline import InlineProvider, guarded
from flowkit.runtime.alarms import Alarm, Alarms
from flowkit.runtime.calls import Call, LiveCall
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.inline import PlacedCall
from flowkit.runtime.watchdog import LIMIT_US, Timed, Watchdog
from flowkit.stages.base import new
from flowkit.stages.turn import Turn

_ROWS_EVERY_US = 50_000
_ROWS_PATIENCE_US = 150_000
"""Observers get rows at most every 50 ms, when the pump is quiet. If it never is, they get them 150 ms later at the
latest. What comes in the 50 ms behind brings them along, for to wake for them alone costs more than to hand them over."""
_AT_A_TIME = 100
"""Steps in a row before other tasks get a turn: some milliseconds. Inline calls may always have more to give."""
_QUIET_US = 2_000
"""After this long without an event, handing over rows delays nothing."""


class TrioPump:
    """Runs one session of a plan.

    Live, an instant consists of whatever has arrived when the pump looks. Under a jumping clock, `settled` is awaited
    before each choice. It lets every other task come to rest first, so that all events of an instant are there before
    one is chosen.

    Args:
        plan: the plan of the session.
        providers: the loaded provider of each stage that has one, by id of the stage.
        clock: the session's clock.
        alarms: calls the pump when a time is reached.
        observers: called with everything that happens.
        prompt: called after each step with the journal's new rows.
        settled: waits until all other tasks have come to rest. None: live.
        timed: the watchdog's timer for work that is done in place.
        title: stands before the names of tasks.
    """

    def __init__(
        self,
        plan: Plan,
        providers: Mapping[str, Provider],
        clock: SessionClock,
        alarms: Alarms,
        *,
        observers: tuple[Observer, ...] = (),
        prompt: Sequence[Callable[[list[Row]], None]] = (),
        settled: Callable[[], Awaitable[None]] | None = None,
        timed: Callable[..., Timed] | None = None,
        title: str = "",
    ) -> None:
        self.engine = Engine(plan)
        self._plan = plan
        self._providers = providers
        self._clock = clock
        self._alarms = alarms
        self._alarm = Alarm(self._ring)
        self._observers = observers
        self._prompt = tuple(prompt)
        self._seen = 0
        """How many rows of the journal were passed to `prompt`."""
        self._settled = settled
        self._timed = timed or Watchdog(lambda stall: None).timed
        self._stages = self._timed("stages", limit_us=LIMIT_US)
        self._title = title
        self._calls: dict[int, Call] = {}
        """Open calls, in the order of their stages."""
        self._news = trio.Event()
        self._rests = False
        """Whether the pump is not running, so that another task may let it proceed."""
        self._error: Exception | None = None
        self._nursery: trio.Nursery | None = None
        self._rows_due_us = self._newest_us = 0

    async def run(self) -> str:
        """Run to the end of the session and return its reason.

        Then provider calls have the plan's `grace_us` to end. Raises what a stage or an observer raised.
        """
        self._clock.start()
        for observer in self._observers:
            observer.begin()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await self._run(nursery.cancel_scope)
        finally:
            # A call refers to the pump. Together they would stay, with all that the session held, until the collector finds them.
            self._calls.clear()
        return self.engine.finished or "closed"

    async def _run(self, calls: trio.CancelScope) -> None:
        try:
            self._apply(self.engine.begin(0))
            await (self._run_settled() if self._settled is not None else self._run_live())
            await self._say_goodbye()
        finally:
            # A late item must not step an engine that has ended.
            self._rests = False
            # The alarms outlive the session, and one left set would ring for a pump that has ended.
            self._alarms.end(self._alarm)
            # Also after an error: the last rows are the ones that explain it.
            self._hand_over_rows()
            calls.cancel()

    def close(self, reason: str) -> None:
        """End the session at the next instant. May be called from any task."""
        self.tell("gate", Shutdown(reason))

    def tell(self, kind: str, message: Message) -> None:
        """Pass a message from outside to the stage of this kind, now. Does nothing if there is none, or after the end. May be
        called from any task."""
        now_us = self._clock.now_us()
        try:
            for index, stage in enumerate(self._plan.stages):
                if stage.kind == kind and self.engine.finished is None:
                    self._apply(self.engine.advance(now_us, (Stimulus(index, 0, message, now_us),)))
        except Exception as error:  # not the fault of the task that tells it
            self._error = error
            self._news.set()
        self._look()

    def push(self, item: Message) -> None:
        """Give an item to the microphone, whose provider is ``sound.pushed``. May be called from any task."""
        for index, call in self._calls.items():
            if self._plan.stages[index].kind == "mic" and isinstance(call, PlacedCall):
                call.give(item, self._clock.now_us())
        self._look()

    @property
    def quiet(self) -> bool:
        """Whether nobody has the turn, and the observers have all rows that say so."""
        gate = self._plan.only("gate")
        return not self.engine.journal.waiting and (gate is None or self.engine.state(gate.id).turn is Turn.LISTENING)

    # -- choosing ---------------------------------------------------------------------------------------------------

    async def _run_live(self) -> None:
        """Let the pump proceed once, and wait for the end of the session. Other tasks do the rest."""
        self._rests = True
        self._look()
        await self._news.wait()
        self._raise()

    async def _run_settled(self) -> None:
        """Do one step at a time, each when every other task has come to rest."""
        assert self._settled is not None
        while self.engine.finished is None:
            await self._settled()
            self._raise()
            with self._stages:
                stepped = self._step(now_us := self._clock.now_us())
            if not stepped:
                # Without the alarms, which ring a little late: here every time is exact.
                with trio.move_on_at(self._at_s(self._rest(now_us, idle=True))):
                    await self._news.wait()
                self._news = trio.Event()

    def _raise(self) -> None:
        """Raise what broke in the engine while another task let it proceed."""
        # Not kept here, because its traceback refers to the pump.
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _look(self) -> None:
        """Proceed, because a call has an item or a credit, or because the session closes."""
        # Under a jumping clock only `_run_settled` may step, once all other tasks have come to rest.
        if self._settled is not None:
            self._news.set()
        elif self._rests:
            self._proceed()

    def _ring(self) -> None:
        """Proceed, because a time was reached."""
        if self._rests:
            self._proceed(idle=True)

    def _proceed(self, *, idle: bool = False) -> None:
        """Let things happen until nothing can. Rows are handed over only while `idle`, so that no provider waits for it."""
        self._rests = False
        wake_us = math.inf
        try:
            with self._stages:
                wake_us = self._go_on(idle)
        except Exception as error:  # not the fault of the task that brought the item
            self._error = error
        if self._error is not None or self.engine.finished is not None:
            self._news.set()
        else:
            self._rests = True
            self._alarms.set(self._alarm, self._at_s(wake_us))

    def _go_on(self, idle: bool) -> float:
        """Let things happen until nothing can. Returns when the pump is to proceed without news."""
        now_us, steps = self._clock.now_us(), _AT_A_TIME
        while self.engine.finished is None and self._step(now_us):
            steps -= 1
            if not steps:
                # At once, but after other tasks had a turn: inline calls could go on for ever.
                return now_us
        return self._rest(now_us, idle)

    def _step(self, now_us: int) -> bool:
        """Do one step. Returns False if there is nothing to do."""
        engine = self.engine
        deadline_us = engine.next_deadline()
        if deadline_us is not None and deadline_us <= now_us:
            effects = engine.advance(now_us)
        elif (stimulus := self._choose(now_us)) is not None:
            effects = engine.advance(now_us, (stimulus,))
        else:
            return False
        self._newest_us = now_us
        if effects or self._prompt:
            self._apply(effects)
        return True

    def _choose(self, now_us: int) -> Stimulus | None:
        """A credit, else an item that is there, of the lowest stage."""
        # The heap pump chooses in this order too. With another one, a replay would differ from the session.
        due: Call | None = None
        for call in self._calls.values():
            if call.tell:
                return new(Stimulus, (call.stage, call.id, Credit(call.credit()), now_us))
            due_us = call.due_us
            if due is None and due_us is not None and due_us <= now_us and self.engine.accepts_item(call.stage):
                due = call
        if due is None:
            return None
        if (offered := due.offered(now_us)) is None:
            # `due_us` was only a hint, and is None now: a provider that was cancelled while it emitted has withdrawn its item.
            return self._choose(now_us)
        item, available_us = offered
        # Before the step: when the stage handles its last item it may open the next call.
        if isinstance(item, (Done, Failed)):
            del self._calls[due.stage]
        return new(Stimulus, (due.stage, due.id, item, available_us))

    def _rest(self, now_us: int, idle: bool) -> float:
        """Nothing more can happen now. Hands rows over if it is time, the pump is `idle`, and nothing else is due soon. Returns
        when the pump is to proceed without news."""
        due_us = self._due_us()
        if idle and now_us >= self._rows_due_us and (due_us - now_us > _QUIET_US or now_us >= self._rows_at_us()):
            self._hand_over_rows()
        # A quiet session has no event that would hand its last rows over.
        elif due_us > self._rows_due_us + _ROWS_EVERY_US and self._observers and self.engine.journal.waiting:
            return min(due_us, self._rows_at_us())
        return due_us

    def _due_us(self) -> float:
        """When something is to happen without news."""
        engine = self.engine
        deadline_us = engine.next_deadline()
        next_us = math.inf if deadline_us is None else deadline_us
        for call in self._calls.values():
            due_us = call.due_us
            # A stage that holds its provider's items back takes none, so their time would wake the pump in vain.
            if due_us is not None and due_us < next_us and engine.accepts_item(call.stage):
                next_us = due_us
        return next_us

    def _at_s(self, wake_us: float) -> float:
        return math.inf if wake_us == math.inf else self._clock.at_s(int(wake_us))

    def _rows_at_us(self) -> int:
        """When rows are handed over next: when the pump is quiet, but not later than the limits above."""
        return max(self._rows_due_us, min(self._newest_us + _QUIET_US, self._rows_due_us + _ROWS_PATIENCE_US))

    # -- doing ------------------------------------------------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        calls = self._calls
        if self._prompt:
            self._report()
        for effect in effects:
            kind = type(effect)
            if kind is CallFed:
                stage, id_, item = effect  # type: ignore[misc]
                # The call may have ended meanwhile, and its stage may have a new one.
                if (call := calls.get(stage)) is not None and call.id == id_:
                    call.feed(item)
            elif kind is CallOpened:
                self._open(effect)  # type: ignore[arg-type]
                # `_open` has replaced the dict.
                calls = self._calls
            elif kind is CallEnded:
                calls[effect[0]].end_input()  # type: ignore[index]
            elif kind is CallCancelled and (call := calls.pop(effect[0], None)) is not None:  # type: ignore[arg-type]
                call.cancel()

    def _report(self) -> None:
        journal = self.engine.journal
        if new := journal.since(self._seen):
            self._seen += len(new)
            for told in self._prompt:
                told(new)

    def _open(self, effect: CallOpened) -> None:
        """Start a provider call: in place if the provider is inline, else in a task."""
        stage, id_, request, _ = effect
        planned = self._plan.stages[stage]
        batch, provider = credit_batch(planned.window), self._providers[planned.id]
        if isinstance(provider, InlineProvider):
            timed = self._timed(f"{planned.id}: {provider.name} inline")
            with timed:
                answers = guarded(provider, request)
            self._calls[stage] = PlacedCall(stage, id_, batch, answers, self.engine, timed)
        else:
            call = LiveCall(stage, id_, planned.window, batch, self._clock.now_us, self._look)
            self._calls[stage] = call
            assert self._nursery is not None
            self._nursery.start_soon(call.run, provider, request, name=f"{self._title}{planned.id} call {id_}")
        # Sorted, because the lowest stage comes first when several calls have an item.
        self._calls = dict(sorted(self._calls.items()))

    def _hand_over_rows(self) -> None:
        self._rows_due_us = self._clock.now_us() + _ROWS_EVERY_US
        if self._observers and (rows := self.engine.journal.take()):
            for observer in self._observers:
                observer.rows(rows)

    async def _say_goodbye(self) -> None:
        """End the input of every call, and let the calls end within the grace period.

        Their items are ignored. A source has no input to end, so it is cancelled.
        """
        for call in self._calls.values():
            if self._plan.stages[call.stage].cls.inputs:
                call.end_input()
            else:
                call.cancel()
        assert self._nursery is not None
        with trio.move_on_after(self._plan.grace_us / US_PER_S):
            while self._nursery.child_tasks:
                for call in self._calls.values():
                    # A provider that waits to emit would never end, so its item is taken and dropped.
                    call.offered(self._clock.now_us())
                await trio.sleep(0.005)
