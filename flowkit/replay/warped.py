"""Scripts for a what-if: microphone, VAD and ASR answer frame by frame, as they did for the frame that was recorded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace

from flowkit.messages import EndOfUtterance, Frames, InputEnded, Message, Partial, Probability
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.chance import Chance
from flowkit.replay.material import RecordedCall
from flowkit.replay.recorded import scripted
from flowkit.replay.transcripts import Finals
from flowkit.replay.warp import SILENT, Warp


class WarpedSource(Script):
    """The microphone: the chosen frames, each as late as it was, the end of the input, and then silence for the replies."""

    def __init__(self, warp: Warp, calls: list[RecordedCall]) -> None:
        self._warp = warp
        self._heard = warp.material.input
        there = self._heard.arrivals
        ends = (at_us for call in calls for at_us, _, item in call.items if isinstance(item, InputEnded))
        # Since the last frame before it.
        self._ended_us = next((at_us - there.get(warp.user.pieces[-1].first - 1, at_us) for at_us in ends), None)

    def open(self, request: Message) -> InlineCall:
        return scripted(self._given())

    def _given(self) -> Iterator[tuple[int, Message]]:
        latest_us = 0
        # One by one, because whether the next speech is due depends on what the engine has done by then.
        for at_us, frames in self._timed(self._warp.chosen()):
            latest_us = max(latest_us, at_us)
            yield latest_us, frames
        if self._ended_us is not None:
            latest_us += max(0, self._ended_us)
            yield latest_us, InputEnded(len(self._warp.frames))
        for at_us, frames in self._timed(self._warp.rest()):
            latest_us = max(latest_us, at_us)
            yield latest_us, frames

    def _timed(self, chosen: Iterator[list[int]]) -> Iterator[tuple[int, Message]]:
        for group in chosen:
            first = len(self._warp.frames) - len(group)
            usual_us = self._heard.usually_late_us
            late = [usual_us if recorded == SILENT else self._heard.late_us(recorded) for recorded in group]
            last_us = late[-1]
            if last_us is not None and None not in late:
                yield (first + len(group)) * self._warp.frame_us + last_us, Frames(first, len(group))
                continue
            # A frame that the device lost does not come now either.
            for index, late_us in enumerate(late, first):
                if late_us is not None:
                    yield (index + 1) * self._warp.frame_us + late_us, Frames(index, 1)


class WarpedVad(Script):
    """Gives each frame its recorded answer with its recorded delay.

    A frame without a recorded answer gets none. Inserted silence has probability 0. A VAD with windows of its own answers some
    frames only, by their place in the session. Where speech is moved, other frames of it are answered. Which is drawn, with
    what was said of the nearest frame, because a silence of about `end` may then end an utterance or not.

    Frames that come together are of a silence in which endpointing has nothing to decide. One answer is as good as several.
    """

    def __init__(self, warp: Warp, chance: Chance) -> None:
        self._warp = warp
        self._chance = chance
        self._heard = warp.material.input

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> list[tuple[int, Message]]:
        if not isinstance(item, Frames):
            return []
        for frame in range(item.index + item.count - 1, item.index - 1, -1):
            if (answer := self._answer(frame, self._warp.frames[frame])) is not None:
                delay_us, p = answer
                return [(delay_us, Probability(frame, p))]
        return []

    def _answer(self, index: int, recorded: int) -> tuple[int, float] | None:
        if recorded == SILENT:
            return 0, 0.0
        heard = self._heard
        known = self._moved(index, recorded) if heard.grid else heard.answered.get(recorded)
        return (known[0], 0.0) if known is not None and self._warp.material.left_out(recorded) else known

    def _moved(self, index: int, recorded: int) -> tuple[int, float] | None:
        """The answer of a VAD with windows, to a recorded frame that now has another place."""
        grid, known = self._heard.grid, self._heard.answered
        if index == recorded:
            return known.get(recorded)
        shift = self._chance.index(len(grid), 0, "which frames the VAD answers", index - recorded)
        if not shift:
            return known.get(recorded)
        if not grid[(recorded + shift) % len(grid)]:
            return None
        # The window that ends in the next frame holds this one too.
        return known.get(recorded) or known.get(recorded + 1) or known.get(recorded - 1)


class WarpedAsr(Script):
    """Gives transcripts as long after the frame before them as they came then, and those that answer the end of an
    utterance after that."""

    def __init__(self, warp: Warp, calls: list[RecordedCall], finals: Finals) -> None:
        self._warp = warp
        self._finals = finals
        items = ((at_us, item) for call in calls for at_us, _, item in call.items)
        said = [(at_us, item) for at_us, item in items if not finals.answered(at_us, item)]
        self._said: list[tuple[int, int, Message]] = []
        """(recorded frame, delay after it, item)."""
        heard = warp.material.input
        for at_us, item in said:
            newest = max(0, bisect_right(heard.came_us, at_us) - 1)
            frame, newest_us = (heard.came[newest], heard.came_us[newest]) if heard.came else (0, 0)
            self._said.append((frame, max(0, at_us - newest_us), item))
        self._told = 0
        self._newest = 0
        """The newest frame of the replay that the ASR was fed."""

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> list[tuple[int, Message]]:
        if isinstance(item, Frames):
            self._newest = item.index + item.count - 1
            return list(self._until(self._warp.frames[self._newest]))
        if not isinstance(item, EndOfUtterance):
            return []
        silent_us = (self._newest - item.last_voiced) * self._warp.frame_us
        return self._finals.answers(item, self._warp.recorded(item.last_voiced), silent_us)

    def _until(self, recorded: int) -> Iterator[tuple[int, Message]]:
        """What came up to this frame. Of frames that were left out, it comes now."""
        while self._told < len(self._said) and self._said[self._told][0] <= recorded:
            frame, delay_us, item = self._said[self._told]
            self._told += 1
            yield delay_us if frame == recorded else 0, _moved(item, self._newest - recorded)


def _moved(item: Message, frames: int) -> Message:
    """What covers audio up to so many frames later, if it is a partial transcript that knows."""
    return replace(item, until=item.until + frames) if isinstance(item, Partial) and item.until >= 0 else item
