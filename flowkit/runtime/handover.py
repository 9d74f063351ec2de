"""What one attempt leaves to the next, so that a turn that fails over is heard once and in full.

There is one class for each kind of request. It makes the request and the input of the next attempt. It passes the items of
several attempts on as if they were one. And it knows whether the provider owes an item now. Only then does silence count.

- A reply: the next model continues what was said, or is asked again. A beginning that repeats what was said is left out
  (``repeats``).
- A clause, or the clauses of a reply: the next voice gets the text from the first word that did not sound in full. Word times
  say which word that is, or else the reading speed.
- Transcription: the audio since the last final transcript is fed again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import ClassVar

from flowkit.messages import (
    Ask,
    Audio,
    ClauseEnded,
    EndOfUtterance,
    Final,
    Frames,
    Message,
    Narrate,
    Speak,
    SpeechStarted,
    Token,
    ToolCall,
    Transcribe,
    WordTimes,
)
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError, Trouble
from flowkit.runtime.fed import FedItems, Reader
from flowkit.secrets import mask
from flowkit.stages.llm import LlmTurn
from flowkit.stages.repeats import Repeats
from flowkit.stages.unspoken import FirstWord, SpokenText
from flowkit.stages.written import written_calls
from flowkit.words import has_words, sounded, speaking_s, spoken_until

Pass = Callable[[Message], Awaitable[None]]
# A text without words takes no time to speak, and times are divided by that.
_LEAST_S = 1e-3


class Work(ABC):
    """A request, however many attempts it takes."""

    def __init__(self, request: Message) -> None:
        self.request = request

    @abstractmethod
    def begin(self, provider: Provider) -> Message:
        """Begin an attempt at `provider`; returns its request."""

    def fed(self) -> AsyncIterator[Message]:
        """The input of the attempt."""
        return Reader(None)

    @abstractmethod
    async def take(self, item: Message, emit: Pass) -> None:
        """Handle an item of the attempt: pass on what the stage does not have yet."""

    lasting: ClassVar[bool] = False
    """Whether the work is done piece by piece. Then attempts are counted from the last piece on. If not, progress earns none."""

    flows: ClassVar[bool] = True
    """Whether the next item is owed as soon as there was a first (`idle_timeout`), and not only when more is fed."""

    async def end(self, emit: Pass) -> None:  # noqa: B027 - most hold nothing back
        """Handle the end of an attempt that succeeded: pass on what was held back."""

    @property
    def owed(self) -> bool:
        """Whether the provider owes an item now."""
        return True

    @property
    def complete(self) -> bool:
        """Whether everything has been said, so that no further attempt is needed."""
        return False

    def useful(self, item: Message) -> bool:
        """Whether the item is part of the answer. Markers and partial transcripts are not."""
        return isinstance(item, (Token, Audio, Final))


# -- a reply -----------------------------------------------------------------------------------------------------------


class ReplyWork(Work):
    """An LLM's reply. The tokens of several attempts are numbered as one reply. Reasoning is neither passed on nor compared."""

    request: Ask

    def __init__(self, request: Ask, *, text_tools: bool = False) -> None:
        """`text_tools`: calls that are written as text are passed on as calls."""
        super().__init__(request)
        self._text_tools = text_tools
        self._said = request.said
        self._wordless = ""
        self._calls: list[ToolCall] = []
        self._tokens = 0
        self._spoken, self._first = SpokenText(), FirstWord()
        self._repeats: Repeats | None = None

    def begin(self, provider: Provider) -> Message:
        # Once words were passed on, nothing is held back for a first one.
        self._spoken, self._first = SpokenText(), FirstWord(found=bool(self._said))
        self._repeats = Repeats(self._said, resumes=provider.resumes) if self._said else None
        # What had no words was never passed on, so the next attempt must not begin with it.
        self._wordless = ""
        # The next attempt makes its own calls; those kept would run twice.
        self._calls.clear()
        return replace(self.request, said=self._said if provider.resumes else "")

    async def take(self, item: Message, emit: Pass) -> None:
        if isinstance(item, Token):
            await self._say(self._spoken.feed(item.text), emit)
        elif isinstance(item, ToolCall):
            self._calls.append(item)

    def useful(self, item: Message) -> bool:
        """Reasoning is no part of the answer."""
        if isinstance(item, ToolCall):
            return True
        if not isinstance(item, Token):
            return False
        # A copy is asked, because `take` feeds the same text to the real one.
        copy = replace(self._spoken)
        return bool(copy.feed(item.text)) or (self._text_tools and copy.call != self._spoken.call)

    async def end(self, emit: Pass) -> None:
        """An attempt that has failed has called nothing: calls are passed on when it is over."""
        await self._say(self._spoken.end(), emit)
        if self._text_tools and not self._calls:
            self._calls.extend(written_calls(self._spoken.calls))
        for call in self._calls:
            await emit(call)
        if not self._first.end() and not self._calls:
            # Masked before it is cut: half a secret would not be recognised.
            raise CloudError(Trouble.EMPTY, f"the reply has no words: {mask(self._wordless)[:40]!r}")
        await self._pass("", emit)

    async def _say(self, text: str, emit: Pass) -> None:
        """Pass on what is new, from the first word on: of a reply without one nothing was said, and another may be asked for it."""
        if not (new := self._repeats.feed(text) if self._repeats else text):
            return
        if self._first.feed(new):
            await self._pass(new, emit)
        else:
            self._wordless += new

    async def _pass(self, new: str, emit: Pass) -> None:
        new, self._wordless = self._wordless + new, ""
        if new:
            self._said += new
            self._tokens += 1
            await emit(Token(self._tokens - 1, new))


# -- a voice -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ClauseProgress:
    """How far a clause has sounded.

    `samples` have come, at `rate_hz`. Earlier attempts gave `base` of them, and the word times `words`. `fresh` are the word
    times of this attempt.
    """

    clause: int
    text: str
    samples: int = 0
    rate_hz: int = 0
    base: int = 0
    words: tuple[tuple[str, int], ...] = ()
    fresh: tuple[tuple[str, int], ...] = ()

    def audio(self, item: Audio) -> Audio:
        """The attempt's audio, placed after the audio of earlier attempts."""
        # The next voice may have another rate. What came before is then counted in samples of the new one.
        if self.rate_hz and item.rate_hz != self.rate_hz:
            self.words = tuple((word, at * item.rate_hz // self.rate_hz) for word, at in self.words)
            self.base = self.base * item.rate_hz // self.rate_hz
        self.rate_hz = item.rate_hz
        # 0 means that the length is not known yet, and stays 0.
        total = item.total + self.base if item.total else 0
        self.samples = self.base + item.first_sample + item.samples
        return item if not self.base else replace(item, first_sample=item.first_sample + self.base, total=total)

    def times(self, item: WordTimes) -> WordTimes:
        """The attempt's word times, placed after those of earlier attempts."""
        self.fresh = tuple((word, at + self.base) for word, at in item.words)
        return WordTimes(item.clause, self.words + self.fresh)

    def rest(self) -> str:
        """The text from the first word that did not sound in full. The next attempt speaks it."""
        # Word times come ahead of their audio, so a word counts only once its audio has come.
        whole = tuple(word for word in self.fresh if word[1] <= self.samples)
        sounded_s = (self.samples - self.base) / self.rate_hz if self.rate_hz else 0
        if self.fresh:
            end = spoken_until(self.text, [word for word, _ in whole])
        else:
            end = sounded(self.text, sounded_s / max(speaking_s(self.text), _LEAST_S))
        self.words, self.fresh, self.base = self.words + whole, (), self.samples
        self.text = self.text[end:].lstrip() if end else self.text
        return self.text


class ClauseSpoken(Work):
    """One clause, in one call."""

    request: Speak

    def __init__(self, request: Speak) -> None:
        super().__init__(request)
        self._spoken = ClauseProgress(request.clause, request.text)

    def begin(self, provider: Provider) -> Message:
        if self._spoken.samples:
            self.request = Speak(self.request.clause, self._spoken.rest())
        return self.request

    async def take(self, item: Message, emit: Pass) -> None:
        if isinstance(item, Audio):
            await emit(self._spoken.audio(item))
        elif isinstance(item, WordTimes):
            await emit(self._spoken.times(item))

    @property
    def complete(self) -> bool:
        return bool(self._spoken.samples) and not self.request.text.strip()


class NarrationWork(Work):
    """The clauses of a reply, in one call. The end of a clause acknowledges it."""

    def __init__(self, request: Narrate) -> None:
        super().__init__(request)
        # Nothing is taken ahead of the voice, so that back-pressure reaches the stage.
        self.tape = FedItems(unread=0, kept=1_000)
        self._spoken: ClauseProgress | None = None

    def begin(self, provider: Provider) -> Message:
        if self._spoken is not None and self._spoken.samples:
            # The clause that broke off is the oldest one that is not acknowledged.
            self.tape.replace_first(Speak(self._spoken.clause, self._spoken.rest()))
        return self.request

    def fed(self) -> AsyncIterator[Message]:
        return self.tape.read()

    async def take(self, item: Message, emit: Pass) -> None:
        spoken = self._of(item)
        if isinstance(item, Audio):
            await emit(spoken.audio(item))
        elif isinstance(item, WordTimes):
            await emit(spoken.times(item))
        elif isinstance(item, ClauseEnded):
            self.tape.forget(1)
            self._spoken = None
            # The provider counts its own attempt only; the clause also has the audio of earlier ones.
            await emit(ClauseEnded(item.clause, spoken.samples, item.whole))

    def _of(self, item: Message) -> ClauseProgress:
        first = self.tape.items()[0] if len(self.tape) else None
        if self._spoken is None:
            text = first.text if isinstance(first, Speak) else ""
            self._spoken = ClauseProgress(getattr(item, "clause", 0), text)
        return self._spoken

    @property
    def owed(self) -> bool:
        return len(self.tape) > 0

    def useful(self, item: Message) -> bool:
        return isinstance(item, (Audio, ClauseEnded))


# -- transcription -----------------------------------------------------------------------------------------------------

_KEPT_US = 30_000_000
"""How much audio of one utterance is kept for another attempt."""
_UNREAD_US = 5_000_000
"""How much audio is taken while no provider listens, before the stage's queue fills."""
_QUIET_US = 2_000_000
"""How much audio is kept while nobody speaks: the delay of a detector, and a soft first consonant."""


@dataclass(slots=True)
class _Utterances:
    """Utterances without a final transcript: `owed` have ended, and `speaking` marks the start of one that has not."""

    owed: deque[int] = field(default_factory=deque)
    speaking: SpeechStarted | None = None


class TranscriptionWork(Work):
    """The transcription of a session. The final transcript of an utterance acknowledges it. `wordless` counts the utterances in
    a row whose final transcript had no words.
    """

    lasting = True
    flows = False

    def __init__(self, request: Transcribe, frame_us: int) -> None:
        super().__init__(request)
        self.tape = FedItems(unread=_UNREAD_US // frame_us, kept=_KEPT_US // frame_us)
        self._quiet = _QUIET_US // frame_us
        self._utterances = _Utterances()
        self.wordless = 0

    def begin(self, provider: Provider) -> Message:
        return self.request

    def fed(self) -> AsyncIterator[Message]:
        return self.tape.read()

    def seen(self, item: Message) -> None:
        """Handle an item that the stage fed."""
        utterances = self._utterances
        if isinstance(item, SpeechStarted):
            utterances.speaking = item
        elif isinstance(item, EndOfUtterance):
            # One that is ended for its length has the next one's beginning ahead of it.
            if utterances.speaking is not None and utterances.speaking.frame <= item.last_voiced:
                utterances.speaking = None
            utterances.owed.append(item.utterance)
        elif self.idle:
            self.tape.forget(len(self.tape) - self._quiet)

    @property
    def idle(self) -> bool:
        """Whether nobody speaks and no final transcript is owed. Only then are providers changed."""
        return self._utterances.speaking is None and not self._utterances.owed

    async def take(self, item: Message, emit: Pass) -> None:
        if isinstance(item, Final):
            if item.utterance in self._utterances.owed:
                self._acknowledge(item.utterance)
                self.wordless = 0 if has_words(item.text) else self.wordless + 1
            elif self._utterances.owed:
                return  # of an utterance that has its Final already
        await emit(item)

    async def end(self, emit: Pass) -> None:
        """Handle the end of an attempt. It has failed if the input goes on."""
        if not self.tape.ended:
            raise CloudError(Trouble.CLOSED, "the transcriber stopped before the session ended")

    def _acknowledge(self, utterance: int) -> None:
        items, count = self.tape.items(), 0
        for place, item in enumerate(items, 1):
            if isinstance(item, EndOfUtterance) and item.utterance <= utterance:
                count = place
        next_one = self._utterances.speaking
        # The next utterance began before this one ended. Without its start the next attempt would not know of it.
        if next_one is not None and next_one in islice(items, count):
            self.tape.forget(count - 1)
            self.tape.replace_first(next_one)
        else:
            self.tape.forget(count)
        while self._utterances.owed and self._utterances.owed[0] <= utterance:
            self._utterances.owed.popleft()

    @property
    def owed(self) -> bool:
        return bool(self._utterances.owed)

    def useful(self, item: Message) -> bool:
        return isinstance(item, Final)

    @property
    def frames(self) -> int:
        """How many frames the next attempt gets again."""
        return sum(item.count for item in self.tape.items() if isinstance(item, Frames))


def work_for(request: Message, around: Surroundings) -> Work | None:
    """The work of a request, or None for a kind of request that does not fail over."""
    match request:
        case Ask():
            return ReplyWork(request, text_tools=isinstance(around.stage, LlmTurn.Options) and around.stage.text_tools)
        case Speak():
            return ClauseSpoken(request)
        case Narrate():
            return NarrationWork(request)
        case Transcribe():
            return TranscriptionWork(request, around.frame_us)
    return None
