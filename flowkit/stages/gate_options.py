"""The options of the gate that are choices or blocks of their own."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from flowkit import options as opt


class Typing(StrEnum):
    """What typed lines do if there is a keyboard instead of a microphone."""

    NONE = "none"
    """There is no keyboard."""
    INTERRUPTS = "interrupts"
    """A line interrupts the reply, as a voice would."""
    WAITS = "waits"
    """A line waits until the reply has been played. For scripts."""


class Release(StrEnum):
    """What releases an utterance."""

    END_OF_UTTERANCE = "end_of_utterance"
    ASR_FINAL = "asr_final"


class Greeting(opt.Options):
    """What the agent says when the session begins."""

    text: str = Field(min_length=1)
    """What it says, word for word. The model finds it in its history."""
    interruptible: bool = True
    """Whether the user may interrupt it. If not, what the user says meanwhile is answered afterwards."""


class Then(StrEnum):
    """What follows when the user stays silent."""

    END_SESSION = "end_session"
    WAIT = "wait"


class Idle(opt.Options):
    """What the agent does when nobody says anything."""

    after: opt.Duration = opt.us("8s")
    """How long it is silent, from the end of the agent's reply."""
    say: str = Field(min_length=1)
    """What the agent says then."""
    times: int = Field(2, ge=1, le=100)
    """How often, until the user speaks again."""
    then: Then = Then.WAIT
    """What follows after that: `end_session`, or `wait` for as long as it takes."""
