"""What a replay needs from a trace: provider calls, the user's frames, and the times of decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Protocol

from flowkit.engine import Fate, Row
from flowkit.messages import (
    Cancelled,
    Credit,
    Done,
    EndOfUtterance,
    Failed,
    Frames,
    InputEnded,
    Message,
    Probability,
    ReplyPlayed,
    Shutdown,
    Speak,
    ToolCall,
    TurnSoFar,
)
from flowkit.plan.graph import Plan
from flowkit.trace.reader import Trace

_LONGEST_PERIOD = 16
"""Of the frames that a VAD answers. A window of 32 ms and frames of 20 ms have a period of 8."""
_LAST = (Done, Failed)
_NO_ANSWER = (Frames, Probability, Credit)
"""Not kept as items of a call: frames and probabilities are in ``Input``, and credits are the pump's business."""


@dataclass(slots=True)
class RecordedCall:
    """A provider call as it was recorded."""

    stage: str
    request: Message
    opened_us: int
    items: list[tuple[int, int, Message]] = field(default_factory=list)
    """(when it was available, when the stage accepted it, the item)."""
    ended_us: int | None = None
    """When it ended by itself or was cancelled."""
    cancelled: bool = False
    fed: list[tuple[int, Speak]] = field(default_factory=list)
    """The clauses that were fed to a continuous voice, with the time."""
    judged: list[tuple[int, TurnSoFar]] = field(default_factory=list)
    """What an end-of-turn predictor was fed, with the time. It answers one by one."""


@dataclass(slots=True)
class Calls:
    """Provider calls by number, in the order in which they were opened."""

    known: dict[int, RecordedCall] = field(default_factory=dict)

    def row(self, row: Row) -> None:
        """Handle a row of a call."""
        message, now_us = row.message, row.handled_us
        call = self.known.get(row.call)
        if call is None:
            if row.lane == "P":
                self.known[row.call] = RecordedCall(row.stage, message, now_us)
        elif type(message) is Cancelled:
            call.ended_us, call.cancelled = now_us, True
        elif type(message) is Speak:
            call.fed.append((now_us, message))
        elif type(message) is TurnSoFar:
            call.judged.append((now_us, message))
        elif row.lane != "P" and row.fate is Fate.HANDLED and type(message) not in _NO_ANSWER:
            call.items.append((row.sent_us, now_us, message))
            if type(message) in _LAST:
                call.ended_us = now_us


@dataclass
class Input:
    """The recorded input. What is worked out of it is kept for the next replay."""

    frames: list[tuple[int, int, int]] = field(default_factory=list)
    """Microphone frames: (index, count, when they were available)."""
    answers: list[tuple[int, int, float]] = field(default_factory=list)
    """The VAD's answers: (when it was available, frame, probability)."""
    utterances: list[tuple[int, int, int]] = field(default_factory=list)
    """The ends of utterances: (last voiced frame, time, number)."""
    frame_us: int = 20_000
    """Length of a frame."""

    def row(self, message: Message, at_us: int) -> None:
        """Add a recorded stimulus."""
        if isinstance(message, Frames):
            self.frames.append((message.index, message.count, at_us))
        elif isinstance(message, Probability):
            self.answers.append((at_us, message.frame, message.p))

    def at_gate(self, message: Message, sent_us: int) -> None:
        """Add a row of the gate."""
        if isinstance(message, EndOfUtterance):
            self.utterances.append((message.last_voiced, sent_us, message.utterance))

    @cached_property
    def count(self) -> int:
        """The number of frames, with those that never arrived."""
        return max((index + count for index, count, _ in self.frames), default=0)

    @cached_property
    def arrivals(self) -> dict[int, int]:
        """When each frame arrived. A message may bring several."""
        return {frame: at_us for index, count, at_us in self.frames for frame in range(index, index + count)}

    def late_us(self, frame: int) -> int | None:
        """How long after its end a frame arrived; None if it never did."""
        at_us = self.arrivals.get(frame)
        return None if at_us is None else at_us - (frame + 1) * self.frame_us

    @cached_property
    def usually_late_us(self) -> int:
        """How long after its end a frame usually arrives."""
        late = [at_us - (frame + 1) * self.frame_us for frame, at_us in self.arrivals.items()]
        return round(median(late)) if late else 0

    @cached_property
    def came_us(self) -> list[int]:
        """The times at which frames arrived, in order."""
        return list(self.arrivals.values())

    @cached_property
    def came(self) -> list[int]:
        """The frames that arrived, in order."""
        return list(self.arrivals)

    @cached_property
    def answered(self) -> dict[int, tuple[int, float]]:
        """The VAD's answer to each frame that has one: how long after the frame, and the probability."""
        there = self.arrivals
        return {frame: (max(0, at_us - there.get(frame, at_us)), p) for at_us, frame, p in self.answers}

    @cached_property
    def grid(self) -> tuple[bool, ...]:
        """Which places of a period the VAD answers. Empty if it answers every frame, or without a rule."""
        answered, newest = self.answered, max(self.came, default=0)
        if newest < _LONGEST_PERIOD or len(answered) > newest:
            return ()
        for period in range(2, _LONGEST_PERIOD + 1):
            grid = tuple(frame in answered for frame in range(period))
            # The last frames may be without an answer because the session ended.
            if all((frame in answered) == grid[frame % period] for frame in range(newest - _LONGEST_PERIOD)):
                return grid
        return ()


class Follows(Protocol):
    """Follows the rows of a session."""

    def row(self, row: Row) -> None:
        """Handle the next row."""


@dataclass(slots=True)
class Material:
    """Everything that a replay needs from a trace."""

    calls: dict[str, list[RecordedCall]]
    """Provider calls by stage."""
    input: Input = field(default_factory=Input)
    tools: list[tuple[int, ToolCall]] = field(default_factory=list)
    """The tool calls of the session, each with the time at which it was made."""
    shutdowns: list[tuple[int, Shutdown]] = field(default_factory=list)
    replies: int = 0
    """How many replies had been played to their end when the session was closed."""
    last_us: int = 0
    """The time of the last row."""
    left_out: Callable[[int], bool] = lambda frame: False
    """Whether a frame is left out of what the user says, so that nobody hears anything in it."""

    def left_at(self, frame_us: int) -> int:
        """The frame at which the user left: where the session was closed from outside, where the input ended, or else the
        number of frames."""
        if self.shutdowns:
            return min(self.input.count, self.shutdowns[0][0] // frame_us)
        calls = (call for calls in self.calls.values() for call in calls)
        ended = (item.frame for call in calls for _, _, item in call.items if isinstance(item, InputEnded))
        return next(ended, self.input.count)


def gather(trace: Trace, plan: Plan, followers: Iterable[Follows] = ()) -> Material:
    """Read from the trace what a replay needs.

    `plan` is the recorded plan. The `followers` follow the rows too.
    """
    calls = Calls()
    material = Material({stage.id: [] for stage in plan.stages}, Input(frame_us=plan.frame_us))
    gate = plan.only("gate")
    for row in trace.journal():
        material.last_us = row.handled_us
        for follower in followers:
            follower.row(row)
        if row.call:
            calls.row(row)
            if row.fate is Fate.HANDLED:
                material.input.row(row.message, row.sent_us)
        elif type(row.message) is ToolCall:
            material.tools.append((row.handled_us, row.message))
        elif type(row.message) is Shutdown:
            material.shutdowns.append((row.handled_us, row.message))
        if gate is not None and row.stage == gate.id:
            material.input.at_gate(row.message, row.sent_us)
            material.replies += type(row.message) is ReplyPlayed and not material.shutdowns
    for call in calls.known.values():
        material.calls[call.stage].append(call)
    return material
