"""What the follower tells of a session: turns with their milestones, the user's speech, provider calls, interrupts.

Times are microseconds on the session's clock; None is "there was none".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from flowkit.figures.frames import VoiceBegin, VoiceEnd
from flowkit.messages import Clause, Message


@dataclass(slots=True, eq=False)
class SpeechRecord:
    """What the user said in one go: the pipeline noticed its `begin` at `began_us`, its `end` by utterance number `utterance`; the
    transcript `text` came at `final_us`, or is empty if none will come."""

    begin: VoiceBegin | None = None
    began_us: int | None = None
    end: VoiceEnd | None = None
    utterance: int = 0
    text: str | None = None
    final_us: int | None = None


class CallEnd(StrEnum):
    """How a provider call ended."""

    OPEN = ""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class CallRecord:
    """A provider call of a turn. `request`: what it was opened with; `first_item_us`: when the first of its `items` was there;
    `what`: why it failed."""

    stage: str
    request: Message
    opened_us: int
    first_item_us: int | None = None
    items: int = 0
    end: CallEnd = CallEnd.OPEN
    ended_us: int | None = None
    what: str = ""


@dataclass(slots=True, eq=False)
class ClauseRecord:
    """A clause of a reply: cut at `cut_us`, `taken_us` by the voice's stage (None: it was dropped or discarded before). Its first
    audio was there at `first_audio_us`, the last was taken at `last_audio_us`."""

    clause: Clause
    cut_us: int
    taken_us: int | None = None
    first_audio_us: int | None = None
    last_audio_us: int | None = None


@dataclass(slots=True, eq=False)
class InterruptRecord:
    """One interrupt, sent at `t_us`, by the newest `speech`. What silenced the reply was decided at `decided_us`, and the last that
    sounded ended at `silent_us`, by the device at `popped_us`. `stale_us`: length of the sound that reached the speaker for all
    that; `discarded_us`: of what never will; `counts`: discarded messages by kind, which may still grow when the turn is over."""

    epoch: int
    t_us: int
    speech: VoiceBegin | None
    decided_us: int
    silent_us: int
    popped_us: int | None = None
    stale_us: int = 0
    discarded_us: int = 0
    counts: dict[type[Message], int] = field(default_factory=dict)


class TurnEnd(StrEnum):
    """Why a turn ended; of several reasons the first counts."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    CLOSED = "session_closed"


@dataclass(slots=True, eq=False)
class TurnRecord:
    """One turn. The utterance `user`, made of `speech` that ended where `voice` says, was released at `released_us`. `clauses` by
    index, without the `revoked` ones; `sound`: the clause with which the reply began to sound, and when, by the device `late_us`
    later; `heard`: the text of it that sounded; `fault`: what went wrong; `before`: the same turn's first reply, which an
    interruption without words cut off."""

    number: int
    epoch: int
    user: str
    speech: list[SpeechRecord]
    voice: VoiceEnd
    released_us: int
    tokens: list[str] = field(default_factory=list)
    first_token_us: int | None = None
    last_token_us: int | None = None
    clauses: dict[int, ClauseRecord] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    calls: dict[int, CallRecord] = field(default_factory=dict)
    sound: tuple[int, int] | None = None
    late_us: int = 0
    heard: list[str] = field(default_factory=list)
    fault: str = ""
    interrupt: InterruptRecord | None = None
    end: TurnEnd = TurnEnd.CLOSED
    ended_us: int | None = None
    before: TurnRecord | None = None

    def replies(self) -> list[TurnRecord]:
        """The turn's replies, this one last: more than one where the turn was answered again."""
        return [*([] if self.before is None else self.before.replies()), self]

    def ends(self, why: TurnEnd) -> None:
        """It ends for this reason, if there was none before."""
        if self.end is TurnEnd.CLOSED:
            self.end = why


Ended: TypeAlias = SpeechRecord | TurnRecord
"""What is over. Speech comes alone only where no turn followed from it."""
