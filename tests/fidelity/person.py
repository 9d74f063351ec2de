"""A user who reacts: listens to the agent, waits for its answer, barges in, pauses, gives way, and loses patience.

What a person says, and how he or she behaves, depends on the seed alone. When it is said depends on what the agent does.
So the same person can meet the same agent with other settings, and that session is what a prediction should say.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from flowkit.engine import Engine, Fate, Row
from flowkit.messages import Frames, Hold, InputEnded, Interrupt, Message, Play, PlaybackStarted, ReplyPlayed
from flowkit.providers.inline import InlineCall, Script

FRAME_US = 20_000
_SILENT_LEVEL, _VOICED_LEVEL = 120, 40
_LONGEST = 6_000
"""No person waits longer than two minutes, in frames."""


@dataclass(frozen=True, slots=True)
class Spurt:
    """Speech without a pause: the probability of each frame, the words by the frame in which they end, and the pause that
    follows, in frames."""

    voice: tuple[float, ...]
    words: tuple[tuple[int, str], ...]
    pause: int


class Cut(Enum):
    """What the person does if the agent begins to speak in a pause."""

    TALKS_OVER = auto()
    """Goes on as if nothing were."""
    WAITS = auto()
    """Stops, hears the answer out, and then says the rest."""
    DROPS = auto()
    """Stops, and never says the rest."""
    PROTESTS = auto()
    """Stops for a moment, and goes on against the agent."""


class Cue(Enum):
    """What makes the person speak into an answer."""

    VOICE = auto()
    """So long after the agent's voice has begun."""
    CLAUSE = auto()
    """So long after a later clause has begun, whenever that sounds."""
    CLOCK = auto()
    """So long after the person's own last words, if the agent speaks by then."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What the person wants to say, and when: so long after the agent has finished, or `into_us` after a cue in its answer.

    `slower`: how much longer the person thinks for each second of the answer.
    """

    spurts: tuple[Spurt, ...]
    reaction_us: int
    slower: float
    into_us: int | None
    cue: Cue
    clause: int
    patience_us: int
    cut: Cut


@dataclass(frozen=True, slots=True)
class Frame:
    """What a microphone frame holds."""

    p: float
    word: str = ""
    voiced: bool = False


class Ear:
    """What the person hears of the agent: when its voice began, and when a whole answer ended."""

    def __init__(self) -> None:
        self.on_us: int | None = None
        self.ended_us = self.cut_us = -1
        self.lasted_us = 0
        self.clauses: list[int] = []
        """When each clause of the answer that sounds began."""
        self._clause: tuple[int, int] = (-1, -1)
        self.rows: list[Row] = []

    def listen(self, engine: Engine) -> None:
        """Hear what has happened since the last time. The rows are taken from the engine's journal, and kept."""
        for row in (new := engine.journal.take()):
            message = row.message
            if row.fate is not Fate.HANDLED:
                continue
            if row.stage == "gate" and isinstance(message, PlaybackStarted):
                self.on_us = message.at_us if self.on_us is None else self.on_us
            elif row.stage == "gate" and isinstance(message, ReplyPlayed):
                self.lasted_us = row.handled_us - (row.handled_us if self.on_us is None else self.on_us)
                self.ended_us, self.on_us = row.handled_us, None
            elif isinstance(message, Play) and self._clause != (row.epoch, message.clause):
                if self._clause[0] != row.epoch:
                    self.clauses.clear()
                self._clause = (row.epoch, message.clause)
                self.clauses.append(message.at_us)
            elif row.stage == "speaker" and isinstance(message, Hold | Interrupt) and self.on_us is not None:
                self.cut_us, self.on_us = row.handled_us, None
        self.rows += new


def _spurt(dice: random.Random, words: Iterator[str]) -> Spurt:
    frames = dice.randint(15, 90)
    voice = [min(1.0, dice.gauss(0.9, 0.06)) for _ in range(frames)]
    for at in range(dice.randint(0, 3)):  # soft beginning
        voice[at] = dice.uniform(0.2, 0.65)
    at = dice.randint(8, 30)
    while at < frames - 6:  # stops within words
        for deep in range(at, at + dice.randint(1, 5)):
            voice[deep] = dice.uniform(0.05, 0.5)
        at += dice.randint(10, 40)
    tail = [dice.uniform(0.1, 0.6) for _ in range(dice.randint(0, 3))]
    said, at = [], dice.randint(8, 18)
    while at < frames:
        said.append((at, next(words)))
        at += dice.randint(10, 24)
    if not said or dice.random() < 0.9:
        said.append((frames - 1, next(words)))
    return Spurt((*voice, *tail), tuple(said), round(min(75.0, 15 * dice.lognormvariate(0, 0.5))))


def remarks(seed: int) -> list[Remark]:
    """What the person of this seed will say."""
    dice = random.Random(f"{seed}:person")
    syllables = ("ba", "de", "ki", "lo", "mu", "ne", "ra", "so", "ti", "vu")
    words = (f"{dice.choice(syllables)}{dice.choice(syllables)}{n}" for n in range(10_000))
    said: list[Remark] = []
    # Each person has manners of his or her own, and keeps to them only mostly.
    pace_us, slower = 6e5 * dice.lognormvariate(0, 0.5), max(0.0, dice.gauss(0.03, 0.04))
    manners = dice.choices(tuple(Cut), k=2)
    cues = dice.choices(tuple(Cue), (3, 2, 1), k=2)
    patience_us = dice.uniform(3.5e6, 8e6)
    barges = dice.choice((0.0, 0.2, 0.35, 0.5))
    for _ in range(dice.randint(3, 8)):
        into = dice.random() < barges
        if into and dice.random() < 0.3:  # a short sound that means nothing
            voice = tuple(dice.uniform(0.7, 1) for _ in range(dice.randint(3, 14)))
            heard = ((len(voice) - 1, f"mhm{len(said)}"),) if dice.random() < 0.5 else ()
            spurts: tuple[Spurt, ...] = (Spurt(voice, heard, 0),)
        else:
            spurts = tuple(_spurt(dice, words) for _ in range(dice.choice((1, 1, 1, 2, 2, 3))))
        said.append(
            Remark(
                spurts,
                reaction_us=round(min(4e6, max(1.2e5, pace_us * dice.lognormvariate(0, 0.35)))),
                slower=slower,
                into_us=round(dice.uniform(2e5, 3.5e6)) if into else None,
                cue=dice.choice(cues),
                clause=dice.randint(1, 3),
                patience_us=round(patience_us * dice.uniform(0.8, 1.2)),
                cut=dice.choice(manners),
            )
        )
    return said


class Person(Script):
    """The microphone. `frames` is what it has given so far."""

    def __init__(self, seed: int) -> None:
        self.frames: list[Frame] = []
        self.over = False
        dice = random.Random(f"{seed}:room")
        self._room = [dice.uniform(0.01, 0.15) for _ in range(3_000)]
        for _ in range(dice.randint(0, 3)):  # noises that are nobody's speech
            at, lasts = dice.randrange(2_900), dice.randint(2, 9)
            self._room[at : at + lasts] = [dice.uniform(0.4, 0.9) for _ in range(lasts)]
        self._late_us = dice.choice((0, 0, 700, 4_000))
        self._remarks = remarks(seed)
        self.ear = Ear()
        self._engine: Engine | None = None

    def follow(self, engine: Engine) -> None:
        """Listen to this session."""
        self._engine = engine

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=self._given)

    def levels(self) -> bytes:
        """The levels of the frames, for the reference detector."""
        return bytes(_VOICED_LEVEL if frame.voiced else _SILENT_LEVEL for frame in self.frames)

    @property
    def _now_us(self) -> int:
        return len(self.frames) * FRAME_US + self._late_us

    def _given(self) -> Iterator[tuple[int, Message]]:
        # A frame is chosen when the one before has left, so the person knows what has happened by then.
        for frame in self._chosen():
            self.frames.append(frame)
            yield self._now_us, Frames(len(self.frames) - 1, 1)
        self.over = True
        yield self._now_us, InputEnded(len(self.frames))
        for _ in range(_LONGEST):
            self.frames.append(self._quiet())
            yield self._now_us, Frames(len(self.frames) - 1, 1)

    def _quiet(self) -> Frame:
        return Frame(self._room[len(self.frames) % len(self._room)])

    def _chosen(self) -> Iterator[Frame]:
        for remark in self._remarks:
            yield from self._waits(remark, remark.into_us)
            yield from self._says(remark)
        yield from self._waits(self._remarks[-1], None)
        for _ in range(60):
            yield self._quiet()

    def _says(self, remark: Remark) -> Iterator[Frame]:
        for place, spurt in enumerate(remark.spurts):
            words = dict(spurt.words)
            for at, p in enumerate(spurt.voice):
                yield Frame(p, words.get(at, ""), voiced=True)
            if place + 1 == len(remark.spurts):
                return
            since_us = self._now_us
            for _ in range(spurt.pause):
                yield self._quiet()
            if remark.cut is Cut.TALKS_OVER or not self._interrupted(since_us):
                continue
            if remark.cut is Cut.DROPS:
                return
            if remark.cut is Cut.WAITS:
                yield from self._waits(remark, None)
            else:
                for _ in range(20):
                    yield self._quiet()

    def _interrupted(self, since_us: int) -> bool:
        """Whether the agent has begun to speak in a pause, long enough ago to be noticed."""
        assert self._engine is not None
        self.ear.listen(self._engine)
        on_us = self.ear.on_us
        return on_us is not None and since_us <= on_us <= self._now_us - 250_000

    def _waits(self, remark: Remark, into_us: int | None) -> Iterator[Frame]:
        """Silence until it is time for the remark."""
        began_us, ear = self._now_us, self.ear
        assert self._engine is not None
        for _ in range(_LONGEST):
            ear.listen(self._engine)
            now_us = self._now_us
            if ear.on_us is not None:
                due_us = None if into_us is None else self._interrupts_us(remark, into_us, began_us)
                if due_us is not None and now_us >= due_us:
                    return
            elif ear.ended_us > began_us:
                if now_us >= ear.ended_us + self._thinks_us(remark, ear.ended_us - ear.lasted_us - began_us):
                    return
            elif now_us >= max(began_us if began_us else 500_000, ear.cut_us) + (remark.patience_us if began_us else 0):
                return
            yield self._quiet()

    def _thinks_us(self, remark: Remark, waited_us: int) -> float:
        """From the end of an answer to the remark. Another answer is thought about for another time, and after a long wait
        the person has thought before."""
        lasted_us = self.ear.lasted_us
        mood = random.Random(f"{remark.reaction_us}:{lasted_us // 200_000}").lognormvariate(0, 0.2)
        return (remark.reaction_us * mood + remark.slower * lasted_us) * (0.8 if waited_us > 2_000_000 else 1)

    def _interrupts_us(self, remark: Remark, into_us: int, began_us: int) -> int | None:
        """When the person speaks into the answer that sounds. None: the cue has not come."""
        on_us = self.ear.on_us
        assert on_us is not None
        if remark.cue is Cue.CLOCK:
            return max(began_us + 1_000_000 + into_us, on_us + 200_000)
        if remark.cue is Cue.VOICE:
            return max(on_us, began_us) + into_us
        begun = [at_us for at_us in self.ear.clauses if at_us <= self._now_us]
        return max(begun[remark.clause], began_us) + into_us // 3 if len(begun) > remark.clause else None
