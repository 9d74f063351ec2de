"""Exact replay: every stage is folded over its recorded rows and must send what was recorded.

Each stage is handed the rows that it handled, in the journal's order and at the recorded times. What its step emits must be the
rows that were recorded with that cause, in order, with the same epoch, turn and time; deadlines it sets must have fired. So a
change of code shows at the stage that was changed, at its first different message, and nowhere else.

Where nobody looks inside, the frames of a stretch are folded as one, ahead of its other rows; every other row one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from flowkit.errors import FlowkitError
from flowkit.messages import Credit, Done, Failed, Frames, Interrupt, Message, Probability, Speak, Timer
from flowkit.plan.graph import Plan
from flowkit.stages.base import Action, Actions, Cancel, Emit, EndInput, Feed, Finish, Open, RaiseEpoch, SetTimer, Stage
from flowkit.stages.endpointing import Endpointing
from flowkit.stages.source import Source
from flowkit.stages.transcription import Transcription
from flowkit.trace.rows import RowTuple
from flowkit.trace.stretch import Ear, Run, Stretch
from flowkit.trace.wiring import Wiring

_BLIND = (Source, Endpointing, Transcription)
"""Stages that only pass frames on, so that many may be one."""
_GONE = ("dropped", "discarded")
"""Fates of messages that left from the middle of a queue; all others leave in order."""
TIMED_OUT = "the provider gave nothing in time"
"""How the engine words the failure that it reports in a provider's place."""


_LAST = frozenset({Done, Failed})
_NO_ANSWER = frozenset({Timer, Frames, Probability})
"""What is kept of no call: a timer is no provider's, and frames and their probabilities are had as columns."""

_Sent: TypeAlias = tuple[int, int, int, int, Message]
"""A message that a stage sent and whose row is still to come: (cause's n, sent_us, epoch, turn, message)."""


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


class _Way(NamedTuple):
    """An edge: what was sent along it and has no row yet, in band and out of band."""

    data: deque[_Sent]
    control: deque[_Sent]


@dataclass(slots=True)
class _Slot:
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
    routes: dict[str, list[_Way]] = field(default_factory=dict)
    awaited: dict[tuple[str, str], list[deque[_Sent]]] = field(default_factory=dict)


class _Lane(NamedTuple):
    """The way of frames: who takes the source's frames, what waits on that way, and whether nobody on it looks inside."""

    wiring: Wiring
    slots: list[_Slot]
    followers: list[_Slot]
    pending: list[deque[_Sent]]
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
        self._slots: dict[str, _Slot] = {}
        for planned in plan.stages:
            stage = planned.cls(planned.options, plan.frame_us)
            self._slots[planned.id] = _Slot(planned.id, stage, stage.step, stage.fresh(), stage.replying)
        self._timers = _Deadlines()
        self._at = (0, 0)
        self._lane: _Lane | None = None
        for edge in plan.edges:
            awaited = self._slots[edge.target].awaited
            # Out of band all edges between two stages are one; in band each is a queue of its own.
            (control,) = awaited.setdefault((edge.source, "C"), [deque()])
            data = control
            if edge.bound is not None:
                data = deque()
                awaited.setdefault((edge.source, "D"), []).append(data)
            self._slots[edge.source].routes.setdefault(edge.output, []).append(_Way(data, control))
        for slot in self._slots.values():
            self._act(slot, slot.stage.begin(slot.state), 0, 0)

    def take(self, items: Iterable[RowTuple | Stretch]) -> None:
        """Fold over stretches, the frames of each as one where nobody looks inside. Raises Diverged where something differs; what
        differs first only a fold row by row can say."""
        for item in items:
            if not isinstance(item, Stretch):
                self.row(item)
            elif not self._quickly(item):
                for row in item.rows():
                    self.row(row)

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

    def _fold(self, slot: _Slot, row: RowTuple) -> _Sent | None:
        """Compare a row with what is sent now, and let its stage handle it. Returns what was sent, if another stage sent it."""
        _, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, fate = row
        sent: _Sent | None = None
        if now_us != self._timers.now_us:
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
            elif (epoch, turn) != ((slot.epoch, slot.turn) if slot.replying else self._at) or type(message) is Timer:
                self._arrived(slot, row)
        except Diverged as diverged:
            self._believed(diverged.difference, row)
        if fate or (kind := type(message)) is Credit:
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

    def _interrupted(self, slot: _Slot, message: Message, now_us: int) -> Actions:
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

    def _found(self, queues: Iterable[deque[_Sent]], row: RowTuple) -> _Sent:
        """What was sent and is this row; of several queues, or from the middle of one. Raises Diverged if nothing is."""
        stage, _, cause, cause_n, sent_us, _, _, epoch, turn, message, fate = row
        nearest: _Sent | None = None
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

    def _arrived(self, slot: _Slot, row: RowTuple) -> None:
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
    def _answered(slot: _Slot, call: Call, row: RowTuple) -> None:
        message = row[9]
        kind = type(message)
        if kind is not Failed or message.what != TIMED_OUT:  # type: ignore[attr-defined]
            call.items.append((row[4], row[5], message))
        if kind in _LAST:
            call.ended_us, slot.call = row[5], None

    # -- what a step asks for ---------------------------------------------------------------------------------------

    def _act(self, slot: _Slot, actions: Actions, n: int, now_us: int) -> None:
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

    def _emit(self, slot: _Slot, port: str, message: Message, n: int, now_us: int) -> None:
        epoch, turn = (slot.epoch, slot.turn) if slot.replying else self._at
        sent = (n, now_us, epoch, turn, message.journaled() if message.bulky else message)
        in_band = message.lane == "D"
        for data, control in slot.routes.get(port, ()):
            (data if in_band else control).append(sent)

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

    # -- stretches --------------------------------------------------------------------------------------------------

    def _quickly(self, stretch: Stretch) -> bool:
        """Fold over a stretch, its frames and probabilities at once and first. False if that cannot be; then nothing was done."""
        lane = self._lane
        if lane is None or lane.wiring is not stretch.wiring:
            lane = self._lane = self._laid(stretch.wiring)
        if (stretch.epoch, stretch.turn) != self._at or not lane.blind or any(lane.pending) or stretch.stirs_frames:
            return False
        if stretch.ns != [slot.rows for slot in lane.slots]:
            return False
        for letter in stretch.quiet:
            stage = stretch.steps[letter].shape.stage
            slot = lane.slots[stage]
            if slot.replying and (slot.epoch, slot.turn) != self._at and stretch.first_at(stage) == letter:
                # Another row would have brought the stage to this epoch before.
                return False
        if (frames := stretch.run(Ear.FRAME)) is not None:
            self._pass_on(lane, Frames(frames.first, len(frames.handled_us)), frames.handled_us[-1])
        if (answers := stretch.run(Ear.ANSWER)) is not None:
            self._hear(lane.slots[stretch.wiring.vad], answers, stretch)
        self._timers.ahead = stretch
        for row in stretch.apart():
            self._fold(self._slots[row[0]], row)
        self._timers.ahead = None
        for slot, n in zip(lane.slots, stretch.after, strict=True):
            slot.rows = n
        self._timers.advance(stretch.end_us)
        return True

    def _laid(self, wiring: Wiring) -> _Lane:
        slots = [self._slots[id_] for id_ in wiring.ids]
        followers = [slots[follower] for follower in wiring.followers]
        if wiring.source < 0:
            return _Lane(wiring, slots, followers, [], blind=True)
        source = slots[wiring.source]
        pending = [queue for slot in followers for queue in slot.awaited.get((source.id, "D"), ())]
        return _Lane(wiring, slots, followers, pending, all(type(s.stage) in _BLIND for s in (source, *followers)))

    def _pass_on(self, lane: _Lane, frames: Frames, now_us: int) -> None:
        source = lane.slots[lane.wiring.source]
        for action in source.stage.step(source.state, frames, now_us):
            if type(action) is not Emit or action[1] != frames:
                raise Diverged(Difference(source.id, "frames are not passed on as they came", None, frames, ("", 0)))
        for follower in lane.followers:
            for action in follower.stage.step(follower.state, frames, now_us):
                if type(action) is not Feed:
                    what = "a frame alone now makes a message"
                    raise Diverged(Difference(follower.id, what, None, frames, (source.id, 0)))

    def _hear(self, slot: _Slot, answers: Run, stretch: Stretch) -> None:
        """Probabilities: any may be the one that makes speech, or ends it, but hardly one is."""
        stage, frame = slot.stage, answers.first
        if type(stage) is Endpointing and stage.unmoved(slot.state, frame, answers.ps):
            return
        for place, (p, now_us) in enumerate(zip(answers.ps, answers.handled_us, strict=True)):
            if actions := stage.step(slot.state, Probability(frame + place, p), now_us):
                self._act(slot, actions, stretch.number(Ear.ANSWER, place), now_us)


class _Deadlines:
    """The timers that stages have set. Each must fire in its instant. None is set for sooner than `_soonest_us`."""

    def __init__(self) -> None:
        self._set: dict[tuple[str, str], int] = {}
        self._soonest_us = _NEVER
        self.now_us = 0
        self.ahead: Stretch | None = None
        """The stretch whose quiet steps were folded ahead of the row that is being folded."""

    def set(self, stage: str, tag: str, at_us: int | None) -> None:
        """Set, move or take back."""
        self._passed(self._set.get((stage, tag)))
        if at_us is None:
            self._set.pop((stage, tag), None)
        else:
            self._set[stage, tag] = at_us
            if at_us < self._soonest_us:
                self._soonest_us = at_us

    def clear(self, stage: str) -> None:
        """Take back all of a stage."""
        for key in [key for key in self._set if key[0] == stage]:
            self._passed(self._set[key])
            del self._set[key]

    def fired(self, stage: str, tag: str, at_us: int) -> bool:
        """A timer's row was recorded. False if no such deadline is set."""
        if self._set.get((stage, tag)) != at_us:
            return False
        self._passed(at_us)
        del self._set[stage, tag]
        return True

    def _passed(self, at_us: int | None) -> None:
        """Raises Diverged if a step that was folded ahead came between a deadline and now: it would have fired before that."""
        if self.ahead is None or at_us is None or at_us >= self.now_us:
            return
        steps = [self.ahead.steps[letter] for letter in self.ahead.quiet]
        if any(at_us <= us < self.now_us for known in steps for us in known.handled_us()):
            raise Diverged(Difference("", "a deadline did not fire before a frame", None, None, ("", 0)))

    def advance(self, now_us: int) -> None:
        """An instant is over: all of its deadlines must have fired."""
        if now_us > self.now_us:
            if self._soonest_us <= self.now_us:
                self.check(self.now_us)
            self.now_us = now_us

    def check(self, now_us: int) -> None:
        """Raises Diverged if a deadline up to `now_us` has not fired."""
        self._soonest_us = min(self._set.values(), default=_NEVER)
        if self._set and self._soonest_us <= now_us:
            stage, tag = min(self._set, key=lambda key: (self._set[key], key))
            raise Diverged(
                Difference(stage, f"a deadline {tag!r} is set now that did not fire", None, Timer(tag), ("", 0))
            )


_NEVER = 1 << 62
