"""What happened when in a session, for the waterfall of the report page and of the terminal. No I/O.

A lane is a stage, or the user, or the speaker's sound. A span is something that lasted in a lane, a mark is something
that happened at one time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowkit.clock import ms
from flowkit.engine import Fate, Row
from flowkit.figures.follower import Follower
from flowkit.figures.layout import Layout
from flowkit.figures.records import CallEnd, CallRecord, Ended, SpeechRecord, ToolRecord, TurnEnd, TurnRecord
from flowkit.figures.reference import Reference
from flowkit.messages import Ask, Clause, Fault, Hold, Partial, Resume, ToolStatus, Typed
from flowkit.providers.sound.timeline import Pop
from flowkit.stages.chunking import FILLER

LANES = ("user", "vad", "asr", "gate", "llm", "tools", "chunker", "tts", "playback")
_TOOLS = "tools"
_WITHOUT_FATE = frozenset({ToolStatus.RESULT.value, ToolStatus.ENDED.value})


@dataclass(slots=True)
class Span:
    """Something that lasted from `begin_us` to `end_us` in a lane. `fate` is empty, ``interrupted``, or how a tool
    failed."""

    lane: str
    turn: int
    begin_us: int
    end_us: int
    text: str = ""
    fate: str = ""

    def to_json(self) -> dict[str, Any]:
        """The span in the data of the page, with times in milliseconds."""
        known = {
            "lane": self.lane,
            "turn": self.turn,
            "t0": ms(self.begin_us),
            "t1": ms(self.end_us),
            "text": self.text,
        }
        return {**known, "fate": self.fate} if self.fate else known


@dataclass(slots=True)
class LaneMark:
    """Something that happened in a lane: a partial, the first token, a cut with its reason, a hold, an interrupt."""

    lane: str
    turn: int
    at_us: int
    what: str
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        """The mark in the data of the page, with its time in milliseconds."""
        return {"lane": self.lane, "turn": self.turn, "t": ms(self.at_us), "what": self.what, "text": self.text}


@dataclass(slots=True)
class Story:
    """The spans and marks of a session, in no particular order."""

    spans: list[Span] = field(default_factory=list)
    marks: list[LaneMark] = field(default_factory=list)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes of the session. Only an agent that has called tools has a lane for them."""
        called = any(span.lane == _TOOLS for span in self.spans)
        return tuple(lane for lane in LANES if lane != _TOOLS or called)


def story_of(rows: Sequence[Row], layout: Layout, pops: Sequence[Pop], reference: Reference | None = None) -> Story:
    """The spans and marks of a session.

    Args:
        rows: its whole journal.
        layout: its layout.
        pops: what was played, as ``sounded`` returns it.
        reference: the reference detector over the input. Without it the pipeline's own frames show where the user's voice
            was.
    """
    follower = Follower(layout)
    over: list[Ended] = []
    for row in rows:
        over += follower.row(row)
    over += follower.finish()
    turns = [reply for record in over if isinstance(record, TurnRecord) for reply in record.replies()]
    lanes = _Lanes(layout, reference, rows[-1].handled_us if rows else 0)
    spans = [span for turn in turns for span in lanes.turn(turn)]
    for record in over:
        if isinstance(record, ToolRecord):
            spans.append(lanes.tool(record))
        elif isinstance(record, SpeechRecord):
            spans += lanes.speech(record, _turn_at(turns, record.began_us or record.final_us or 0))
    story = Story([span for span in spans if span.text or span.end_us > span.begin_us])
    story.spans += _playback(turns, pops)
    story.marks = [mark for turn in turns for mark in _marks(turn)] + [*_marks_of_rows(rows, turns)]
    return story


def _turn_at(turns: Sequence[TurnRecord], at_us: int) -> int:
    """The number of the next turn that was released at or after `at_us`; 0 if there is none."""
    place = bisect_left(turns, at_us, key=lambda turn: turn.released_us)
    return turns[place].number if place < len(turns) else 0


def _playback(turns: Sequence[TurnRecord], pops: Sequence[Pop]) -> list[Span]:
    """A span for each period in which a clause sounded without a gap."""
    said = {(turn.epoch, i): (turn.number, _text(of.clause)) for turn in turns for i, of in turn.clauses.items()}
    spans: list[Span] = []
    of: tuple[int, int] | None = None
    for pop in pops:
        end_us = pop.t_us + pop.samples * 1_000_000 // pop.rate_hz
        # The end is rounded down to a microsecond, so a pop that follows directly may be 1 µs later.
        if of == (pop.epoch, pop.clause) and pop.t_us - spans[-1].end_us <= 1:
            spans[-1].end_us = end_us
            continue
        of = (pop.epoch, pop.clause)
        turn, text = said.get(of, (0, ""))
        spans.append(Span("playback", turn, pop.t_us, end_us, text))
    return spans


def _text(clause: Clause) -> str:
    """What a clause says. A filler is only spoken, and has no text of the model."""
    return clause.text.strip() or clause.spoken.strip()


@dataclass(slots=True)
class _Lanes:
    """Turns records into spans. What never ended ends at `last_us`."""

    layout: Layout
    reference: Reference | None
    last_us: int

    def turn(self, turn: TurnRecord) -> Iterator[Span]:
        """The spans of a turn."""
        for speech in turn.speech:
            yield from self.speech(speech, turn.number)
        if ends := [speech.end for speech in turn.speech if speech.end is not None]:
            yield Span("gate", turn.number, ends[-1].decided_us, turn.released_us, turn.user)
        for call in turn.calls.values():
            if isinstance(call.request, Ask):
                yield self._generated(turn, call)
        if self.layout.only("chunker"):
            yield from _cut(turn)
        yield from _voiced(turn)

    def speech(self, speech: SpeechRecord, turn: int) -> Iterator[Span]:
        """The user's voice by the reference detector and by the pipeline's VAD, and its transcription."""
        end, ended_us = speech.end, self.last_us if speech.end is None else speech.end.decided_us
        if speech.begin is not None and speech.began_us is not None:
            begin_us = speech.begin.at_us(self.reference)
            until_us = ended_us if end is None else end.at_us(self.reference)
            yield Span("user", turn, begin_us, max(begin_us, until_us))
            yield Span("vad", turn, speech.began_us, ended_us)
        if end is not None:
            final_us = self.last_us if speech.final_us is None else speech.final_us
            yield Span("asr", turn, ended_us, final_us, speech.text or "")

    def tool(self, tool: ToolRecord) -> Span:
        """A tool call until its outcome."""
        ended_us = self.last_us if tool.ended_us is None else tool.ended_us
        text = f"{tool.name} {tool.arguments} → {tool.status} {tool.content}".strip()
        fate = "interrupted" if tool.interrupted else "" if tool.status in _WITHOUT_FATE else tool.status
        return Span(_TOOLS, tool.turn, tool.called_us, ended_us, text, fate)

    def _generated(self, turn: TurnRecord, call: CallRecord) -> Span:
        ended_us = self.last_us if call.ended_us is None else call.ended_us
        fate = "interrupted" if call.end is CallEnd.CANCELLED else ""
        return Span("llm", turn.number, call.opened_us, ended_us, "".join(call.tokens), fate)


def _cut(turn: TurnRecord) -> Iterator[Span]:
    """The chunker's spans: it fills a clause from the time at which it cut the previous one."""
    since_us = turn.first_token_us
    if since_us is None:
        return
    for of in turn.clauses.values():
        if of.clause.reason == FILLER:  # it was not made of tokens
            continue
        yield Span("chunker", turn.number, min(since_us, of.cut_us), of.cut_us, _text(of.clause))
        since_us = of.cut_us
    if turn.end is TurnEnd.INTERRUPTED and turn.ended_us is not None and (turn.last_token_us or 0) > since_us:
        yield Span("chunker", turn.number, since_us, turn.ended_us, fate="interrupted")


def _voiced(turn: TurnRecord) -> Iterator[Span]:
    """The spans of TTS: each clause until its last audio, or until the interrupt if its call was cancelled."""
    taken = [of for of in turn.clauses.values() if of.taken_us is not None]
    cancelled = any(call.end is CallEnd.CANCELLED for call in turn.calls.values() if not isinstance(call.request, Ask))
    for of in taken:
        begin_us, cut_off = of.taken_us or 0, of is taken[-1] and turn.interrupt is not None and cancelled
        ended_us = turn.ended_us if cut_off else of.last_audio_us
        fate = "interrupted" if cut_off else ""
        yield Span("tts", turn.number, begin_us, max(begin_us, ended_us or 0), _text(of.clause), fate)


def _marks(turn: TurnRecord) -> Iterator[LaneMark]:
    """First token, cuts with their reasons, fillers, failures, the interrupt."""
    if turn.first_token_us is not None:
        first = next((call.tokens[0] for call in turn.calls.values() if call.tokens), "")
        yield LaneMark("llm", turn.number, turn.first_token_us, "first token", first)
    for of in turn.clauses.values():
        lane = _TOOLS if of.clause.reason == FILLER else "chunker"
        yield LaneMark(lane, turn.number, of.cut_us, of.clause.reason, _text(of.clause))
    for call in turn.calls.values():
        if call.end is CallEnd.FAILED and call.ended_us is not None:
            yield LaneMark(
                "llm" if isinstance(call.request, Ask) else "tts", turn.number, call.ended_us, "failed", call.what
            )
    if turn.interrupt is not None:
        yield LaneMark("gate", turn.number, turn.interrupt.t_us, "interrupt")


def _marks_of_rows(rows: Sequence[Row], turns: Sequence[TurnRecord]) -> Iterator[LaneMark]:
    """The marks that follow from a single row."""
    for row in rows:
        match row.message:
            case Partial(text=text) if row.cause_stage and row.fate is Fate.HANDLED:
                yield LaneMark("asr", _turn_at(turns, row.sent_us), row.sent_us, "partial", text)
            case Typed(text=text):
                yield LaneMark("user", _turn_at(turns, row.sent_us), row.sent_us, "typed", text)
            case Hold() | Resume() | Fault() if row.fate is Fate.HANDLED:
                yield LaneMark("gate", row.turn, row.handled_us, type(row.message).__name__.lower())
