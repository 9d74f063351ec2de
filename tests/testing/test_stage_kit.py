"""The kit for authors of stages: flowkit's own pass, and planted faults are found and named."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest

from flowkit.config.kinds import BUILT_IN, find
from flowkit.messages import Ask, Clause, EndOfReply, Message, Token
from flowkit.options import Options
from flowkit.providers.base import Emit as Answer
from flowkit.providers.base import Provider
from flowkit.stages.base import NOTHING, Actions, Emit, Open, Stage
from flowkit.testing.stage import check_stage


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


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (SwallowsTheEnd, "EndOfReply was received and not passed on (1 times): the following stages wait for it"),
        (WrongPort, "emits to port 'clause', which is not declared; its outputs are clauses"),
        (WrongType, "emits Token to port 'clauses', which takes Clause, EndOfReply"),
        (Renumbers, "Clause 0 follows 0 in one reply; the numbers must rise"),
        (Repeats, "Clause 0 follows 0 in one reply"),
        (HoldsOneBack, "Clause 0 follows 1 in one reply"),
        (OneStateForAll, "fresh() returns the same object again"),
        (CountsInTheClass, "not pure: for the same Clause it returns"),
        (ThrowsDice, "not pure: for the same Clause it returns"),
        (Slow, "steps take"),
        (Raises, "the session fails: KeyError"),
        (NotOfTheReply, "it takes clauses, so it belongs to the reply: set `replying = True`"),
        (DeafToInterrupts, "no interrupt reaches it"),
        (NoSuchContent, "unknown content 'sentences'"),
        (GivesItAwayAtOnce, "emits Clause to port 'faults', which takes Fault, Heard,"),
    ],
)
def test_a_stage_with_a_fault(cls: type[Stage[Any]], said: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_stage(cls)
    assert any(said in fault for fault in caught.value.found), caught.value  # type: ignore[attr-defined]


def test_a_stage_without_a_fault() -> None:
    check_stage(Softens)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_flowkits_own(kind: str) -> None:
    check_stage(find(kind), examples=20)


def test_its_options_are_those_that_are_given() -> None:
    check_stage(Counts, examples=5)
    with pytest.raises(AssertionError, match="follows 0 in one reply"):
        check_stage(Counts, Counts.Options(twice=True), examples=5)


def test_its_calls_go_to_the_provider_that_is_given() -> None:
    check_stage(Asks, provider=Answers, examples=5)
    assert Ask(1, "Well?") in Answers.asked
