"""Agendas: the next answer of an inline call, and its time."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import EndOfReply, Token
from flowkit.providers.inline import Agenda, InlineCall


def call(opening: list[int]) -> InlineCall:
    """Answers its opening as given, and each fed token with that token, after as many microseconds as its index."""
    return InlineCall(
        opened=lambda: ((delay_us, Token(i, "opened")) for i, delay_us in enumerate(opening)),
        fed=lambda item: ((item.index, item),) if isinstance(item, Token) else (),
        ended=lambda: ((5, EndOfReply()),),
    )


def test_answers_come_by_due_time_and_then_as_declared() -> None:
    agenda = Agenda(call([10, 20]), 100)
    agenda.fed(Token(10, "fed"), 100)
    agenda.fed(Token(2, "fed"), 100)
    agenda.ended(105)
    said = []
    while agenda.due_us is not None:
        said.append((agenda.due_us, agenda.pop()))
    assert said == [
        (102, Token(2, "fed")),
        (110, Token(0, "opened")),
        (110, Token(10, "fed")),
        (110, EndOfReply()),
        (120, Token(1, "opened")),
    ]


def test_one_that_is_held_back_holds_back_those_behind_it() -> None:
    agenda = Agenda(call([10, 11, 500]), 0)
    assert agenda.due_us == 10
    agenda.pop()
    agenda.accepted(300)
    assert agenda.due_us == 300
    agenda.pop()
    agenda.accepted(300)
    assert agenda.due_us == 500


def test_an_endless_opening_is_drawn_one_by_one() -> None:
    agenda = Agenda(InlineCall(opened=lambda: ((index * 10, Token(index, "")) for index in count())), 0)
    for index in range(50):
        assert agenda.due_us == index * 10
        assert agenda.pop() == Token(index, "")


def test_nothing_to_say_is_never_due() -> None:
    agenda = Agenda(InlineCall(), 0)
    assert agenda.due_us is None
    agenda.fed(Token(0, ""), 5)
    agenda.ended(9)
    assert agenda.due_us is None


@given(opening=st.lists(st.integers(0, 50), max_size=8).map(sorted), fed=st.lists(st.integers(0, 50), max_size=8))
def test_everything_is_said_once_and_never_before_its_time(opening: list[int], fed: list[int]) -> None:
    agenda = Agenda(call(opening), 0)
    for index in fed:
        agenda.fed(Token(index, "fed"), 0)
    said, before = 0, 0
    while (due_us := agenda.due_us) is not None:
        item = agenda.pop()
        agenda.accepted(due_us)
        assert due_us >= before
        if isinstance(item, Token) and item.text == "fed":
            assert due_us >= item.index
        before, said = due_us, said + 1
    assert said == len(opening) + len(fed)
