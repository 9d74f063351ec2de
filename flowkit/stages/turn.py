"""The turn table: whose turn it is, as one enum and one table. The diagram in docs/turns.md is generated from it.

Read a row as: in this state, on this event, go to that state and do this. A pair without a row cannot happen. If it
does, IllegalTurn is raised, which quotes both. The gate knows what each ``Do`` means.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto

from flowkit.errors import IllegalTurn


class Turn(StrEnum):
    """Whose turn it is."""

    LISTENING = "listening"
    """Nobody speaks and nothing is being answered."""
    HEARING = "hearing"
    """The user speaks."""
    CONCLUDING = "concluding"
    """The user has finished. The final transcript is awaited."""
    THINKING = "thinking"
    """The utterance is released; the agent is not yet audible."""
    SPEAKING = "speaking"
    """The agent is audible."""
    HELD = "held"
    """The user may be interrupting. The agent's audio is held until that is confirmed or withdrawn."""


class Event(Enum):
    """What can happen to a turn."""

    SPEECH = auto()
    """The user's voice began."""
    PAUSE = auto()
    """The user's voice paused."""
    CONFIRM = auto()
    """The suspected interruption is real."""
    ENDED = auto()
    """End of utterance."""
    FINAL = auto()
    """A final transcript with words."""
    EMPTY = auto()
    """A final transcript without words."""
    VAIN = auto()
    """The same, or none at all, of an interruption that has cut the reply off."""
    LOST = auto()
    """The final transcript did not come in time."""
    OWED = auto()
    """The input has ended, and the last final transcript has not come."""
    RELEASE = auto()
    """An interrupting utterance is due, because it is now known what was heard of the reply."""
    AUDIBLE = auto()
    """The reply's sound begins."""
    PLAYED = auto()
    """The reply has been played to its end."""
    ADDRESS = auto()
    """The agent has something to say of its own accord: a greeting, or because nobody says anything."""
    CANCEL = auto()
    """The client gives up the reply."""


class Do(Enum):
    """What the gate does at a step."""

    NOTHING = auto()
    KEEP = auto()
    """Keep the words for the utterance that continues."""
    AWAIT_FINAL = auto()
    GIVE_UP = auto()
    """No final transcript: report it and listen again."""
    RELEASE = auto()
    """Raise the epoch and send the utterance to the LLM."""
    ADDRESS = auto()
    """Raise the epoch and have the agent say it."""
    ANSWER_AGAIN = auto()
    """Take the interruption back: send the turn's utterance to the LLM again, with what was heard of the reply."""
    HOLD = auto()
    RESUME = auto()
    INTERRUPT = auto()
    """STOP, DRAIN, RESET."""
    INTERRUPT_THEN_RELEASE = auto()
    CANCEL = auto()
    """The same, and the question is not answered again by itself."""
    COMPLETE = auto()
    """The reply has been played: there is none to be cut off."""
    COMPLETE_HELD = auto()
    """The reply ended while it was held: nothing is left to resume."""


_T, _E, _D = Turn, Event, Do

TABLE: dict[tuple[Turn, Event], tuple[Turn, Do]] = {
    (_T.LISTENING, _E.SPEECH): (_T.HEARING, _D.NOTHING),
    # A voice whose hold was withdrawn may outlast the reply. Its pause and its end then come here.
    (_T.LISTENING, _E.PAUSE): (_T.LISTENING, _D.NOTHING),
    (_T.LISTENING, _E.ENDED): (_T.LISTENING, _D.NOTHING),
    # A typed line, the transcript of a pipeline without a VAD, or one that came after `final_timeout`.
    (_T.LISTENING, _E.FINAL): (_T.THINKING, _D.RELEASE),
    (_T.LISTENING, _E.EMPTY): (_T.LISTENING, _D.NOTHING),
    # It was said into a reply that could not be interrupted, or did not seem to interrupt.
    (_T.LISTENING, _E.OWED): (_T.CONCLUDING, _D.AWAIT_FINAL),
    (_T.LISTENING, _E.ADDRESS): (_T.THINKING, _D.ADDRESS),
    # After a pause, the voice of the same utterance begins again.
    (_T.HEARING, _E.SPEECH): (_T.HEARING, _D.NOTHING),
    (_T.HEARING, _E.PAUSE): (_T.HEARING, _D.NOTHING),
    (_T.HEARING, _E.ENDED): (_T.CONCLUDING, _D.AWAIT_FINAL),
    # The user went on before this transcript came. Its words are asked together with those that follow.
    (_T.HEARING, _E.FINAL): (_T.HEARING, _D.KEEP),
    (_T.HEARING, _E.EMPTY): (_T.HEARING, _D.NOTHING),
    # The reply may begin or end in the same instant in which it is interrupted.
    (_T.HEARING, _E.AUDIBLE): (_T.HEARING, _D.NOTHING),
    (_T.HEARING, _E.PLAYED): (_T.HEARING, _D.COMPLETE),
    (_T.CONCLUDING, _E.AUDIBLE): (_T.CONCLUDING, _D.NOTHING),
    (_T.CONCLUDING, _E.PLAYED): (_T.CONCLUDING, _D.COMPLETE),
    # The user goes on before the transcript came, so nothing may be released yet.
    (_T.CONCLUDING, _E.SPEECH): (_T.HEARING, _D.NOTHING),
    (_T.CONCLUDING, _E.PAUSE): (_T.CONCLUDING, _D.NOTHING),
    (_T.CONCLUDING, _E.ENDED): (_T.CONCLUDING, _D.AWAIT_FINAL),
    (_T.CONCLUDING, _E.FINAL): (_T.THINKING, _D.RELEASE),
    # By now it is known what was heard of the interrupted reply, which the utterance carries.
    (_T.CONCLUDING, _E.RELEASE): (_T.THINKING, _D.RELEASE),
    (_T.CONCLUDING, _E.EMPTY): (_T.LISTENING, _D.NOTHING),
    # A cough has cut the reply off. Listening on would leave the user in silence.
    (_T.CONCLUDING, _E.VAIN): (_T.THINKING, _D.ANSWER_AGAIN),
    # Without it, a transcript that never comes would keep the turn open for ever.
    (_T.CONCLUDING, _E.LOST): (_T.LISTENING, _D.GIVE_UP),
    # Held although nothing sounds yet: the reply must not begin while the user speaks.
    (_T.THINKING, _E.SPEECH): (_T.HELD, _D.HOLD),
    # A voice whose hold was withdrawn still pauses and ends.
    (_T.THINKING, _E.PAUSE): (_T.THINKING, _D.NOTHING),
    (_T.THINKING, _E.ENDED): (_T.THINKING, _D.NOTHING),
    # Words interrupt without a hold too: those of a voice that goes on after a cut, or a typed line.
    (_T.THINKING, _E.FINAL): (_T.CONCLUDING, _D.INTERRUPT_THEN_RELEASE),
    (_T.THINKING, _E.EMPTY): (_T.THINKING, _D.NOTHING),
    # A voice that the agent did not pause for, and that turns out to be an interruption.
    (_T.THINKING, _E.CONFIRM): (_T.HEARING, _D.INTERRUPT),
    (_T.SPEAKING, _E.CONFIRM): (_T.HEARING, _D.INTERRUPT),
    (_T.THINKING, _E.AUDIBLE): (_T.SPEAKING, _D.NOTHING),
    # A reply without sound.
    (_T.THINKING, _E.PLAYED): (_T.LISTENING, _D.COMPLETE),
    (_T.SPEAKING, _E.SPEECH): (_T.HELD, _D.HOLD),
    (_T.SPEAKING, _E.PAUSE): (_T.SPEAKING, _D.NOTHING),
    (_T.SPEAKING, _E.ENDED): (_T.SPEAKING, _D.NOTHING),
    (_T.SPEAKING, _E.FINAL): (_T.CONCLUDING, _D.INTERRUPT_THEN_RELEASE),
    (_T.SPEAKING, _E.EMPTY): (_T.SPEAKING, _D.NOTHING),
    (_T.SPEAKING, _E.AUDIBLE): (_T.SPEAKING, _D.NOTHING),
    (_T.SPEAKING, _E.PLAYED): (_T.LISTENING, _D.COMPLETE),
    # Whatever the state, a client may cancel: it does not know that the reply has just ended.
    (_T.LISTENING, _E.CANCEL): (_T.LISTENING, _D.NOTHING),
    (_T.HEARING, _E.CANCEL): (_T.HEARING, _D.NOTHING),
    (_T.CONCLUDING, _E.CANCEL): (_T.CONCLUDING, _D.NOTHING),
    (_T.THINKING, _E.CANCEL): (_T.LISTENING, _D.CANCEL),
    (_T.SPEAKING, _E.CANCEL): (_T.LISTENING, _D.CANCEL),
    (_T.HELD, _E.CANCEL): (_T.HEARING, _D.CANCEL),
    (_T.HELD, _E.SPEECH): (_T.HELD, _D.NOTHING),
    # To THINKING and not to SPEAKING: if there is sound to resume, AUDIBLE follows.
    (_T.HELD, _E.PAUSE): (_T.THINKING, _D.RESUME),
    # The end alone decides nothing, because a hold that waits for words needs the transcript.
    (_T.HELD, _E.ENDED): (_T.HELD, _D.NOTHING),
    (_T.HELD, _E.CONFIRM): (_T.HEARING, _D.INTERRUPT),
    (_T.HELD, _E.FINAL): (_T.CONCLUDING, _D.INTERRUPT_THEN_RELEASE),
    # A voice without words was no interruption.
    (_T.HELD, _E.EMPTY): (_T.THINKING, _D.RESUME),
    (_T.HELD, _E.AUDIBLE): (_T.HELD, _D.NOTHING),
    # The reply ended in the instant of the hold. So there is nothing left to interrupt, and the voice is a new utterance.
    (_T.HELD, _E.PLAYED): (_T.HEARING, _D.COMPLETE_HELD),
}


def turn_step(turn: Turn, event: Event) -> tuple[Turn, Do]:
    """The table's row. Raises IllegalTurn, quoting state and event, if there is none."""
    try:
        return TABLE[turn, event]
    except KeyError:
        # Without the KeyError, which would only repeat the pair that the message quotes.
        raise IllegalTurn(f"no row in the turn table for {turn.value} on {event.name.lower()}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram, without rows that keep the state and do nothing."""
    lines = ["stateDiagram-v2", "    [*] --> listening"]
    for (turn, event), (after, do) in TABLE.items():
        if turn is after and do is Do.NOTHING:
            continue
        action = "" if do is Do.NOTHING else f" / {do.name.lower()}"
        lines.append(f"    {turn.value} --> {after.value}: {event.name.lower()}{action}")
    return "\n".join(lines) + "\n"
