"""The user in a what-if: the same speech, at the times at which the user would have begun it.

A faster or slower agent shifts what follows. Speech that began after a reply begins with the same distance to the end
of that reply. Speech during a reply begins at the same place in it. Silence is inserted or left out between. Otherwise
a slower agent would be interrupted by sentences that the user said after it had finished.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from flowkit.engine import Engine, Row
from flowkit.figures.layout import layout_of
from flowkit.figures.records import TurnRecord
from flowkit.figures.reference import QUIETEST, Reference
from flowkit.messages import EndOfUtterance, Frames, InputEnded, Message, Partial, Probability
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.material import Input, Material, RecordedCall, Turns
from flowkit.replay.recorded import Finals, scripted, since_opened

SILENT = -1
"""Marks a frame of inserted silence."""
_LEAD_FRAMES = 10
"""How many frames before the first voiced one belong to the speech: its soft beginning, and the noise around it."""
_PATIENCE_FRAMES = 3000
"""How long the user waits for something that does not happen: a minute."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where speech begins: some time after an event of a turn."""

    frame: int
    """The recorded frame from which on the speech is."""
    after: int
    """The speech must not begin before the frames up to this one were delivered."""
    what: str
    """``released``, ``sounded`` or ``ended``."""
    turn: int
    gap_us: int
    """How long after the event the speech began."""


def anchors_of(heard: Input, turns: Turns, frame_us: int) -> list[Anchor]:
    """The anchor of each speech.

    Speech within one utterance, and speech after a reply that was interrupted, keeps its distance to what came before.
    """
    anchors: list[Anchor] = []
    ends = [last for last, _, _ in heard.utterances]
    replies = [reply for turn in turns.known.values() for reply in turn.replies()]
    for frame in heard.speech:
        begins_us = frame * frame_us
        place = bisect_right(ends, frame) - 1
        after = ends[place] if place >= 0 else 0
        last = next((reply for reply in reversed(replies) if reply.released_us <= begins_us), None)
        if last is None or (anchors and anchors[-1].after == after):
            continue
        what = _under_way(last, begins_us)
        if what != "ended" or last.interrupt is None:
            gap_us = begins_us - (_since(last, what) or 0)
            anchors.append(Anchor(max(0, frame - _LEAD_FRAMES), after, what, last.number, gap_us))
    return anchors


def _under_way(reply: TurnRecord, at_us: int) -> str:
    """The latest of released, sounded and ended that had happened to the reply at `at_us`."""
    for what in ("ended", "sounded"):
        since_us = _since(reply, what)
        if since_us is not None and since_us <= at_us:
            return what
    return "released"


def _since(reply: TurnRecord, what: str) -> int | None:
    """When a reply was ``released``, first ``sounded``, or ``ended``; None if it was not, or not yet."""
    sounded_us = None if reply.sound is None else reply.sound[1]
    return {"released": reply.released_us, "sounded": sounded_us, "ended": reply.ended_us}[what]


@dataclass(slots=True)
class Warp:
    """Maps frames of the replay to recorded frames, one by one while the engine runs."""

    material: Material
    turns: Turns
    """The recorded turns."""
    frame_us: int
    frames: list[int] = field(default_factory=list)
    """For each frame of the replay the recorded frame, or SILENT."""
    rows: list[Row] = field(default_factory=list)
    """The rows that were taken from the engine's journal so far."""
    engine: Engine = field(init=False)
    now: Turns = field(init=False)
    """The turns of the replay."""

    def chosen(self) -> Iterator[tuple[int, int]]:
        """Yield (frame of the replay, recorded frame or SILENT) until the recording ends."""
        last = self.material.input.frames[-1] if self.material.input.frames else (0, 0, 0)
        recorded, total, waited = 0, last[0] + last[1], 0
        anchors = iter(anchors_of(self.material.input, self.turns, self.frame_us))
        anchor = next(anchors, None)
        while recorded < total:
            ahead = None if anchor is None or recorded <= anchor.after else self._frames_until(anchor)
            if anchor is None or recorded <= anchor.after:
                pass  # the frames up to the end of the last utterance are replayed as they are
            elif ahead is None or ahead > 0:
                # The speech is not due yet.
                left = anchor.frame - recorded
                # Without a limit, a reply that the changed pipeline never gives would keep the user silent for ever.
                if left <= 0 and waited < _PATIENCE_FRAMES:
                    # The recorded pause is over, so silence is inserted.
                    waited += 1
                    yield self._next(SILENT)
                    continue
                if ahead is not None and left > ahead:
                    recorded = anchor.frame - ahead  # the recorded pause is too long, so a part of it is left out
            else:
                recorded = max(recorded, anchor.frame)  # the speech is due: the rest of the pause is left out
            if anchor is not None and recorded >= anchor.frame:
                anchor, waited = next(anchors, None), 0
            yield self._next(recorded)
            recorded += 1

    def recorded(self, frame: int) -> int:
        """The recorded frame of frame `frame` of the replay. For inserted silence, the one before it."""
        while frame > 0 and self.frames[frame] == SILENT:
            frame -= 1
        return self.frames[frame]

    def reference(self, reference: Reference | None) -> Reference | None:
        """The reference detector over the input of the replay."""
        if reference is None:
            return None
        known = reference.levels
        return Reference(levels=bytes(known[f] if 0 <= f < len(known) else QUIETEST for f in self.frames))

    def _next(self, recorded: int) -> tuple[int, int]:
        self.frames.append(recorded)
        return len(self.frames) - 1, recorded

    def follow(self, engine: Engine) -> None:
        """Follow this engine to see what has happened in the replay."""
        self.engine, self.now = engine, Turns(layout_of(engine.plan))

    def _frames_until(self, anchor: Anchor) -> int | None:
        """How many frames until the speech begins; None if its event has not happened."""
        # Taken and kept, so that a row is followed only once, however often this is asked.
        for row in self.engine.journal.take():
            self.rows.append(row)
            self.now.row(row)
        reply = self.now.known.get(anchor.turn)
        happened_us = None if reply is None else _since(reply, anchor.what)
        if happened_us is None:
            return None
        begins = (happened_us + anchor.gap_us) // self.frame_us - _LEAD_FRAMES
        # The time may have passed already, and speech that is late begins now.
        return max(0, begins - len(self.frames))


class WarpedSource(Script):
    """The microphone, frame by frame."""

    def __init__(self, warp: Warp) -> None:
        self._warp = warp

    def open(self, request: Message) -> InlineCall:
        return scripted(self._frames())

    def _frames(self) -> Iterator[tuple[int, Message]]:
        frame_us = self._warp.frame_us
        count = 0
        # One by one, because whether the next speech is due depends on what the engine has done by then.
        for frame, _ in self._warp.chosen():
            count = frame + 1
            yield count * frame_us, Frames(frame, 1)
        calls = [call for known in self._warp.material.calls.values() for call in known]
        if any(isinstance(item, InputEnded) for call in calls for _, _, item in call.items):
            yield count * frame_us, InputEnded(count)
        # Silence, in which a reply that is under way can finish.
        for silent in range(count, count + _PATIENCE_FRAMES):
            self._warp.frames.append(SILENT)
            yield (silent + 1) * frame_us, Frames(silent, 1)


class WarpedVad(Script):
    """Gives each frame its recorded answer with its recorded delay.

    A frame without a recorded answer gets none. Inserted silence has probability 0.
    """

    def __init__(self, warp: Warp) -> None:
        self._warp = warp
        there = {frame: at_us for frame, _, at_us in warp.material.input.frames}
        self._answers = {
            frame: (max(0, at_us - there.get(frame, at_us)), p) for at_us, frame, p in warp.material.input.answers
        }

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> list[tuple[int, Message]]:
        if not isinstance(item, Frames):
            return []
        recorded = self._warp.frames[item.index]
        if recorded == SILENT:
            return [(0, Probability(item.index, 0.0))]
        answer = self._answers.get(recorded)
        return [] if answer is None else [(answer[0], Probability(item.index, answer[1]))]


class WarpedAsr(Script):
    """Gives partial transcripts with the frame during which they came, and final ones after the end of an utterance."""

    def __init__(self, warp: Warp, calls: list[RecordedCall], finals: Finals) -> None:
        self._warp = warp
        self._finals = finals
        self._partials: dict[int, list[tuple[int, Message]]] = {}
        for call in calls:
            for at_us, item in since_opened(call):
                if isinstance(item, Partial) and (at_us + call.opened_us, item.text) not in finals.tails:
                    frame, rest_us = divmod(at_us + call.opened_us, warp.frame_us)
                    self._partials.setdefault(frame, []).append((rest_us, item))

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> list[tuple[int, Message]]:
        if isinstance(item, Frames):
            # A frame is fed when it ends, which is when the next begins.
            return self._partials.get(self._warp.frames[item.index] + 1, [])
        if not isinstance(item, EndOfUtterance):
            return []
        return self._finals.answers(item, self._warp.recorded(item.last_voiced), self._warp.frame_us)
