"""Exact replay: every stage is folded over its recorded rows and must send what was recorded.

Each stage is handed the rows that it handled, in the journal's order and at the recorded times. What its step emits must be the
rows that were recorded with that cause, in order, with the same epoch, turn and time; deadlines it sets must have fired. So a
change of code shows at the stage that was changed, at its first different message, and nowhere else.

Where nobody looks inside, a stretch of frames is folded as one; every other row one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flowkit.errors import FlowkitError
from flowkit.messages import Credit, Done, Failed, Frames, Interrupt, Message, Probability, Speak, Timer
from flowkit.plan.graph import Plan
from flowkit.stages.base import Action, Actions, Cancel, Emit, EndInput, Feed, Finish, Open, RaiseEpoch, SetTimer, Stage
from flowkit.stages.endpointing import Endpointing
from flowkit.stages.source import Source
from flowkit.stages.transcription import Transcription
from flowkit.trace.codec import Quiet, Wiring
from flowkit.trace.rows import RowTuple

_BLIND = (Source, Endpointing, Transcription)
"""Stages that only pass frames on, so that many may be one."""
_GONE = ("dropped", "discarded")
"""Fates of messages that left from the middle of a queue; all others leave in order."""
TIMED_OUT = "the provider gave nothing in time"
"""How the engine words the failure that it reports in a provider's place."""


_LAST = frozenset({Done, Failed})
_new = tuple.__new__
"""As in the engine: one is made for every row that another stage sent."""


class Sent(NamedTuple):
    """A message that a stage sent and whose row is still to come."""

    target: str
    cause_n: int
    sent_us: int
    epoch: int
    turn: int
    message: Message


@dataclass(frozen=True, slots=True)
class Difference:
    """The first row that is not what the code makes now. `recorded` is None for a message that was not recorded at all,
    `now` is None for one that the code no longer sends."""

    stage: str
    what: str
    recorded: RowTuple | None
    now: Message | None
    cause: tuple[str, int]


class Diverged(Exception):
    """Ends a fold at its first difference."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.what)
        self.difference = difference


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


@dataclass(slots=True)
class _Slot:
    """A stage and what the engine would keep for it."""

    id: str
    stage: Stage[Any]
    state: Any
    rows: int = 0
    epoch: int = 0
    turn: int = 0
    call: Call | None = None
    routes: dict[str, list[tuple[str, deque[Sent]]]] = field(default_factory=dict)


class _Lane(NamedTuple):
    """The way of frames: all slots by index, who takes the source's frames, what waits on that way, and whether all are blind."""

    wiring: Wiring
    slots: list[_Slot]
    followers: list[_Slot]
    pending: list[deque[Sent]]
    blind: bool


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
        self._slots = {s.id: _Slot(s.id, stage := s.cls(s.options, plan.frame_us), stage.fresh()) for s in plan.stages}
        self._expected: dict[tuple[str, str, str], list[deque[Sent]]] = {}
        self._timers = _Deadlines()
        self._at = (0, 0)
        self._lane: _Lane | None = None
        for edge in plan.edges:
            queue: deque[Sent] = deque()
            lane = "C" if edge.bound is None else "D"
            self._expected.setdefault((edge.source, edge.target, lane), []).append(queue)
            self._slots[edge.source].routes.setdefault(edge.output, []).append((edge.target, queue))
        for slot in self._slots.values():
            self._act(slot, slot.stage.begin(slot.state), 0, 0)

    def take(self, items: Iterable[RowTuple | Quiet]) -> None:
        """Fold over rows. Raises Diverged at the first difference."""
        for item in items:
            if not isinstance(item, Quiet):
                self.row(item)
            elif self.first is not None or not self._tried(item):
                for row in item.rows():
                    self.row(row)

    def _tried(self, quiet: Quiet) -> bool:
        try:
            return self._quickly(quiet)
        except Diverged as diverged:
            if not self._tolerant:
                raise
            self.first = diverged.difference
            return False

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
        stage, n, cause, cause_n, _, now_us, lane, _, _, message, fate = row
        slot = self._slots[stage]
        slot.rows += 1
        if now_us != self._timers.now_us:
            self._advance(now_us, row)
        try:
            if n != slot.rows or lane != message.lane:
                raise Diverged(Difference(stage, "rows are not numbered as they came", row, None, (cause, cause_n)))
            made = self._caused(slot, row) if cause else self._arrived(slot, row)
        except Diverged as diverged:
            made = self._believed(diverged.difference, row)
            if not cause and slot.call is not None and fate == "" and type(message) is not Credit:
                self._answered(slot, slot.call, row)
        if fate == "":
            self._handle(slot, made)
        return made

    def _believed(self, difference: Difference, row: RowTuple) -> RowTuple:
        self.first = self.first or difference
        if not self._tolerant:
            raise Diverged(difference)
        return row

    def _advance(self, now_us: int, row: RowTuple) -> None:
        try:
            self._timers.advance(now_us)
        except Diverged as diverged:
            self._believed(diverged.difference, row)
            self._timers.now_us = now_us

    def _caused(self, slot: _Slot, row: RowTuple) -> RowTuple:
        """A message that another stage sent: the row must be what it sends now."""
        stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, fate = row
        nearest: Sent | None = None
        for queue in self._expected.get((cause, stage, lane), ()):
            for sent in queue if fate in _GONE else (queue[0],) if queue else ():
                if sent == (stage, cause_n, sent_us, epoch, turn, message):
                    queue.remove(sent)
                    return (stage, n, cause, sent[1], sent[2], now_us, lane, sent[3], sent[4], sent[5], fate)
                if sent.cause_n == cause_n and sent.message == message:
                    what = "the message has another time, epoch or turn"
                    raise Diverged(Difference(stage, what, row, message, (cause, cause_n)))
                nearest = sent if nearest is None or sent.cause_n == cause_n else nearest
        now = nearest.message if nearest is not None and nearest.cause_n <= cause_n else None
        raise Diverged(Difference(stage, "another message was recorded than is sent now", row, now, (cause, cause_n)))

    def _arrived(self, slot: _Slot, row: RowTuple) -> RowTuple:
        """A stimulus or a timer: taken as recorded, at the epoch that the session has now."""
        stage, _, _, _, sent_us, _, _, epoch, turn, message, fate = row
        at = (slot.epoch, slot.turn) if slot.stage.replying else self._at
        if (epoch, turn) != at:
            raise Diverged(Difference(stage, f"the row is of epoch {epoch}, now it is {at[0]}", row, message, ("", 0)))
        if type(message) is Timer:
            if self._tolerant and self.first is not None:
                self._timers.set(stage, message.tag, None)
            elif not self._timers.fired(stage, message.tag, sent_us):
                raise Diverged(Difference(stage, "a deadline was recorded that is not set now", row, None, ("", 0)))
        elif slot.call is not None and fate == "" and type(message) is not Credit:
            self._answered(slot, slot.call, row)
        return row

    def _answered(self, slot: _Slot, call: Call, row: RowTuple) -> None:
        message = row[9]
        if type(message) is not Failed or message.what != TIMED_OUT:
            call.items.append((row[4], row[5], message))
        if type(message) in _LAST:
            call.ended_us, slot.call = row[5], None

    def _handle(self, slot: _Slot, row: RowTuple) -> None:
        n, now_us, epoch, turn, message = row[1], row[5], row[7], row[8], row[9]
        if type(message) is Credit:
            return
        if slot.stage.replying and epoch > slot.epoch:
            slot.epoch, slot.turn = epoch, turn
        if type(message) is Interrupt:
            if slot.stage.call_scope == "turn":
                self._cancel(slot, now_us)
            actions = slot.stage.step(slot.state, message, now_us)
            self._timers.clear(slot.id)
            slot.state = slot.stage.reset(slot.state)
        else:
            actions = self._step(slot, row)
        if actions:
            self._act(slot, actions, n, now_us)

    def _step(self, slot: _Slot, row: RowTuple) -> Actions:
        try:
            return slot.stage.step(slot.state, row[9], row[5])
        except FlowkitError as error:
            self._believed(
                Difference(slot.id, f"the stage refuses the message: {error}", row, row[9], (row[2], row[3])), row
            )
            return ()

    # -- what a step asks for ---------------------------------------------------------------------------------------

    def _act(self, slot: _Slot, actions: Actions, n: int, now_us: int) -> None:
        for action in actions:
            if isinstance(action, Feed):
                if type(action[0]) is Speak and slot.call is not None:
                    slot.call.fed.append((now_us, action[0]))
            elif isinstance(action, Emit):
                self._emit(slot, action, n, now_us)
            elif isinstance(action, SetTimer):
                self._timers.set(slot.id, action.tag, action.at_us)
            else:
                self._act_rarely(slot, action, now_us)

    def _emit(self, slot: _Slot, emit: Emit, n: int, now_us: int) -> None:
        epoch, turn = (slot.epoch, slot.turn) if slot.stage.replying else self._at
        kept = emit[1].journaled() if emit[1].bulky else emit[1]
        for target, queue in slot.routes.get(emit.port, ()):
            into = queue if kept.lane == "D" else self._control(slot.id, target, queue)
            into.append(_new(Sent, (target, n, now_us, epoch, turn, kept)))

    def _control(self, source: str, target: str, queue: deque[Sent]) -> deque[Sent]:
        """A control message on an edge for data goes out of band."""
        queues = self._expected.setdefault((source, target, "C"), [])
        if any(queue is known for known in queues):
            return queue
        if not queues:
            queues.append(deque())
        return queues[0]

    def _act_rarely(self, slot: _Slot, action: Action, now_us: int) -> None:
        match action:
            case Open(request):
                self._cancel(slot, now_us)
                slot.call = Call(slot.id, request, now_us)
                self.calls.append(slot.call)
            case Cancel():
                self._cancel(slot, now_us)
            case RaiseEpoch(turn):
                self._at = (self._at[0] + 1, turn)
            case Finish(reason):
                self.finished = self.finished or reason
            case EndInput():
                pass

    @staticmethod
    def _cancel(slot: _Slot, now_us: int) -> None:
        if slot.call is not None:
            slot.call.ended_us, slot.call.cancelled, slot.call = now_us, True, None

    # -- run-lengths ------------------------------------------------------------------------------------------------

    def _quickly(self, quiet: Quiet) -> bool:
        """Fold over a quiet stretch at once. False if that cannot be; then nothing has been done."""
        lane = self._lane
        if lane is None or lane.wiring is not quiet.wiring:
            lane = self._lane = self._laid(quiet.wiring)
        slots, ns = lane.slots, quiet.ns
        if not lane.blind or any(lane.pending) or (quiet.epoch, quiet.turn) != self._at:
            return False
        for stage, _ in quiet.tally:
            slot = slots[stage]
            if slot.rows != ns[stage] or (slot.stage.replying and (slot.epoch, slot.turn) != self._at):
                return False
        timers, last_us = self._timers, quiet.handled_us[-1]
        timers.advance(quiet.handled_us[0])
        if timers.due_by(last_us - 1):
            return False
        if frames := quiet.pattern.count("F"):
            self._pass_on(slots[quiet.wiring.source], lane, Frames(quiet.frame, frames), last_us)
        if quiet.ps:
            self._hear(slots[quiet.wiring.vad], quiet)
        for stage, count in quiet.tally:
            slots[stage].rows += count
        timers.now_us = last_us
        return True

    def _laid(self, wiring: Wiring) -> _Lane:
        slots = [self._slots[id_] for id_ in wiring.ids]
        followers = [slots[follower] for follower in wiring.followers]
        source = wiring.ids[wiring.source] if wiring.source >= 0 else ""
        pending = [queue for slot in followers for queue in self._expected.get((source, slot.id, "D"), ())]
        blind = all(type(slot.stage) in _BLIND for slot in (*followers, *slots[wiring.source : wiring.source + 1]))
        return _Lane(wiring, slots, followers, pending, blind and wiring.source >= 0)

    def _pass_on(self, source: _Slot, lane: _Lane, frames: Frames, now_us: int) -> None:
        for action in source.stage.step(source.state, frames, now_us):
            if type(action) is not Emit or action[1] != frames:
                raise Diverged(Difference(source.id, "frames are not passed on as they came", None, frames, ("", 0)))
        for follower in lane.followers:
            for action in follower.stage.step(follower.state, frames, now_us):
                if type(action) is not Feed:
                    what = "a frame alone now makes a message"
                    raise Diverged(Difference(follower.id, what, None, frames, (source.id, 0)))

    def _hear(self, slot: _Slot, quiet: Quiet) -> None:
        """Probabilities one by one: each may be the one that makes speech, or ends it."""
        step, state, frame = slot.stage.step, slot.state, quiet.answered
        for p, now_us in zip(quiet.ps, quiet.times("P", quiet.handled_us), strict=True):
            if actions := step(state, Probability(frame, p), now_us):
                self._act(slot, actions, _number_of("P", frame - quiet.answered, quiet), now_us)
            frame += 1


def _number_of(step: str, place: int, quiet: Quiet) -> int:
    """The row number, at the VAD, of the stretch's probability number `place`."""
    vad = quiet.wiring.vad
    ahead = -1
    for _ in range(place + 1):
        ahead = quiet.pattern.index(step, ahead + 1)
    before = quiet.pattern[: ahead + 1]
    frames = before.count("F") if vad in quiet.wiring.followers or vad == quiet.wiring.source else 0
    credited = sum(1 for stage in quiet.credits[: 2 * before.count("C") : 2] if stage == vad)
    return quiet.ns[vad] + frames + before.count("P") + credited


class _Deadlines:
    """The timers that stages have set. Each must fire in its instant."""

    def __init__(self) -> None:
        self._set: dict[tuple[str, str], int] = {}
        self._next_us: int | None = None
        self.now_us = 0

    def set(self, stage: str, tag: str, at_us: int | None) -> None:
        """Set, move or take back."""
        if at_us is None:
            self._set.pop((stage, tag), None)
        else:
            self._set[stage, tag] = at_us
        self._next_us = min(self._set.values(), default=None)

    def clear(self, stage: str) -> None:
        """Take back all of a stage."""
        for key in [key for key in self._set if key[0] == stage]:
            del self._set[key]
        self._next_us = min(self._set.values(), default=None)

    def fired(self, stage: str, tag: str, at_us: int) -> bool:
        """A timer's row was recorded. False if no such deadline is set."""
        if self._set.get((stage, tag)) != at_us:
            return False
        self.set(stage, tag, None)
        return True

    def due_by(self, now_us: int) -> bool:
        """Whether a deadline would have come."""
        return self._next_us is not None and self._next_us <= now_us

    def advance(self, now_us: int) -> None:
        """An instant is over: all of its deadlines must have fired."""
        if now_us > self.now_us:
            self.check(self.now_us)
            self.now_us = now_us

    def check(self, now_us: int) -> None:
        """Raises Diverged if a deadline up to `now_us` has not fired."""
        if self._next_us is not None and self._next_us <= now_us:
            stage, tag = min(self._set, key=lambda key: (self._set[key], key))
            raise Diverged(
                Difference(stage, f"a deadline {tag!r} is set now that did not fire", None, Timer(tag), ("", 0))
            )
