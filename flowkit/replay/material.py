"""What a trace holds to answer with: every provider's calls, the user's frames, and what was decided when.

Read off by folding the stages over the journal, so that requests, which are no rows, are known too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat

from flowkit.messages import (
    EndOfUtterance,
    Frames,
    Interrupt,
    Message,
    PlaybackStarted,
    Probability,
    ReplyPlayed,
    Shutdown,
    SpeechStarted,
    Utterance,
)
from flowkit.plan.graph import Plan
from flowkit.replay.difference import Difference, Diverged
from flowkit.replay.exact import Call, Fold
from flowkit.replay.stretches import StretchFold
from flowkit.trace.reader import Trace
from flowkit.trace.rows import RowTuple
from flowkit.trace.steps import Ear
from flowkit.trace.stretch import Stretch, rows_of


@dataclass(slots=True)
class Input:
    """The user as recorded. `frames`: (index, count, when there) of microphone frames; `answers`: (when there, frame, p)."""

    frames: list[tuple[int, int, int]] = field(default_factory=list)
    answers: list[tuple[int, int, float]] = field(default_factory=list)

    def stretch(self, stretch: Stretch) -> None:
        """The quiet frames and probabilities of a stretch."""
        if (frames := stretch.run(Ear.FRAME)) is not None:
            self.frames += zip(frames.frames, repeat(1), frames.available_us, strict=False)
        if (answers := stretch.run(Ear.ANSWER)) is not None:
            self.answers += zip(answers.available_us, answers.frames, answers.ps, strict=True)

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

    def row(self, row: RowTuple) -> None:
        """A row at the gate, or one that opens or interrupts a turn."""
        message, now_us, turn = row[9], row[5], row[8]
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
            self.utterances.append((message.last_voiced, row[4], message.utterance))


@dataclass(slots=True)
class Material:
    """All of it. `difference`: where the code first differs from the record, if it does; `last_us`: the last row's time."""

    calls: dict[str, list[Call]]
    input: Input
    turns: Turns
    shutdowns: list[tuple[int, Shutdown]]
    difference: Difference | None
    last_us: int


def gather(trace: Trace, plan: Plan) -> Material:
    """Fold `plan`, the recorded one, over the trace and keep what a replay needs."""
    items = list(trace.items())
    material = Material({stage.id: [] for stage in plan.stages}, Input(), Turns(), [], None, 0)
    _look(items, material, _Places.of(plan))
    fold = _folded(items, plan, material.last_us)
    for call in fold.calls:
        material.calls[call.stage].append(call)
    material.difference = fold.first
    return material


def _folded(items: list[RowTuple | Stretch], plan: Plan, last_us: int) -> Fold:
    """The stages folded over the items: quickly, or if the code differs from the record, row by row and tolerantly."""
    quick = StretchFold(plan)
    try:
        quick.take(items)
        quick.end(last_us)
    except Diverged:
        fold = Fold(plan, tolerant=True)
        for row in rows_of(items):
            fold.row(row)
        fold.tolerantly_end(last_us)
        return fold
    return quick


@dataclass(frozen=True, slots=True)
class _Places:
    """Ids of the stages that are looked at."""

    gate: str
    llm: str
    asr: str

    @classmethod
    def of(cls, plan: Plan) -> _Places:
        ids = [stage.id if (stage := plan.only(kind)) else "" for kind in ("gate", "llm", "asr")]
        return cls(*ids)


def _look(items: list[RowTuple | Stretch], material: Material, places: _Places) -> None:
    for item in items:
        if isinstance(item, Stretch):
            material.input.stretch(item)
            _look_at(item.apart(), material, places)
            material.last_us = item.end_us
        else:
            _look_at([item], material, places)


def _look_at(rows: Iterable[RowTuple], material: Material, places: _Places) -> None:
    for row in rows:
        stage, _, cause, _, sent_us, now_us, _, _, _, message, fate = row
        material.last_us = now_us
        if cause == "" and fate == "":
            material.input.row(message, sent_us)
        if isinstance(message, Shutdown):
            material.shutdowns.append((now_us, message))
        if stage in (places.gate, places.llm):
            material.turns.row(row)
