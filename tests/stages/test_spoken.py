"""What is spoken of a clause is replaced, and what was heard of it stays known."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from flowkit.chunker import Chunker
from flowkit.messages import Clause
from flowkit.stages.spoken import covered, respoken
from flowkit.testing.emitted import marks_fit

DAMN = Clause(0, " Damn, it is so.", "Damn, it is so.", 5, "sentence")
PIECES = ("damn", "Damn,", "**damn**", " it ", "[is](http://a.b/c)", " `so` ", "é", "東京。", ". ", "<b></b>", "\n")


@st.composite
def clauses(draw: st.DrawFn) -> Clause:
    """A clause as the chunker cuts it, of plain and marked-up words."""
    chunker = Chunker()
    chunks = [*chunker.feed("".join(draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8)))), *chunker.flush()]
    chunk = draw(st.sampled_from(chunks)) if chunks else None
    return DAMN if chunk is None else Clause(0, chunk.text, chunk.spoken, chunk.tokens, chunk.reason, chunk.marks)


def test_a_longer_word() -> None:
    clause = respoken(DAMN, re.compile("damn", re.IGNORECASE), "goodness me")
    assert (clause.text, clause.spoken) == (" Damn, it is so.", "goodness me, it is so.")
    assert clause.marks == ((0, 1), (11, 5), (22, 16))
    assert [covered(clause, said) for said in (0, 10, 11, 12, 22)] == [1, 1, 5, 6, 16]


def test_what_is_said_may_depend_on_the_match_and_is_taken_as_it_is() -> None:
    assert respoken(DAMN, re.compile("[dD]amn|so"), lambda match: "m" * len(match[0])).spoken == "mmmm, it is mm."
    assert respoken(DAMN, re.compile("Damn"), r"\1").spoken == r"\1, it is so."
    assert respoken(DAMN, re.compile("Damn|.*"), "").spoken == ""


def test_without_a_match_it_is_the_same_clause() -> None:
    assert respoken(DAMN, re.compile("hell"), "beep") is DAMN
    assert respoken(DAMN, re.compile("$|(?=it)"), "beep") is DAMN


@given(clauses(), st.sampled_from(("", "b", "beep", "a very long beep")))
def test_each_character_that_stays_stands_for_the_same_text(clause: Clause, by: str) -> None:
    pattern = re.compile("damn|it|so", re.IGNORECASE)
    new = respoken(clause, pattern, by)
    assert new.spoken == pattern.sub(by, clause.spoken)
    assert new.text == clause.text
    assert not [*marks_fit(new)]
    gone, taken = 0, 0
    for match in [*pattern.finditer(clause.spoken), None]:
        begin, end = (len(clause.spoken), len(clause.spoken)) if match is None else match.span()
        for said in range(taken + 1, begin):
            assert covered(new, said - gone) == covered(clause, said)
        gone, taken = gone + end - begin - len(by), end
