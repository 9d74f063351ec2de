"""The heap pump: drives an engine from scripts and jumps from event to event. No threads, no sockets, no sleep.

It follows the same rules as the live pump (``flowkit.runtime.pump``), so the same answers give the same journal. Within
an instant deadlines come first, then credits, then items, by stage and call. A stage that holds items back is not
offered any.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Mapping

from flowkit.engine import (
    AT_ONCE,
    CallCancelled,
    CallEnded,
    CallFed,
    CallOpened,
    Effect,
    Engine,
    Stimulus,
    credit_batch,
)
from flowkit.messages import Credit, Done, Failed, Message
from flowkit.plan.graph import Plan
from flowkit.providers.inline import Agenda, InlineCall, Script
from flowkit.replay.collector import without_collector

_LAST = frozenset({Done, Failed})
_FOR_EVER = sys.maxsize - 1
"""A time that no clock passes. Still later is `_NEVER`, which says that nothing will come."""
_NEVER = sys.maxsize
_new = tuple.__new__
"""Creates a stimulus without its constructor, which takes twice as long. There is one for every frame."""


class HeapCall(Agenda):
    """An open call with its remaining answers. `uncredited` counts the items that it took and that were not credited yet."""

    __slots__ = ("batch", "id", "stage", "uncredited")

    def __init__(self, stage: int, id_: int, answers: InlineCall, opened_us: int, batch: int) -> None:
        super().__init__(answers, opened_us)
        self.stage = stage
        self.id = id_
        self.batch = batch
        self.uncredited = 0


class HeapPump:
    """Drives one session of `plan`. `scripts` maps the id of each stage with a provider to its script."""

    def __init__(self, plan: Plan, scripts: Mapping[str, Script]) -> None:
        self.engine = Engine(plan)
        self._plan = plan
        self._scripts = scripts
        self._calls: dict[int, HeapCall] = {}
        """Open calls from the last stage to the first. So the microphone's stage is not asked whether it accepts an
        item while a later stage's call has one."""
        self._uncredited: list[int] = []
        """Stages whose call has a batch of items to credit, in order."""
        self._now_us = 0
        self.until_us = _FOR_EVER
        """When the run ends at the latest."""
        self._begun = False

    @property
    def now_us(self) -> int:
        """The session time."""
        return self._now_us

    def tell(self, kind: str, message: Message, at_us: int = 0) -> None:
        """Pass a message of a client to the stage of this kind, at `at_us` or now, if that is later. Does nothing if there is no
        such stage, or after the end."""
        self._now_us = max(self._now_us, at_us)
        for index, stage in enumerate(self._plan.stages):
            if stage.kind == kind and self.engine.finished is None:
                self._apply(self.engine.advance(self._now_us, (Stimulus(index, 0, message, self._now_us),)))

    def push(self, item: Message, at_us: int = 0) -> None:
        """Give an item to the microphone's call, at `at_us` or now, if that is later."""
        self._now_us = max(self._now_us, at_us)
        for index, call in self._calls.items():
            if self._plan.stages[index].kind == "mic":
                call.give(item, self._now_us)

    def run(self, until_us: int | None = None) -> None:
        """Run to the end of the session, or until the next event would be after `until_us`.

        Called again, it continues from there.
        """
        self.until_us = _FOR_EVER if until_us is None else until_us
        engine = self.engine
        with without_collector():
            if not self._begun:
                self._begun = True
                self._apply(engine.begin(0))
            # `while True`, because CPython 3.11 does not specialise a loop that is entered once and tests at its end.
            while True:
                if engine.finished is not None or (stimuli := self._choose()) is None:
                    return
                if effects := engine.advance(self._now_us, stimuli):
                    self._apply(effects)

    def stop_at(self, at_us: int) -> None:
        """End the run at `at_us`, if it does not end before. A script may call this while it runs."""
        self.until_us = min(self.until_us, at_us)

    def _choose(self) -> tuple[Stimulus, ...] | None:
        """Choose what happens next, and set the clock to its time.

        Credits come first. Then comes the next item, or the next deadline if that is not later. Of several items that
        are available, the one of the lowest stage is chosen. Returns the stimulus, or an empty tuple for a deadline, or
        None if nothing happens before the end of the run.
        """
        if self._uncredited:
            return (self._credit(self._calls[self._uncredited.pop(0)]),)
        now_us, next_us, chosen, engine = self._now_us, _NEVER, None, self.engine
        for call in self._calls.values():
            due_us = call.due_us
            # `<=`, because calls come from the last stage to the first: of equal times the lowest stage is kept.
            if due_us is not None and due_us <= next_us and engine.accepts_item(call.stage):
                next_us, chosen = (due_us if due_us > now_us else now_us), call
        # At the present instant the engine has fired all its deadlines already.
        if next_us > now_us:
            deadline_us = engine.next_deadline()
            if deadline_us is not None and deadline_us <= next_us:  # at the same time the deadline goes first
                next_us, chosen = max(deadline_us, now_us), None
            if next_us > self.until_us:
                return None
            self._now_us = next_us
        return () if chosen is None else self._take(chosen)

    def _credit(self, call: HeapCall) -> Stimulus:
        count, call.uncredited = call.uncredited, 0
        return Stimulus(call.stage, call.id, Credit(count), self._now_us)

    def _take(self, call: HeapCall) -> tuple[Stimulus]:
        due_us = call.due_us
        item = call.take(self._now_us)
        # Before the engine handles the item, because its step may open the stage's next call.
        if type(item) in _LAST:
            self._forget(call.stage)
        return (_new(Stimulus, (call.stage, call.id, item, due_us)),)

    def _apply(self, effects: list[Effect]) -> None:
        calls, now_us = self._calls, self._now_us
        for effect in effects:
            kind = type(effect)
            if kind is CallFed:
                call, item = calls[effect[0]], effect[2]  # type: ignore[index, misc]
                call.fed(item, now_us)
                call.uncredited += 1
                if call.uncredited >= call.batch or type(item) in AT_ONCE:
                    self._await_credit(call.stage)
            elif kind is CallOpened:
                self._open(*effect)
                # `_open` has replaced the dictionary.
                calls = self._calls
            elif kind is CallEnded:
                calls[effect[0]].ended(now_us)  # type: ignore[index]
            elif kind is CallCancelled:
                self._forget(effect[0])  # type: ignore[arg-type]

    def _await_credit(self, stage: int) -> None:
        """Note that the stage's call has a batch of items to credit."""
        if stage not in self._uncredited:
            # By stage, because that is the order of credits within an instant in the live pump too.
            insort(self._uncredited, stage)

    def _forget(self, stage: int) -> None:
        self._calls.pop(stage, None)
        if stage in self._uncredited:
            self._uncredited.remove(stage)

    def _open(self, stage: int, id_: int, request: Message, scope: str) -> None:
        planned = self._plan.stages[stage]
        answers = self._scripts[planned.id].open(request)
        self._calls[stage] = HeapCall(stage, id_, answers, self._now_us, credit_batch(planned.window))
        # A new dictionary keeps the order that `_choose` relies on. Calls open far less often than it looks at them.
        self._calls = dict(sorted(self._calls.items(), reverse=True))
