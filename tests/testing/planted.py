"""Stages between the chunker and the voice, each with one planted fault, for the tests of the kit for authors of stages."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from flowkit.messages import Ask, Clause, EndOfReply, Message, Token
from flowkit.options import Options
from flowkit.providers.base import Emit as Answer
from flowkit.providers.base import Provider
from flowkit.stages.base import NOTHING, Actions, Emit, Open, Stage


class Softens(Stage[Any]):
    """A word filter between the chunker and the voice."""

    kind = "softens"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses"}
    replying = True

    class Options(Options):
        pass

    def fresh(self) -> Any:
        return None

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        if isinstance(message, Clause):
            return self.clause(state, message)
        if isinstance(message, EndOfReply):
            return (Emit("clauses", message),)
        return NOTHING

    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", replace(clause, spoken=clause.spoken.replace("No", "Oh"))),)


class SwallowsTheEnd(Softens):
    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        return self.clause(state, message) if isinstance(message, Clause) else NOTHING


class WrongPort(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clause", clause),)


class WrongType(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", Token(clause.index, clause.spoken)),)


class Renumbers(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", replace(clause, index=0)),)


class Repeats(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", clause), Emit("clauses", clause))


@dataclass
class Kept:
    clauses: list[Clause] = field(default_factory=list)


class HoldsOneBack(Softens):
    """It emits a clause when the next one comes, so the last one is lost."""

    def fresh(self) -> Kept:
        return Kept()

    def clause(self, state: Kept, clause: Clause) -> Actions:
        state.clauses.append(clause)
        return (Emit("clauses", state.clauses.pop(0)),) if len(state.clauses) > 1 else NOTHING


class OneStateForAll(Softens):
    kept: ClassVar[Kept] = Kept()

    def fresh(self) -> Kept:
        return self.kept


class CountsInTheClass(Softens):
    seen: ClassVar[list[int]] = []

    def clause(self, state: Any, clause: Clause) -> Actions:
        self.seen.append(clause.index)
        return (Emit("clauses", replace(clause, tokens=len(self.seen))),)


class ThrowsDice(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", replace(clause, tokens=random.randrange(1 << 30))),)


class Slow(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        time.sleep(0.003)
        return super().clause(state, clause)


class Raises(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        raise KeyError(clause.spoken)


class NotOfTheReply(Softens):
    replying = False


class DeafToInterrupts(Softens):
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses",)}


class NoSuchContent(Softens):
    outputs: ClassVar[dict[str, str]] = {"clauses": "sentences"}


class GivesItAwayAtOnce(Softens):
    """It emits a Fault each time, although nothing failed."""

    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses", "faults": "progress"}

    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("faults", clause), Emit("clauses", clause))


class Counts(Softens):
    """Wrong only if it is told to."""

    kind = "counts"

    class Options(Options):
        twice: bool = False

    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", clause),) * (1 + self.options.twice)  # type: ignore[attr-defined]


class Asks(Softens):
    """Asks somebody outside about each reply."""

    kind = "asks"
    call_scope = "turn"

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        asked = (Open(Ask(1, "Well?")),) if isinstance(message, EndOfReply) else ()
        return (*asked, *super().step(state, message, now_us))


class Answers(Provider):
    kind, name = "asks", "answers"
    asked: ClassVar[list[Message]] = []

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Answer) -> None:
        self.asked.append(request)
        await emit(Token(0, "Yes."))


# -- a reply's clauses -------------------------------------------------------------------------------------------------


class SwallowsAllClauses(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return NOTHING


class SwallowsEverySecond(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return NOTHING if clause.index % 2 else super().clause(state, clause)


class MuteAfterAnInterrupt(Softens):
    """Passes the ends on, and no clause after the first interrupt."""

    def fresh(self) -> Any:
        return []

    def reset(self, state: Any) -> Any:
        return ["interrupted"]

    def clause(self, state: Any, clause: Clause) -> Actions:
        return NOTHING if state else super().clause(state, clause)


@dataclass
class Held:
    clause: Clause | None = None


class LooksAhead(Softens):
    """Holds one clause back until the next one or the end comes."""

    def fresh(self) -> Any:
        return Held()

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        if not isinstance(message, (Clause, EndOfReply)):
            return NOTHING
        held, state.clause = state.clause, message if isinstance(message, Clause) else None
        ended = (message,) if isinstance(message, EndOfReply) else ()
        return [Emit("clauses", each) for each in (held, *ended) if each is not None]


class SpeaksTheOldReply(LooksAhead):
    """Holds its clause through an interrupt."""

    def reset(self, state: Any) -> Any:
        return state


class GathersTheReply(Softens):
    def fresh(self) -> Any:
        return Kept()

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        if isinstance(message, Clause):
            state.clauses.append(message)
        if not isinstance(message, EndOfReply):
            return NOTHING
        held, state.clauses = state.clauses, []
        return [Emit("clauses", each) for each in (*held, message)]


class AwaitsTheReply(GathersTheReply):
    """Says that it does."""

    awaits_reply = True


class EndsTwice(Softens):
    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        return [*super().step(state, message, now_us)] * (2 if isinstance(message, EndOfReply) else 1)


class Lengthens(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", replace(clause, spoken=clause.spoken.replace("No", "Not at all"))),)


class MarksOfAnother(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", replace(clause, marks=((1, 1), (len(clause.spoken) + 1, len(clause.text))))),)


class MarksThatFall(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", replace(clause, marks=((2, 1), (1, 2), (len(clause.spoken), len(clause.text))))),)


class Rewrites(Softens):
    """Puts into the text what is to be said."""

    def clause(self, state: Any, clause: Clause) -> Actions:
        said = clause.spoken.replace("No", "Oh")
        return (Emit("clauses", replace(clause, text=said, spoken=said)),)


class Promotes(Softens):
    """Takes a provisional clause for a final one."""

    def clause(self, state: Any, clause: Clause) -> Actions:
        return (Emit("clauses", replace(clause, provisional=False)),)


class NeedsAWord(Softens):
    def clause(self, state: Any, clause: Clause) -> Actions:
        return super().clause(state, clause) if clause.spoken.split()[0] else NOTHING


class GetsTired(Softens):
    """Softens three clauses in its life."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.softened = 0

    def clause(self, state: Any, clause: Clause) -> Actions:
        self.softened += "No" in clause.spoken
        return super().clause(state, clause) if self.softened < 2 else (Emit("clauses", clause),)


class Works(Softens):
    """Begins a thread."""

    ended = threading.Event()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        threading.Thread(target=self.ended.wait, name="worker", daemon=True).start()


class DropsAWord(Softens):
    """Swallows the clauses with one of the words of its options."""

    class Options(Options):
        words: tuple[str, ...] = ("xylophone",)

    def clause(self, state: Any, clause: Clause) -> Actions:
        found = any(word in clause.spoken for word in self.options.words)
        return NOTHING if found else super().clause(state, clause)


@dataclass
class Given:
    clauses: int = 0


class Adds(Softens):
    """Says a word before the first clause that is in no text, and passes the others on with other numbers."""

    def fresh(self) -> Any:
        return Given()

    def step(self, state: Any, message: Message, now_us: int) -> Actions:
        if isinstance(message, EndOfReply):
            state.clauses = 0
        return super().step(state, message, now_us)

    def clause(self, state: Any, clause: Clause) -> Actions:
        first = [] if state.clauses else [Clause(0, "", "Well.", 1, "sentence", ((5, 0),))]
        given = [replace(each, index=state.clauses + place) for place, each in enumerate([*first, clause])]
        state.clauses += len(given)
        return [Emit("clauses", each) for each in given]
