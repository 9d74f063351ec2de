"""The records that the follower returns: turns with their milestones, the user's speech, provider calls, interrupts.

Times are microseconds since the session started. None means that there was no such time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from flowkit.figures.frames import VoiceBegin, VoiceEnd
from flowkit.messages import Audio, Clause, Message, Speak, Token, ToolStatus, Usage


class TurnEnding(NamedTuple):
    """Why the user's turn was taken to be over: an EndOfUtterance's `why`, `by` and `p`."""

    why: str
    by: str
    p: float

    def __str__(self) -> str:
        """Such as ``words 0.95: complete``."""
        return f"{self.by} {self.p:.2f}: {self.why}" if self.by else self.why


@dataclass(slots=True, eq=False)
class SpeechRecord:
    """What the user said without a pause that ends an utterance."""

    begin: VoiceBegin | None = None
    began_us: int | None = None
    """When the pipeline noticed it."""
    end: VoiceEnd | None = None
    utterance: int = 0
    """Number of the utterance, once it has ended."""
    ending: TurnEnding | None = None
    """Why it ended, if a predictor or its length had a part in that."""
    text: str | None = None
    """The final transcript. Empty: it has no words, or no transcript will come."""
    final_us: int | None = None
    """When the transcript came."""


class CallEnd(StrEnum):
    """How a provider call ended."""

    OPEN = ""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class CallRecord:
    """A provider call of a turn."""

    stage: str
    request: Message
    opened_us: int
    first_item_us: int | None = None
    """When its first item was available."""
    items: int = 0
    """How many items the stage has handled."""
    tokens: list[str] = field(default_factory=list)
    """The tokens among them."""
    end: CallEnd = CallEnd.OPEN
    ended_us: int | None = None
    what: str = ""
    """Why it failed."""
    reported: dict[int, Usage] = field(default_factory=dict)
    """What its provider reported of each attempt, by number."""
    unreported_tokens: int = 0
    """How many tokens came since its last report."""
    unreported_audio_us: int = 0
    """Length of the audio that came in its newest attempt."""
    fed: list[Speak] = field(default_factory=list)
    """The texts that a voice was given."""
    revoked: bool = False
    """Whether it spoke a provisional clause that was revoked."""

    def came(self, item: Message, at_us: int) -> None:
        """Count an item that the stage has handled. It was available at `at_us`."""
        if self.first_item_us is None:
            self.first_item_us = at_us
        self.items += 1
        if isinstance(item, Audio):
            self.unreported_audio_us += item.length_us
        elif isinstance(item, Token):
            self.tokens.append(item.text)
            self.unreported_tokens += 1

    def used(self, usage: Usage) -> None:
        """Take what its provider reports. The tokens that came before another attempt began belong to the one before."""
        if self.reported and usage.attempt not in self.reported:
            number, before = list(self.reported.items())[-1]
            self.reported[number] = replace(
                before,
                output_tokens=before.output_tokens + self.unreported_tokens,
                audio_us=before.audio_us or self.unreported_audio_us,
                estimated=True,
            )
            self.unreported_audio_us = 0
        self.reported[usage.attempt], self.unreported_tokens = usage, 0


@dataclass(slots=True, eq=False)
class ClauseRecord:
    """A clause of a reply."""

    clause: Clause
    cut_us: int
    """When the chunker cut it."""
    taken_us: int | None = None
    """When the TTS stage took it. None: it was dropped or discarded before."""
    first_audio_us: int | None = None
    """When its first audio was available."""
    last_audio_us: int | None = None
    """When its last audio was handled."""
    sound_us: int | None = None
    """When its first sound was due. None: nothing of it sounded."""


@dataclass(slots=True, eq=False)
class ToolRecord:
    """A tool call of turn `turn`. It may outlive its turn."""

    id: str
    name: str
    arguments: str
    """As the model wrote them."""
    turn: int
    called_us: int
    status: str = ToolStatus.RUNNING.value
    """A ToolStatus."""
    content: str = ""
    """The outcome, as the model reads it."""
    ended_us: int | None = None
    """When its outcome came. None: it had none."""
    interrupted: bool = False
    """Whether the reply was interrupted while it ran."""


class ModelWait(NamedTuple):
    """A call of a stage of this kind waited for its model, which other sessions use."""

    kind: str
    since_us: int
    until_us: int


@dataclass(slots=True, eq=False)
class InterruptRecord:
    """One interrupt of a reply."""

    epoch: int
    """The epoch that it began."""
    t_us: int
    """When the gate sent it."""
    speech: VoiceBegin | None
    """The user's speech that caused it."""
    decided_us: int
    """When the decision to fall silent was made: by the interrupt, or by the hold before it."""
    silent_us: int
    """When the last sound ended, as planned by playback."""
    popped_us: int | None = None
    """When the last sound ended, by the device's own account."""
    stale_us: int = 0
    """Length of the audio that reached the speaker's stage afterwards."""
    discarded_us: int = 0
    """Length of the audio that was discarded."""
    counts: dict[type[Message], int] = field(default_factory=dict)
    """Discarded messages by class. They may still increase when the turn is over."""


class TurnEnd(StrEnum):
    """Why a turn ended. If there are several reasons, the first counts."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    CLOSED = "session_closed"


@dataclass(slots=True)
class Early:
    """What it cost and brought that a turn was answered before it was over.

    Args:
        tries: how many answers were begun early.
        tokens, characters: what the model said and the voice was given of those that were given up.
        calls: the provider calls of those.
        asked_us, released_us: when the one that was released was asked for, and released.
    """

    tries: int = 0
    tokens: int = 0
    characters: int = 0
    calls: list[CallRecord] = field(default_factory=list)
    asked_us: int | None = None
    released_us: int | None = None


@dataclass(slots=True, eq=False)
class TurnRecord:
    """One turn."""

    number: int
    epoch: int
    user: str
    """The text of the utterance."""
    speech: list[SpeechRecord]
    """The speech that the utterance consists of."""
    voice: VoiceEnd
    """Where that speech ended."""
    released_us: int
    """When the gate released the utterance."""
    first_token_us: int | None = None
    last_token_us: int | None = None
    clauses: dict[int, ClauseRecord] = field(default_factory=dict)
    """By index, without the revoked ones."""
    revoked: list[str] = field(default_factory=list)
    """The spoken texts of provisional clauses that were revoked."""
    calls: dict[int, CallRecord] = field(default_factory=dict)
    """By number."""
    listened: list[Usage] = field(default_factory=list)
    """The audio that was transcribed for it: since the release before."""
    tools: list[ToolRecord] = field(default_factory=list)
    """The tools that the model called. Some may still run when the turn is over."""
    sound: tuple[int, int] | None = None
    """(index of the clause, time) of the reply's first sound, as planned by playback."""
    waits: list[ModelWait] = field(default_factory=list)
    """How its calls waited for models, in order."""
    late_us: int = 0
    """How much later than planned the device popped it."""
    heard: list[str] = field(default_factory=list)
    """The text that was played, clause by clause."""
    fault: str = ""
    """What went wrong."""
    interrupt: InterruptRecord | None = None
    end: TurnEnd = TurnEnd.CLOSED
    ended_us: int | None = None
    early: Early | None = None
    """What was begun before it was over. None: nothing."""
    before: TurnRecord | None = None
    """The earlier reply of this turn, if an interruption without words cut it off and the turn was answered again."""

    def replies(self) -> list[TurnRecord]:
        """The turn's replies in order, this one last. There are several if the turn was answered again."""
        return [*([] if self.before is None else self.before.replies()), self]

    @property
    def spoken(self) -> tuple[tuple[int, int], ...]:
        """The first and last voiced frame of each piece of speech that it answers. Empty: nobody asked for it."""
        ended = ((speech.begin, speech.end) for speech in self.replies()[0].speech)
        return tuple(
            (begin.frame, end.last_voiced)
            for begin, end in ended
            if begin is not None and end is not None and end.last_voiced is not None
        )

    def ends(self, why: TurnEnd) -> None:
        """Set the reason why the turn ended, unless it has one."""
        if self.end is TurnEnd.CLOSED:
            self.end = why


Ended: TypeAlias = SpeechRecord | TurnRecord | ToolRecord
"""A complete record. Speech is returned on its own only if no turn was released for it. A tool is returned on its own when its
outcome is there, or at the end."""
