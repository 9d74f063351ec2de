"""What the user asks in a turn, and what was heard of the answer: the gate's memory of the conversation. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowkit.messages import Forget, Utterance
from flowkit.words import count, words


@dataclass(slots=True)
class Question:
    """The question of turn `number`.

    Args:
        parts: the utterances that it is made of: more than one where an answer was cut off before any of it sounded.
        heard: the answer's clauses as far as they sounded; `before`: of one that was cut off for nothing, and goes on.
        asked: how often an answer was asked for.
        cut_off: the answer was, by an interruption whose words are not known yet.
        cancelled: the answer was given up by a client.
        acted: tools were called for it, so it is not asked again.
    """

    number: int = 0
    parts: tuple[str, ...] = ()
    before: str = ""
    heard: list[str] = field(default_factory=list)
    asked: int = 0
    cut_off: bool = False
    cancelled: bool = False
    acted: bool = False

    def next(self, text: str, most: int) -> Utterance:
        """A new turn. What an interruption left without any answer is asked with it: whole utterances, the newest, of `most`
        words together at most. A turn that failed leaves nothing."""
        heard = self._heard()
        left = (self.cut_off or self.cancelled) and not heard and not self.acted
        unanswered = self.parts if left else ()
        self._begin((*_newest(unanswered, most), *([text] if text else [])))
        return Utterance(self.number, " ".join(self.parts), heard)

    def address(self, text: str) -> Utterance:
        """A new turn in which nobody asked anything: the agent says `text`."""
        heard = self._heard()
        self._begin(())
        return Utterance(self.number, "", heard, say=text)

    def again(self) -> Utterance:
        """The same turn once more: the answer was cut off for nothing, and goes on behind what was heard of it."""
        self.before, self.heard, self.asked, self.cut_off = self._heard(), [], self.asked + 1, False
        return Utterance(self.number, " ".join(self.parts), "", self.before)

    def forget(self, what: Forget) -> None:
        """The user never said this, or the agent never answered, if it was in this turn."""
        if what.number != self.number:
            return
        if what.user:
            self.parts = tuple(part for text in self.parts if (part := without(text, what.text)))
        else:
            self.before, self.heard = "", []

    def _begin(self, parts: tuple[str, ...]) -> None:
        self.number, self.parts, self.asked = self.number + 1, parts, 1
        self.before, self.heard, self.cut_off, self.cancelled, self.acted = "", [], False, False, False

    def _heard(self) -> str:
        return " ".join(part for part in (self.before, "".join(self.heard).strip()) if part)


def without(said: str, text: str) -> str:
    """What was said, without `text` where it stands first. What was said in one turn is joined by spaces."""
    if not text or text not in said:
        return said
    before, _, behind = said.partition(text)
    return " ".join(part for part in (before.strip(), behind.strip()) if part)


def _newest(parts: tuple[str, ...], most: int) -> tuple[str, ...]:
    kept = len(parts)
    while kept and (most := most - count(words(parts[kept - 1]))) >= 0:
        kept -= 1
    return parts[kept:]
