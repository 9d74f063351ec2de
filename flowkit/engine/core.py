"""The engine: one session, driven from outside by ``advance``.

Within an instant it settles in one order: control before data, lower stage before higher, earlier sent before later. So the
journal follows from the stimuli alone, whoever drives it. What a step emits waits in the stage's outbox until the next mailbox
has room; while anything waits there the stage takes no data and no provider item, and so back-pressure reaches the source.
What leaves for a provider is in the journal too, caused by the row that asked for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flowkit.engine.effects import CallCancelled, CallEnded, CallFed, CallOpened, Effect, Finished, Stimulus
from flowkit.engine.journal import Fate, Journal, item_digest
from flowkit.engine.mailbox import EPOCH, SEQ, TURN, Envelope, Inbox, Push
from flowkit.engine.timers import Timers
from flowkit.messages import Cancelled, Credit, Done, Failed, Fed, InputClosed, Interrupt, Message, Play, Timer
from flowkit.plan.graph import CONTROL_BOUND, Plan, Timeouts
from flowkit.stages.base import (
    PROVIDER,
    Action,
    Actions,
    Cancel,
    Emit,
    EndInput,
    Feed,
    Finish,
    Open,
    RaiseEpoch,
    SetTimer,
    Stage,
    new,
)

_LAST = frozenset({Done, Failed})
_HANDLED = Fate.HANDLED
_CALL = "(call)"
"""Tag of the engine's own timer for an open call's deadlines."""
FED_ITEMS = 100
"""Items handed on to a call for which one ``Fed`` row stands: two seconds of frames."""


@dataclass(slots=True)
class Call:
    """An open provider call: `deadline_us` for its next item, None if it may take for ever; `timed`: it has deadlines at all.
    `fed` items were handed on to it as they came, `digest` is theirs; row `fed_by` handed on the last; `told` of them are in the
    journal."""

    id: int
    timeouts: Timeouts
    timed: bool
    deadline_us: int | None = None
    fed: int = 0
    digest: int = 0
    fed_by: int = 0
    told: int = 0


@dataclass(slots=True)
class Slot:
    """A stage's place in the engine. `routes`: output port -> (target slot, inbox or None for control); `waiting`: messages in
    all inboxes; `fed`: what its call was fed and has not yet taken. `bit` of its index, `replying` and `choosy` (it does not always
    take everything) are asked for every message. `epoch`, `turn`: a listening stage is always in the session's own, a replying one
    in those of the newest reply that it has heard of."""

    index: int
    id: str
    stage: Stage[Any]
    step: Callable[[Any, Message, int], Actions]
    state: Any
    window: int
    timeouts: Timeouts
    rows: int = 0
    epoch: int = 0
    turn: int = 0
    control: deque[Envelope] = field(default_factory=deque)
    inboxes: list[Inbox] = field(default_factory=list)
    outbox: deque[tuple[Inbox, Envelope]] = field(default_factory=deque)
    routes: dict[str, list[tuple[Slot, Inbox | None]]] = field(default_factory=dict)
    call: Call | None = None
    waiting: int = 0
    fed: int = 0
    bit: int = 0
    replying: bool = False
    choosy: bool = False


class Engine:
    """One session of `plan`. All times are integer microseconds since the session's start."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.journal = Journal()
        self.finished: str | None = None
        self._now_us = 0
        self._epoch = self._seq = self._calls = 0
        self._ready = self._told = 0
        self._append = self.journal.append
        self._timers = Timers()
        self._deadlines = self._timers.heap
        self._effects: list[Effect] = []
        self._slots: list[Slot] = []
        for index, planned in enumerate(plan.stages):
            stage = planned.cls(planned.options, plan.frame_us)
            slot = Slot(index, planned.id, stage, stage.step, stage.fresh(), planned.window, planned.timeouts)
            slot.bit, slot.replying = 1 << index, stage.replying
            slot.choosy = type(stage).accepts is not Stage.accepts
            self._slots.append(slot)
        self._connect(plan)

    def _connect(self, plan: Plan) -> None:
        by_id = {slot.id: slot for slot in self._slots}
        for edge in plan.edges:
            source, target = by_id[edge.source], by_id[edge.target]
            inbox = Inbox(source.index, target.index, edge.input, edge.bound) if edge.bound else None
            if inbox is not None:
                target.inboxes.append(inbox)
            source.routes.setdefault(edge.output, []).append((target, inbox))

    # -- what a pump calls ------------------------------------------------------------------------------------------

    def begin(self, now_us: int = 0) -> list[Effect]:
        """Start the session: every stage may open its session call."""
        self._now_us = now_us
        for slot in self._slots:
            self._act(slot, slot.stage.begin(slot.state), 0)
        return self._taken_effects()

    def advance(self, now_us: int, stimuli: Iterable[Stimulus] = ()) -> list[Effect]:
        """Let time come to `now_us` (deadlines that have come go first), then handle each stimulus in turn."""
        if now_us > self._now_us:
            self._now_us = now_us
        deadlines, now_us = self._deadlines, self._now_us
        if self._ready or self._told or (deadlines and deadlines[0][0] <= now_us):
            self._settle()
        for stimulus in stimuli:
            self._stimulus(stimulus)
            if self._ready or self._told or (deadlines and deadlines[0][0] <= now_us):
                self._settle()
        return self._taken_effects() if self._effects else []

    def next_deadline(self) -> int | None:
        """When ``advance`` must be called at the latest, or None."""
        return self._timers.next_us() if self._deadlines else None

    def takes(self, stage: int) -> bool:
        """Whether stage number `stage` takes an item of its provider now; else its provider's stream is not to be read."""
        slot = self._slots[stage]
        return not slot.outbox and (not slot.choosy or PROVIDER in slot.stage.accepts(slot.state))

    @property
    def epoch(self) -> int:
        """The session's epoch."""
        return self._epoch

    @property
    def now_us(self) -> int:
        """The time of the last ``advance``."""
        return self._now_us

    def state(self, stage_id: str) -> Any:
        """A stage's state, to look at."""
        return next(slot.state for slot in self._slots if slot.id == stage_id)

    def inboxes(self) -> list[tuple[str, Inbox]]:
        """Every bounded edge with the id of the stage it leads into."""
        return [(slot.id, inbox) for slot in self._slots for inbox in slot.inboxes]

    def waiting(self) -> int:
        """Messages that wait anywhere in the replying stages: in mailboxes, outboxes and control lanes."""
        replying = [slot for slot in self._slots if slot.stage.replying]
        return sum(len(s.control) + len(s.outbox) + sum(len(i.queue) for i in s.inboxes) for s in replying)

    def _taken_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # -- settling ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Handle all that can be handled now, in the one order."""
        slots, deadlines, now_us = self._slots, self._deadlines, self._now_us
        while self.finished is None:
            if told := self._told:
                bit = told & -told
                slot = slots[bit.bit_length() - 1]
                envelope = slot.control.popleft()
                if not slot.control:
                    self._told = told ^ bit
                self._handle(slot, envelope)
            elif deadlines and deadlines[0][0] <= now_us:
                # After what is pending, so that a deadline set for now sees all that was sent before it was set.
                self._fire()
            elif ready := self._ready:
                bit = ready & -ready
                slot = slots[bit.bit_length() - 1]
                if (inbox := self._takeable(slot)) is None:
                    self._ready = ready ^ bit
                    continue
                envelope = inbox.queue.popleft()
                slot.waiting -= 1
                if not slot.waiting:
                    self._ready = ready ^ bit
                if inbox.blocked_since_us >= 0:
                    self._flush(slots[inbox.source])
                self._handle(slot, envelope)
            else:
                return

    def _takeable(self, slot: Slot) -> Inbox | None:
        """The inbox whose front is the earliest of those the stage accepts now."""
        if not slot.waiting or slot.outbox or slot.fed >= slot.window:
            return None
        best: Inbox | None = None
        accepted = slot.stage.accepts(slot.state) if slot.choosy else None
        for inbox in slot.inboxes:
            queue = inbox.queue
            if queue and (accepted is None or inbox.port in accepted):
                if len(queue) == slot.waiting:
                    return inbox
                if best is None or queue[0][SEQ] < best.queue[0][SEQ]:
                    best = inbox
        return best

    # -- handling ---------------------------------------------------------------------------------------------------

    def _record(self, slot: Slot, envelope: Envelope, fate: Fate, call: int = 0) -> None:
        """A row for a message that the stage does not see."""
        slot.rows += 1
        self._append((slot.id, slot.rows, self._now_us, fate, envelope, call))

    def _leaves(self, slot: Slot, call: int, message: Message, n: int) -> None:
        """A row for what leaves for the stage's provider, caused by row `n`; 0: by none."""
        envelope = (message, slot.id if n else "", n, self._now_us, slot.epoch, slot.turn, 0)
        self._record(slot, envelope, Fate.HANDLED, call)

    def _handle(self, slot: Slot, envelope: Envelope, call: int = 0) -> None:
        """Write the row, then let the stage act on the message."""
        if slot.replying and (epoch := envelope[EPOCH]) != slot.epoch:
            if epoch < slot.epoch:
                self._record(slot, envelope, Fate.STALE, call)
                return
            slot.epoch, slot.turn = epoch, envelope[TURN]
        message, now_us = envelope[0], self._now_us
        append, step = self._append, slot.step
        n = slot.rows = slot.rows + 1
        append((slot.id, n, now_us, _HANDLED, envelope, call))
        if type(message) is Interrupt:
            self._interrupt(slot, message)
        elif actions := step(slot.state, message, now_us):
            self._act(slot, actions, n)
        if slot.waiting:
            self._ready |= slot.bit

    def _stimulus(self, stimulus: Stimulus) -> None:
        stage, call_id, item, available_us = stimulus
        slot = self._slots[stage]
        call = slot.call
        envelope = (item, "", 0, available_us, slot.epoch, slot.turn, 0)
        if call_id and (call is None or call.id != call_id):
            self._record(slot, envelope, Fate.STALE, call_id)
        elif call is None:
            self._handle(slot, envelope)
        elif type(item) is Credit:
            self._record(slot, envelope, Fate.HANDLED, call_id)
            slot.fed -= item.count
            if slot.waiting:
                self._ready |= slot.bit
            self._make_room(slot)
        else:
            if call.timed or type(item) in _LAST:
                self._item_came(slot, call, item)
            self._handle(slot, envelope, call_id)

    def _make_room(self, slot: Slot) -> None:
        """Something that counted against the slot's bounds is gone: whoever waits to send may go on."""
        for inbox in slot.inboxes:
            if inbox.blocked_since_us >= 0:
                self._flush(self._slots[inbox.source])

    def _fire(self) -> None:
        """Tell the stage whose deadline has come."""
        if (due := self._timers.pop_due(self._now_us)) is not None:
            self._due(*due)

    def _due(self, stage: int, tag: str, at_us: int) -> None:
        slot = self._slots[stage]
        if tag == _CALL:
            self._call_due(slot)
            return
        self._to_control(slot, (Timer(tag), "", 0, at_us, slot.epoch, slot.turn, 0))

    def _to_control(self, slot: Slot, envelope: Envelope) -> None:
        slot.control.append(envelope)
        self._told |= slot.bit
        if len(slot.control) > CONTROL_BOUND:
            self._finish(f"failed: more than {CONTROL_BOUND} control messages wait at stage '{slot.id}'")

    def _finish(self, reason: str) -> None:
        if self.finished is None:
            self.finished = reason
            for slot in self._slots:
                if slot.call is not None:
                    self._tell_fed(slot, slot.call)
            self._effects.append(Finished(reason))

    # -- actions ----------------------------------------------------------------------------------------------------

    def _act(self, slot: Slot, actions: Actions, n: int) -> None:
        """Do what handling row `n` of the slot's stage asked for."""
        for action in actions:
            kind = type(action)
            if kind is Emit:
                self._emit(slot, action[0], action[1], n)  # type: ignore[arg-type, misc]
            elif kind is Feed:
                if (call := slot.call) is not None:
                    self._feed(slot, call, action[0], n)  # type: ignore[misc, arg-type]
            elif kind is SetTimer:
                self._timers.set(slot.index, action[1], action[0])  # type: ignore[arg-type, misc]
            else:
                self._act_rarely(slot, action, n)

    def _act_rarely(self, slot: Slot, action: Action, n: int) -> None:
        match action:
            case Open(request):
                self._open(slot, request, n)
            case EndInput():
                if slot.call is not None:
                    self._tell_fed(slot, slot.call)
                    self._leaves(slot, slot.call.id, InputClosed(), n)
                    self._effects.append(CallEnded(slot.index, slot.call.id))
            case Cancel():
                self._cancel(slot, n)
            case RaiseEpoch(turn):
                self._raise_epoch(turn)
            case Finish(reason):
                self._finish(reason)

    def _raise_epoch(self, turn: int) -> None:
        """A new epoch: the listening stages are in it from here on, a replying one from the first message of it that it gets."""
        self._epoch += 1
        for slot in self._slots:
            if not slot.replying:
                slot.epoch, slot.turn = self._epoch, turn

    def _emit(self, slot: Slot, port: str, message: Message, n: int) -> None:
        seq = self._seq = self._seq + 1
        envelope = (message, slot.id, n, self._now_us, slot.epoch, slot.turn, seq)
        control = message.lane == "C"
        for target, inbox in slot.routes.get(port, ()):
            if control or inbox is None:
                self._to_control(target, envelope)
            elif slot.outbox or not self._push(target, inbox, envelope):
                slot.outbox.append((inbox, envelope))

    def _push(self, target: Slot, inbox: Inbox, envelope: Envelope) -> bool:
        """Into the target's inbox, or by its policy. False if the sender must wait."""
        if inbox.push(envelope, target.fed):
            target.waiting += 1
            self._ready |= target.bit
            return True
        done, dropped = inbox.full(envelope)
        if done is Push.BLOCKED:
            inbox.blocked(self._now_us)
            return False
        if done is Push.OVERFLOW:
            self._finish(f"failed: the queue before stage '{target.id}' is full ({inbox.bound.max}) and set to error")
        self._record(target, dropped or envelope, Fate.DROPPED)
        return True

    def _flush(self, slot: Slot) -> None:
        """Move what waits in the outbox on, as far as there is room."""
        while slot.outbox:
            inbox, envelope = slot.outbox[0]
            if not self._push(self._slots[inbox.target], inbox, envelope):
                return
            inbox.unblocked(self._now_us)
            slot.outbox.popleft()
        self._ready |= slot.bit

    # -- calls ------------------------------------------------------------------------------------------------------

    def _open(self, slot: Slot, request: Message, n: int) -> None:
        self._cancel(slot, n)
        self._calls += 1
        self._leaves(slot, self._calls, request, n)
        timed = slot.timeouts.first_item_us is not None or slot.timeouts.idle_us is not None
        slot.call = Call(self._calls, slot.timeouts, timed)
        self._await_item(slot, slot.call, slot.timeouts.first_item_us)
        self._effects.append(CallOpened(slot.index, self._calls, request, slot.stage.call_scope))

    def _feed(self, slot: Slot, call: Call, item: Message, n: int) -> None:
        """Feed the call. What was made for it is a row; what it is handed on as it came is counted."""
        slot.fed += 1
        if type(item) is Play:
            item = item.of_epoch(slot.epoch)
        if item.lane == "P":
            self._leaves(slot, call.id, item, n)
        else:
            call.fed, call.digest, call.fed_by = call.fed + 1, item_digest(item, call.digest), n
            if call.fed - call.told >= FED_ITEMS:
                self._tell_fed(slot, call)
        self._effects.append(new(CallFed, (slot.index, call.id, item)))

    def _tell_fed(self, slot: Slot, call: Call) -> None:
        if call.fed > call.told:
            call.told = call.fed
            self._leaves(slot, call.id, Fed(call.fed, call.digest), call.fed_by)

    def _cancel(self, slot: Slot, n: int) -> None:
        """Abandon the stage's call, if it has one, as row `n` asked; 0: as none did."""
        if (call := slot.call) is not None:
            self._close(slot, call)
            self._leaves(slot, call.id, Cancelled(), n)
            self._effects.append(CallCancelled(slot.index, call.id))

    def _close(self, slot: Slot, call: Call) -> None:
        """Forget the call; what it had not taken of its bound is free again."""
        self._tell_fed(slot, call)
        slot.call, slot.fed = None, 0
        self._timers.set(slot.index, _CALL, None)
        self._make_room(slot)

    def _await_item(self, slot: Slot, call: Call, within_us: int | None) -> None:
        call.deadline_us = None if within_us is None else self._now_us + within_us
        self._timers.set(slot.index, _CALL, call.deadline_us)

    def _item_came(self, slot: Slot, call: Call, item: Message) -> None:
        if type(item) in _LAST:
            self._close(slot, call)
        else:
            self._await_item(slot, call, call.timeouts.idle_us)

    def _call_due(self, slot: Slot) -> None:
        call = slot.call
        if call is None or call.deadline_us is None:
            return
        if call.deadline_us > self._now_us:
            self._timers.set(slot.index, _CALL, call.deadline_us)
        elif not self.takes(slot.index):
            # The stage itself holds the items back: the provider is not to blame. Counted from the deadline and not from now:
            # what the engine does may not hang on when it was looked at.
            call.deadline_us += call.timeouts.idle_us or call.timeouts.first_item_us or 0
            self._timers.set(slot.index, _CALL, call.deadline_us)
        else:
            self._cancel(slot, 0)
            waited = "the provider gave nothing in time"
            self._handle(slot, (Failed("timeout", waited), "", 0, self._now_us, slot.epoch, slot.turn, 0))

    # -- interrupts -------------------------------------------------------------------------------------------------

    def _interrupt(self, slot: Slot, message: Message) -> None:
        """STOP the stage's turn-scoped call, DRAIN what waits for and behind it, RESET its state."""
        cause_n = slot.rows
        if slot.stage.call_scope == "turn":
            self._cancel(slot, cause_n)
        self._drain(slot)
        actions = slot.stage.step(slot.state, message, self._now_us)
        self._timers.clear(slot.index)
        slot.state = slot.stage.reset(slot.state)
        self._act(slot, actions, cause_n)

    def _drain(self, slot: Slot) -> None:
        for inbox in slot.inboxes:
            while inbox.queue:
                slot.waiting -= 1
                self._record(slot, inbox.queue.popleft(), Fate.DISCARDED)
            inbox.unblocked(self._now_us)
        while slot.outbox:
            inbox, envelope = slot.outbox.popleft()
            inbox.unblocked(self._now_us)
            self._record(self._slots[inbox.target], envelope, Fate.DISCARDED)
