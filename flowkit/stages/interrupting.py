"""When a voice interrupts the agent: a vote of how long it lasts, how clear it is, and what it says. Pure.

The VAD's stage votes by duration and level, in frames: it reports each length that some state asks for.
The gate votes by words, by the rules of the state that the agent is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import Partial
from flowkit.words import Phrases, count, words

SETTLED_US = 500_000
"""The words of a partial transcript count if it covers so much of the voice. An ASR often mishears the first half of a
short word, and the final transcript of a short voice is not long in coming."""
_QUESTIONS = ("?", "？", "؟")


class Backchannel(StrEnum):
    """What a voice does that may be a backchannel, until the vote is over."""

    HOLD = "hold"
    """The agent is silent meanwhile, and resumes at the same sample."""
    IGNORE = "ignore"
    """The agent goes on meanwhile."""


class State(StrEnum):
    """What the agent is doing when a voice is heard."""

    GREETING = "greeting"
    THINKING = "thinking"
    TOOL = "tool"
    SPEAKING = "speaking"


class InState(opt.Options):
    """What holds in one state instead. A key that is not given keeps its value."""

    speech_for: opt.Duration | None = None
    """As outside."""
    always_for: opt.Duration | None = None
    """As outside."""
    min_words: int | None = Field(default=None, ge=0)
    """As outside."""
    ignore: tuple[str, ...] | None = None
    """As outside."""
    backchannel: Backchannel | None = None
    """As outside."""
    resume_after: opt.Duration | None = None
    """As outside."""


class While(opt.Options):
    """Other values while the agent is in a state."""

    greeting: InState = InState()
    """It says the greeting."""
    thinking: InState = InState()
    """It answers, and nothing of that is audible yet."""
    tool: InState = InState()
    """It has called a tool that has an effect, and what it says about that is not audible yet."""
    speaking: InState = InState()
    """It is audible."""


class Interrupting(opt.Options):
    """What makes a voice an interruption, besides its length and its level. Options of the gate."""

    min_words: int = Field(default=0, ge=0)
    """How many words the ASR must have recognised before an interruption counts; 0 decides by the voice alone. In
    scripts without spaces (Chinese, Japanese, Thai) they are estimated from the characters."""
    ignore: tuple[str, ...] | None = None
    """Words and phrases that never interrupt on their own (uh-huh, got it). If there are any, an interruption waits
    for words. Case, hyphens and the kind of apostrophe do not matter. By default the backchannels of the language that
    the agent speaks, as far as that is known; `[]` for none."""
    backchannel: Backchannel = Backchannel.HOLD
    """What a voice does until it is known whether it interrupts: with `hold` the agent is silent meanwhile, with `ignore`
    it goes on."""
    always_for: opt.Duration = opt.us("1200ms")
    """Where words decide: a voice that lasts this long, from its detection, interrupts whatever they are."""
    resume_after: opt.Duration = opt.us("1500ms")
    """How long a hold may wait for confirmation before the agent resumes."""
    by_state: While = Field(default=While(), alias="while")
    """Other values of these keys and of `speech_for` while the agent is in a state: `{tool: {min_words: 2}}`."""


@dataclass(frozen=True, slots=True)
class VoteRules:
    """What counts as an interruption in one state. `speech_us`: None is the length that the VAD's stage has as its own."""

    speech_us: int | None
    always_us: int
    min_words: int
    ignored: Phrases | None
    backchannel: Backchannel
    resume_us: int

    @property
    def by_words(self) -> bool:
        """Whether a voice needs words to interrupt."""
        return bool(self.min_words or self.ignored)

    def count(self, text: str, *, incomplete: bool = False) -> bool:
        """Whether the words of a transcript interrupt. `incomplete`: more of them may follow."""
        found = words(text)
        # At least one word, or what consists of ignored phrases alone would interrupt.
        left = self.ignored.without(found, incomplete=incomplete) if self.ignored else found
        return count(left) >= max(1, self.min_words)


def rules_of(options: Interrupting) -> dict[State, VoteRules]:
    """The rules of each state."""
    return {state: _rules(options, getattr(options.by_state, state)) for state in State}


def _rules(options: Interrupting, own: InState) -> VoteRules:
    ignore = options.ignore if own.ignore is None else own.ignore
    return VoteRules(
        own.speech_for,
        options.always_for if own.always_for is None else own.always_for,
        options.min_words if own.min_words is None else own.min_words,
        _phrases(ignore) if ignore else None,
        own.backchannel or options.backchannel,
        options.resume_after if own.resume_after is None else own.resume_after,
    )


# Every stage that votes, in each state, and every session of a host has the same.
@lru_cache(maxsize=16)
def _phrases(texts: tuple[str, ...]) -> Phrases:
    return Phrases(texts)


def lengths(options: Interrupting) -> set[int]:
    """The lengths of a voice, in microseconds, that have to be reported to the gate besides `speech_for`."""
    found = rules_of(options).values()
    own = {rules.speech_us for rules in found if rules.speech_us is not None}
    return own | {rules.always_us for rules in found if rules.by_words}


@dataclass(slots=True)
class Suspicion:
    """A voice that may be interrupting the agent.

    Args:
        rules: what decides.
        after: how many utterances had ended when it was noticed.
        frame: its first frame.
        long: it has lasted for long enough, and is clear.
        paused: the last voiced frame, if it has paused since.
    """

    rules: VoteRules
    after: int
    frame: int
    long: bool = False
    paused: int | None = None

    def judged(self, partial: Partial, frame_us: int) -> bool | None:
        """Whether a partial transcript says that the voice interrupts; None if it does not tell yet."""
        if self.paused is not None and partial.until >= self.paused and not self.rules.count(partial.text):
            return False
        covers_us = (partial.until - self.frame + 1) * frame_us
        settled = partial.until < 0 or covers_us >= SETTLED_US
        # The last words of a partial may be the beginning of a phrase that is ignored.
        return True if settled and self.rules.count(partial.text, incomplete=True) else None


def is_question(text: str) -> bool:
    """Whether the agent has asked something. Then a word that is ignored otherwise may be the answer."""
    return text.rstrip().endswith(_QUESTIONS)
