"""What a trace holds to answer with, read off its journal: provider calls, the user's frames, and what was decided when."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    Message,
    Probability,
    Shutdown,
    Speak,
    SpeechStarted,
)
from flowkit.plan.graph import Plan
from flowkit.trace.reader import Trace

_LAST = (Done, Failed)
_NO_ANSWER = (Frames, Probability, Credit)
"""What is kept of no call: frames and their probabilities are the user's, and a credit says nothing."""


@dataclass(slots=True)
class RecordedCall:
    """A provider call as recorded: when and with what it was opened, its items as (available, accepted, item) and when it ended
    by itself or was cancelled. `fed`: clauses fed to a continuous voice, with the time."""

    stage: str
    request: Message
    opened_us: int
    items: list[tuple[int, int, Message]] = field(default_factory=list)
    ended_us: int | None = None
    cancelled: bool = False
    fed: list[tuple[int, Speak]] = field(default_factory=list)


@dataclass(slots=True)
class Calls:
    """Provider calls by number, in the order in which they were opened."""

    known: dict[int, RecordedCall] = field(default_factory=dict)

    def row(self, row: Row) -> None:
        """Take a row of a call into account."""
        message, now_us = row.message, row.handled_us
        call = self.known.get(row.call)
        if call is None:
            if row.lane == "P":
                self.known[row.call] = RecordedCall(row.stage, message, now_us)
        elif type(message) is Cancelled:
            call.ended_us, call.cancelled = now_us, True
        elif type(message) is Speak:
            call.fed.append((now_us, message))
        elif row.lane != "P" and row.fate is Fate.HANDLED and type(message) not in _NO_ANSWER:
            call.items.append((row.sent_us, now_us, message))
            if type(message) in _LAST:
                call.ended_us = now_us


@dataclass(slots=True)
class Input:
    """The user as recorded. `frames`: (index, count, when there) of microphone frames; `answers`: (when there, frame, p); `speech`:
    the first frames of what the gate was told is speech; `utterances`: (last voiced frame, when it ended, number)."""

    frames: list[tuple[int, int, int]] = field(default_factory=list)
    answers: list[tuple[int, int, float]] = field(default_factory=list)
    speech: list[int] = field(default_factory=list)
    utterances: list[tuple[int, int, int]] = field(default_factory=list)

    def row(self, message: Message, at_us: int) -> None:
        """A stimulus that is a row of its own."""
        if isinstance(message, Frames):
            self.frames.append((message.index, message.count, at_us))
        elif isinstance(message, Probability):
            self.answers.append((at_us, message.frame, message.p))

    def at_gate(self, message: Message, sent_us: int) -> None:
        """A row at the gate."""
        if isinstance(message, SpeechStarted):
            self.speech.append(message.frame)
        elif isinstance(message, EndOfUtterance):
            self.utterances.append((message.last_voiced, sent_us, message.utterance))


class Turns:
    """A session's turns by number, each as far as it went, while its rows come. The newest reply stands for the turn."""

    def __init__(self, layout: Layout) -> None:
        self.known: dict[int, TurnRecord] = {}
        self._follower = Follower(layout)

    def row(self, row: Row) -> None:
        """Take the next row."""
        self._follower.row(row)
        if (turn := self._follower.turn) is not None:
            self.known[turn.number] = turn


@dataclass(slots=True)
class Material:
    """All of it. `calls` by stage; `last_us`: the last row's time."""

    calls: dict[str, list[RecordedCall]]
    input: Input = field(default_factory=Input)
    shutdowns: list[tuple[int, Shutdown]] = field(default_factory=list)
    last_us: int = 0


def gather(trace: Trace, plan: Plan, turns: Turns | None = None) -> Material:
    """Read off the trace what a replay needs. `plan`: the recorded one; `turns`: is told of the rows as well."""
    calls, material = Calls(), Material({stage.id: [] for stage in plan.stages})
    gate = plan.only("gate")
    for row in trace.journal():
        material.last_us = row.handled_us
        if turns is not None:
            turns.row(row)
        if row.call:
            calls.row(row)
            if row.fate is Fate.HANDLED:
                material.input.row(row.message, row.sent_us)
        elif type(row.message) is Shutdown:
            material.shutdowns.append((row.handled_us, row.message))
        if gate is not None and row.stage == gate.id:
            material.input.at_gate(row.message, row.sent_us)
    for call in calls.known.values():
        material.calls[call.stage].append(call)
    return material
