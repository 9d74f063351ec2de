"""Which spans a session's rows make: turns and provider calls, so that any OpenTelemetry viewer shows a useful waterfall.

Names follow the GenAI conventions where there are any: `invoke_agent` a turn, `speech_to_text` an utterance, `chat`,
`text_to_speech`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowkit.engine import Fate, Row
from flowkit.figures.layout import Layout
from flowkit.messages import (
    Clause,
    Done,
    Failed,
    Fault,
    Final,
    Interrupt,
    PlaybackStarted,
    ReplyPlayed,
    SpeechStarted,
    Token,
    Utterance,
)


@dataclass(slots=True)
class SpanPlan:
    """A span to write: its name, session times, the turn whose child it is (0: of none), attributes, and an error if it failed."""

    name: str
    begin_us: int
    turn: int = 0
    end_us: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class SpanBuilder:
    """Follows the rows; a span comes out when it has ended, a turn's after those of its calls."""

    def __init__(self, layout: Layout) -> None:
        self._llm, self._tts = layout.only("llm"), layout.only("tts")
        self._asr, self._gate = layout.only("asr"), layout.only("gate")
        self._speaker = layout.only("speaker")
        self._calls: dict[str, SpanPlan] = {}
        self._turn: SpanPlan | None = None
        self._heard: list[SpanPlan] = []

    def row(self, row: Row) -> Iterator[SpanPlan]:
        """Take the next row; yields the spans that it ended."""
        stage, message, now_us = row.stage, row.message, row.handled_us
        if row.fate is not Fate.HANDLED:
            return
        if stage == self._gate:
            yield from self._at_gate(row)
        elif stage == self._asr:
            yield from self._at_asr(row)
        elif stage == self._llm and isinstance(message, Utterance):
            yield from self._ended(now_us)
            yield from self._begin_turn(row, message)
            self._calls[stage] = SpanPlan("chat", now_us, message.turn)
        elif stage == self._tts and isinstance(message, Clause):
            told = {"flowkit.clause": message.index, "flowkit.clause.characters": len(message.spoken)}
            self._calls[stage] = SpanPlan("text_to_speech", now_us, row.turn, attributes=told)
        elif stage == self._speaker and isinstance(message, Interrupt):
            self._end_reason("interrupted")
            yield from self._ended(now_us)
        elif stage in self._calls:
            yield from self._at_call(row)

    def finish(self, now_us: int) -> Iterator[SpanPlan]:
        """The session has ended: whatever is open ends too."""
        yield from self._ended(now_us)
        yield from self._heard

    def _begin_turn(self, row: Row, message: Utterance) -> Iterator[SpanPlan]:
        begin_us = min([row.sent_us, *(span.begin_us for span in self._heard)])
        self._turn = SpanPlan("invoke_agent", begin_us, message.turn)
        heard, self._heard = self._heard, []
        for span in heard:
            span.turn = message.turn
            yield span

    def _at_gate(self, row: Row) -> Iterator[SpanPlan]:
        message, turn = row.message, self._turn
        if turn is None or row.turn != turn.turn:
            return
        if isinstance(message, PlaybackStarted):
            turn.attributes.setdefault("flowkit.first_sound_ms", (message.at_us - turn.begin_us) / 1000)
        elif isinstance(message, Fault):
            turn.error = message.what
        elif isinstance(message, ReplyPlayed):
            yield from self._ended(row.handled_us)

    def _at_asr(self, row: Row) -> Iterator[SpanPlan]:
        message = row.message
        if isinstance(message, SpeechStarted):
            self._calls.setdefault(self._asr, SpanPlan("speech_to_text", row.handled_us))
        elif isinstance(message, Final) and (span := self._calls.pop(self._asr, None)) is not None:
            span.end_us = row.handled_us
            if message.text:
                self._heard.append(span)
            else:
                yield span

    def _at_call(self, row: Row) -> Iterator[SpanPlan]:
        stage, message, call = row.stage, row.message, self._calls[row.stage]
        if isinstance(message, Token):
            call.attributes.setdefault("flowkit.first_item_ms", (row.sent_us - call.begin_us) / 1000)
            call.attributes["flowkit.items"] = call.attributes.get("flowkit.items", 0) + 1
        elif isinstance(message, Done | Failed | Interrupt):
            call.error = message.what if isinstance(message, Failed) else ""
            if isinstance(message, Interrupt):
                call.attributes["flowkit.cancelled"] = True
            yield self._closed(stage, row.handled_us)
        elif row.cause_stage == "":
            call.attributes.setdefault("flowkit.first_item_ms", (row.sent_us - call.begin_us) / 1000)

    def _end_reason(self, reason: str) -> None:
        if self._turn is not None:
            self._turn.attributes["flowkit.end_reason"] = reason

    def _closed(self, stage: str, now_us: int) -> SpanPlan:
        call = self._calls.pop(stage)
        call.end_us = now_us
        return call

    def _ended(self, now_us: int) -> Iterator[SpanPlan]:
        """End the turn, and the calls of it that are still open."""
        for stage in (self._llm, self._tts):
            if stage in self._calls:
                yield self._closed(stage, now_us)
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end_us = now_us
            yield turn
