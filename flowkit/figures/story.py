"""What happened when in a session, lane by lane, from its rows: what the page's waterfall and a terminal's are drawn from. Pure.

A lane is a stage (or the user, or the speaker's sound); a span is something that lasted in it, a mark something that happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowkit.clock import ms
from flowkit.engine import Fate, Row
from flowkit.figures.layout import Layout
from flowkit.figures.metrics import FrameClock
from flowkit.figures.reference import Reference
from flowkit.messages import (
    Audio,
    Clause,
    Done,
    EndOfReply,
    EndOfUtterance,
    Failed,
    Fault,
    Final,
    Frames,
    Hold,
    Interrupt,
    Message,
    Partial,
    Resume,
    SpeechStarted,
    Token,
    Typed,
    Utterance,
)
from flowkit.providers.sound.timeline import Pop

LANES = ("user", "vad", "asr", "gate", "llm", "chunker", "tts", "playback")


@dataclass(slots=True)
class Span:
    """Something that lasted from `begin_us` to `end_us` in a lane; `fate`: empty, or `interrupted`."""

    lane: str
    turn: int
    begin_us: int
    end_us: int
    text: str = ""
    fate: str = ""

    def to_json(self) -> dict[str, Any]:
        known = {
            "lane": self.lane,
            "turn": self.turn,
            "t0": ms(self.begin_us),
            "t1": ms(self.end_us),
            "text": self.text,
        }
        return {**known, "fate": self.fate} if self.fate else known


@dataclass(slots=True)
class Mark:
    """Something that happened in a lane: a partial, a first token, a cut (with its reason), a hold, an interrupt."""

    lane: str
    turn: int
    at_us: int
    what: str
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"lane": self.lane, "turn": self.turn, "t": ms(self.at_us), "what": self.what, "text": self.text}


@dataclass(slots=True)
class Story:
    """Spans and marks of a session, in no particular order."""

    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


def tell(rows: Sequence[Row], layout: Layout, pops: Sequence[Pop], ruler: Reference | None = None) -> Story:
    """The story of a session's rows. `pops`: what sounded (``sounded``); `ruler` places the user's voice where levels were kept."""
    teller = _Teller(layout, ruler)
    for row in rows:
        teller.row(row)
    story = teller.finish()
    story.spans += _playback(rows, layout, pops)
    return story


def _playback(rows: Sequence[Row], layout: Layout, pops: Sequence[Pop]) -> list[Span]:
    """A span for each clause's uninterrupted sound."""
    voice = layout.only("tts")
    said = {
        (r.epoch, r.message.index): (r.turn, r.message.text)
        for r in rows
        if r.stage == voice and isinstance(r.message, Clause | Token)
    }
    spans: list[Span] = []
    of: tuple[int, int] | None = None
    for pop in pops:
        end_us = pop.t_us + pop.samples * 1_000_000 // pop.rate_hz
        if of == (pop.epoch, pop.clause) and pop.t_us - spans[-1].end_us <= 1:
            spans[-1].end_us = end_us
            continue
        of = (pop.epoch, pop.clause)
        turn, text = said.get(of, (0, ""))
        spans.append(Span("playback", turn, pop.t_us, end_us, text.strip()))
    return spans


class _Teller:
    """Follows the rows, and closes what they leave open."""

    def __init__(self, layout: Layout, ruler: Reference | None) -> None:
        self._story = Story()
        self._clock = FrameClock(layout.frame_us)
        self._ruler = ruler
        self._open: dict[str, Span] = {}
        self._pending: list[Span | Mark] = []
        self._now_us = 0
        self._interrupted = -1
        self._at: dict[str, Callable[[Row, Message], None]] = {
            layout.only("mic"): self._mic,
            layout.only("gate"): self._gate,
            layout.only("llm"): self._llm,
            layout.only("chunker"): self._chunker,
            layout.only("tts"): self._tts,
        }
        self._at.pop("", None)

    def row(self, row: Row) -> None:
        """Take the next row into account."""
        self._now_us = row.handled_us
        if row.fate is not Fate.HANDLED:
            return
        message = row.message
        if isinstance(message, Interrupt):
            self._interrupt(row)
        elif (at := self._at.get(row.stage)) is not None:
            at(row, message)

    def finish(self) -> Story:
        """The session is over: close what is open."""
        for lane in tuple(self._open):
            self._close(lane, None if lane == "tts" else self._now_us)
        self._released(0)
        return self._story

    # -- lanes --------------------------------------------------------------------------------------------------------

    def _mic(self, row: Row, message: Message) -> None:
        if isinstance(message, Frames):
            self._clock.came(message, row.sent_us)

    def _gate(self, row: Row, message: Message) -> None:
        at_us = row.sent_us
        match message:
            case SpeechStarted(frame=frame):
                onset = None if self._ruler is None else self._ruler.onset(frame)
                began_us = self._clock.ended_us(frame if onset is None else onset) - self._clock.frame_us
                self._begin("user", began_us)
                self._begin("vad", at_us)
            case EndOfUtterance(last_voiced=frame):
                until = self._clock.ended_by(at_us)
                last = None if self._ruler is None else self._ruler.last_voiced(0, until)
                self._close("user", self._clock.ended_us(frame if last is None else last))
                self._close("vad", at_us)
                self._begin("asr", at_us)
                self._begin("gate", at_us)
            case Partial(text=text):
                self._pending.append(Mark("asr", 0, at_us, "partial", text))
            case Final(text=text):
                self._close("asr", at_us, text)
            case Typed(text=text):
                self._pending.append(Mark("user", 0, at_us, "typed", text))
            case Hold() | Resume() | Fault():
                self._mark("gate", row, type(message).__name__.lower())

    def _llm(self, row: Row, message: Message) -> None:
        match message:
            case Utterance(turn=turn, text=text):
                self._close("gate", row.sent_us, text)
                self._released(turn)
                self._begin("llm", row.handled_us, turn)
            case Token(index=0, text=text):
                self._mark("llm", row, "first token", text)
                self._open_text("llm", text)
            case Token(text=text):
                self._open_text("llm", text)
            case Failed(what=what):
                self._mark("llm", row, "failed", what)
                self._close("llm", row.handled_us)
            case Done():
                self._close("llm", row.handled_us)

    def _chunker(self, row: Row, message: Message) -> None:
        if isinstance(message, Token):
            if "chunker" not in self._open:
                self._begin("chunker", row.handled_us, row.turn)
        elif isinstance(message, EndOfReply):
            self._close("chunker", row.handled_us)

    def _tts(self, row: Row, message: Message) -> None:
        match message:
            case Clause(text=text, reason=reason):
                self._close("chunker", row.sent_us, text.strip())
                self._mark("chunker", row, reason, text.strip(), row.sent_us)
                self._close("tts", None)
                self._begin("tts", row.handled_us, row.turn, text.strip())
            case Audio() if "tts" in self._open:
                self._open["tts"].end_us = row.handled_us
            case Failed(what=what):
                self._mark("tts", row, "failed", what)
            case Done():
                self._close("tts", None)

    def _interrupt(self, row: Row) -> None:
        for lane in ("llm", "chunker", "tts"):
            if lane in self._open:
                self._open[lane].fate = "interrupted"
                self._close(lane, row.handled_us)
        if self._interrupted != row.epoch:
            self._interrupted = row.epoch
            self._mark("gate", row, "interrupt")

    # -- spans --------------------------------------------------------------------------------------------------------

    def _begin(self, lane: str, at_us: int, turn: int = 0, text: str = "") -> None:
        self._close(lane, at_us)
        self._open[lane] = Span(lane, turn, at_us, at_us, text)

    def _open_text(self, lane: str, text: str) -> None:
        if lane in self._open:
            self._open[lane].text += text

    def _close(self, lane: str, at_us: int | None, text: str = "") -> None:
        """End the lane's open span, at its own last moment if `at_us` is None."""
        span = self._open.pop(lane, None)
        if span is None:
            return
        span.end_us = max(span.begin_us, span.end_us if at_us is None else at_us)
        span.text = text or span.text
        if span.end_us == span.begin_us and not span.text:
            return
        if span.turn:
            self._story.spans.append(span)
        else:
            self._pending.append(span)

    def _mark(self, lane: str, row: Row, what: str, text: str = "", at_us: int | None = None) -> None:
        self._story.marks.append(Mark(lane, row.turn, row.handled_us if at_us is None else at_us, what, text))

    def _released(self, turn: int) -> None:
        """What the user did since the last release belongs to this turn."""
        for known in self._pending:
            known.turn = turn
            (self._story.spans if isinstance(known, Span) else self._story.marks).append(known)  # type: ignore[arg-type]
        self._pending.clear()
