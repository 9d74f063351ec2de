"""Scripted fakes for every kind: fixed answers at declared times, for pipelines without models and for tests.

They answer inline, so both pumps run the same objects.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import (
    Ask,
    Audio,
    Done,
    EndOfUtterance,
    Failed,
    Final,
    Frames,
    InputEnded,
    Message,
    Partial,
    Probability,
    Speak,
    SpeechStarted,
    Token,
)
from flowkit.providers.base import Surroundings
from flowkit.providers.inline import Answer, InlineCall, InlineProvider

_US = 1_000_000
_SAID_BY = "scripted: "
"""Before what a failing fake says, as a pump puts every provider's name before what it raised."""
_TOKEN = re.compile(r"\s*\S+|\s+")


class ScriptedProvider(InlineProvider):
    """Says what it is told to say, when it is told to say it."""

    name = "scripted"


# -- microphone --------------------------------------------------------------------------------------------------------


class Speech(opt.Options):
    """One stretch of voice."""

    at: opt.Duration
    """When it begins, from the session's start."""
    lasts: opt.Duration
    """How long the voice lasts."""


class ScriptedSource(ScriptedProvider):
    """A user who speaks at declared times: noise while `speech` lasts, silence else, and silence for ever after `length`."""

    kind = "mic"

    class Options(opt.Options):
        speech: tuple[Speech, ...] = ()
        """When the user's voice sounds."""
        length: opt.Duration = opt.us("0s")
        """When the input ends; at the least 200 ms after the last voice."""

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        frame_us = around.frame_us
        samples = around.input_rate_hz * frame_us // _US
        self._silence = bytes(2 * samples)
        self._voice = (b"\x00\x10\x00\xf0" * samples)[: 2 * samples]
        self._frame_us = frame_us
        spans = sorted((s.at, s.at + s.lasts) for s in options.speech)
        last_us = max((b for _, b in spans), default=0)
        self._length = -(-max(options.length, last_us + 200_000) // frame_us)
        self._stretches = list(self._of_one_sound([(a // frame_us, -(-b // frame_us)) for a, b in spans]))

    def _of_one_sound(self, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int, bytes]]:
        """Silence and voice by turns, up to the input's end: each stretch's first frame, the one behind its last, and its sound."""
        begin = 0
        for first, end in spans:
            if begin < first:
                yield begin, first, self._silence
            yield max(begin, first), end, self._voice
            begin = max(begin, end)
        yield begin, self._length, self._silence

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=self._frames)

    def _frames(self) -> Iterator[tuple[int, Message]]:
        frame_us = self._frame_us
        for first, end, pcm in self._stretches:
            for index in range(first, end):
                yield (index + 1) * frame_us, Frames(index, 1, pcm)
        yield self._length * frame_us, InputEnded(self._length)
        for index in itertools.count(self._length):
            yield (index + 1) * frame_us, Frames(index, 1, self._silence)


# -- VAD ---------------------------------------------------------------------------------------------------------------


class ScriptedVad(ScriptedProvider):
    """A VAD that hears any sound at all: a frame's probability is high if it begins with one."""

    kind = "vad"

    class Options(opt.Options):
        latency: opt.Duration = opt.us("0s")
        """From a frame to its probability."""
        voiced: float = Field(0.95, ge=0, le=1)
        """Probability given to a frame with sound."""
        silent: float = Field(0.02, ge=0, le=1)
        """Probability given to a silent frame."""

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._latency, self._voiced, self._silent = int(options.latency), options.voiced, options.silent

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if not isinstance(item, Frames):
            return ()
        p = self._voiced if item.pcm[:4].strip(b"\0") else self._silent
        return ((self._latency, Probability(item.index + item.count - 1, p)),)


# -- ASR ---------------------------------------------------------------------------------------------------------------


class _Hearing:
    """Partials grow while speech lasts; each end of utterance gets its declared text."""

    def __init__(self, options: ScriptedAsr.Options, frame_us: int) -> None:
        self._options = options
        self._frame_us = frame_us
        self._utterance = 0
        self._frames: int | None = None
        self._partials = 0

    def _text(self) -> str:
        texts = self._options.utterances
        return texts[self._utterance] if self._utterance < len(texts) else ""

    def fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if self._frames is None and type(item) is Frames:
            return ()
        if isinstance(item, SpeechStarted) and self._frames is None:
            self._frames = 0
        elif isinstance(item, EndOfUtterance):
            text, self._frames, self._partials = self._text(), None, 0
            self._utterance = item.utterance
            return (Answer(self._options.final_after, Final(text, item.utterance)),)
        elif isinstance(item, Frames) and self._frames is not None:
            self._frames += item.count
            return self._partial()
        return ()

    def _partial(self) -> Iterable[tuple[int, Message]]:
        due = (self._frames or 0) * self._frame_us // self._options.partial_every
        words = self._text().split()
        if due <= self._partials or not words:
            return ()
        self._partials = due
        return (Answer(self._options.partial_after, Partial(" ".join(words[: self._partials]))),)


class ScriptedAsr(ScriptedProvider):
    """An ASR that knows beforehand what will be said."""

    kind = "asr"

    class Options(opt.Options):
        utterances: tuple[str, ...] = ()
        """Final transcripts, in order; empty for more utterances than are declared."""
        final_after: opt.Duration = opt.us("80ms")
        """From the end of utterance to its final transcript."""
        partial_every: opt.Duration = opt.us("300ms")
        """Speech between two partials; each has one word more."""
        partial_after: opt.Duration = opt.us("50ms")
        """From the frame that brings a partial to the partial."""

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=_Hearing(self.options, self.around.frame_us).fed)


# -- LLM ---------------------------------------------------------------------------------------------------------------


class Reply(opt.Options):
    """One reply of the scripted LLM."""

    text: str = ""
    """What it says; split into tokens at spaces unless `tokens` is given."""
    to: str = ""
    """The user text that it answers; empty: taken in order of turns."""
    tokens: tuple[str, ...] = ()
    """The exact tokens, instead of `text`."""
    fail_after: int | None = Field(default=None, ge=0)
    """Fail after this many tokens."""


class ScriptedLlm(ScriptedProvider):
    """An LLM that says what it was told to say: by the user's text, else by the turn's number."""

    kind = "llm"

    class Options(opt.Options):
        replies: tuple[Reply, ...] = ()
        """What to say."""
        first_token: opt.Duration = opt.us("180ms")
        """From the request to the first token."""
        per_token: opt.Duration = opt.us("12ms")
        """Between tokens."""

    options: Options

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._by_text = {reply.to: reply for reply in options.replies if reply.to}
        self._in_order = [reply for reply in options.replies if not reply.to]

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Ask)
        reply = self._by_text.get(request.text)
        if reply is None and self._in_order:
            reply = self._in_order[(request.turn - 1) % len(self._in_order)]
        return InlineCall(opened=lambda: self._said(reply or Reply()))

    def _said(self, reply: Reply) -> Iterator[tuple[int, Message]]:
        options = self.options
        tokens = reply.tokens or _TOKEN.findall(reply.text)
        at_us = options.first_token
        for index, text in enumerate(tokens[: reply.fail_after]):
            yield Answer(at_us, Token(index, text))
            at_us += options.per_token
        if reply.fail_after is not None:
            yield Answer(at_us, Failed("error", _SAID_BY + "the scripted reply fails here"))
        yield Answer(max(options.first_token, at_us - options.per_token), Done())


# -- TTS ---------------------------------------------------------------------------------------------------------------


class ScriptedTts(ScriptedProvider):
    """A voice whose audio comes at declared times: a soft tone as long as the text, in pieces."""

    kind = "tts"

    class Options(opt.Options):
        first_audio: opt.Duration = opt.us("110ms")
        """From the request to the first piece of audio."""
        synthesis_per_char: opt.Duration = opt.us("0s")
        """Added to `first_audio` for each character: a voice that makes a clause whole before it gives any of it."""
        per_piece: opt.Duration = opt.us("5ms")
        """Between pieces."""
        piece: opt.Duration = opt.us("100ms")
        """Sound in one piece."""
        per_char: opt.Duration = opt.us("60ms")
        """Sound for one character of text."""
        rate: int = Field(16_000, ge=8_000, le=48_000)
        """Sample rate in Hz."""
        fail: bool = False
        """Fail instead of the first piece."""

    options: Options

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Speak)
        return InlineCall(opened=lambda: self.spoken(request))

    def spoken(self, request: Speak) -> Iterator[tuple[int, Message]]:
        """The clause's sound, then Done."""
        options, clause = self.options, request.clause
        samples = max(1, len(request.text) * options.per_char * options.rate // _US)
        piece = max(1, options.piece * options.rate // _US)
        first_us = at_us = options.first_audio + len(request.text) * options.synthesis_per_char
        if options.fail:
            yield Answer(at_us, Failed("error", _SAID_BY + "the scripted voice fails here"))
        for first in range(0, samples if request.text.strip() else 0, piece):
            count = min(piece, samples - first)
            pcm = (b"\x00\x08\x00\xf8" * count)[: 2 * count]
            yield Answer(at_us, Audio(clause, first, count, options.rate, samples, pcm))
            at_us += options.per_piece
        yield Answer(max(first_us, at_us - options.per_piece), Done())
