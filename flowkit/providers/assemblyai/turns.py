"""AssemblyAI's turns, put into flowkit's utterances. Pure.

The server cuts speech into turns by its own reckoning; flowkit's endpointing says where utterances end, and forces the turn.
An utterance is what was said in all turns since the last one. Every Turn replaces what was known of its `turn_order`, and
a turn that comes twice (formatted and not) counts once. Word times are milliseconds of audio sent on this connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.messages import Final, Message, Partial
from flowkit.providers.cloud.faults import schema

COVERED_MS = 300
"""A turn that the server ended itself holds the whole utterance if its last word ends no earlier than this before the last voiced
frame: a last syllable, and what a detector hears of its echo."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a Turn message says."""

    order: int
    ended: bool
    formatted: bool
    text: str
    end_ms: int

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Turn:
        """Raises CloudError (protocol) where a field is missing or of another type."""
        order, transcript, words = message.get("turn_order"), message.get("transcript"), message.get("words", [])
        if not isinstance(order, int) or not isinstance(transcript, str) or not isinstance(words, list):
            raise schema("a Turn without turn_order, transcript or words")
        ended, formatted = message.get("end_of_turn") is True, message.get("turn_is_formatted") is True
        end_ms = words[-1].get("end", 0) if words and isinstance(words[-1], dict) else 0
        text = transcript if ended else _as_words(words) or transcript
        return cls(order, ended, formatted, text.strip(), end_ms if isinstance(end_ms, int) else 0)


def _as_words(words: list[Any]) -> str:
    """An unfinished turn's transcript leaves out words that are not final yet; a partial shows them."""
    return " ".join(str(word.get("text", "")) for word in words if isinstance(word, dict))


@dataclass(frozen=True, slots=True)
class Owed:
    """An utterance whose final is awaited: its last voiced moment on the connection's audio clock, and until when to wait."""

    utterance: int
    end_ms: int
    give_up_us: int


@dataclass(slots=True)
class Turns:
    """`formatted`: a turn's end counts when it is formatted; `own_ends`: the server's turns are the utterances."""

    formatted: bool = False
    own_ends: bool = False
    said: dict[int, str] = field(default_factory=dict)
    """Ended turns that no utterance has taken yet, by turn_order."""
    now: str = ""
    """The turn under way, number `now_order`, as far as it is known."""
    now_order: int = -1
    covered_ms: int = 0
    owed: deque[Owed] = field(default_factory=deque)
    counted: int = -1
    """The highest turn_order that has gone into an utterance."""
    utterances: int = 0

    def heard(self, turn: Turn) -> list[Message]:
        """What follows from one Turn."""
        if turn.order <= self.counted:
            return []
        if not turn.ended or (self.formatted and not turn.formatted):
            if turn.order in self.said:
                return []
            self.now, self.now_order = turn.text, turn.order
            return [Partial(self._text())] if self._text() else []
        again = turn.order in self.said
        self.said[turn.order], self.now = turn.text, ""
        self.covered_ms = max(self.covered_ms, turn.end_ms)
        if self.own_ends:
            self.utterances += 1
            return [self._final(self.utterances)] if turn.text else []
        return [self._final(self.owed.popleft().utterance)] if self.owed and not again else []

    def ended(self, owed: Owed) -> list[Message]:
        """An utterance has ended: its Final, if the server has ended the turn already; else it is owed."""
        if self.said and not self.now and not self.owed and self.covered_ms >= owed.end_ms - COVERED_MS:
            return [self._final(owed.utterance)]
        self.owed.append(owed)
        return []

    def overdue(self, now_us: int) -> list[Message]:
        """Finals of utterances that the server has not answered in time: what is known of them, which may be nothing."""
        finals: list[Message] = []
        while self.owed and self.owed[0].give_up_us <= now_us:
            finals.append(self._final(self.owed.popleft().utterance))
        return finals

    def _text(self) -> str:
        return " ".join(text for text in (*self.said.values(), self.now) if text)

    def _final(self, utterance: int) -> Final:
        text = self._text()
        # A turn that is taken unfinished counts as well: what more comes of it must not be said twice.
        self.counted = max(self.counted, *self.said, self.now_order if self.now else -1)
        self.said.clear()
        self.now = ""
        return Final(text, utterance)
