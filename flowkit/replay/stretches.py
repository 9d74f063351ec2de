"""Exact replay over stretches of a journal: where nobody looks inside, many rows are folded as one.

The frames and probabilities of a stretch are folded first, as columns. Its *passages*, in which tokens go to the chunker and the
voice to the device, are folded as columns too, a passage at a time. Every other row is folded by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple, cast

from flowkit.errors import FlowkitError
from flowkit.messages import Frames, Message, Probability, Timer
from flowkit.plan.graph import Plan
from flowkit.replay.difference import Difference, Diverged
from flowkit.replay.exact import Fold, Slot
from flowkit.stages.base import NEVER, Emit, Feed, HandsOn, Takes
from flowkit.stages.chunking import Chunking
from flowkit.stages.endpointing import Endpointing
from flowkit.stages.llm import LlmTurn
from flowkit.stages.narration import Narration
from flowkit.stages.playback import Playback
from flowkit.stages.source import Source
from flowkit.stages.transcription import Transcription
from flowkit.stages.tts import TtsOrder
from flowkit.trace.passages import Passage, Sent
from flowkit.trace.rows import RowTuple
from flowkit.trace.steps import Ear, Run
from flowkit.trace.stretch import Stretch
from flowkit.trace.wiring import Wiring

_sent_us, _message = itemgetter(1), itemgetter(4)
_BLIND = (Source, Endpointing, Transcription)
"""Stages that only pass frames on, so that many may be one."""
_CARRIERS, _TAKERS = (LlmTurn, TtsOrder, Narration), (Chunking, Playback)
"""Stages that go through many steps as one; not what is derived from them, which may do something else in a step."""


class _Lane(NamedTuple):
    """The way of frames: who takes the source's frames, what waits on that way, and whether nobody on it looks inside; and the
    relays, by what goes through."""

    wiring: Wiring
    slots: list[Slot]
    followers: list[Slot]
    pending: list[deque[Sent]]
    blind: bool
    relays: dict[type[Message], _Relay]


class _Relay(NamedTuple):
    """Who hands on, who takes, with their stages, and the queue between them."""

    carrier: Slot
    hands: HandsOn
    taker: Slot
    takes: Takes
    queue: deque[Sent]

    def follows(self, passage: Passage, at: tuple[int, int]) -> bool:
        """Whether both have come to an epoch and turn, or are brought there by what they take."""
        carrier, taker = self.carrier, self.taker
        if passage.sent and (carrier.epoch, carrier.turn) != at:
            return False
        if (taker.epoch, taker.turn) == at:
            return True
        steps, credits = passage.steps, passage.credits
        if not steps:
            return not credits
        brought = taker.epoch < at[0] and type(steps[0][1]) is not Timer
        return brought and (not credits or credits[0] > steps[0][0])


class StretchFold(Fold):
    """A fold over stretches. That something differs is found as surely as by a fold row by row; what differs first, and whether
    it truly does, only that one can say."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._lane: _Lane | None = None

    def take(self, items: Iterable[RowTuple | Stretch]) -> None:
        """Fold over stretches, or rows. Raises Diverged where something differs."""
        for _ in self.through(items):
            pass

    def through(self, items: Iterable[RowTuple | Stretch]) -> Iterator[RowTuple | Stretch]:
        """Fold over stretches, or rows, and pass each on, so that they need not be held all at once. Raises Diverged where
        something differs."""
        for item in items:
            if not isinstance(item, Stretch):
                self.row(item)
            elif not self._quickly(item):
                for row in item.rows():
                    self.row(row)
            yield item

    def _quickly(self, stretch: Stretch) -> bool:
        """Fold over a stretch, its frames and probabilities at once and first. False if that cannot be; then nothing was done."""
        lane, wiring = self._lane, stretch.wiring
        if lane is None or lane.wiring is not wiring:
            lane = self._lane = self._laid(wiring)
        if stretch.at != self._at or not lane.blind or any(lane.pending) or stretch.span.stirs:
            return False
        if not stretch.block.orderly or stretch.begin_us < self._timers.now_us:
            # A row that stands before its cause is taken for another by a fold that has gone over the cause already; and what
            # was handled when is only known where time never runs backwards.
            return False
        if stretch.ns != [slot.rows for slot in lane.slots]:
            return False
        self._timers.out_of_order(stretch.begin_us, stretch.any_between)
        if (frames := stretch.run(Ear.FRAME)) is not None:
            self._pass_on(lane, Frames(frames.frames[0], len(frames.frames)), frames.handled_us[-1])
        if (answers := stretch.run(Ear.ANSWER)) is not None:
            self._hear(lane.slots[wiring.vad], answers, stretch)
        self._apart(lane, stretch)
        if self._at != stretch.at and stretch.quiet_behind(self._raised_us):
            raise Diverged(Difference("", "the epoch is raised now, and was not then", None, None, ("", 0)))
        self._timers.in_order(stretch.end_us)
        for slot, n in zip(lane.slots, stretch.after, strict=True):
            slot.rows = n
        return True

    def _apart(self, lane: _Lane, stretch: Stretch) -> None:
        """Fold over what is not quiet: rows, and the passages between them."""
        rows, done = stretch.apart(), 0
        for passage in stretch.passages():
            if done < passage.before:
                self._each(rows[done : passage.before])
            done, relay = passage.before, lane.relays.get(passage.kind)
            if relay is None or not relay.follows(passage, stretch.at):
                self._each(passage.rows())
                continue
            if passage.sent:
                self._handed_on(relay, passage)
            if passage.steps:
                relay.taker.epoch, relay.taker.turn = stretch.at
                self._taken(relay, passage, stretch)
        self._each(rows[done:])

    def _each(self, rows: Iterable[RowTuple]) -> None:
        timers, slots, fold = self._timers, self._slots, self._fold
        for row in rows:
            timers.now_us = row[5]
            fold(slots[row[0]], row)

    def _laid(self, wiring: Wiring) -> _Lane:
        slots = [self._slots[id_] for id_ in wiring.ids]
        followers = [slots[follower] for follower in wiring.followers]
        relays = {
            relay.kind: way
            for relay in wiring.relays
            if (way := _way(slots[relay.carrier], slots[relay.taker])) is not None
        }
        if wiring.source < 0:
            return _Lane(wiring, slots, followers, [], True, relays)
        source = slots[wiring.source]
        pending = [queue for slot in followers for queue in slot.awaited.get((source.id, "D"), ())]
        blind = all(type(s.stage) in _BLIND for s in (source, *followers))
        return _Lane(wiring, slots, followers, pending, blind, relays)

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

    # -- relays -----------------------------------------------------------------------------------------------------

    def _handed_on(self, relay: _Relay, passage: Passage) -> None:
        """What comes to the carrier, which hands most of it on."""
        slot, queue, place, sent = relay.carrier, relay.queue, 0, passage.sent
        stage, messages = relay.hands, list(map(_message, sent))
        if slot.call is not None:
            slot.call.items += zip(passage.available_us, map(_sent_us, sent), messages, strict=True)
        while place < len(sent):
            usual = place + stage.hands_on(slot.state, messages, place)
            queue.extend(sent[place:usual])
            if usual < len(sent):
                n, now_us, _, _, message = sent[usual]
                self._timers.now_us = now_us
                try:
                    actions = slot.step(slot.state, message, now_us)
                except FlowkitError as error:
                    raise _refused(slot, error) from error
                self._act(slot, actions, n, now_us)
            place = usual + 1

    def _taken(self, relay: _Relay, passage: Passage, stretch: Stretch) -> None:
        """What the taker takes, which must be what was handed on, and its wake-ups, which must be when it wished."""
        timers, slot, queue, steps, taken = self._timers, relay.taker, relay.queue, passage.steps, passage.taken
        if len(queue) < len(taken) or taken != [queue.popleft() for _ in taken]:
            raise Diverged(Difference(slot.id, "another message was recorded than is sent now", None, None, ("", 0)))
        key = (slot.id, relay.takes.deadline)
        try:
            count, due_us, late, said = relay.takes.takes(slot.state, steps, _time(timers.at(*key)))
        except FlowkitError as error:
            raise _refused(slot, error) from error
        if count < len(steps):
            what = "a deadline was recorded that is not set now"
            raise Diverged(Difference(slot.id, what, None, steps[count][1], ("", 0)))
        if any(stretch.any_between(*gap) for gap in late):
            what = "a deadline did not fire in its instant"
            raise Diverged(Difference(slot.id, what, None, None, ("", 0)))
        timers.now_us = steps[-1][0]
        timers.move(*key, None if due_us == NEVER else due_us)
        for place, actions in said:
            self._act(slot, actions, passage.ns[place], steps[place][0])


def _refused(slot: Slot, error: FlowkitError) -> Diverged:
    return Diverged(Difference(slot.id, f"the stage refuses a message: {error}", None, None, ("", 0)))


def _time(at_us: int | None) -> int:
    return NEVER if at_us is None else at_us


def _way(carrier: Slot, taker: Slot) -> _Relay | None:
    """The way through a relay, where all goes one way and through flowkit's own stages."""
    if type(carrier.stage) not in _CARRIERS or type(taker.stage) not in _TAKERS:
        return None
    hands, takes = cast("HandsOn", carrier.stage), cast("Takes", taker.stage)
    queues, ways = taker.awaited.get((carrier.id, "D"), []), carrier.routes.get(hands.handing, [])
    if len(queues) != 1 or len(ways) != 1 or ways[0].data is not queues[0]:
        return None
    return _Relay(carrier, hands, taker, takes, queues[0])
