"""Injects speech into a scripted or recorded session, by wrapping the scripts of its providers.

Injected speech goes in at the microphone: the VAD reports voice in its frames, the ASR answers its end with the given
text, and the LLM answers that text with the given reply. A time that is relative to the agent's reply is found by
running the session without the injection first, because what comes before an injection cannot depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from flowkit.config.tests import After, Injection
from flowkit.engine import Row
from flowkit.errors import UsageError
from flowkit.messages import (
    Ask,
    Clause,
    Done,
    EndOfUtterance,
    Final,
    Message,
    Partial,
    PlaybackStarted,
    Probability,
    ReplyPlayed,
    SpeechStarted,
    Token,
    Utterance,
)
from flowkit.plan.graph import Plan
from flowkit.providers.inline import InlineCall, Script

Answers = Iterable[tuple[int, Message]]
LOUD = 30
"""The level of an injected frame for the reference detector, 15 dB below full scale."""
_VOICED = 0.95
_PARTIAL_US, _FINAL_US, _FIRST_TOKEN_US, _PER_TOKEN_US = 50_000, 80_000, 180_000, 12_000
"""Delays of the transcripts and tokens of injected speech: the defaults of the scripted fakes."""
_SLACK = 3


class InjectedSpeech(NamedTuple):
    """Injected speech: frames `first` to `last`, its text, and the answer."""

    first: int
    last: int
    says: str
    answer: str


EVENTS: Mapping[str, tuple[str, type[Message]]] = {
    "released": ("llm", Utterance),
    "first_token": ("llm", Token),
    "first_clause": ("tts", Clause),
    "first_audio": ("gate", PlaybackStarted),
    "end": ("gate", ReplyPlayed),
}


def when(rows: Iterable[Row], plan: Plan, after: After) -> int:
    """The session time in microseconds that `after` describes. Raises UsageError if it does not occur in `rows`."""
    kind, message = EVENTS[after.event]
    stage = plan.only(kind)
    for row in rows:
        if stage is not None and row.stage == stage.id and isinstance(row.message, message) and row.turn == after.turn:
            if isinstance(row.message, PlaybackStarted):
                return row.message.at_us + after.by
            return row.handled_us + after.by
    raise UsageError(f"turn {after.turn} has no {after.event.replace('_', ' ')} to inject after")


def speech_at(at_us: int, injection: Injection, frame_us: int) -> InjectedSpeech:
    """The injected speech as frames, from session time `at_us` on."""
    assert injection.speech is not None
    first = -(-at_us // frame_us)
    return InjectedSpeech(first, first + max(1, injection.speech // frame_us) - 1, injection.says, injection.answer)


def levels_with(levels: bytes, speech: Iterable[InjectedSpeech]) -> bytes:
    """The levels of a session's microphone frames, with the injected speech added."""
    changed = bytearray(levels)
    for known in speech:
        changed[known.first : known.last + 1] = bytes([LOUD]) * max(0, min(len(changed), known.last + 1) - known.first)
    return bytes(changed)


def with_speech(scripts: Mapping[str, Script], plan: Plan, speech: Sequence[InjectedSpeech]) -> dict[str, Script]:
    """The scripts of a session with injected speech."""
    made = dict(scripts)
    for stage in plan.stages:
        if speech and stage.kind in _HEARING and stage.id in made:
            made[stage.id] = _HEARING[stage.kind](made[stage.id], speech)
    return made


class Around(Script):
    """A script that applies `change` to all answers of another one."""

    def __init__(self, inner: Script, change: Callable[[Answers], Answers]) -> None:
        self._inner = inner
        self._change = change

    def open(self, request: Message) -> InlineCall:
        inner, change = self._inner.open(request), self._change
        return InlineCall(
            opened=lambda: change(inner.opened()),
            fed=lambda item: change(inner.fed(item)),
            ended=lambda: change(inner.ended()),
        )


class HearingVad(Around):
    """A VAD that reports voice in the injected frames."""

    def __init__(self, inner: Script, speech: Sequence[InjectedSpeech]) -> None:
        def voiced(answers: Answers) -> Iterator[tuple[int, Message]]:
            for delay_us, item in answers:
                if isinstance(item, Probability) and any(s.first <= item.frame <= s.last for s in speech):
                    item = Probability(item.frame, _VOICED)
                yield delay_us, item

        super().__init__(inner, voiced)


class HearingAsr(Script):
    """An ASR that transcribes the injected speech. The wrapped ASR does not see its speech events."""

    def __init__(self, inner: Script, speech: Sequence[InjectedSpeech]) -> None:
        self._inner = inner
        self._speech = speech

    def open(self, request: Message) -> InlineCall:
        inner = self._inner.open(request)
        return inner._replace(fed=lambda item: self._fed(inner, item))

    def _fed(self, inner: InlineCall, item: Message) -> Answers:
        frame = getattr(item, "frame", getattr(item, "last_voiced", None))
        known = next(
            (s for s in self._speech if frame is not None and s.first - _SLACK <= frame <= s.last + _SLACK), None
        )
        if known is not None and isinstance(item, SpeechStarted):
            return [(_PARTIAL_US, Partial(known.says))]
        if known is not None and isinstance(item, EndOfUtterance):
            return [(_FINAL_US, Final(known.says, item.utterance))]
        return inner.fed(item)


class TellingLlm(Script):
    """An LLM that answers the injected utterances. The wrapped LLM counts turns without them."""

    def __init__(self, inner: Script, speech: Sequence[InjectedSpeech]) -> None:
        self._inner = inner
        self._speech = speech
        self._injected = 0

    def open(self, request: Message) -> InlineCall:
        if not isinstance(request, Ask):
            return self._inner.open(request)
        # An utterance may also contain earlier, interrupted text. The last injected text in it is answered.
        known = next((s for s in reversed(self._speech) if s.says and s.says in request.text), None)
        if known is None:
            return self._inner.open(replace(request, turn=request.turn - self._injected))
        self._injected += 1
        return InlineCall(opened=lambda: _said(known.answer))


def _said(answer: str) -> Iterator[tuple[int, Message]]:
    at_us = _FIRST_TOKEN_US
    for index, word in enumerate(answer.split()):
        yield at_us, Token(index, word if index == 0 else " " + word)
        at_us += _PER_TOKEN_US
    yield at_us, Done()


_HEARING: Mapping[str, Callable[[Script, Sequence[InjectedSpeech]], Script]] = {
    "vad": HearingVad,
    "asr": HearingAsr,
    "llm": TellingLlm,
}
