"""Scripts that play a call: the sides say what they said, when they said it.

Most scripts answer with a delay. These know when something was said, so they need the time, which they get as `clock`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flowkit.calls.call import FRAME_US, RATE_HZ, CallLine, ImportedCall, ModelCall
from flowkit.chunker.rules import SpeakRules
from flowkit.chunker.speak import speak
from flowkit.messages import (
    Ask,
    Audio,
    ClauseEnded,
    Done,
    EndOfUtterance,
    Failed,
    Final,
    Frames,
    InputEnded,
    Message,
    Narrate,
    Partial,
    Probability,
    Speak,
    SpeechStarted,
    SpeechStopped,
    Token,
)
from flowkit.providers.inline import Answer, InlineCall, Script

Clock = Callable[[], int]
_LEAD_US = 40_000
"""How long before its sound a reply's text is there. Nothing in a recording says it."""
_TICK_US = 10_000
"""Half a frame: sound that is there so much earlier begins, on the device's grid, when it began."""
_INTO_US = 150_000
"""CallLine that begins later than this before the end of what the agent says is an answer to it, and does not cut in."""
_END_US = 200_000
"""How far the end of a line may be from where the VAD hears it."""
_SOON_US = 1_000_000
"""A request that failed so soon after this one is the same."""
_SENTENCE_ENDS = (".", "?", "!")
_PIECE = RATE_HZ // 5
_FEW = 3
"""Letters by which the spoken form of a text and of its clauses may differ."""


class CalledMicrophone(Script):
    """The user's sound, frame by frame, and then silence."""

    def __init__(self, call: ImportedCall, frame_us: int) -> None:
        self._call = call
        self._frame_us = frame_us

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=self._frames)

    def _frames(self) -> Iterator[Answer]:
        size = 2 * RATE_HZ * self._frame_us // 1_000_000
        total, index = -(-self._call.lasts_us // self._frame_us), 0
        while True:
            at_us = (index + 1) * self._frame_us
            pcm = self._call.user_pcm[index * size : (index + 1) * size] if self._call.user_pcm else b""
            yield Answer(at_us, Frames(index, 1, pcm.ljust(size, b"\0") if self._call.user_pcm else b""))
            index += 1
            if index == total:
                yield Answer(at_us, InputEnded(total))


class CalledVad(Script):
    """What the VAD said of the user's sound. Afterwards there is silence."""

    def __init__(self, call: ImportedCall) -> None:
        self._left = deque(call.probabilities)

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> list[Answer]:
        if not isinstance(item, Frames):
            return []
        newest = item.index + item.count - 1
        if not self._left:
            return [Answer(0, Probability(newest, 0.0))]
        answers = []
        while self._left and self._left[0][0] <= newest:
            answers.append(Answer(0, Probability(*self._left.popleft())))
        return answers


class CalledAsr(Script):
    """Transcripts: a partial one at each pause, the final one at the end of the utterance. Neither comes before the words were
    known, where that was measured."""

    def __init__(self, call: ImportedCall, clock: Clock) -> None:
        self._words = call.words
        self._known = [(one.end_us, one.known_us) for one in call.user if one.known_us is not None]
        self._clock = clock
        self._since: int | None = None

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> list[Answer]:
        if isinstance(item, SpeechStarted) and self._since is None:
            self._since = item.frame
        if isinstance(item, SpeechStopped) and self._since is not None:
            text = self._words(self._since, item.last_voiced)
            return [Answer(self._late(item.last_voiced), Partial(text, item.last_voiced))] if text else []
        if isinstance(item, EndOfUtterance):
            since, self._since = self._since, None
            text = "" if since is None else self._words(since, item.last_voiced)
            return [Answer(self._late(item.last_voiced), Final(text, item.utterance))]
        return []

    def _late(self, last_voiced: int) -> int:
        """How long from now until the words of the line that ends here are known."""
        ended_us = (last_voiced + 1) * FRAME_US
        known = [known_us for end_us, known_us in self._known if abs(end_us - ended_us) <= _END_US]
        return max(0, known[-1] - self._clock()) if known else 0


@dataclass(slots=True)
class Saying:
    """What the agent says from `from_us` to `end_us`. `letters` are those that no clause has taken yet."""

    from_us: int
    end_us: int
    text: str
    letters: int
    began: bool = False


class CalledAgent:
    """The agent's side: which of its words belong to a reply, and where their sound is.

    Args:
        agent: what the agent said. user: when the user spoke. clock: gives the session time.
    """

    def __init__(self, agent: Sequence[CallLine], user: Sequence[CallLine], clock: Clock) -> None:
        self.clock = clock
        self.saying: deque[Saying] = deque()
        self._agent = agent
        self._user = user

    @property
    def greeting(self) -> str:
        """What the agent says before anyone has asked anything."""
        return "\n".join(speech.text for speech in self._opening())

    def greet(self, text: str) -> None:
        """The agent says this at the beginning: what was heard then, or what its pipeline has it say."""
        opening = self._opening()
        if opening and text != self.greeting:
            opening = [CallLine(opening[0].begin_us, opening[-1].end_us, text)]
        self.saying = deque(_saying(speech, 0) for speech in opening)

    def _opening(self) -> list[CallLine]:
        first_us = min((speech.end_us for speech in self._user), default=1 << 60)
        return [speech for speech in self._agent if speech.begin_us < first_us]

    def reply(self) -> Iterator[Saying]:
        """What the agent says now that it is asked, one after another, until the user asks the next thing."""
        asked_us, before = self.clock(), None
        for speech in self._agent:
            if speech.end_us <= asked_us:
                continue
            if before is not None and self._over(before, speech):
                return
            saying = _saying(speech, asked_us)
            self.saying.append(saying)
            yield saying
            before = speech

    def _over(self, before: CallLine, speech: CallLine) -> bool:
        """Whether the user has the turn between two things that the agent says."""
        return any(
            before.end_us - _INTO_US <= asked.begin_us and asked.end_us <= speech.begin_us for asked in self._user
        )


def _saying(speech: CallLine, now_us: int) -> Saying:
    """What is left of it at `now_us`. Words are taken as equally long."""
    words = speech.text.split()
    left = (speech.end_us - max(speech.begin_us, now_us)) / max(1, speech.end_us - speech.begin_us)
    text = " ".join(words[len(words) - max(1, round(len(words) * left)) :])
    return Saying(max(speech.begin_us, now_us), speech.end_us, text, _letters(speak(text, SpeakRules(), "")[0]))


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


class CalledLlm(Script):
    """The agent's words: when they were written, if that was measured, else a moment before they sound."""

    def __init__(self, agent: CalledAgent, call: ImportedCall) -> None:
        self._agent = agent
        self._calls = call.model_calls

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=self._tokens) if isinstance(request, Ask) else InlineCall()

    def _tokens(self) -> Iterator[Answer]:
        asked_us, index, at_us = self._agent.clock(), 0, 0
        self._agent.saying.clear()
        following = next((one for one in self._calls if one.last_us > asked_us), None)
        if following is not None and following.error and following.asked_us - asked_us < _SOON_US:
            yield Answer(following.last_us - asked_us, Failed("error", following.error))
            return
        for saying in self._agent.reply():
            sounds_us = saying.from_us - _LEAD_US - asked_us
            before = (one for one in reversed(self._calls) if one.asked_us <= saying.from_us and not one.error)
            written = next(before, None)
            words = saying.text.split()
            # Whatever was written when: the first sentence was there before it sounded, and the word that shows its end.
            opening = next((k for k, word in enumerate(words) if word.endswith(_SENTENCE_ENDS)), len(words)) + 2
            # The break ends the clause, and what follows it says so: until then a chunker may wait for more.
            for place, word in enumerate((*(f"{word} " for word in words), "\n", " ")):
                at = sounds_us if written is None else _written(written, index) - asked_us
                at_us = max(at_us, min(at, sounds_us) if place < opening else at)
                yield Answer(at_us, Token(index, word))
                index += 1
        yield Answer(at_us, Done())


def _written(call: ModelCall, word: int) -> int:
    """When the model had written a word of its answer. Only the first and the last are known."""
    share = min(1.0, word / max(1, call.words - 1))
    return call.first_us + round((call.last_us - call.first_us) * share)


class CalledVoice(Script):
    """The agent's sound. A clause gets as much of it as its share of the letters."""

    def __init__(self, agent: CalledAgent, pcm: bytes) -> None:
        self._agent = agent
        self._pcm = pcm

    def open(self, request: Message) -> InlineCall:
        if isinstance(request, Narrate):
            return InlineCall(fed=self._narrated, ended=lambda: [Answer(0, Done())])
        assert isinstance(request, Speak)
        return InlineCall(opened=lambda: [*self._said(request), Answer(0, Done())])

    def _narrated(self, item: Message) -> list[Answer]:
        if not isinstance(item, Speak):
            return []
        said = self._said(item)
        samples = sum(answer.item.samples for answer in said if isinstance(answer.item, Audio))
        return [*said, Answer(said[-1].delay_us, ClauseEnded(item.clause, samples))]

    def _said(self, speak: Speak) -> list[Answer]:
        now_us = self._agent.clock()
        begin_us, end_us, at_us = self._place(speak.text, now_us)
        first, last = (us * RATE_HZ // 1_000_000 for us in (begin_us, end_us))
        total = max(1, last - first)
        return [
            Answer(
                max(0, at_us - now_us),
                Audio(
                    speak.clause,
                    at,
                    min(_PIECE, total - at),
                    RATE_HZ,
                    total,
                    self._pcm[2 * (first + at) : 2 * (first + min(at + _PIECE, total))] if self._pcm else b"",
                ),
            )
            for at in range(0, total, _PIECE)
        ]

    def _place(self, text: str, now_us: int) -> tuple[int, int, int]:
        """Where the sound of a clause begins and ends, and when it is there."""
        saying = self._agent.saying
        if not saying:
            # Something that a setting makes the agent say, and that nobody said in the call.
            return 0, 0, now_us
        now, letters = saying[0], _letters(text)
        at_us = now_us if now.began else now.from_us - _TICK_US
        begin_us = now.from_us
        if now.letters - letters <= _FEW:
            saying.popleft()
            return begin_us, now.end_us, at_us
        now.from_us += (now.end_us - begin_us) * letters // now.letters
        now.letters, now.began = now.letters - letters, True
        return begin_us, now.from_us, at_us
