"""Notices that the agent hears itself, and says what to do: over open speakers it would interrupt its own replies.

There are four signs. The first that is seen is reported, once a session.

- Audio: the microphone has what was played, three times with the same delay. A comparison takes 6 ms, in a thread.
- Words: an interruption has the words that the agent was just saying.
- Flutter: a voice holds the agent, falls silent when the agent does, and this happens again and again.
- Replies are interrupted one after another as soon as they sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from flowkit.engine import Fate, Row
from flowkit.engine.observer import Observer
from flowkit.messages import (
    Clause,
    Frames,
    Interrupt,
    Play,
    PlaybackStarted,
    ReplyPlayed,
    Resume,
    Silence,
    Utterance,
)
from flowkit.plan.graph import Plan
from flowkit.providers.sound.echo import EchoEar, Likeness, likeness
from flowkit.words import count, words

LOOK_EVERY_US = 500_000
SIGNS = 3
"""Windows in which the agent's voice must be found, equally late, before it is said: one may be chance."""
_EQUAL_US = 10_000
FLUTTER, _WITHIN_US = 5, 5_000_000
"""So many suspicions within so long that are all withdrawn are no user's."""
CUT_OFF, _AT_ONCE_US = 3, 700_000
"""So many replies in a row that are interrupted so soon after their first sound are no user's doing either."""
_SAME_SHARE, _LEAST_WORDS = 0.75, 3
ADVICE = (
    "the agent hears its own voice and may interrupt itself: use a headset, "
    "or give the mic its echo canceller: {kind: mic, provider: device, aec: webrtc}"
)


class EchoWatch(Observer):
    """Calls `notice` once. It reads replies from the rows and not from the follower. The follower hands out a reply only when it
    cannot be answered again, and an agent that interrupts itself without words asks for the same reply again and again.
    """

    def __init__(self, plan: Plan, notice: Callable[[str], None]) -> None:
        self._ear = EchoEar(plan.input_rate_hz)
        self._notice = notice
        self._found_us: list[int] = []
        self._compared: Future[Likeness] | None = None
        self._thread = ThreadPoolExecutor(1, "flowkit echo")
        self._said = False
        self._look_us = 0
        self._spoken: deque[str] = deque(maxlen=200)
        self._resumed_us: deque[int] = deque(maxlen=FLUTTER)
        self._sounds_us: int | None = None
        self._cut_off = 0

    def _heard(self, now_us: int, pcm: bytes) -> None:
        self._ear.heard(now_us, pcm)
        if now_us >= self._look_us:
            self._look_us = now_us + LOOK_EVERY_US
            self._look(now_us)

    def _look(self, now_us: int) -> None:
        """Take the last comparison's outcome, and begin the next."""
        if self._compared is not None and self._compared.done():
            found = self._compared.result()
            if found.clear:
                # An echo's delay stays the same, so matches with another delay were chance.
                self._found_us = [us for us in self._found_us if abs(us - found.later_us) <= _EQUAL_US]
                self._found_us.append(found.later_us)
            self._compared = None
        if len(self._found_us) >= SIGNS:
            self._say()
        elif self._compared is None and (window := self._ear.window(now_us)) is not None:
            self._compared = self._thread.submit(likeness, *window)

    def rows(self, rows: list[Row]) -> None:
        for row in rows:
            if row.fate is Fate.HANDLED and not self._said:
                self._row(row)

    def _row(self, row: Row) -> None:
        match row.message:
            case Frames(pcm=pcm) if pcm and not row.cause_stage:
                self._heard(row.sent_us, pcm)
            case Play():
                self._ear.played(row.message.at_us, row.message.pcm, row.message.rate_hz)
            case Silence(at_us=at_us):
                self._ear.silenced(at_us)
            case Utterance(text=text) if repeats(text, self._spoken):
                self._say()
            case Resume():
                self._resumed(row.handled_us)
            case Clause(text=text):
                self._spoken.extend(word.key for word in words(text))
            case PlaybackStarted(at_us=at_us) if self._sounds_us is None:
                self._sounds_us = at_us
            case ReplyPlayed():
                # A reply that was heard to its end breaks the row.
                self._sounds_us, self._cut_off = None, 0
            case Interrupt() if self._sounds_us is not None:
                soon = row.handled_us - self._sounds_us <= _AT_ONCE_US
                self._cut_off = self._cut_off + 1 if soon else 0
                self._sounds_us = None
                if self._cut_off == CUT_OFF:
                    self._say()

    def _resumed(self, at_us: int) -> None:
        self._resumed_us.append(at_us)
        if len(self._resumed_us) == FLUTTER and at_us - self._resumed_us[0] <= _WITHIN_US:
            self._say()

    def _say(self) -> None:
        if not self._said:
            self._said = True
            self._notice(ADVICE)


def repeats(text: str, spoken: deque[str]) -> bool:
    """Whether `text` is what the agent said: three quarters of its words, in order, in the newest of `spoken`."""
    found = words(text)
    # One or two words may be the same by chance.
    if count(found) < _LEAST_WORDS:
        return False
    said, same = iter(list(spoken)), 0
    for word in found:
        rest = list(said)
        if word.key in rest:
            same += 1
            said = iter(rest[rest.index(word.key) + 1 :])
        else:
            said = iter(rest)
    return same >= _SAME_SHARE * len(found)
