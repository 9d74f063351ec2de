"""What a trace holds to answer with, read off its journal: provider calls, the user's frames, and what was decided when."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowkit.engine import Fate, Row
from flowkit.messages import (
    Cancelled,
    Credit,
    Done,
    EndOfUtterance,
    Failed,
    Frames,
    Interrupt,
    Message,
    PlaybackStarted,
    Probability,
    ReplyPlayed,
    Shutdown,
    Speak,
    SpeechStarted,
    Utterance,
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
    """The user as recorded. `frames`: (index, count, when there) of microphone frames; `answers`: (when there, frame, p)."""

    frames: list[tuple[int, int, int]] = field(default_factory=list)
    answers: list[tuple[int, int, float]] = field(default_factory=list)

    def row(self, message: Message, at_us: int) -> None:
        """A stimulus that is a row of its own."""
        if isinstance(message, Frames):
            self.frames.append((message.index, message.count, at_us))
        elif isinstance(message, Probability):
            self.answers.append((at_us, message.frame, message.p))


@dataclass(slots=True)
class Turns:
    """When what happened at the gate and the LLM, by turn: releases, first sounds, ends of replies; and the user's starts of
    speech as (frame, when), and ends of utterances as (last voiced frame, when, number)."""

    released: dict[int, int] = field(default_factory=dict)
    sounded: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    interrupted: set[int] = field(default_factory=set)
    speech: list[tuple[int, int]] = field(default_factory=list)
    utterances: list[tuple[int, int, int]] = field(default_factory=list)

    def when(self, what: str, turn: int) -> int | None:
        """When a turn was `released`, or its reply `sounded` or `ended`; None if it was not."""
        known = {"released": self.released, "sounded": self.sounded, "ended": self.ended}
        return known[what].get(turn)

    def row(self, row: Row) -> None:
        """A row at the gate, or one that opens or interrupts a turn."""
        message, now_us, turn = row.message, row.handled_us, row.turn
        if isinstance(message, Utterance):
            self.released[message.turn] = now_us
        elif isinstance(message, PlaybackStarted):
            self.sounded.setdefault(turn, message.at_us)
        elif isinstance(message, ReplyPlayed):
            self.ended.setdefault(turn, now_us)
        elif isinstance(message, Interrupt):
            self.ended.setdefault(turn, now_us)
            self.interrupted.add(turn)
        elif isinstance(message, SpeechStarted):
            self.speech.append((message.frame, now_us))
        elif isinstance(message, EndOfUtterance):
            self.utterances.append((message.last_voiced, row.sent_us, message.utterance))


@dataclass(slots=True)
class Material:
    """All of it. `calls` by stage; `last_us`: the last row's time."""

    calls: dict[str, list[RecordedCall]]
    input: Input
    turns: Turns
    shutdowns: list[tuple[int, Shutdown]]
    last_us: int


def gather(trace: Trace, plan: Plan) -> Material:
    """Read off the trace what a replay needs. `plan`: the recorded one."""
    calls, material = Calls(), Material({stage.id: [] for stage in plan.stages}, Input(), Turns(), [], 0)
    deciding = {stage.id for kind in ("gate", "llm") if (stage := plan.only(kind))}
    for row in trace.journal():
        material.last_us = row.handled_us
        if row.call:
            calls.row(row)
            if row.fate is Fate.HANDLED:
                material.input.row(row.message, row.sent_us)
        elif type(row.message) is Shutdown:
            material.shutdowns.append((row.handled_us, row.message))
        if row.stage in deciding:
            material.turns.row(row)
    for call in calls.known.values():
        material.calls[call.stage].append(call)
    return material
