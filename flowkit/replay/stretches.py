"""Exact replay over stretches of a journal: where nobody looks inside, many rows are folded as one.

The frames and probabilities of a stretch are folded first, as columns. The voice's *passages*, runs of rows in which its pieces
go to playback and playback hands them to the device, are folded a passage at a time. Every other row is folded by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple, cast

from flowkit.errors import FlowkitError
from flowkit.messages import Audio, Credit, Frames, Probability, Timer
from flowkit.plan.graph import Plan
from flowkit.replay.difference import Difference, Diverged
from flowkit.replay.exact import Fold, Sent, Slot
from flowkit.stages.base import NEVER, Actions, Emit, Feed
from flowkit.stages.endpointing import Endpointing
from flowkit.stages.playback import NEXT, Playback
from flowkit.stages.source import Source
from flowkit.stages.transcription import Transcription
from flowkit.trace.rows import RowTuple
from flowkit.trace.steps import Ear, Run
from flowkit.trace.stretch import Stretch
from flowkit.trace.wiring import Wiring

_handled_us = itemgetter(5)
_BLIND = (Source, Endpointing, Transcription)
"""Stages that only pass frames on, so that many may be one."""


class _Lane(NamedTuple):
    """The way of frames: who takes the source's frames, what waits on that way, and whether nobody on it looks inside."""

    wiring: Wiring
    slots: list[Slot]
    followers: list[Slot]
    pending: list[deque[Sent]]
    blind: bool
    voice: _Voice | None


class _Voice(NamedTuple):
    """The way of the voice: who has it, who plays it, the port by which it goes and the queue that it goes through."""

    voice: Slot
    speaker: Slot
    port: str
    queue: deque[Sent]


class StretchFold(Fold):
    """A fold over stretches. That something differs is found as surely as by a fold row by row; what differs first, and whether
    it truly does, only that one can say."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._lane: _Lane | None = None

    def take(self, items: Iterable[RowTuple | Stretch]) -> None:
        """Fold over stretches, or rows. Raises Diverged where something differs."""
        for item in items:
            if not isinstance(item, Stretch):
                self.row(item)
            elif not self._quickly(item):
                for row in item.rows():
                    self.row(row)

    def _quickly(self, stretch: Stretch) -> bool:
        """Fold over a stretch, its frames and probabilities at once and first. False if that cannot be; then nothing was done."""
        lane, wiring = self._lane, stretch.wiring
        if lane is None or lane.wiring is not wiring:
            lane = self._lane = self._laid(wiring)
        if stretch.at != self._at or not lane.blind or any(lane.pending) or stretch.span.stirs:
            return False
        if not stretch.block.orderly:
            # A row that stands before its cause is taken for another by a fold that has gone over the cause already.
            return False
        if stretch.ns != [slot.rows for slot in lane.slots]:
            return False
        if (frames := stretch.run(Ear.FRAME)) is not None:
            self._pass_on(lane, Frames(frames.frames[0], len(frames.frames)), frames.handled_us[-1])
        if (answers := stretch.run(Ear.ANSWER)) is not None:
            self._hear(lane.slots[wiring.vad], answers, stretch)
        self._timers.ahead = stretch.quiet_between
        self._apart(lane, stretch)
        if self._at != stretch.at and stretch.quiet_behind(self._raised_us):
            raise Diverged(Difference("", "the epoch is raised now, and was not then", None, None, ("", 0)))
        self._timers.outlast(stretch.end_us)
        self._timers.ahead = None
        for slot, n in zip(lane.slots, stretch.after, strict=True):
            slot.rows = n
        self._timers.advance(stretch.end_us)
        return True

    def _apart(self, lane: _Lane, stretch: Stretch) -> None:
        """Fold over the rows that are not quiet."""
        rows, done = stretch.apart(), 0
        for begin, end in stretch.passages():
            self._each(rows[done:begin])
            done = begin + self._passage(lane, rows[begin:end], stretch)
        self._each(rows[done:])

    def _each(self, rows: Iterable[RowTuple]) -> None:
        for row in rows:
            self._fold(self._slots[row[0]], row)

    def _laid(self, wiring: Wiring) -> _Lane:
        slots = [self._slots[id_] for id_ in wiring.ids]
        followers = [slots[follower] for follower in wiring.followers]
        voice = None
        if min(wiring.voice, wiring.speaker) >= 0:
            voice = self._voice(slots[wiring.voice], slots[wiring.speaker])
        if wiring.source < 0:
            return _Lane(wiring, slots, followers, [], True, voice)
        source = slots[wiring.source]
        pending = [queue for slot in followers for queue in slot.awaited.get((source.id, "D"), ())]
        blind = all(type(s.stage) in _BLIND for s in (source, *followers))
        return _Lane(wiring, slots, followers, pending, blind, voice)

    @staticmethod
    def _voice(voice: Slot, speaker: Slot) -> _Voice | None:
        """The way of the voice, where it goes to flowkit's own playback and nowhere else."""
        queues = speaker.awaited.get((voice.id, "D"), [])
        ports = [(port, way.data) for port, ways in voice.routes.items() for way in ways if way.data is not way.control]
        if type(speaker.stage) is not Playback or len(ports) != 1 or len(queues) != 1 or ports[0][1] is not queues[0]:
            return None
        return _Voice(voice, speaker, *ports[0])

    # -- the way of frames ------------------------------------------------------------------------------------------

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

    def _hear(self, slot: Slot, answers: Run, stretch: Stretch) -> None:
        """Probabilities: any may be the one that makes speech, or ends it, but hardly one is."""
        stage, (frames, _, handled_us, ps), place = slot.stage, answers, 0
        while place < len(ps):
            if type(stage) is Endpointing:
                place += stage.unmoved(slot.state, frames, ps, place)
                if place == len(ps):
                    return
            now_us = handled_us[place]
            if actions := stage.step(slot.state, Probability(frames[place], ps[place]), now_us):
                self._act(slot, actions, stretch.row_number(Ear.ANSWER, place), now_us)
            place += 1

    # -- the voice --------------------------------------------------------------------------------------------------

    def _passage(self, lane: _Lane, rows: Sequence[RowTuple], stretch: Stretch) -> int:
        """Fold over a passage from its beginning, as far as all is as usual. Returns over how many rows."""
        if lane.voice is None or any((slot.epoch, slot.turn) != stretch.at for slot in lane.voice[:2]):
            return 0
        sounding = list[RowTuple]()
        done, odd = self._handed_on(lane.voice, rows, stretch.at, sounding)
        if not done:
            return 0

        def came(begin_us: int, end_us: int) -> bool:
            place = bisect_left(rows, begin_us, 0, done, key=_handled_us)
            return (place < done and rows[place][5] < end_us) or stretch.quiet_between(begin_us, end_us)

        self._played(lane.voice.speaker, sounding, came)
        now_us = rows[done - 1][5]
        if before := bisect_left(rows, now_us, 0, done, key=_handled_us):
            self._timers.advance(rows[before - 1][5])
        self._timers.advance(now_us)
        if odd:
            self._act(lane.voice.voice, odd, rows[done - 1][1], now_us)
        return done

    @staticmethod
    def _handed_on(
        way: _Voice, rows: Sequence[RowTuple], at: tuple[int, int], sounding: list[RowTuple]
    ) -> tuple[int, Actions]:
        """The pieces as they come to the voice's stage, which must pass each on, and as they leave its queue. Appends the speaker's
        rows to `sounding`. Returns how many rows are as usual, or with the last of them what that stage asks for instead."""
        (voice, _, port, queue), (epoch, turn) = way, at
        step, state, name = voice.step, voice.state, voice.id
        items = voice.call.items if voice.call is not None else []
        for place, row in enumerate(rows):
            stage, n, _, cause_n, sent_us, now_us, _, _, _, message, _ = row
            if stage == name:
                items.append((sent_us, now_us, message))
                try:
                    actions = step(state, message, now_us)
                except FlowkitError as error:
                    what = f"the stage refuses the message: {error}"
                    raise Diverged(Difference(name, what, None, message, ("", 0))) from error
                if len(actions) != 1 or type(action := actions[0]) is not Emit or action != (port, message):
                    return place + 1, actions
                queue.append((n, now_us, epoch, turn, message))
                continue
            kind = type(message)
            if kind is Audio:
                if not queue or queue[0] != (cause_n, sent_us, epoch, turn, message):
                    return place, ()
                queue.popleft()
            if kind is not Credit:
                sounding.append(row)
        return len(rows), ()

    def _played(self, speaker: Slot, rows: Sequence[RowTuple], came: Callable[[int, int], bool]) -> None:
        """Playback over its rows of a passage: most only hand a piece over, or wake it up to take the next. `came`: whether there
        was any row from one time on and before another."""
        timers, stage, state, place = self._timers, cast("Playback", speaker.stage), speaker.state, 0
        steps = [(row[5], message if type(message := row[9]) is Audio else None) for row in rows]
        due_us, last_us = self._due_us(speaker), timers.now_us
        while place < len(rows):
            due = [due_us, *stage.steady(state, steps, place)]
            taken = rows[place : place + len(due)]
            # The one behind those that were taken is the first that is not only handed over.
            for row, due_us in zip(taken, due, strict=False):
                now_us = row[5]
                if due_us < now_us and (due_us <= last_us < now_us or came(due_us, now_us)):
                    what = "a deadline did not fire in its instant"
                    raise Diverged(Difference(speaker.id, what, None, None, ("", 0)))
                if type(row[9]) is Timer and (row[4] != due_us or row[9].tag != NEXT):
                    what = "a deadline was recorded that is not set now"
                    raise Diverged(Difference(speaker.id, what, row, None, ("", 0)))
                last_us = now_us
            place, due_us = place + len(due) - 1, due[-1]
            woken = place < len(rows) and type(rows[place][9]) is Timer
            timers.set(speaker.id, NEXT, None if woken or due_us == NEVER else due_us)
            if place < len(rows):
                self._act(speaker, speaker.step(state, rows[place][9], rows[place][5]), rows[place][1], rows[place][5])
                due_us = self._due_us(speaker)
                place += 1

    def _due_us(self, speaker: Slot) -> int:
        at_us = self._timers.at(speaker.id, NEXT)
        return NEVER if at_us is None else at_us
