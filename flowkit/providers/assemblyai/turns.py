"""Converts AssemblyAI's turns into flowkit's utterances, without I/O.

The server splits speech into turns. flowkit's endpointing decides where utterances end, and forces the server's turn to
end there. An utterance is the text of all turns since the previous utterance. Each Turn message replaces the earlier
ones with its `turn_order`, and a turn that comes twice (unformatted and formatted) counts once. Word times are
milliseconds of audio sent on this connection.
https://www.assemblyai.com/docs/streaming/message-sequence
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowkit.messages import Final, Message, Partial
from flowkit.providers.cloud.faults import schema

COVERED_MS = 300
"""A turn that the server ended itself contains the whole utterance if its last word ends at most this long before the
last voiced frame. The margin allows for a last syllable and for its echo, which a VAD may take for speech."""


@dataclass(frozen=True, slots=True)
class ServerTurn:
    """A Turn message of the service: its number, whether it has ended and is formatted, its text, and the end of its
    last word."""

    order: int
    ended: bool
    formatted: bool
    text: str
    end_ms: int

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> ServerTurn:
        """Read a message. Raises CloudError (protocol) if a field is missing or has another type."""
        order, transcript, words = message.get("turn_order"), message.get("transcript"), message.get("words", [])
        if not isinstance(order, int) or not isinstance(transcript, str) or not isinstance(words, list):
            raise schema("a Turn without turn_order, transcript or words")
        ended, formatted = message.get("end_of_turn") is True, message.get("turn_is_formatted") is True
        end_ms = words[-1].get("end", 0) if words and isinstance(words[-1], dict) else 0
        text = transcript if ended else _as_words(words) or transcript
        return cls(order, ended, formatted, text.strip(), end_ms if isinstance(end_ms, int) else 0)


def _as_words(words: list[Any]) -> str:
    """The text of all words. The transcript of an unfinished turn lacks the words that are not final; a partial shows
    them."""
    return " ".join(str(word.get("text", "")) for word in words if isinstance(word, dict))


@dataclass(frozen=True, slots=True)
class Owed:
    """An utterance that still needs its final transcript.

    `end_ms` is the end of its last voiced frame in audio sent on this connection. `give_up_us` is the session time
    until which to wait.
    """

    utterance: int
    end_ms: int
    give_up_us: int


@dataclass(slots=True)
class ServerTurns:
    """The turns since the last utterance, and the utterances that wait for their final transcript.

    `formatted`: a turn has ended only when its formatted text has come. `own_ends`: each of the server's turns is an
    utterance.
    """

    formatted: bool = False
    own_ends: bool = False
    said: dict[int, str] = field(default_factory=dict)
    """Text of the ended turns that are not part of an utterance yet, by turn_order."""
    now: str = ""
    """Text so far of the turn that has not ended; its number is `now_order`."""
    now_order: int = -1
    covered_ms: int = 0
    """End of the last word of the ended turns."""
    owed: deque[Owed] = field(default_factory=deque)
    counted: int = -1
    """The highest turn_order that is part of an utterance."""
    utterances: int = 0

    def heard(self, turn: ServerTurn) -> list[Message]:
        """Take a Turn message. Returns the messages to emit."""
        # A late message, whose words are part of an utterance already.
        if turn.order <= self.counted:
            return []
        if not turn.ended or (self.formatted and not turn.formatted):
            # A late message about a turn that has ended; its text must not come a second time.
            if turn.order in self.said:
                return []
            self.now, self.now_order = turn.text, turn.order
            return [Partial(self._text())] if self._text() else []
        # An ended turn may come twice, and must answer only one utterance.
        again = turn.order in self.said
        self.said[turn.order], self.now = turn.text, ""
        self.covered_ms = max(self.covered_ms, turn.end_ms)
        if self.own_ends:
            self.utterances += 1
            return [self._final(self.utterances)] if turn.text else []
        return [self._final(self.owed.popleft().utterance)] if self.owed and not again else []

    def ended(self, owed: Owed) -> list[Message]:
        """The utterance `owed` has ended. Returns its Final if the server has ended the turn already; otherwise it
        waits in `owed`."""
        if self.said and not self.now and not self.owed and self.covered_ms >= owed.end_ms - COVERED_MS:
            return [self._final(owed.utterance)]
        self.owed.append(owed)
        return []

    def overdue(self, now_us: int) -> list[Message]:
        """The Finals of utterances whose time is over at `now_us`. Each has the text so far, which may be empty."""
        finals: list[Message] = []
        while self.owed and self.owed[0].give_up_us <= now_us:
            finals.append(self._final(self.owed.popleft().utterance))
        return finals

    def _text(self) -> str:
        return " ".join(text for text in (*self.said.values(), self.now) if text)

    def _final(self, utterance: int) -> Final:
        text = self._text()
        # An unfinished turn counts too, so that later messages about it do not repeat its words.
        self.counted = max(self.counted, *self.said, self.now_order if self.now else -1)
        self.said.clear()
        self.now = ""
        return Final(text, utterance)
