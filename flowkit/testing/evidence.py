"""Records what a session does, from outside the engine, for ``flowkit.testing.invariants``.

It records each step with its actions, each effect, each sample that a device would have played, and the state of the
engine after each interrupt.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from flowkit.engine import CallFed, CallOpened, Effect, Engine, Row, Stimulus
from flowkit.messages import Credit, Interrupt, Message, Play, Silence
from flowkit.plan.graph import Plan, PlannedStage
from flowkit.providers.sound.timeline import Pop, Timeline
from flowkit.stages.base import Action, Actions

_LOOK_BACK = 2_000
"""How many rows back a message's row is searched. An interrupt's own row comes before the rows of everything that it
discards."""


class Step(NamedTuple):
    """One step: at session time `at_us` a stage handled `message` and returned `actions`.

    `n` is the number of the message's row in the journal, or 0 if there was no row yet.
    """

    stage: str
    n: int
    at_us: int
    message: Message
    actions: tuple[Action, ...]


class Interrupted(NamedTuple):
    """The engine after an instant with an interrupt.

    `waiting` counts the messages that wait in the stages of the reply, and `stale` those of an older epoch. `not_reset`
    are the stages whose state is not the one after a reset.
    """

    at_us: int
    epoch: int
    waiting: int
    stale: int
    not_reset: tuple[str, ...]


@dataclass
class Evidence:
    """The record of one session. Pass it to ``heap_session`` or ``trio_session`` as `watch`.

    `effects` are (session time in microseconds, effect), and `pops` is the audio that was played.
    """

    plan: Plan
    engine: Engine = field(init=False, repr=False)
    steps: list[Step] = field(default_factory=list)
    effects: list[tuple[int, Effect]] = field(default_factory=list)
    pops: list[Pop] = field(default_factory=list)
    late: list[Play] = field(default_factory=list)
    """Plays that reached the device after their due time."""
    interrupts: list[Interrupted] = field(default_factory=list)
    tasks: dict[str, int | None] = field(default_factory=dict)
    """When each task of a live session ended; None while it runs."""
    breaches: dict[str, int] = field(default_factory=dict)
    """The most items that waited at a stage, if they were more than its bound."""

    def __post_init__(self) -> None:
        self._device = Timeline()
        self._fed: dict[str, int] = defaultdict(int)
        self._interrupted = False
        self._stages = {stage.id: stage.cls(stage.options, self.plan.frame_us) for stage in self.plan.stages}

    # -- called by the session ------------------------------------------------------------------------------------------

    def onto(self, plan: Plan) -> Plan:
        """The plan with stages that record each step here."""
        return replace(plan, stages=tuple(self._recorded(stage) for stage in plan.stages))

    def _recorded(self, planned: PlannedStage) -> PlannedStage:
        evidence, id_ = self, planned.id

        class Recorded(planned.cls):  # type: ignore[misc, name-defined]
            def step(self, state: Any, message: Message, now_us: int) -> Actions:
                n = evidence._row_of(id_, message)
                actions: Actions = super().step(state, message, now_us)
                evidence.steps.append(Step(id_, n, now_us, message, tuple(actions)))
                evidence._interrupted |= type(message) is Interrupt
                return actions

        return replace(planned, cls=Recorded)

    def attach(self, engine: Engine) -> None:
        """Record the effects of `engine`, and its state after each of its steps."""
        self.engine = engine
        begin, advance = engine.begin, engine.advance

        def begun(now_us: int = 0) -> list[Effect]:
            return self._saw(now_us, begin(now_us))

        def advanced(now_us: int, stimuli: Iterable[Stimulus] = ()) -> list[Effect]:
            # An iterator could be read only once, and the engine reads it too.
            stimuli = tuple(stimuli)
            for stimulus in stimuli:
                if isinstance(stimulus.item, Credit):
                    self._fed[self.plan.stages[stimulus.stage].id] -= stimulus.item.count
            return self._saw(engine.now_us, advance(now_us, stimuli))

        engine.begin, engine.advance = begun, advanced  # type: ignore[method-assign]

    def task_began(self, name: str) -> None:
        self.tasks[name] = None

    def task_ended(self, name: str, at_us: int) -> None:
        self.tasks[name] = at_us

    @property
    def rows(self) -> list[Row]:
        """The session's journal."""
        return self.engine.journal.rows

    def sound(self) -> list[Pop]:
        """All audio that was played, including what the device still holds at the end."""
        return [*self.pops, *self._device_rest()]

    # -- recording ------------------------------------------------------------------------------------------------------

    def _row_of(self, stage: str, message: Message) -> int:
        """The number of the row of `message`; 0 if it is not in the journal yet."""
        for row in self.engine.journal.newest(_LOOK_BACK):
            if row.stage == stage and not row.fate and row.lane != "P":
                return row.n if row.message == message else 0
        return 0

    def _saw(self, _: int, effects: list[Effect]) -> list[Effect]:
        now_us = self.engine.now_us
        for effect in effects:
            self.effects.append((now_us, effect))
            if isinstance(effect, CallFed):
                self._fed[self.plan.stages[effect.stage].id] += 1
                self._sound(effect.item, now_us)
            elif isinstance(effect, CallOpened):
                self._fed[self.plan.stages[effect.stage].id] = 0
        self._measure()
        if self._interrupted and self.engine.finished is None:
            self._interrupted = False
            self.interrupts.append(self._picture(now_us))
        return effects

    def _sound(self, item: Message, now_us: int) -> None:
        """Play or silence on a device that pops a frame at each tick. What comes at a tick comes before that tick's
        pop."""
        frame_us = self.plan.frame_us
        tick_us = -(-now_us // frame_us) * frame_us
        if isinstance(item, (Play, Silence)):
            self.pops += self._device.pop_until(tick_us)
        if isinstance(item, Play):
            if item.at_us < tick_us:
                self.late.append(item)
            self._device.play(item)
        elif isinstance(item, Silence):
            self._device.silence(item.at_us)

    def _device_rest(self) -> list[Pop]:
        self.pops += self._device.pop_until(max(self._device.ends_us(), self.engine.now_us) + self.plan.frame_us)
        return []

    def _measure(self) -> None:
        for stage, inbox in self.engine.inboxes():
            # Control messages may be fed beyond the bound for data, and a resumed hold feeds audio again. So two more are allowed.
            if len(inbox.queue) > inbox.bound.max:
                self.breaches[stage] = max(self.breaches.get(stage, 0), len(inbox.queue))
        for planned in self.plan.stages:
            if planned.kind != "speaker" and self._fed[planned.id] > planned.window + 2:
                self.breaches[planned.id] = self._fed[planned.id]

    def _picture(self, now_us: int) -> Interrupted:
        engine, replying = self.engine, [stage for stage in self.plan.stages if stage.cls.replying]
        waiting = [
            envelope for slot in engine._slots if slot.replying for inbox in slot.inboxes for envelope in inbox.queue
        ]
        waiting += [envelope for slot in engine._slots if slot.replying for _, envelope in slot.outbox]
        stale = sum(1 for envelope in waiting if envelope[4] < engine.epoch)
        released = any(engine._slots[i].epoch != engine.epoch for i, s in enumerate(self.plan.stages) if s.cls.replying)
        not_reset = () if released else tuple(stage.id for stage in replying if not self._is_fresh(stage.id))
        return Interrupted(now_us, engine.epoch, engine.waiting(), stale, not_reset)

    def _is_fresh(self, stage_id: str) -> bool:
        state = self.engine.state(stage_id)
        return bool(content(state) == content(self._stages[stage_id].reset(state)))


def content(value: Any) -> Any:
    """A state as plain values that can be compared, even if it contains mutable objects."""
    kind = type(value)
    if dataclasses.is_dataclass(kind) and not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return [content(getattr(value, f.name)) for f in dataclasses.fields(value)]
    if isinstance(value, dict):
        return {key: content(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, deque)):
        return [content(item) for item in value]
    if getattr(kind, "__eq__", None) is object.__eq__ and kind.__module__.startswith("flowkit."):
        names = [*getattr(value, "__dict__", ()), *getattr(kind, "__slots__", ())]
        return {name: content(getattr(value, name)) for name in names} if names else value
    return value
