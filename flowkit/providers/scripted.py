"""Scripted fakes of every kind: they give fixed answers at fixed times. For tests, and for pipelines without models.

They are inline providers, so both pumps run the same objects.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field, model_validator

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
    Prediction,
    Probability,
    Speak,
    SpeechStarted,
    Token,
    ToolCall,
    ToolOutcome,
    ToolStatus,
    TurnSoFar,
)
from flowkit.providers.base import Surroundings
from flowkit.providers.inline import Answer, InlineCall, InlineProvider

_US = 1_000_000
_PREFIX = "scripted: "
"""Prefix of a failure's text. The pumps put the provider's name before any exception in the same way."""
_TOKEN = re.compile(r"\s*\S+|\s+")


class ScriptedProvider(InlineProvider):
    """Base class of the scripted fakes."""

    name = "scripted"


# -- microphone --------------------------------------------------------------------------------------------------------


class ScriptedSpeech(opt.Options):
    """One period of speech."""

    at: opt.Duration
    """When it starts, from the start of the session."""
    lasts: opt.Duration
    """How long it lasts."""


class ScriptedSource(ScriptedProvider):
    """A microphone with a user who speaks at declared times: a constant tone during `speech`, otherwise silence.

    After `length` it emits ``InputEnded`` and then silence without end.
    """

    kind = "mic"

    class Options(opt.Options):
        speech: tuple[ScriptedSpeech, ...] = ()
        """When the user speaks."""
        length: opt.Duration = opt.us("0s")
        """When the input ends, but not before 200 ms after the last speech."""

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
        self._sections = list(self._split([(a // frame_us, -(-b // frame_us)) for a, b in spans]))

    def _split(self, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int, bytes]]:
        """The input as sections of silence and of speech: first frame, end (exclusive), and the PCM of each frame."""
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
        for first, end, pcm in self._sections:
            for index in range(first, end):
                yield (index + 1) * frame_us, Frames(index, 1, pcm)
        yield self._length * frame_us, InputEnded(self._length)
        for index in itertools.count(self._length):
            yield (index + 1) * frame_us, Frames(index, 1, self._silence)


# -- VAD ---------------------------------------------------------------------------------------------------------------


class ScriptedVad(ScriptedProvider):
    """A VAD that takes any non-zero sample for speech. It looks at the first two samples of a message's frames."""

    kind = "vad"

    class Options(opt.Options):
        latency: opt.Duration = opt.us("0s")
        """Delay from a frame to its probability."""
        voiced: float = Field(0.95, ge=0, le=1)
        """Probability of a frame with sound."""
        silent: float = Field(0.02, ge=0, le=1)
        """Probability of a silent frame."""

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


class _Recognition:
    """The state of one ASR call: emits growing partials during speech, and the declared text at each end of
    utterance."""

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
    """An ASR with declared transcripts."""

    kind = "asr"

    class Options(opt.Options):
        utterances: tuple[str, ...] = ()
        """Final transcripts, in order. Further utterances get an empty transcript."""
        final_after: opt.Duration = opt.us("80ms")
        """Delay from the end of utterance to its final transcript."""
        partial_every: opt.Duration = opt.us("300ms")
        """Speech between two partial transcripts. Each has one more word."""
        partial_after: opt.Duration = opt.us("50ms")
        """Delay from the frame that causes a partial transcript to the transcript."""

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=_Recognition(self.options, self.around.frame_us).fed)


# -- end of turn ---------------------------------------------------------------------------------------------------------


class ScriptedTurn(ScriptedProvider):
    """An end-of-turn predictor with declared probabilities."""

    kind = "turn"

    class Options(opt.Options):
        likelihood: tuple[float, ...] = (0.5,)
        """The probabilities of its answers, in order. The last one is given again."""
        latency: opt.Duration = opt.us("0s")
        """Delay from what was said to the answer."""
        hangs: bool = False
        """It never answers."""

    def open(self, request: Message) -> InlineCall:
        left = list(self.options.likelihood)

        def fed(item: Message) -> Iterable[tuple[int, Message]]:
            if not isinstance(item, TurnSoFar) or self.options.hangs:
                return ()
            p = left.pop(0) if len(left) > 1 else left[0]
            return (Answer(self.options.latency, Prediction(p, self.name, item.until)),)

        return InlineCall(fed=fed)


# -- LLM ---------------------------------------------------------------------------------------------------------------


class ScriptedCall(opt.Options):
    """A tool call of the scripted LLM."""

    name: str
    """The tool."""
    arguments: str = "{}"
    """The arguments, as the JSON text that a model would write."""


class ScriptedReply(opt.Options):
    """One reply of the scripted LLM."""

    text: str = ""
    """The reply. It is split into tokens at spaces unless `tokens` is given."""
    to: str = ""
    """The user text that it answers. Replies without it are used in order of turns."""
    tokens: tuple[str, ...] = ()
    """The exact tokens, instead of `text`."""
    fail_after: int | None = Field(default=None, ge=0)
    """Fail after this many tokens."""
    calls: tuple[ScriptedCall, ...] = ()
    """Tools that it calls after its text."""
    after: str = ""
    """The tool whose outcome it answers, as the first one called. The outcome of a tool that no reply names is said as it is."""

    @model_validator(mode="after")
    def _answers_the_tool(self) -> ScriptedReply:
        # An empty text that is written down is a model that says nothing.
        if self.after and not self.model_fields_set & {"text", "tokens", "calls", "fail_after"}:
            raise ValueError("a reply after a tool needs text, tokens, calls or fail_after")
        return self


class ScriptedLlm(ScriptedProvider):
    """An LLM with declared replies, chosen by the user's text or else by the order of the turns in which it is asked."""

    kind = "llm"
    chooses = True

    class Options(opt.Options):
        replies: tuple[ScriptedReply, ...] = ()
        """The replies."""
        first_token: opt.Duration = opt.us("180ms")
        """Delay from the request to the first token."""
        per_token: opt.Duration = opt.us("12ms")
        """Time between two tokens."""

    options: Options

    @classmethod
    def calls_tools(cls, options: Any) -> frozenset[str]:
        return frozenset(call.name for reply in options.replies for call in reply.calls)

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._by_text = {reply.to: reply for reply in options.replies if reply.to and not reply.after}
        self._in_order = [reply for reply in options.replies if not reply.to and not reply.after]
        self._asked: dict[int, int] = {}
        self._after = [reply for reply in options.replies if reply.after]

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Ask)
        reply = self._after_tools(request) if request.steps else self._by_text.get(request.text)
        if reply is None and self._in_order:
            asked = self._asked.setdefault(request.turn, len(self._asked))
            reply = self._in_order[asked % len(self._in_order)]
        return InlineCall(opened=lambda: self._answers(reply or ScriptedReply()))

    def _after_tools(self, request: Ask) -> ScriptedReply:
        """The reply to a tool's outcome."""
        called = request.steps[-1].calls[0]
        fitting = (r for r in self._after if r.after == called.name and r.to in ("", request.text))
        return next(fitting, ScriptedReply(text=called.content))

    def _answers(self, reply: ScriptedReply) -> Iterator[tuple[int, Message]]:
        options = self.options
        tokens = reply.tokens or _TOKEN.findall(reply.text)
        at_us = options.first_token
        for index, text in enumerate(tokens[: reply.fail_after]):
            yield Answer(at_us, Token(index, text))
            at_us += options.per_token
        if reply.fail_after is not None:
            yield Answer(at_us, Failed("error", _PREFIX + "the scripted reply fails here"))
        last_us = max(options.first_token, at_us - options.per_token)
        for number, call in enumerate(reply.calls):
            yield Answer(last_us, ToolCall(str(number), call.name, call.arguments))
        yield Answer(max(options.first_token, at_us - options.per_token), Done())


# -- TTS ---------------------------------------------------------------------------------------------------------------


class ScriptedTts(ScriptedProvider):
    """A TTS whose audio comes at declared times: a soft tone, in pieces. Its length follows from the length of the
    text."""

    kind = "tts"

    class Options(opt.Options):
        first_audio: opt.Duration = opt.us("110ms")
        """Delay from the request to the first piece of audio."""
        synthesis_per_char: opt.Duration = opt.us("0s")
        """Added to `first_audio` for each character, like a TTS that synthesizes a whole clause before it emits any
        audio."""
        per_piece: opt.Duration = opt.us("5ms")
        """Time between two pieces."""
        piece: opt.Duration = opt.us("100ms")
        """Length of the audio in one piece."""
        per_char: opt.Duration = opt.us("60ms")
        """Length of the audio for one character of text."""
        rate: int = Field(16_000, ge=8_000, le=48_000)
        """Sample rate in Hz."""
        fail: bool = False
        """Fail instead of the first piece."""

    options: Options

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Speak)
        return InlineCall(opened=lambda: self.spoken(request))

    def spoken(self, request: Speak) -> Iterator[tuple[int, Message]]:
        """The clause's audio, then Done."""
        options, clause = self.options, request.clause
        samples = max(1, len(request.text) * options.per_char * options.rate // _US)
        piece = max(1, options.piece * options.rate // _US)
        first_us = at_us = options.first_audio + len(request.text) * options.synthesis_per_char
        if options.fail:
            yield Answer(at_us, Failed("error", _PREFIX + "the scripted voice fails here"))
        for first in range(0, samples if request.text.strip() else 0, piece):
            count = min(piece, samples - first)
            pcm = (b"\x00\x08\x00\xf8" * count)[: 2 * count]
            yield Answer(at_us, Audio(clause, first, count, options.rate, samples, pcm))
            at_us += options.per_piece
        yield Answer(max(first_us, at_us - options.per_piece), Done())


# -- tools -------------------------------------------------------------------------------------------------------------


class ScriptedOutcome(opt.Options):
    """What comes of the calls of one tool."""

    tool: str
    """The tool's name."""
    after: opt.Duration = opt.us("50ms")
    """From the call to its outcome."""
    says: str = "ok"
    """The outcome, as the model gets it."""
    fails: bool = False
    """It is an error."""
    hangs: bool = False
    """It never comes."""


class ScriptedTools(ScriptedProvider):
    """Tools with declared outcomes. One that is not declared says `ok` after 50 ms."""

    kind = "tools"

    class Options(opt.Options):
        outcomes: tuple[ScriptedOutcome, ...] = ()
        """What comes of calls, by tool."""

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._outcomes = {outcome.tool: outcome for outcome in options.outcomes}

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if not isinstance(item, ToolCall):
            return ()  # what was cancelled comes for all that, and is stale
        outcome = self._outcomes.get(item.name) or ScriptedOutcome(tool=item.name)
        if outcome.hangs:
            return ()
        status = ToolStatus.ERROR if outcome.fails else ToolStatus.RESULT
        return (Answer(outcome.after, ToolOutcome(item.id, status.value, outcome.says)),)
