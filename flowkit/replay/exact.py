"""Exact replay: every stage is folded over its recorded rows and must send what was recorded.

Each stage is handed the rows that it handled, in the journal's order and at the recorded times. What its step emits must be the
rows that were recorded with that cause, in order, with the same epoch, turn and time; deadlines it sets must have fired. So a
change of code shows at the stage that was changed, at its first different message, and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flowkit.errors import FlowkitError
from flowkit.messages import Credit, Done, Failed, Frames, Interrupt, Message, Probability, Speak, Timer
from flowkit.plan.graph import Plan
from flowkit.replay.deadlines import Deadlines
from flowkit.replay.difference import Difference, Diverged
from flowkit.stages.base import Action, Actions, Cancel, Emit, EndInput, Feed, Finish, Open, RaiseEpoch, SetTimer, Stage
from flowkit.trace.passages import Sent
from flowkit.trace.rows import RowTuple

_GONE = ("dropped", "discarded")
"""Fates of messages that left from the middle of a queue; all others leave in order."""
TIMED_OUT = "the provider gave nothing in time"
"""How the engine words the failure that it reports in a provider's place."""


_LAST = frozenset({Done, Failed})
_NO_ANSWER = frozenset({Timer, Frames, Probability})
"""What is kept of no call: a timer is no provider's, and frames and their probabilities are had as columns."""


@dataclass(slots=True)
class Call:
    """A provider call as recorded: when and with what it was opened, its items as (available, accepted, item) and when it ended
    by itself or was cancelled."""

    stage: str
    request: Message
    opened_us: int
    items: list[tuple[int, int, Message]] = field(default_factory=list)
    ended_us: int | None = None
    cancelled: bool = False
    fed: list[tuple[int, Speak]] = field(default_factory=list)
    """Clauses fed to a continuous voice, with the time."""


class Way(NamedTuple):
    """An edge: what was sent along it and has no row yet, in band and out of band."""

    data: deque[Sent]
    control: deque[Sent]


@dataclass(slots=True)
class Slot:
    """A stage and what the engine would keep for it. `awaited`: what was sent to it, by sender and lane."""

    id: str
    stage: Stage[Any]
    step: Callable[[Any, Message, int], Actions]
    state: Any
    replying: bool
    rows: int = 0
    epoch: int = 0
    turn: int = 0
    call: Call | None = None
    routes: dict[str, list[Way]] = field(default_factory=dict)
    awaited: dict[tuple[str, str], list[deque[Sent]]] = field(default_factory=dict)


class Fold:
    """Folds a plan's stages over a journal. `calls`: every provider call, in the order in which they were opened.

    A `tolerant` fold goes on after a difference, believing the record, and keeps the first: so that calls can be read off a trace
    that the code no longer follows.
    """

    def __init__(self, plan: Plan, *, tolerant: bool = False) -> None:
        self.first: Difference | None = None
        self._tolerant = tolerant
        self.calls: list[Call] = []
        self.finished: str | None = None
        self._slots: dict[str, Slot] = {}
        for planned in plan.stages:
            stage = planned.cls(planned.options, plan.frame_us)
            self._slots[planned.id] = Slot(planned.id, stage, stage.step, stage.fresh(), stage.replying)
        self._timers = Deadlines()
        self._at = (0, 0)
        self._raised_us = 0
        for edge in plan.edges:
            awaited = self._slots[edge.target].awaited
            # Out of band all edges between two stages are one; in band each is a queue of its own.
            (control,) = awaited.setdefault((edge.source, "C"), [deque()])
            data = control
            if edge.bound is not None:
                data = deque()
                awaited.setdefault((edge.source, "D"), []).append(data)
            self._slots[edge.source].routes.setdefault(edge.output, []).append(Way(data, control))
        for slot in self._slots.values():
            self._act(slot, slot.stage.begin(slot.state), 0, 0)

    @property
    def now_us(self) -> int:
        """The time of the last row."""
        return self._timers.now_us

    def end(self, now_us: int) -> None:
        """No more rows. What was sent in the last instant may still wait; a message that others overtook may not."""
        if self.finished is None:
            self._timers.check(now_us)

    def tolerantly_end(self, now_us: int) -> None:
        """As ``end``, but a difference is only kept."""
        try:
            self.end(now_us)
        except Diverged as diverged:
            self.first = self.first or diverged.difference

    # -- a row ------------------------------------------------------------------------------------------------------

    def row(self, row: RowTuple) -> RowTuple:
        """Fold over one row; returns the row as the code makes it now. Raises Diverged if it is another."""
        slot = self._slots[row[0]]
        slot.rows += 1
        if row[1] != slot.rows:
            self._believed(Difference(row[0], "rows are not numbered as they came", row, None, (row[2], row[3])), row)
        sent = self._fold(slot, row)
        if sent is None or sent[4] is row[9]:
            return row
        cause_n, sent_us, epoch, turn, message = sent
        return (row[0], slot.rows, row[2], cause_n, sent_us, row[5], message.lane, epoch, turn, message, row[10])

    def _fold(self, slot: Slot, row: RowTuple) -> Sent | None:
        """Compare a row with what is sent now, and let its stage handle it. Returns what was sent, if another stage sent it."""
        _, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, fate = row
        sent: Sent | None = None
        timers, kind = self._timers, type(message)
        if now_us > timers.now_us:
            if timers.soonest_us > timers.now_us:
                timers.now_us = now_us
            else:
                self._advance(now_us, row)
        try:
            if cause:
                sent = (cause_n, sent_us, epoch, turn, message)
                queues = slot.awaited.get((cause, lane), ())
                for queue in queues:
                    if queue and queue[0] == sent:
                        sent = queue.popleft()
                        break
                else:
                    sent = self._found(queues, row)
            elif kind is Timer or (epoch, turn) != ((slot.epoch, slot.turn) if slot.replying else self._at):
                self._arrived(slot, row)
        except Diverged as diverged:
            self._believed(diverged.difference, row)
        if fate or kind is Credit:
            return sent
        if epoch > slot.epoch and slot.replying:
            slot.epoch, slot.turn = epoch, turn
        if kind is Interrupt:
            actions = self._interrupted(slot, message, now_us)
        else:
            if not cause and slot.call is not None and kind not in _NO_ANSWER:
                self._answered(slot, slot.call, row)
            try:
                actions = slot.step(slot.state, message, now_us)
            except FlowkitError as error:
                what = f"the stage refuses the message: {error}"
                self._believed(Difference(slot.id, what, row, message, (cause, cause_n)), row)
                return sent
        if actions:
            self._act(slot, actions, n, now_us)
        return sent

    def _interrupted(self, slot: Slot, message: Message, now_us: int) -> Actions:
        if slot.stage.call_scope == "turn":
            self._cancel(slot, now_us)
        actions = slot.step(slot.state, message, now_us)
        self._timers.clear(slot.id)
        slot.state = slot.stage.reset(slot.state)
        return actions

    def _believed(self, difference: Difference, row: RowTuple) -> None:
        self.first = self.first or difference
        if not self._tolerant:
            raise Diverged(difference)

    def _advance(self, now_us: int, row: RowTuple) -> None:
        try:
            self._timers.advance(now_us)
        except Diverged as diverged:
            self._believed(diverged.difference, row)
            self._timers.now_us = now_us

    def _found(self, queues: Iterable[deque[Sent]], row: RowTuple) -> Sent:
        """What was sent and is this row; of several queues, or from the middle of one. Raises Diverged if nothing is."""
        stage, _, cause, cause_n, sent_us, _, _, epoch, turn, message, fate = row
        nearest: Sent | None = None
        for queue in queues:
            for sent in queue if fate in _GONE else (queue[0],) if queue else ():
                if sent == (cause_n, sent_us, epoch, turn, message):
                    queue.remove(sent)
                    return sent
                if sent[0] == cause_n and sent[4] == message:
                    what = "the message has another time, epoch or turn"
                    raise Diverged(Difference(stage, what, row, message, (cause, cause_n)))
                nearest = sent if nearest is None or sent[0] == cause_n else nearest
        now = nearest[4] if nearest is not None and nearest[0] <= cause_n else None
        raise Diverged(Difference(stage, "another message was recorded than is sent now", row, now, (cause, cause_n)))

    def _arrived(self, slot: Slot, row: RowTuple) -> None:
        """A stimulus or a timer: taken as recorded, at the epoch that the session has now."""
        stage, _, _, _, sent_us, _, _, epoch, turn, message, _ = row
        at = (slot.epoch, slot.turn) if slot.replying else self._at
        if (epoch, turn) != at:
            raise Diverged(Difference(stage, f"the row is of epoch {epoch}, now it is {at[0]}", row, message, ("", 0)))
        if type(message) is Timer:
            if self._tolerant and self.first is not None:
                self._timers.set(stage, message.tag, None)
            elif not self._timers.fired(stage, message.tag, sent_us):
                raise Diverged(Difference(stage, "a deadline was recorded that is not set now", row, None, ("", 0)))

    @staticmethod
    def _answered(slot: Slot, call: Call, row: RowTuple) -> None:
        message = row[9]
        kind = type(message)
        if kind is not Failed or message.what != TIMED_OUT:  # type: ignore[attr-defined]
            call.items.append((row[4], row[5], message))
        if kind in _LAST:
            call.ended_us, slot.call = row[5], None

    # -- what a step asks for ---------------------------------------------------------------------------------------

    def _act(self, slot: Slot, actions: Actions, n: int, now_us: int) -> None:
        for action in actions:
            kind = type(action)
            if kind is Feed:
                item = action[0]  # type: ignore[misc]
                if type(item) is Speak and slot.call is not None:
                    slot.call.fed.append((now_us, item))
            elif kind is Emit:
                self._emit(slot, action[0], action[1], n, now_us)  # type: ignore[arg-type, misc]
            elif kind is SetTimer:
                self._timers.set(slot.id, action[1], action[0])  # type: ignore[arg-type, misc]
            else:
                self._act_rarely(slot, action, now_us)

    def _emit(self, slot: Slot, port: str, message: Message, n: int, now_us: int) -> None:
        epoch, turn = (slot.epoch, slot.turn) if slot.replying else self._at
        sent = (n, now_us, epoch, turn, message.journaled() if message.bulky else message)
        in_band = message.lane == "D"
        for data, control in slot.routes.get(port, ()):
            (data if in_band else control).append(sent)

    def _act_rarely(self, slot: Slot, action: Action, now_us: int) -> None:
        match action:
            case Open(request):
                self._cancel(slot, now_us)
                slot.call = Call(slot.id, request, now_us)
                self.calls.append(slot.call)
            case Cancel():
                self._cancel(slot, now_us)
            case RaiseEpoch(turn):
                self._at, self._raised_us = (self._at[0] + 1, turn), now_us
            case Finish(reason):
                self.finished = self.finished or reason
            case EndInput():
                pass

    @staticmethod
    def _cancel(slot: Slot, now_us: int) -> None:
        if slot.call is not None:
            slot.call.ended_us, slot.call.cancelled, slot.call = now_us, True, None
