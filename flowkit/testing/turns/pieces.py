"""The rows of the page of ``flowkit label``: the user's speech piece by piece, each with what comes after it. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict

from flowkit.figures.follower import Follower
from flowkit.figures.records import Ended, SpeechRecord, TurnRecord
from flowkit.figures.reference import Reference
from flowkit.testing.turns.labels import SECOND_US, UserTurn
from flowkit.trace.reader import Trace

_PAUSE_FRAMES = 10
"""Shorter gaps, up to 200 ms, lie within words."""


class AfterSpeech(StrEnum):
    """What comes after a piece of speech."""

    PAUSE = "pause"
    """The turn goes on."""
    TURN = "turn"
    """The turn is over."""
    NONE = "none"
    """Nothing: this is no speech of the user."""


class LabelPiece(BaseModel):
    """Speech without a pause. Times are in seconds. `text` is the transcript, for people. The others are as in the labels: `asked`
    of the turn that the piece begins, `kind` of the pause after it, and its own `part`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    begins: float
    ends: float
    after: AfterSpeech = AfterSpeech.TURN
    text: str = ""
    asked: str = ""
    kind: str = ""
    part: str = ""


def turns_of(pieces: Iterable[LabelPiece]) -> list[dict[str, Any]]:
    """The turns that the pieces make up, in the form of a file of labels. They are not checked."""
    turns, turn = list[dict[str, Any]](), list[LabelPiece]()
    for piece in pieces:
        if piece.after is not AfterSpeech.NONE:
            turn.append(piece)
        if piece.after is AfterSpeech.TURN:
            turns.append(_turn(turn))
            turn = []
    return [*turns, _turn(turn)] if turn else turns


def _turn(pieces: Sequence[LabelPiece]) -> dict[str, Any]:
    pauses = [[a.ends, b.begins] for a, b in pairwise(pieces)]
    kinds, parts = [piece.kind for piece in pieces[:-1]], [piece.part for piece in pieces]
    known = {
        "begins": pieces[0].begins,
        "ends": pieces[-1].ends,
        "pauses": pauses,
        "kinds": kinds if any(kinds) else [],
        "asked": pieces[0].asked,
        # A piece that was split has no words of its own, and parts that do not fit would be wrong.
        "parts": parts if all(parts) else [],
    }
    return {key: value for key, value in known.items() if value not in ([], "")}


def pieces_of(turns: Iterable[UserTurn], heard: Sequence[LabelPiece] = ()) -> Iterator[LabelPiece]:
    """The pieces of labelled turns, with the transcripts of those that were heard at the same time."""
    for turn in turns:
        starts = [turn.begins, *(until for _, until in turn.pauses)]
        stops = [*(since for since, _ in turn.pauses), turn.ends]
        for n, (begins, ends) in enumerate(zip(starts, stops, strict=True)):
            yield LabelPiece(
                begins=begins,
                ends=ends,
                after=AfterSpeech.PAUSE if n < len(turn.pauses) else AfterSpeech.TURN,
                text=" ".join(one.text for one in heard if one.text and begins <= one.begins < ends),
                asked="" if n else turn.asked,
                kind=turn.kinds[n] if n < len(turn.kinds) else "",
                part=turn.parts[n] if turn.parts else "",
            )


def heard_in(trace: Trace) -> list[LabelPiece]:
    """The pieces of the user's speech in a trace, as its pipeline took them for turns. Raises TraceError."""
    follower, last_us = Follower(trace.layout), 0
    over = list[Ended]()
    for row in trace.journal():
        over += follower.row(row)
        last_us = row.handled_us
    over += follower.finish()
    reference = trace.reference
    finder = _Finder(reference, [] if reference is None else list(reference.voiced()), last_us)
    turns = [finder.turn(said) for record in over if (said := _speech(record))]
    return _apart(sorted((turn for turn in turns if turn), key=lambda turn: turn[0].begins))


def late_us(trace: Trace) -> int:
    """How much later than in the sound the user's first speech is in the trace."""
    follower = Follower(trace.layout)
    over = (record for row in trace.journal() for record in follower.row(row))
    return next((one.begin.late_us for record in over for one in _speech(record) if one.begin is not None), 0)


def _speech(record: Ended) -> list[SpeechRecord]:
    if isinstance(record, TurnRecord):
        return [speech for reply in record.replies() for speech in reply.speech]
    return [record] if isinstance(record, SpeechRecord) else []


def _apart(turns: Iterable[Sequence[LabelPiece]]) -> list[LabelPiece]:
    """The pieces of all turns, without those that lie within speech of a turn before."""
    pieces = list[LabelPiece]()
    for piece in (piece for turn in turns for piece in turn):
        if not pieces or piece.begins >= pieces[-1].ends:
            pieces.append(piece)
    return pieces


@dataclass(frozen=True, slots=True)
class _Finder:
    """Finds the pauses inside speech, with the reference detector if there is one."""

    reference: Reference | None
    voiced: Sequence[int]
    """The voiced frames, in order."""
    last_us: int

    def turn(self, speech: Sequence[SpeechRecord]) -> list[LabelPiece]:
        pieces = [piece for one in speech for piece in self._pieces(one)]
        return [*(piece.model_copy(update={"after": AfterSpeech.PAUSE}) for piece in pieces[:-1]), *pieces[-1:]]

    def _pieces(self, speech: SpeechRecord) -> Iterator[LabelPiece]:
        if (begin := speech.begin) is None:  # it was typed
            return
        begin_us = begin.at_us(self.reference)
        end_us = self.last_us if speech.end is None else speech.end.at_us(self.reference)
        text = speech.text or ""
        for since, until in self._runs(begin_us, max(end_us, begin_us + begin.frame_us), begin.frame_us, begin.late_us):
            yield LabelPiece(begins=round(since / SECOND_US, 2), ends=round(until / SECOND_US, 2), text=text)
            text = ""

    def _runs(self, begin_us: int, end_us: int, frame_us: int, late_us: int) -> list[tuple[int, int]]:
        """From when to when there is voice between two times."""
        first, last = (begin_us - late_us) // frame_us, (end_us - late_us) // frame_us
        voiced = self.voiced[bisect_left(self.voiced, first) : bisect_left(self.voiced, last)]
        pauses = [(a + 1, b) for a, b in pairwise(voiced) if b - a - 1 > _PAUSE_FRAMES]
        inner = [frame * frame_us + late_us for pause in pauses for frame in pause]
        times = [begin_us, *inner, end_us]
        return list(zip(times[::2], times[1::2], strict=True))
