"""Scripts for a what-if: microphone, VAD and ASR answer frame by frame, as they did for the frame that was recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from statistics import median

from flowkit.messages import EndOfUtterance, Frames, InputEnded, Message, Partial, Probability
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.chance import Chance
from flowkit.replay.material import RecordedCall
from flowkit.replay.recorded import rising, scripted
from flowkit.replay.transcripts import Finals
from flowkit.replay.warp import SILENT, Warp

_LONGEST_PERIOD = 16
"""In frames. A window of 32 ms and frames of 20 ms have a period of 8."""


class WarpedSource(Script):
    """The microphone: the chosen frames, each as late as it was, the end of the input, and then silence for the replies."""

    def __init__(self, warp: Warp, calls: list[RecordedCall]) -> None:
        self._warp = warp
        there = warp.material.input.arrivals()
        self._late = {frame: at_us - (frame + 1) * warp.frame_us for frame, at_us in there.items()}
        self._usual_us = round(median(self._late.values())) if self._late else 0
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
            late = [self._usual_us if recorded == SILENT else self._late.get(recorded) for recorded in group]
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
    """

    def __init__(self, warp: Warp, chance: Chance) -> None:
        self._warp = warp
        self._chance = chance
        there = warp.material.input.arrivals()
        self._answers = {
            frame: (max(0, at_us - there.get(frame, at_us)), p) for at_us, frame, p in warp.material.input.answers
        }
        self._grid = _grid(self._answers.keys(), max(there, default=0))

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> list[tuple[int, Message]]:
        if not isinstance(item, Frames):
            return []
        frames = range(item.index, item.index + item.count)
        answers = ((frame, self._answer(frame, self._warp.frames[frame])) for frame in frames)
        return list(
            rising((answer[0], Probability(frame, answer[1])) for frame, answer in answers if answer is not None)
        )

    def _answer(self, index: int, recorded: int) -> tuple[int, float] | None:
        if recorded == SILENT:
            return 0, 0.0
        return self._moved(index, recorded) if self._grid else self._answers.get(recorded)

    def _moved(self, index: int, recorded: int) -> tuple[int, float] | None:
        """The answer of a VAD with windows, to a recorded frame that now has another place."""
        grid, known = self._grid, self._answers
        if index == recorded:
            return known.get(recorded)
        shift = self._chance.index(len(grid), 0, "which frames the VAD answers", index - recorded)
        if not shift:
            return known.get(recorded)
        if not grid[(recorded + shift) % len(grid)]:
            return None
        # The window that ends in the next frame holds this one too.
        return known.get(recorded) or known.get(recorded + 1) or known.get(recorded - 1)


def _grid(answered: Collection[int], newest: int) -> tuple[bool, ...]:
    """Which places of a period are answered. Empty if the VAD answers every frame, or without a rule."""
    if newest < _LONGEST_PERIOD or len(answered) > newest:
        return ()
    for period in range(2, _LONGEST_PERIOD + 1):
        grid = tuple(frame in answered for frame in range(period))
        # The last frames may be without an answer because the session ended.
        if all((frame in answered) == grid[frame % period] for frame in range(newest - _LONGEST_PERIOD)):
            return grid
    return ()


class WarpedAsr(Script):
    """Gives transcripts as long after the frame before them as they came then, and those that answer the end of an
    utterance after that."""

    def __init__(self, warp: Warp, calls: list[RecordedCall], finals: Finals) -> None:
        self._warp = warp
        self._finals = finals
        arrivals = iter(sorted(warp.material.input.arrivals().items()))
        items = ((at_us, item) for call in calls for at_us, _, item in call.items)
        said = [(at_us, item) for at_us, item in items if not finals.answered(at_us, item)]
        self._said: list[tuple[int, int, Message]] = []
        """(recorded frame, delay after it, item)."""
        newest, newest_us = next(arrivals, (0, 0))
        following = next(arrivals, None)
        for at_us, item in said:
            while following is not None and following[1] <= at_us:
                (newest, newest_us), following = following, next(arrivals, None)
            self._said.append((newest, max(0, at_us - newest_us), item))
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
