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
from dataclasses import dataclass, field
from enum import Enum, auto
from math import exp
from statistics import median

from flowkit.replay.chance import Chance, Delays, delays_of
from flowkit.replay.hearing import AgentSound

REACTION_US = 200_000
"""Nobody reacts to a sound within less. (Turns of human conversation mostly follow each other after 200 ms, and those
were planned before: Levinson and Torreira, 2015.)"""
_FORESEEN_US = 100_000
"""The end of an answer can be foreseen, unlike other sounds, so who answers it may speak sooner."""
_OWN_PACE_US = 1_000_000
"""After a longer silence of its own, a user who hears the agent begin stops to listen."""
_USUAL_US = 700_000
"""From the end of an answer to the next question, if the recording has none."""
_PATIENCE_US = 4_000_000
"""How long a user waits for an answer at least."""
_LONG_PAUSE_US = 2_000_000
"""A user who speaks again after so long a silence on both sides has given up waiting."""
_USUAL_REACTIONS, _MOOD = 0.4, 0.25
"""How much a user's reactions vary, and those to another answer, as the standard deviation of their logarithm."""
_STOPS, _HESITATES, _HESITATION_US = 0.4, 0.3, 400_000
"""How likely users stop if the agent begins in their pause, and else hesitate, and for how long. No recording tells how often,
because whether they had more to say is known only of those who went on."""
_ALIKE_US, _ALIKE_ANSWER_US = 40_000, 200_000
"""Times with smaller differences count as the same, and answers whose length differs by less."""
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
    pause_us: int = 0
    """How long the user had been silent."""
    heard_us: int = 0
    """How long the answer was that it was said after or into, until then."""
    clause: int = 0
    """Which clause of that answer sounded."""
    clause_us: int = 0
    """How long it had sounded."""


@dataclass(frozen=True, slots=True)
class User:
    """What the user says, in order, and how he or she behaves. The last piece has no frames: the user leaves, or the input
    ends."""

    pieces: tuple[UserPiece, ...]
    reactions: Delays
    """How long after an answer the user speaks."""
    patience_us: int
    """How long the user usually waits for an answer."""
    chance: Chance = field(default_factory=Chance)
    """The dice, for what the user does where the recording has no such situation."""

    def due_us(self, piece: UserPiece, since_us: int, sounds: Sequence[AgentSound]) -> int | None:
        """When the user says `piece`, if nothing else happens; None if that depends on what the agent still does.

        `since_us` is when the speech before ended, and `sounds` is what was heard so far.
        """
        sounds = _since(since_us, sounds)
        match piece.manner:
            case Manner.OWN:
                return self._own(piece, since_us, sounds)
            case Manner.INTO:
                return self._into(piece, since_us, sounds)
        return self._after(piece, piece.gap_us, piece.answers, since_us, sounds)

    def _own(self, piece: UserPiece, since_us: int, sounds: Sequence[AgentSound]) -> int | None:
        due_us = since_us + piece.gap_us
        # A voice that was cut off again does not keep the user from going on.
        heard = [s for s in sounds if s.ended_us is None or s.whole]
        noticed = any(since_us <= sound.began_us <= due_us - REACTION_US for sound in heard)
        if not noticed or not piece.alone:
            return due_us
        if piece.gap_us < _OWN_PACE_US and not self.chance.happens(_STOPS, "whether the user stops", piece.first):
            late = self.chance.happens(_HESITATES, "whether the user hesitates", piece.first)
            return due_us + (_HESITATION_US if late else 0)
        return self._after(piece, None, 1, since_us, sounds)

    def _into(self, piece: UserPiece, since_us: int, sounds: Sequence[AgentSound]) -> int | None:
        answers = 0
        for sound in sounds:
            if sound.whole and answers < piece.answers:
                answers += 1
                continue
            due_us = self._cued_us(piece, since_us, sound)
            if sound.ended_us is None or (due_us is not None and due_us <= sound.ended_us):
                return due_us
            if sound.whole:
                after_us = sound.ended_us + self._reaction_us(piece)
                return after_us if due_us is None else min(due_us, after_us)
        return self._impatient(piece, since_us, sounds)

    def _cued_us(self, piece: UserPiece, since_us: int, sound: AgentSound) -> int | None:
        """When the user speaks into a voice: so long after it began, or after what it said then, or after his or her own
        words. In the recording these were one. None: the cue has not come."""
        voice_us = max(sound.began_us, since_us) + piece.gap_us
        begun = sound.clauses[piece.clause : piece.clause + 1]
        clause_us = begun[0] + piece.clause_us if begun else None
        own_us = max(since_us + piece.pause_us, sound.began_us + REACTION_US)
        if piece.alone and (
            clause_us is None or abs(clause_us - voice_us) > _ALIKE_US or abs(own_us - voice_us) > _ALIKE_US
        ):
            dues = (voice_us, voice_us, voice_us, clause_us, own_us)
            return dues[self.chance.index(len(dues), 0, "what the user speaks into", piece.first)]
        return voice_us

    def _after(
        self, piece: UserPiece, gap_us: int | None, answers: int, since_us: int, sounds: Sequence[AgentSound]
    ) -> int | None:
        """After so many answers: `gap_us` later as then, or when this user usually speaks."""
        due_us: int | None = None
        for sound in sounds:
            if due_us is not None and sound.began_us > due_us - REACTION_US:
                break
            if sound.ended_us is None:
                return None
            answers -= sound.whole
            if sound.whole and answers <= 0:
                another = abs(sound.ended_us - sound.began_us - piece.heard_us) > _ALIKE_ANSWER_US
                thought = 1.0
                if gap_us is not None and another:
                    thought = exp(_MOOD * self.chance.normal("when the user answers another answer", piece.first))
                due_us = sound.ended_us + (self._reaction_us(piece) if gap_us is None else round(gap_us * thought))
        return self._impatient(piece, since_us, sounds) if due_us is None else due_us

    def _reaction_us(self, piece: UserPiece) -> int:
        return self.reactions.drawn_us(self.chance, "when the user answers", piece.first)

    def _impatient(self, piece: UserPiece, since_us: int, sounds: Sequence[AgentSound]) -> int:
        patience_us = self.patience_us
        # Who waited in vain then waits as long now.
        if piece.manner is not Manner.OWN or not piece.alone:
            patience_us = round(patience_us * exp(_MOOD * self.chance.normal("how long the user waits", piece.first)))
        return max([since_us, *(sound.ended_us or 0 for sound in sounds)]) + patience_us


def _since(since_us: int, sounds: Sequence[AgentSound]) -> Sequence[AgentSound]:
    """The sounds that end after `since_us`. This is asked for every frame, so it looks at the newest sounds alone."""
    first = len(sounds)
    while first and ((ended_us := sounds[first - 1].ended_us) is None or ended_us > since_us):
        first -= 1
    return sounds[first:]


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
    patience_us = round(median(given_up)) if given_up else max(_PATIENCE_US, 3 * max(waited) // 2)
    return User(tuple(pieces), delays_of(usual, _USUAL_US, _USUAL_REACTIONS), max(patience_us, *waited, 0))


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
        # An end that comes too late to be the reason does not count, but that of a voice that was cut off does.
        if ended_us is None or begins_us < ended_us + (_FORESEEN_US if newest.whole else 0):
            if newest.began_us >= spoke_us:
                return _said_into(first, last, begins_us, spoke_us, newest, answers - newest.whole)
        elif newest.whole:
            heard_us = ended_us - newest.began_us
            return UserPiece(first, last, Manner.AFTER, begins_us - ended_us, answers, heard_us=heard_us)
    return UserPiece(first, last, Manner.OWN, begins_us - spoke_us, alone=not heard)


def _said_into(first: int, last: int, begins_us: int, spoke_us: int, sound: AgentSound, answers: int) -> UserPiece:
    """The piece of speech that was said into a voice."""
    # What began too late to be heard is no reason.
    begun = [at_us for at_us in sound.clauses if at_us <= begins_us - REACTION_US] or [sound.began_us]
    return UserPiece(
        first,
        last,
        Manner.INTO,
        begins_us - sound.began_us,
        answers,
        pause_us=begins_us - spoke_us,
        heard_us=begins_us - sound.began_us,
        clause=len(begun) - 1,
        clause_us=begins_us - begun[-1],
    )
