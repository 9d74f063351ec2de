"""Pipecat's spans: ``PipelineTask(enable_tracing=True, enable_turn_tracking=True)`` of pipecat-ai 1.14.

A conversation is a trace of OpenTelemetry. Its ``turn`` spans are numbered; ``stt``, ``llm`` and ``tts`` spans are their
children. Speech begins where an ``stt`` span does, and ends `metrics.ttfb` before its end. A reply sounds `metrics.ttfb` after
the begin of its ``tts`` span. https://docs.pipecat.ai/api-reference/server/utilities/opentelemetry
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from flowkit.calls.call import CallLine, ModelCall
from flowkit.calls.reports.otel import OtelSpan, SpanFile
from flowkit.calls.reports.report import CallReport
from flowkit.errors import InputError, UsageError
from flowkit.plural import counted

_NAMES = ("conversation", "turn", "stt", "llm", "tts")
_TOGETHER_US = 100_000
"""A turn that begins so soon after the end of the one before has ended it."""
_SET_US = 250_000
"""How much longer than its span a turn may have lasted by the clock that cannot be set."""
_PACE_US = 60_000
"""How long a letter sounds where no reply of the call tells."""
_LEAST_US = 100_000
"""The shortest line."""
_UNKNOWN_US = 60_000_000
"""A bot that was killed has spoken on for no longer."""
_BACKWARDS = "the times run backwards: was the clock set during the call?"
_TRACKED = "run the pipeline with enable_tracing=True and enable_turn_tracking=True"
_MEASURED = "PipelineParams(enable_metrics=True) adds them"


def read_pipecat(path: Path, file: SpanFile, conversation: str = "") -> CallReport:
    """The call of a conversation.

    Args:
        path: the file of the spans, for errors.
        file: its spans.
        conversation: the ``conversation.id``, or the trace; needed if there are several.

    Raises:
        InputError: no span belongs to a conversation, or times are impossible.
        UsageError: there are several conversations, or not this one.
    """
    spans, notices = _chosen(path, file.spans, conversation)
    return _Conversation(path, spans, [*file.notices, *notices]).report()


def _chosen(path: Path, spans: Sequence[OtelSpan], wanted: str) -> tuple[list[OtelSpan], list[str]]:
    """The spans of the conversation, and what was left out."""
    traces: dict[str, list[OtelSpan]] = {}
    for span in spans:
        traces.setdefault(span.trace, []).append(span)
    talks = {trace: own for trace, own in traces.items() if any(span.name in _NAMES[:2] for span in own)}
    strays = Counter(span.name for trace, own in traces.items() if trace not in talks for span in own)
    told = (
        [f"{path}: {counted(strays.total(), 'span')} of no conversation, left out: {_listed(strays)}"] if strays else []
    )
    if not talks:
        raise InputError(f"{path}: holds no conversation of Pipecat, only {_listed(strays)}", hint=_TRACKED)
    fits = {trace: own for trace, own in talks.items() if not wanted or wanted in (trace, _id(own))}
    if len(fits) == 1:
        return next(iter(fits.values())), told
    names = Counter(map(_id, talks.values()))
    # Two conversations may have the same id, as of a user who called twice.
    known = ", ".join(_id(own) if names[_id(own)] == 1 else trace for trace, own in talks.items())
    what = f"has no conversation {wanted!r}" if not fits else f"holds {len(fits)} conversations"
    raise UsageError(f"{path}: {what}; --conversation takes one of {known}")


def _id(spans: Sequence[OtelSpan]) -> str:
    """The conversation's own id, or else its trace."""
    ids = (str(span.attributes["conversation.id"]) for span in spans if "conversation.id" in span.attributes)
    return next(ids, spans[0].trace)


def _listed(names: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in names.most_common(5))


class _Turn(NamedTuple):
    """A turn of Pipecat: from the user's voice to the next one, or to some time after the agent has fallen silent."""

    number: int
    begin_us: int
    end_us: int
    silent_us: int | None
    """When the agent had fallen silent; None if the turn does not tell."""
    cut: bool
    """Whether the user cut the agent off, which ended the turn."""
    until_us: int
    """When the next turn begins, or the conversation ends."""


class _Voiced(NamedTuple):
    """A reply: when it sounds, and until when at the latest. `end_us`: when it ended, if that is known."""

    turn: _Turn
    begin_us: int
    end_us: int | None
    until_us: int
    text: str


class _Conversation:
    """The spans of one conversation."""

    def __init__(self, path: Path, spans: Sequence[OtelSpan], notices: list[str]) -> None:
        self._path = path
        self._notices, self._guesses = notices, list[str]()
        self._own = {name: [span for span in spans if span.name == name] for name in _NAMES}
        whole = self._own["conversation"]
        self._began_us = min(span.begin_us for span in whole or spans)
        # Of a bot that was killed nobody knows how long its last words would have sounded.
        self._ended_us = max(span.end_us for span in spans) + (0 if whole else _UNKNOWN_US)
        self._lasts_us = self._ended_us - self._began_us if whole else 0
        early = next((span for span in spans if span.begin_us < self._began_us), None)
        if early is not None:
            before_s = (self._began_us - early.begin_us) / 1e6
            what = f"a span ({early.name!r}, {early.id}) begins {before_s:.3f} s before the conversation"
            raise InputError(f"{path}: {what}", hint=_BACKWARDS)
        if not whole:
            notices.append(
                f"{path}: the conversation has no end, as of a bot that was killed; it is taken to end with its last words"
            )
        if other := Counter(span.name for span in spans if span.name not in _NAMES):
            notices.append(f"{path}: {counted(other.total(), 'span')} of other kinds, left out: {_listed(other)}")
        ended_us = self._at(self._ended_us)
        self._turns = list(self._turned()) or [_Turn(0, 0, ended_us, None, False, ended_us)]

    def report(self) -> CallReport:
        """The call, with times from its begin."""
        user, calls = tuple(self._heard()), tuple(self._asked())
        agent = tuple(self._said([line.begin_us for line in user]))
        lasts_us = self._lasts_us and max(self._lasts_us, *(line.end_us for line in (*user, *agent)), 0)
        return CallReport(self._began_us, lasts_us, user, agent, calls, tuple(self._notices), tuple(self._guesses))

    def _turned(self) -> Iterator[_Turn]:
        spans = sorted(self._own["turn"], key=_number)
        numbers = list(map(_number, spans))
        if numbers != list(range(1, len(numbers) + 1)):
            told = ", ".join(map(str, numbers)) or "none"
            self._notices.append(f"{self._path}: turns are missing; there are {told}")
        for index, span in enumerate(spans):
            number, following = numbers[index], spans[index + 1] if index + 1 < len(spans) else None
            lasted_us = _lasted_us(span, "turn.duration_seconds") or 0
            if following is not None and following.begin_us < span.begin_us:
                raise InputError(
                    f"{self._path}: turn {numbers[index + 1]} begins before turn {number}", hint=_BACKWARDS
                )
            if lasted_us > span.end_us - span.begin_us + _SET_US:
                lost_s = (lasted_us - span.end_us + span.begin_us) / 1e6
                raise InputError(
                    f"{self._path}: turn {number} lasted {lost_s:.3f} s longer than its span", hint=_BACKWARDS
                )
            by_user = following is not None and following.begin_us - span.end_us < _TOGETHER_US
            cut = by_user and bool(span.attributes.get("turn.was_interrupted"))
            # The last turn is ended by the end of the conversation, and is said to be interrupted.
            by_itself = not by_user and lasted_us and not span.attributes.get("turn.was_interrupted")
            silent_us = span.end_us if cut else span.begin_us + lasted_us if by_itself else None
            yield _Turn(
                number,
                self._at(span.begin_us),
                self._at(span.end_us),
                None if silent_us is None else self._at(silent_us),
                cut,
                self._at(following.begin_us if following else self._ended_us),
            )

    def _at(self, us: int) -> int:
        return us - self._began_us

    def _turn_of(self, span: OtelSpan) -> _Turn:
        """The turn that the span begins in, or the last one before it."""
        at_us = self._at(span.begin_us)
        before = [turn for turn in self._turns if turn.begin_us <= at_us]
        return before[-1] if before else self._turns[0]

    def _heard(self) -> Iterator[CallLine]:
        """What the user said."""
        spoken = [span for span in self._own["stt"] if _words(span, "transcript")]
        self._tell(len(self._own["stt"]) - len(spoken), "of the user without a transcript, left out", self._notices)
        unknown = sum(_lasted_us(span) is None for span in spoken)
        guess = f"of the user without metrics.ttfb, whose voice is taken to end with the transcript; {_MEASURED}"
        self._tell(unknown, guess, self._guesses)
        over_us, guessed = 0, 0
        for span in sorted(spoken, key=lambda span: span.begin_us):
            text = " ".join(_words(span, "transcript"))
            end_us = self._at(span.end_us) - (_lasted_us(span) or 0)
            begin_us = max(over_us, self._at(span.begin_us))
            if end_us - begin_us < _LEAST_US:
                guessed += 1
                end_us = max(end_us, over_us + _LEAST_US)
                begin_us = max(over_us, end_us - max(_LEAST_US, _letters(text) * _PACE_US))
            over_us = end_us
            yield CallLine(begin_us, end_us, text, self._at(span.end_us))
        guess = "of the user whose begin is not known, as without a voice detector; it is taken from the words"
        self._tell(guessed, guess, self._guesses)

    def _asked(self) -> Iterator[ModelCall]:
        """The requests to the LLM. One that gives no text, such as one for a tool, belongs to the next one of its turn."""
        since: dict[int, int] = {}
        tools = unknown = 0
        for span in self._own["llm"]:
            turn = self._turn_of(span)
            asked_us = since.pop(turn.number, self._at(span.begin_us))
            words = len(_words(span, "output"))
            if span.error:
                self._notices.append(f"turn {turn.number}: the LLM failed: {span.error[:80]}")
            elif not words:
                since[turn.number] = asked_us
                continue
            tools += asked_us != self._at(span.begin_us)
            end_us, ttfb_us = self._at(span.end_us), _lasted_us(span)
            if span.error:
                yield ModelCall(asked_us, end_us, end_us, words, span.error)
            elif ttfb_us is None:
                unknown += 1
            else:
                yield ModelCall(asked_us, min(self._at(span.begin_us) + ttfb_us, end_us), end_us, words)
        guess = f"of the LLM without metrics.ttfb, so the whole delay of the answer counts for it; {_MEASURED}"
        self._tell(unknown, guess, self._notices)
        if tools:
            self._notices.append(
                f"the LLM was asked again before it spoke, as for a tool, {tools} x; the spans have no result of it"
            )
        if since:
            self._notices.append(f"the LLM gave no text, {len(since)} x, first in turn {min(since)}")

    def _said(self, asked: Sequence[int]) -> Iterator[CallLine]:
        """What the agent said, as far as it was heard. `asked`: when the user began to speak."""
        voiced = list(self._voiced())
        known = [
            (one.end_us - one.begin_us) / max(1, _letters(one.text))
            for one in voiced
            if one.end_us and not one.turn.cut
        ]
        pace_us = median(known) if known else _PACE_US
        guessed = cut = 0
        for one in voiced:
            needs_us = max(_LEAST_US, round(_letters(one.text) * pace_us))
            end_us = one.end_us
            if end_us is None:
                until_us = min((us for us in asked if us > one.begin_us), default=one.until_us)
                end_us = min(one.begin_us + needs_us, one.until_us, until_us)
            words = one.text.split()
            heard = len(words)
            if one.turn.cut and one.end_us is not None:
                heard = min(heard, max(1, round(heard * (end_us - one.begin_us) / needs_us)))
                cut += heard < len(words)
            guessed += one.end_us is None
            yield CallLine(one.begin_us, end_us, " ".join(words[:heard]))
        if guessed:
            self._guesses.append(
                f"no span says when the agent fell silent, {guessed} x; it is taken from the length of the text"
            )
        if cut:
            self._notices.append(
                f"the user cut the agent off, {cut} x; how many of its words were heard is taken from its pace"
            )

    def _voiced(self) -> Iterator[_Voiced]:
        spans = [span for span in self._own["tts"] if _words(span, "text")]
        self._tell(len(self._own["tts"]) - len(spans), "of the agent without a text, left out", self._notices)
        unknown = sum(_lasted_us(span) is None for span in spans)
        guess = f"of the agent without metrics.ttfb, whose sound is taken to begin with the request; {_MEASURED}"
        self._tell(unknown, guess, self._guesses)
        silent = 0
        begins = [self._at(span.begin_us) + (_lasted_us(span) or 0) for span in spans]
        for index, (span, begin_us) in enumerate(zip(spans, begins, strict=True)):
            turn = self._turn_of(span)
            following_us = begins[index + 1] if index + 1 < len(begins) else turn.until_us
            until_us = min(following_us, turn.end_us if turn.cut else turn.until_us)
            if until_us - begin_us < _LEAST_US:
                silent += 1
                continue
            last = following_us >= turn.end_us
            silent_us = turn.silent_us if last and turn.silent_us and turn.silent_us > begin_us else None
            yield _Voiced(turn, begin_us, silent_us, until_us, " ".join(_words(span, "text")))
        self._tell(silent, "of the agent that did not sound before the user spoke, left out", self._notices)

    def _tell(self, count: int, what: str, into: list[str]) -> None:
        if count:
            into.append(f"{counted(count, 'span')} {what}")


def _lasted_us(span: OtelSpan, name: str = "metrics.ttfb") -> int | None:
    """An attribute of seconds, in microseconds; None if the span has none, or no such thing."""
    value = span.attributes.get(name)
    return round(value * 1e6) if isinstance(value, int | float) and 0 <= value < 1e6 else None


def _words(span: OtelSpan, name: str) -> list[str]:
    value = span.attributes.get(name)
    return value.split() if isinstance(value, str) else []


def _number(turn: OtelSpan) -> int:
    value = turn.attributes.get("turn.number")
    return value if isinstance(value, int) else 0


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
