"""The exchanges of a conversation as the model should remember them: those that are over, and those that a client adds, forgets
and corrects.

Nothing here changes in place, so a reply that is given up leaves the past as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from flowkit import history
from flowkit.messages import NEWEST, Called, Exchange, Forget, HeardUntil, Remember, ReplyStep, ToolOutcome
from flowkit.stages.question import without

Steps: TypeAlias = tuple[ReplyStep, ...]


class Numbered(NamedTuple):
    """An exchange under the number of its turn, or of a client's ``Remember``."""

    number: int
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Past:
    """`over`: the oldest first. `later`: what follows the exchange that is under way."""

    over: tuple[Numbered, ...] = ()
    later: tuple[Numbered, ...] = ()

    @property
    def history(self) -> tuple[Exchange, ...]:
        """What a request gets."""
        return tuple(exchange for _, exchange in self.over)

    def fitting(self, most: int, tokens: int) -> Past:
        """The newest exchanges: at most `most`, with at most `tokens` estimated tokens together."""
        kept = history.fitting(self.history, most, tokens)
        return replace(self, over=self.over[len(self.over) - len(kept) :])

    def ended(self, *under_way: Numbered) -> Past:
        """The exchange that was under way is over. None is given if there is nothing of it to remember."""
        return Past((*self.over, *under_way, *self.later))

    def followed_by(self, *later: Numbered) -> Past:
        """With these directly behind the exchange that is under way."""
        return replace(self, later=(*later, *self.later))

    def with_said(self, said: Remember, under_way: int | None) -> Past:
        """With an exchange of a client's in its place. `under_way`: the number of the one that is, if one is."""
        entry = Numbered(said.number, Exchange(said.text, "") if said.user else Exchange("", said.text))
        known, later = [one.number for one in self.over], [one.number for one in self.later]
        last = [*known, *([under_way] if under_way is not None else []), *later]
        if said.after == NEWEST or (last and said.after == last[-1]) or said.after in later:
            # The one under way is not over, and comes before.
            if under_way is None:
                return replace(self, over=(*self.over, entry))
            at = later.index(said.after) + 1 if said.after in later else len(later)
            return replace(self, later=(*self.later[:at], entry, *self.later[at:]))
        if said.after == under_way:
            return self.followed_by(entry)
        # What it would follow may be forgotten already, and then it is the oldest.
        at = known.index(said.after) + 1 if said.after in known else 0
        return replace(self, over=(*self.over[:at], entry, *self.over[at:]))

    def without(self, what: Forget) -> Past:
        """A part of an exchange was never said. Without anything left, there was no exchange."""
        return Past(_without(self.over, what), _without(self.later, what))

    def heard(self, until: HeardUntil) -> Past:
        """A client says late how much of a reply was heard."""
        over = (
            Numbered(number, Exchange(exchange.user, *in_order(exchange.steps, until.text)))
            if number == until.number
            else Numbered(number, exchange)
            for number, exchange in self.over
        )
        return replace(self, over=tuple(over))

    def settled(self, outcome: ToolOutcome) -> Past:
        """The outcome of a call of some exchange is there."""
        over = (
            Numbered(number, exchange._replace(steps=settled(exchange.steps, outcome)) if exchange.steps else exchange)
            for number, exchange in self.over
        )
        return replace(self, over=tuple(over))


def _without(entries: tuple[Numbered, ...], what: Forget) -> tuple[Numbered, ...]:
    left = (Numbered(number, _part_of(exchange, number, what)) for number, exchange in entries)
    return tuple(entry for entry in left if any(entry.exchange))


def _part_of(exchange: Exchange, number: int, what: Forget) -> Exchange:
    if number != what.number:
        return exchange
    return exchange._replace(user=without(exchange.user, what.text)) if what.user else exchange._replace(agent="")


# -- the steps of a reply that calls tools -----------------------------------------------------------------------------


def in_order(steps: Steps, said: str) -> tuple[str, Steps]:
    """What was heard of a reply, behind its steps and at each: a text that stood before a call must not follow its
    outcome."""
    placed: list[ReplyStep] = []
    for step in steps:
        heard = step.text if said.startswith(step.text) else said if step.text.startswith(said) else ""
        said = said.removeprefix(heard).lstrip()
        placed.append(step._replace(text=heard))
    return said, tuple(placed)


def said_since(steps: Steps, said: str) -> str:
    """What of the spoken text belongs to the step that is asked for. The steps before have their own texts."""
    for step in steps:
        if step.text.startswith(said):
            return ""
        said = said.removeprefix(step.text).lstrip()
    return said


def settled(steps: Steps, outcome: ToolOutcome) -> Steps:
    """The steps with an outcome at its call."""

    def at(call: Called) -> Called:
        mine = call.id == outcome.id
        return call._replace(status=outcome.status, content=outcome.content) if mine else call

    return tuple(ReplyStep(step.text, tuple(map(at, step.calls))) for step in steps)
