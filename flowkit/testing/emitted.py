"""What is wrong with what a stage emitted in one session. ``flowkit.testing.stage`` uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from flowkit import messages as m
from flowkit.messages import Clause, EndOfReply, Message, Token
from flowkit.stages.base import Emit, Stage
from flowkit.stages.content import CONTENT
from flowkit.testing.evidence import Step

REPLY = frozenset({"tokens", "clauses", "voice"})
"""Content of a reply. It ends with EndOfReply."""
QUEUE = 16
"""The bound of a queue where a stage declares none."""


def emitted(cls: type[Stage[Any]], steps: Iterable[Step]) -> Iterator[str]:
    """Check what a stage emitted in one session. Yields one line for each fault."""
    reply = _Reply(cls)
    for step in steps:
        if isinstance(step.message, m.Interrupt):
            reply.interrupted()
        reply.took(step.message)
        for action in step.actions:
            if isinstance(action, Emit):
                yield from _misplaced(cls, action)
                yield from reply.gave(action.message)
        yield from reply.kept()
    yield from reply.owed()


def _misplaced(cls: type[Stage[Any]], action: Emit) -> Iterator[str]:
    if action.port not in cls.outputs:
        yield f"emits to port {action.port!r}, which is not declared; its outputs are {', '.join(cls.outputs)}"
        return
    runs = CONTENT[cls.outputs[action.port]]
    if not isinstance(action.message, runs):
        names = ", ".join(kind.__name__ for kind in runs)
        yield f"emits {type(action.message).__name__} to port {action.port!r}, which takes {names}"


class _Reply:
    """The reply that a stage works on: what it took of it, and what it gave."""

    def __init__(self, cls: type[Stage[Any]]) -> None:
        takes, gives = {kind for kinds in cls.inputs.values() for kind in kinds}, set(cls.outputs.values())
        self._passes_on = bool(takes & REPLY and gives & REPLY)
        self._clause_to_clause = "clauses" in takes and "clauses" in gives
        self._most = None if cls.awaits_reply else (cls.queue_max or QUEUE)
        self._ends = [0, 0]
        """How many ends of a reply it took and gave since the last interrupt."""
        self._forgotten: list[Clause] = []
        """The clauses that it had taken and not given when the interrupt came."""
        self._index = -1
        self._broken: frozenset[str] = frozenset()
        self._begin()

    def _begin(self) -> None:
        self._committed = False
        self._took: list[Clause] = []
        self._gave: list[Clause] = []

    def interrupted(self) -> None:
        """The reply is over, and what it has not given of it is void."""
        self._ends, self._index = [0, 0], -1
        if self._clause_to_clause:
            self._forgotten = _missing(self._took, self._gave)
        self._begin()

    def took(self, message: Message) -> None:
        """The stage handles a message."""
        if isinstance(message, EndOfReply):
            self._ends[0] += 1
        elif isinstance(message, Clause):
            self._took.append(message)
        elif isinstance(message, m.Commit):
            self._committed = True

    def gave(self, message: Message) -> Iterator[str]:
        """The stage emits a message."""
        if isinstance(message, EndOfReply):
            self._ends[1] += 1
            if self._clause_to_clause:
                yield from self._texts()
            self._index = -1
            self._begin()
        elif isinstance(message, (Token, Clause)):
            again = isinstance(message, Clause) and bool(self._gave) and self._gave[-1].provisional
            if message.index <= self._index - again:
                kind = type(message).__name__
                yield f"{kind} {message.index} follows {self._index} in one reply; the numbers must rise"
            self._index = message.index
        if isinstance(message, Clause):
            yield from (fault for fault in marks_fit(message) if self._first("marks"))
            if self._clause_to_clause and not (message.provisional or self._committed):
                yield from self._still_provisional(message)
            self._gave.append(message)

    def _first(self, rule: str) -> bool:
        """Whether the rule is broken for the first time: what breaks it once often does so at each clause."""
        known, self._broken = self._broken, self._broken | {rule}
        return rule not in known

    def _still_provisional(self, clause: Clause) -> Iterator[str]:
        same = {taken.provisional for taken in self._took if taken.text == clause.text}
        if same == {True}:
            yield f"clause {clause.index} was provisional and is passed on as final: it may still be revoked, so keep the flag"

    def _texts(self) -> Iterator[str]:
        """The texts of a whole reply come out as they went in, though they may be cut otherwise."""
        void = _revoked(self._took)
        took, gave = (
            [clause for clause in clauses if not (clause.provisional and clause.text in void)]
            for clauses in (self._took, self._gave)
        )
        if _joined(took) == _joined(gave):
            return
        stale = [clause for clause in gave if clause.text in {old.text for old in self._forgotten}]
        strange = [clause for clause in gave if _joined([clause]) not in _joined(took)]
        missing = _missing(took, gave)
        if stale and len(gave) > len(took):
            yield f"clause {stale[0].text!r} of the interrupted reply comes out in the next: reset(state) must forget it"
        elif strange:
            yield (
                f"clause {strange[0].index} has the text {strange[0].text!r}, which is not in the reply: `text` is what the "
                "model wrote; put what is to be said into `spoken`"
            )
        elif missing:
            yield (
                f"clause {missing[0].index} was taken and not passed on ({missing[0].text!r}): "
                "to leave a clause out, pass it on with an empty `spoken`"
            )
        else:
            pairs = zip_longest((clause.text for clause in took), (clause.text for clause in gave), fillvalue="")
            one, other = next(pair for pair in pairs if pair[0] != pair[1])
            yield f"the texts of a reply must come out as they went in, and {other!r} stands where {one!r} was"

    def kept(self) -> Iterator[str]:
        """A stage must not gather what no queue counts."""
        if not self._clause_to_clause or self._most is None:
            return
        inside = len(_text(self._took)) - len(_text(self._gave))
        count = 0
        for clause in reversed(self._took):
            if inside <= 0:
                break
            inside -= len(clause.text)
            count += 1
        if count > self._most:
            # Reported once, because it would be true of each clause that follows.
            self._most = None
            yield (
                f"{count} clauses are kept in the state, more than its queue may hold: emit them as they come, "
                "or leave the port out of accepts(state)"
            )

    def owed(self) -> Iterator[str]:
        """Each end of a reply is passed on once."""
        took, gave = self._ends
        if self._passes_on and took != gave:
            why = "the following stages wait for it" if gave < took else "a reply has one end"
            yield f"EndOfReply was received {_times(took)} and passed on {_times(gave)}: {why}"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _revoked(clauses: Sequence[Clause]) -> set[str]:
    """The texts of provisional clauses that were revoked: another clause with their number came after them."""
    return {
        clause.text
        for place, clause in enumerate(clauses)
        if clause.provisional and any(later.index == clause.index for later in clauses[place + 1 :])
    }


def _missing(all_: Sequence[Clause], found: Sequence[Clause]) -> list[Clause]:
    """The clauses whose texts are not among those of `found`."""
    left = Counter(_joined([clause]) for clause in found)
    missing = []
    for clause in all_:
        text = _joined([clause])
        if left[text]:
            left[text] -= 1
        elif text:
            missing.append(clause)
    return missing


def _text(clauses: Iterable[Clause]) -> str:
    return "".join(clause.text for clause in clauses)


def _joined(clauses: Iterable[Clause]) -> str:
    """Their text without white space, which a stage may put elsewhere."""
    return "".join(_text(clauses).split())


def marks_fit(clause: Clause) -> Iterator[str]:
    """Check that the marks of a clause can map its spoken form to its text. Yields one line for each fault."""
    spoken, text, marks = len(clause.spoken), len(clause.text), clause.marks
    if not spoken:
        return
    if not marks:
        if spoken != len(clause.text.strip()):
            yield (
                f"clause {clause.index} says {clause.spoken!r} for {clause.text!r} and has no marks: where the lengths "
                "differ, what was heard of it is remembered wrong"
            )
    elif list(marks) != sorted(marks, key=lambda pair: pair[0]) or list(marks) != sorted(
        marks, key=lambda pair: pair[1]
    ):
        yield f"clause {clause.index}: the marks do not rise: {marks!r}"
    elif marks[-1][0] != spoken or marks[-1][1] > text:
        yield (
            f"clause {clause.index}: the marks end with {marks[-1]!r}, and `spoken` and `text` have {spoken} and {text} "
            "characters: what was heard of it is remembered wrong"
        )
