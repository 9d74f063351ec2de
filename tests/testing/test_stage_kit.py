"""The kit for authors of stages: flowkit's own pass, and planted faults are found and named."""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import pairwise
from typing import Any

import pytest
from pydantic import SecretStr

from flowkit.config.kinds import BUILT_IN, find
from flowkit.messages import Ask, Clause, Interrupt, Message
from flowkit.options import Options
from flowkit.stages.base import Actions, Emit, Stage
from flowkit.testing.plain import words_of
from flowkit.testing.stage import check_stage
from tests.testing.planted import (
    Adds,
    Answers,
    Asks,
    AwaitsTheReply,
    Counts,
    CountsInTheClass,
    DeafToInterrupts,
    DropsAWord,
    EndsTwice,
    GathersTheReply,
    GetsTired,
    GivesItAwayAtOnce,
    HoldsOneBack,
    Lengthens,
    LooksAhead,
    MarksOfAnother,
    MarksThatFall,
    MuteAfterAnInterrupt,
    NeedsAWord,
    NoSuchContent,
    NotOfTheReply,
    OneStateForAll,
    Promotes,
    Raises,
    Renumbers,
    Repeats,
    Rewrites,
    Slow,
    Softens,
    SpeaksTheOldReply,
    SwallowsAllClauses,
    SwallowsEverySecond,
    SwallowsTheEnd,
    ThrowsDice,
    Works,
    WrongPort,
    WrongType,
)


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (SwallowsTheEnd, "EndOfReply was received once and passed on never: the following stages wait for it"),
        (WrongPort, "emits to port 'clause', which is not declared; its outputs are clauses"),
        (WrongType, "emits Token to port 'clauses', which takes Clause, EndOfStep, EndOfReply"),
        (Renumbers, "Clause 0 follows 0 in one reply; the numbers must rise"),
        (Repeats, "Clause 0 follows 0 in one reply"),
        (HoldsOneBack, "clause 2 was taken and not passed on (' Perhaps it is not so, or is it?')"),
        (OneStateForAll, "fresh() returns the same object again"),
        (CountsInTheClass, "not pure: for the same Clause another object of the class returns tokens"),
        (ThrowsDice, "not pure: for the same Clause another object of the class returns tokens"),
        (Slow, "steps take"),
        (Raises, "the session fails: KeyError"),
        (NotOfTheReply, "it takes clauses, so it belongs to the reply: set `replying = True`"),
        (DeafToInterrupts, "no interrupt reaches it"),
        (NoSuchContent, "unknown content 'sentences'"),
        (GivesItAwayAtOnce, "emits Clause to port 'faults', which takes Fault, Heard,"),
        (
            SwallowsAllClauses,
            "clause 0 was taken and not passed on ('Yes, I think so.'): to leave a clause out, pass it on",
        ),
        (SwallowsEverySecond, "clause 1 was taken and not passed on (' No, wait.')"),
        (MuteAfterAnInterrupt, "clause 0 was taken and not passed on"),
        (SpeaksTheOldReply, "of the interrupted reply comes out in the next: reset(state) must forget it"),
        (GathersTheReply, "17 clauses are kept in the state, more than its queue may hold"),
        (EndsTwice, "EndOfReply was received once and passed on twice: a reply has one end"),
        (Lengthens, "clause 1 says 'Not at all, wait.' for ' No, wait.' and has no marks"),
        (MarksOfAnother, "clause 0: the marks end with (17, 16), and `spoken` and `text` have 16 and 16 characters"),
        (MarksThatFall, "clause 0: the marks do not rise"),
        (Rewrites, "clause 1 has the text 'Oh, wait.', which is not in the reply: `text` is what the model wrote"),
        (Promotes, "clause 0 was provisional and is passed on as final"),
        (NeedsAWord, "the session fails: IndexError: list index out of range (line "),
        (GetsTired, "the same object returns in a later session spoken 'No, wait.' and not 'Oh, wait.'"),
        (Works, "leaves thread 'worker' at work"),
        (DropsAWord, "was taken and not passed on (' Well, xylophone it is.')"),
    ],
)
def test_a_stage_with_a_fault(cls: type[Stage[Any]], said: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_stage(cls)
    assert any(said in fault for fault in caught.value.found), caught.value  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", [Softens, LooksAhead, AwaitsTheReply, Adds])
def test_a_stage_without_a_fault(cls: type[Stage[Any]]) -> None:
    check_stage(cls, examples=20)


def test_what_is_said_of_a_fault() -> None:
    with pytest.raises(AssertionError) as caught:
        check_stage(SwallowsTheEnd)
    first, *faults, where = str(caught.value).splitlines()
    assert first == "stage 'softens' (SwallowsTheEnd): 2 faults"
    assert faults[1] == "  - the session did not end within 20 s"
    assert where.startswith("  in the conversation {'mic': {'speech':")
    with pytest.raises(AssertionError) as caught:
        check_stage(ThrowsDice)
    said = r"for the same Clause another object of the class returns tokens \d+ and not \d+$"
    assert re.search(said, str(caught.value), re.MULTILINE)


def test_the_conversations_show_all_that_a_clause_may_be() -> None:
    """And what the options name, as it is and in capitals."""
    seen: list[Message] = []

    class Watches(DropsAWord):
        def step(self, state: Any, message: Message, now_us: int) -> Actions:
            seen.append(message)
            return super().step(state, message, now_us)

        def clause(self, state: Any, clause: Clause) -> Actions:
            return (Emit("clauses", clause),)

    check_stage(Watches, DropsAWord.Options(words=("damn",)), examples=1)
    clauses = [message for message in seen if isinstance(message, Clause)]
    assert {clause.provisional for clause in clauses} == {True, False}
    firsts = [clause.text for clause in clauses if clause.index == 0]
    assert ("Yes.", "Yes.com is it.") in pairwise(firsts), "one is revoked"
    assert any(not clause.spoken for clause in clauses)
    assert any(clause.marks and clause.spoken for clause in clauses)
    assert any(isinstance(message, Interrupt) for message in seen)
    said = {word.strip(".,!") for clause in clauses for word in clause.spoken.split()}
    assert {"damn", "DAMN"} <= said


class Way(StrEnum):
    ONE = "one"


def test_words_of_options() -> None:
    class Nested(Options):
        found: str = "nested"
        way: Way = Way.ONE
        number: int = 3

    class Whole(Options):
        words: tuple[str, ...] = ("a", " b ", "a", "")
        table: dict[str, str] = {"key": "value"}
        marks: frozenset[str] = frozenset({"z", "y"})
        nested: Nested = Nested()
        long: str = "x" * 61
        key: SecretStr = SecretStr("secret")

    assert words_of(Whole()) == ("a", "b", "key", "value", "y", "z", "nested")


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
