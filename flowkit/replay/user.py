"""The user of a recording, as a model: what was said, and what in the agent's voice each piece of it reacted to.

Speech is divided at pauses, as the VAD heard them. Each piece keeps its distance to one of three things:

- its own speech before, if the agent was silent in between, or began too late to be noticed: the user's own pace
- the beginning of the agent's voice, if the user speaks into it
- the end of an answer, if the user has heard it out

Where the replay has another course, the user does what this user usually does. An answer that is shorter than the place
at which the user spoke into it is answered as others were. An answer that never comes is awaited with patience.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median

from flowkit.replay.hearing import AgentSound

REACTION_US = 200_000
"""Nobody reacts to a sound within less. (Turns of human conversation mostly follow each other after 200 ms, and those
were planned before: Levinson and Torreira, 2015.)"""
_OWN_PACE_US = 1_000_000
"""After a longer silence of its own, a user who hears the agent begin stops to listen."""
_USUAL_US = 700_000
"""From the end of an answer to the next question, if the recording has none."""
_PATIENCE_US = 4_000_000
"""How long a user waits for an answer at least."""
_LONG_PAUSE_US = 2_000_000
"""A user who speaks again after so long a silence on both sides has given up waiting."""
_JOINED_FRAMES = 5
"""Voiced frames with shorter gaps are one piece of speech."""


class Manner(Enum):
    """What the user's speech keeps its distance to."""

    OWN = auto()
    """The end of the user's speech before it."""
    INTO = auto()
    """The beginning of the agent's voice."""
    AFTER = auto()
    """The end of an answer."""


@dataclass(frozen=True, slots=True)
class UserPiece:
    """A piece of the user's speech: recorded frames `first` to `last`, and when it is said."""

    first: int
    last: int
    manner: Manner
    gap_us: int
    answers: int = 0
    """How many answers the user has heard out since the speech before."""
    alone: bool = True
    """Whether the agent was silent since the speech before. An `OWN` piece may follow a voice that was cut off."""


@dataclass(frozen=True, slots=True)
class User:
    """What the user says, in order, and how he or she behaves. The last piece has no frames: the user leaves, or the input
    ends."""

    pieces: tuple[UserPiece, ...]
    reaction_us: int
    """How long after an answer the user usually speaks."""
    patience_us: int
    """How long the user waits for an answer."""

    def due_us(self, piece: UserPiece, since_us: int, sounds: Sequence[AgentSound]) -> int | None:
        """When the user says `piece`, if nothing else happens; None if that depends on what the agent still does.

        `since_us` is when the speech before ended, and `sounds` is what was heard so far.
        """
        sounds = [sound for sound in sounds if sound.ended_us is None or sound.ended_us > since_us]
        match piece.manner:
            case Manner.OWN:
                return self._own(piece, since_us, sounds)
            case Manner.INTO:
                return self._into(piece, since_us, sounds)
        return self._after(piece.gap_us, piece.answers, since_us, sounds)

    def _own(self, piece: UserPiece, since_us: int, sounds: Sequence[AgentSound]) -> int | None:
        due_us = since_us + piece.gap_us
        if piece.gap_us < _OWN_PACE_US or not piece.alone:
            return due_us
        # A voice that was cut off again does not keep the user from going on.
        heard = [s for s in sounds if s.ended_us is None or s.whole]
        noticed = any(since_us <= sound.began_us <= due_us - REACTION_US for sound in heard)
        return self._after(self.reaction_us, 1, since_us, sounds) if noticed else due_us

    def _into(self, piece: UserPiece, since_us: int, sounds: Sequence[AgentSound]) -> int:
        answers = 0
        for sound in sounds:
            due_us = max(sound.began_us, since_us) + piece.gap_us
            if sound.whole and answers < piece.answers:
                answers += 1
            elif sound.ended_us is None or due_us <= sound.ended_us:
                return due_us
            elif sound.whole:
                return min(due_us, sound.ended_us + self.reaction_us)
        return self._impatient(since_us, sounds)

    def _after(self, gap_us: int, answers: int, since_us: int, sounds: Sequence[AgentSound]) -> int | None:
        due_us: int | None = None
        for sound in sounds:
            if due_us is not None and sound.began_us > due_us - REACTION_US:
                break
            if sound.ended_us is None:
                return None
            answers -= sound.whole
            if sound.whole and answers <= 0:
                due_us = sound.ended_us + gap_us
        return self._impatient(since_us, sounds) if due_us is None else due_us

    def _impatient(self, since_us: int, sounds: Sequence[AgentSound]) -> int:
        return max([since_us, *(sound.ended_us or 0 for sound in sounds)]) + self.patience_us


def user_of(voiced: Iterable[int], ends: int, sounds: Sequence[AgentSound], frame_us: int) -> User:
    """The user of a recording.

    Args:
        voiced: the voiced frames, in order.
        ends: the frame at which the user leaves, or the input ends.
        sounds: what the user heard.
        frame_us: length of a frame.
    """
    pieces: list[UserPiece] = []
    waited, given_up = [0], []
    spoke_us = 0
    for first, last in (*_runs(voiced, ends), (ends, ends - 1)):
        begins_us = first * frame_us
        piece = _piece(first, last, begins_us, spoke_us, sounds)
        answered = bisect_right(sounds, spoke_us, key=lambda sound: sound.began_us)
        if answered < len(sounds) and sounds[answered].began_us < begins_us:
            waited.append(sounds[answered].began_us - spoke_us)
        elif pieces and first < ends and piece.manner is Manner.OWN and piece.gap_us >= _LONG_PAUSE_US:
            given_up.append(piece.gap_us)
        pieces.append(piece)
        spoke_us = (last + 1) * frame_us
    usual = [piece.gap_us for piece in pieces[:-1] if piece.manner is Manner.AFTER]
    reaction_us = round(median(usual)) if usual else _USUAL_US
    patience_us = round(median(given_up)) if given_up else max(_PATIENCE_US, 3 * max(waited) // 2)
    return User(tuple(pieces), reaction_us, max(patience_us, *waited, 0))


def _runs(voiced: Iterable[int], ends: int) -> Iterator[tuple[int, int]]:
    """The pieces of speech before frame `ends`: first and last frame."""
    first = last = -1
    for frame in voiced:
        if frame >= ends:
            break
        if first < 0 or frame - last > _JOINED_FRAMES:
            if first >= 0:
                yield first, last
            first = frame
        last = frame
    if first >= 0:
        yield first, last


def _piece(first: int, last: int, begins_us: int, spoke_us: int, sounds: Sequence[AgentSound]) -> UserPiece:
    """The piece of speech with what it reacts to."""
    heard = [
        sound
        for sound in sounds
        if sound.began_us + REACTION_US <= begins_us and (sound.ended_us is None or sound.ended_us > spoke_us)
    ]
    if heard:
        newest, answers = heard[-1], sum(sound.whole for sound in heard)
        ended_us = newest.ended_us
        # An end that nobody can have reacted to yet does not count, but that of a voice that was cut off does.
        if ended_us is None or begins_us < ended_us + (REACTION_US if newest.whole else 0):
            if newest.began_us >= spoke_us:
                before = answers - newest.whole
                return UserPiece(first, last, Manner.INTO, begins_us - newest.began_us, before)
        elif newest.whole:
            return UserPiece(first, last, Manner.AFTER, begins_us - ended_us, answers)
    return UserPiece(first, last, Manner.OWN, begins_us - spoke_us, alone=not heard)
