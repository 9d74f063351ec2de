"""The engine: one session as a state machine that a pump drives through ``advance``.

Within an instant the engine works in one fixed order: control messages, then deadlines, then data. Control and data go
by stage, the lower one first, and a stage takes the data that was sent earliest. Deadlines go by time, then by stage.
So the stimuli alone determine the journal, whichever pump delivers them, and exact replay can compare two journals row
by row.

Control goes before data because an interrupt must overtake what it discards.

What a step emits waits in the stage's outbox until the next mailbox has room. While anything waits there, the stage
takes neither data nor items of its provider. That is how back-pressure reaches the source.

What leaves for a provider is in the journal too. Its cause is the row that asked for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowkit.engine.effects import CallCancelled, CallEnded, CallFed, CallOpened, Effect, Finished, Stimulus
from flowkit.engine.journal import Fate, Journal, Row, item_digest
from flowkit.engine.mailbox import Envelope, Inbox, Push
from flowkit.engine.slots import OpenCall, Slot, slots_of
from flowkit.engine.timers import Timers
from flowkit.messages import Cancelled, Credit, Done, Failed, Fed, InputClosed, Interrupt, Message, Play, Timer
from flowkit.plan.graph import CONTROL_BOUND, Plan
from flowkit.stages.base import (
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
    new,
)

_LAST = frozenset({Done, Failed})
_HANDLED = Fate.HANDLED
_TOO_LATE = Failed("timeout", "the provider gave nothing in time")
_CALL = "(call)"
"""Tag of the engine's own timer: the deadline of a stage's open call."""
FED_ITEMS = 100
"""How many forwarded items one ``Fed`` row covers: two seconds of frames."""


class Engine:
    """One session of `plan`. All times are integer microseconds since the session started.

    A pump calls ``begin`` once and then ``advance``, and carries out the effects that they return. The engine reads no
    clock and does no I/O. `finished` is the reason once the session is over, None before.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.journal = Journal()
        self.finished: str | None = None
        self.now_us = 0
        """The time of the last ``advance``."""
        self._epoch = self._seq = self._calls = 0
        # Bit sets of stage indexes: the lowest set bit is the next stage, without a search. `_control`: control messages
        # wait there. `_ready`: data may wait there that the stage takes.
        self._ready = self._control = 0
        self._append = self.journal.append
        self._timers = Timers()
        # The heap itself, because its front is compared after every stimulus and a call would cost more.
        self._deadlines = self._timers.heap
        self._effects: list[Effect] = []
        self._slots = slots_of(plan)

    # -- what a pump calls ------------------------------------------------------------------------------------------

    def begin(self, now_us: int = 0) -> list[Effect]:
        """Start the session at `now_us`: let every stage open its session call. Returns the effects to carry out."""
        self.now_us = now_us
        for slot in self._slots:
            self._act(slot, slot.stage.begin(slot.state), 0)  # row 0: no message caused what a stage opens here
        return self._taken_effects()

    def advance(self, now_us: int, stimuli: Iterable[Stimulus] = ()) -> list[Effect]:
        """Move the time forward to `now_us`, then handle `stimuli` one after another. Returns the effects to carry out.

        Everything that is possible at an instant happens before the next stimulus is handled. Deadlines that `now_us`
        has reached go first. A `now_us` before the last one counts as the last one.
        """
        if now_us > self.now_us:
            self.now_us = now_us
        deadlines, now_us = self._deadlines, self.now_us
        # The condition stands here, because after most stimuli there is nothing to settle and a call would cost more.
        if self._ready or self._control or (deadlines and deadlines[0][0] <= now_us):
            self._settle()
        for stimulus in stimuli:
            self._stimulus(stimulus)
            if self._ready or self._control or (deadlines and deadlines[0][0] <= now_us):
                self._settle()
        return self._taken_effects() if self._effects else []

    def next_deadline(self) -> int | None:
        """The time at which ``advance`` must be called at the latest, or None."""
        return self._timers.next_us() if self._deadlines else None

    def accepts_item(self, stage: int) -> bool:
        """Whether the stage with index `stage` accepts an item of its provider now.

        If not, the pump leaves the item with the provider. It must not read further.
        """
        return self._slots[stage].accepts_item()

    @property
    def epoch(self) -> int:
        """The session's current epoch."""
        return self._epoch

    def turn(self, stage: int) -> int:
        """The turn that the stage with index `stage` works for. For a listening stage the newest one, which has been released."""
        return self._slots[stage].turn

    def state(self, stage_id: str) -> Any:
        """The state of the stage with this id, for views and tests. Do not change it."""
        return next(slot.state for slot in self._slots if slot.id == stage_id)

    def inboxes(self) -> list[tuple[str, Inbox]]:
        """Every bounded edge: its inbox and the id of the stage that it leads into."""
        return [(slot.id, inbox) for slot in self._slots for inbox in slot.inboxes]

    def waiting(self) -> int:
        """How many messages wait in the replying stages: in mailboxes, outboxes and control queues."""
        return sum(len(s.control) + len(s.outbox) + s.waiting for s in self._slots if s.replying)

    def _taken_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # -- settling ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Handle everything that can be handled at this instant, in the fixed order."""
        slots, deadlines, now_us = self._slots, self._deadlines, self.now_us
        while self.finished is None:
            if pending := self._control:
                bit = pending & -pending  # the lowest set bit
                slot = slots[bit.bit_length() - 1]
                envelope = slot.control.popleft()
                if not slot.control:
                    self._control = pending ^ bit
                self._handle(slot, envelope)
            elif deadlines and deadlines[0][0] <= now_us:
                # After control, so that a stage that sets a deadline for this instant first handles what was sent before.
                self._fire()
            elif ready := self._ready:
                bit = ready & -ready
                slot = slots[bit.bit_length() - 1]
                if (inbox := slot.takeable()) is None:
                    # The bit is set again when this may have changed: by a message, a credit, or a step of the stage.
                    self._ready = ready ^ bit
                    continue
                envelope = inbox.queue.popleft()
                slot.waiting -= 1
                if not slot.waiting:
                    self._ready = ready ^ bit
                # A place is free now, and a sender that waits for it gets no other sign.
                if inbox.blocked_since_us >= 0:
                    self._flush(slots[inbox.source])
                self._handle(slot, envelope)
            else:
                return

    # -- handling ---------------------------------------------------------------------------------------------------

    def _record(self, slot: Slot, envelope: Envelope, fate: Fate, call: int = 0) -> None:
        """Append a row for a message that the stage does not see."""
        self._append(slot.row(envelope, self.now_us, fate, call))

    def _record_outgoing(self, slot: Slot, call: int, message: Message, n: int) -> None:
        """Append a row for what leaves for the stage's provider. Row `n` of the stage caused it; 0 if no row did."""
        self._append(slot.outgoing(message, self.now_us, n, call))

    def _handle(self, slot: Slot, envelope: Envelope, call: int = 0) -> None:
        """Append the row, then let the stage handle the message.

        For a replying stage, a message of an earlier epoch is stale and only gets a row. A message of a later one moves
        the stage to that epoch.
        """
        message, cause_stage, cause_n, sent_us, epoch, turn, _ = envelope
        if slot.replying and epoch != slot.epoch:
            # It gets a row all the same, because a loss must show in the journal.
            if epoch < slot.epoch:
                self._record(slot, envelope, Fate.STALE, call)
                return
            # Before the step, so that what the stage emits for this message belongs to the new epoch.
            slot.epoch, slot.turn = epoch, turn
        now_us, step = self.now_us, slot.step
        n = slot.rows = slot.rows + 1
        # Before the step: if it raises, the journal must still show the message that caused the error.
        row = (slot.id, n, cause_stage, cause_n, sent_us, now_us, epoch, turn, message, _HANDLED, call)
        self._append(new(Row, row))
        # A listening stage has nothing of the reply, so for it an interrupt is an ordinary message.
        if type(message) is Interrupt and slot.replying:
            self._interrupt(slot, message)
        elif actions := step(slot.state, message, now_us):
            self._act(slot, actions, n)
        if slot.waiting:
            self._ready |= slot.bit  # the step may have changed what the stage accepts

    def _stimulus(self, stimulus: Stimulus) -> None:
        stage, call_id, item, available_us = stimulus
        slot = self._slots[stage]
        call = slot.call
        envelope = (item, "", 0, available_us, slot.epoch, slot.turn, 0)
        if call_id and (call is None or call.id != call_id):
            # The provider sent this before it learned that its call is over.
            self._record(slot, envelope, Fate.STALE, call_id)
        elif call is None or not call_id:  # a client's message is no item of the stage's call, and ends no wait for one
            self._handle(slot, envelope)
        elif type(item) is Credit:
            # The engine counts credits itself, so that no stage has to.
            self._record(slot, envelope, Fate.HANDLED, call_id)
            slot.fed -= item.count
            if slot.waiting:
                self._ready |= slot.bit
            self._make_room(slot)
        else:
            if type(item) in _LAST:
                self._close(slot, call)
            elif call.timed:
                self._await_item(slot, call, call.timeouts.idle_us)
            if slot.judging and slot.stage.stale(slot.state, item):
                self._record(slot, envelope, Fate.STALE, call_id)
            else:
                self._handle(slot, envelope, call_id)

    def _make_room(self, slot: Slot) -> None:
        """Let the senders continue that waited because the slot's inboxes were full."""
        for inbox in slot.inboxes:
            if inbox.blocked_since_us >= 0:
                self._flush(self._slots[inbox.source])

    def _fire(self) -> None:
        """Handle the earliest deadline that was reached: the call's own, or else one that the stage set."""
        if (due := self._timers.pop_due(self.now_us)) is None:
            return
        stage, tag, at_us = due
        slot = self._slots[stage]
        # The stage did not set this timer and would not know its tag.
        if tag == _CALL:
            self._call_timed_out(slot)
        else:
            self._to_control(slot, (Timer(tag), "", 0, at_us, slot.epoch, slot.turn, 0))

    def _to_control(self, slot: Slot, envelope: Envelope) -> None:
        slot.control.append(envelope)
        self._control |= slot.bit
        # Control is never held back, because an interrupt must not wait. So an overflow can only end the session.
        if len(slot.control) > CONTROL_BOUND:
            self._finish(f"failed: more than {CONTROL_BOUND} control messages wait at stage '{slot.id}'")

    def _finish(self, reason: str) -> None:
        if self.finished is None:
            self.finished = reason
            # The journal must cover everything that was fed, or an exact replay could not check the last items.
            for slot in self._slots:
                if slot.call is not None:
                    self._record_fed(slot, slot.call)
            self._effects.append(Finished(reason))

    # -- actions ----------------------------------------------------------------------------------------------------

    def _act(self, slot: Slot, actions: Actions, n: int) -> None:
        """Carry out the `actions` that the stage returned for its row `n`."""
        for action in actions:
            kind = type(action)
            # What every frame and every token needs comes first. The other actions are rare.
            if kind is Emit:
                self._emit(slot, action[0], action[1], n)  # type: ignore[arg-type, misc]
            elif kind is Feed:
                # Frames still come when the call has ended without the stage's doing. There is no call to feed then.
                if (call := slot.call) is not None:
                    self._feed(slot, call, action[0], n)  # type: ignore[misc, arg-type]
            elif kind is SetTimer:
                self._timers.set(slot.index, action[1], action[0])  # type: ignore[arg-type, misc]
            else:
                self._act_other(slot, action, n)

    def _act_other(self, slot: Slot, action: Action, n: int) -> None:
        match action:
            case Open(request):
                self._open(slot, request, n)
            case EndInput():
                # What was fed is recorded first: in the journal, the end must not come before its content.
                if slot.call is not None:
                    self._record_fed(slot, slot.call)
                    self._record_outgoing(slot, slot.call.id, InputClosed(), n)
                    self._effects.append(CallEnded(slot.index, slot.call.id))
            case Cancel():
                self._cancel(slot, n)
            case RaiseEpoch(turn):
                # Listening stages are in it at once. A replying stage enters it with the first message of it that it handles.
                self._epoch += 1
                for listening in self._slots:
                    if not listening.replying:
                        listening.epoch, listening.turn = self._epoch, turn
            case Finish(reason):
                self._finish(reason)

    def _emit(self, slot: Slot, port: str, message: Message, n: int) -> None:
        # One number for the whole session, so that a stage with several inboxes can tell which message was sent first.
        seq = self._seq = self._seq + 1
        envelope = (message, slot.id, n, self.now_us, slot.epoch, slot.turn, seq)
        control = message.lane == "C"
        for index, inbox in slot.routes.get(port, ()):
            target = self._slots[index]
            if control or inbox is None:
                self._to_control(target, envelope)
            elif slot.outbox or not self._push(target, inbox, envelope):
                # If anything waits in the outbox, this must wait too: on an edge, messages keep their order.
                slot.outbox.append((inbox, envelope))

    def _push(self, target: Slot, inbox: Inbox, envelope: Envelope) -> bool:
        """Put the message into the target's inbox, or apply the inbox's policy. Returns False if the sender must wait."""
        if inbox.push(envelope, target.fed):
            target.waiting += 1
            self._ready |= target.bit
            return True
        done, dropped = inbox.full(envelope)
        if done is Push.BLOCKED:
            inbox.blocked(self.now_us)
            return False
        if done is Push.OVERFLOW:
            self._finish(f"failed: the queue before stage '{target.id}' is full ({inbox.bound.max}) and set to error")
        self._record(target, dropped or envelope, Fate.DROPPED)
        return True

    def _flush(self, slot: Slot) -> None:
        """Send what waits in the slot's outbox, in order, as far as there is room."""
        while slot.outbox:
            inbox, envelope = slot.outbox[0]
            # What is behind it waits too, even for another edge: the outbox is one queue, and order is kept.
            if not self._push(self._slots[inbox.target], inbox, envelope):
                return
            inbox.unblocked(self.now_us)
            slot.outbox.popleft()
        self._ready |= slot.bit  # with an empty outbox the stage may take data again

    # -- calls ------------------------------------------------------------------------------------------------------

    def _open(self, slot: Slot, request: Message, n: int) -> None:
        self._cancel(slot, n)  # a stage has at most one open call
        self._calls += 1
        self._record_outgoing(slot, self._calls, request, n)
        slot.call = OpenCall(self._calls, slot.timeouts)
        self._await_item(slot, slot.call, slot.timeouts.first_item_us)
        self._effects.append(CallOpened(slot.index, self._calls, request, slot.stage.call_scope))

    def _feed(self, slot: Slot, call: OpenCall, item: Message, n: int) -> None:
        """Feed `item` to the call.

        An item that was made for the provider (`lane` P, such as ``Play``) gets its own row. Messages that are only
        forwarded, such as frames, are counted: rows of their own would double the size of a trace.
        """
        slot.fed += 1
        # Stages do not know the epoch, so only the engine can mark the sound with it.
        if type(item) is Play:
            item = item.of_epoch(slot.epoch)
        if item.lane == "P":
            self._record_outgoing(slot, call.id, item, n)
        else:
            call.fed, call.digest, call.fed_by = call.fed + 1, item_digest(item, call.digest), n
            if call.fed - call.recorded >= FED_ITEMS:
                self._record_fed(slot, call)
        self._effects.append(new(CallFed, (slot.index, call.id, item)))

    def _record_fed(self, slot: Slot, call: OpenCall) -> None:
        """Append a ``Fed`` row for the forwarded items that no such row covers yet."""
        if call.fed > call.recorded:
            call.recorded = call.fed
            self._record_outgoing(slot, call.id, Fed(call.fed, call.digest), call.fed_by)

    def _cancel(self, slot: Slot, n: int) -> None:
        """Cancel the stage's open call, if there is one. Row `n` asked for it; 0 if no row did."""
        if (call := slot.call) is not None:
            self._close(slot, call)
            # After closing, because that records what was fed, which came before the cancel.
            self._record_outgoing(slot, call.id, Cancelled(), n)
            self._effects.append(CallCancelled(slot.index, call.id))

    def _close(self, slot: Slot, call: OpenCall) -> None:
        """Forget the call. What it was fed and had not taken no longer counts against the bound."""
        self._record_fed(slot, call)
        slot.call, slot.fed = None, 0
        self._timers.set(slot.index, _CALL, None)
        # The bound counts fed items too, so a sender may have waited for these.
        self._make_room(slot)

    def _await_item(self, slot: Slot, call: OpenCall, within_us: int | None) -> None:
        """Set the deadline of the call's next item; None if it has none."""
        call.deadline_us = None if within_us is None else self.now_us + within_us
        self._timers.set(slot.index, _CALL, call.deadline_us)

    def _call_timed_out(self, slot: Slot) -> None:
        """The call's deadline was reached: fail the call, unless the stage itself holds its items back."""
        call = slot.call
        if call is None or call.deadline_us is None:
            return
        if call.deadline_us > self.now_us:
            self._timers.set(slot.index, _CALL, call.deadline_us)
        elif not slot.accepts_item():
            # The stage holds the items back, so the provider is not late. The new deadline counts from the old one and not
            # from now, because what the engine does must not depend on when the pump called it.
            call.deadline_us += call.timeouts.idle_us or call.timeouts.first_item_us or 0
            self._timers.set(slot.index, _CALL, call.deadline_us)
        else:
            self._cancel(slot, 0)
            self._handle(slot, (_TOO_LATE, "", 0, self.now_us, slot.epoch, slot.turn, 0))

    # -- interrupts -------------------------------------------------------------------------------------------------

    def _interrupt(self, slot: Slot, message: Message) -> None:
        """Interrupt the stage: STOP its turn-scoped call, DRAIN what waits before and behind it, RESET its state.

        The stage handles the message before its state is reset, so that playback can still report what was heard.
        """
        # Kept, because cancelling and draining add rows of their own.
        cause_n = slot.rows
        # A session call, such as a device's or a socket's, serves the next reply too.
        if slot.stage.call_scope == "turn":
            self._cancel(slot, cause_n)
        self._drain(slot)
        actions = slot.stage.step(slot.state, message, self.now_us)
        # Cleared after the step and before its actions: a timer that the step sets belongs to the new state.
        self._timers.clear(slot.index)
        slot.state = slot.stage.reset(slot.state)
        self._act(slot, actions, cause_n)

    def _drain(self, slot: Slot) -> None:
        """Record what waits in the stage's inboxes and its outbox as discarded, except what has come for a later epoch."""
        for inbox in slot.inboxes:
            for envelope in inbox.drained(slot.epoch):
                slot.waiting -= 1
                self._record(slot, envelope, Fate.DISCARDED)
            inbox.unblocked(self.now_us)
        while slot.outbox:
            inbox, envelope = slot.outbox.popleft()
            inbox.unblocked(self.now_us)
            # A row belongs to the stage that would have received the message.
            self._record(self._slots[inbox.target], envelope, Fate.DISCARDED)
