"""What a replay needs from a trace: provider calls, the user's frames, and the times of decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from flowkit.engine import Fate, Row
from flowkit.figures.follower import Follower
from flowkit.figures.layout import Layout
from flowkit.figures.records import TurnRecord
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


@dataclass(slots=True)
class Input:
    """The recorded input."""

    frames: list[tuple[int, int, int]] = field(default_factory=list)
    """Microphone frames: (index, count, when they were available)."""
    answers: list[tuple[int, int, float]] = field(default_factory=list)
    """The VAD's answers: (when it was available, frame, probability)."""
    utterances: list[tuple[int, int, int]] = field(default_factory=list)
    """The ends of utterances: (last voiced frame, time, number)."""
    _arrivals: dict[int, int] = field(default_factory=dict)

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

    @property
    def count(self) -> int:
        """The number of frames, with those that never arrived."""
        return max((index + count for index, count, _ in self.frames), default=0)

    def arrivals(self) -> dict[int, int]:
        """When each frame arrived. A message may bring several. Do not change it: it is made once."""
        if not self._arrivals:
            self._arrivals = {
                frame: at_us for index, count, at_us in self.frames for frame in range(index, index + count)
            }
        return self._arrivals

    def heard(self, answers: list[tuple[int, int, float]], utterances: list[tuple[int, int, int]]) -> Input:
        """The same frames, with other answers and utterances."""
        return Input(self.frames, answers, utterances, self._arrivals)


class Follows(Protocol):
    """Follows the rows of a session."""

    def row(self, row: Row) -> None:
        """Handle the next row."""


class Turns:
    """The newest reply of each turn of a session, while its rows arrive. `known` is by turn number."""

    def __init__(self, layout: Layout) -> None:
        self.known: dict[int, TurnRecord] = {}
        self._follower = Follower(layout)

    def row(self, row: Row) -> None:
        """Handle the next row."""
        self._follower.row(row)
        if (turn := self._follower.turn) is not None:
            self.known[turn.number] = turn


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
    calls, material = Calls(), Material({stage.id: [] for stage in plan.stages})
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
