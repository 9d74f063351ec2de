"""What the model remembers: every exchange has its place, and nothing else changes when one does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import NEWEST, Exchange, Forget, Remember
from flowkit.stages.past import Numbered, Past

NUMBERS = st.integers(1, 9)


def exchange(number: int) -> Numbered:
    return Numbered(number, Exchange(f"Question {number}?", f"Answer {number}."))


def numbers(past: Past, under_way: int | None) -> list[int]:
    """All exchanges in their order."""
    return [
        *(number for number, _ in past.over),
        *([] if under_way is None else [under_way]),
        *(number for number, _ in past.later),
    ]


@given(
    st.lists(NUMBERS, unique=True, max_size=5),
    st.none() | st.just(10),
    st.lists(st.one_of(NUMBERS, st.just(10), st.just(NEWEST), st.integers(-5, -1)), max_size=6),
)
def test_what_a_client_says_has_its_place(over: list[int], under_way: int | None, afters: list[int]) -> None:
    past = Past(tuple(map(exchange, over)))
    order = numbers(past, under_way)
    for n, after in enumerate(afters, start=1):
        number = -10 - n
        past = past.with_said(Remember("More.", user=bool(n % 2), number=number, after=after), under_way)
        at = len(order) if after == NEWEST else order.index(after) + 1 if after in order else 0
        order.insert(at, number)
        assert numbers(past, under_way) == order
    ended = past.ended() if under_way is None else past.ended(exchange(under_way))
    assert numbers(ended, None) == order
    assert ended.later == ()


@given(st.lists(NUMBERS, unique=True), st.lists(NUMBERS, unique=True), NUMBERS)
def test_an_exchange_of_which_nothing_was_said_is_none(over: list[int], later: list[int], number: int) -> None:
    past = Past(tuple(map(exchange, over)), tuple(map(exchange, later)))
    mute = past.without(Forget(number, user=False, text=""))
    assert numbers(mute, None) == numbers(past, None)
    agents = {entry.number: entry.exchange.agent for entry in (*mute.over, *mute.later)}
    assert all((agent == "") == (known == number) for known, agent in agents.items())
    gone = mute.without(Forget(number, user=True, text=f"Question {number}?"))
    assert numbers(gone, None) == [known for known in numbers(past, None) if known != number]


@given(st.lists(NUMBERS, unique=True), st.integers(0, 9))
def test_the_newest_fit(over: list[int], most: int) -> None:
    past = Past(tuple(map(exchange, over)))
    assert past.fitting(most, 1_000_000).over == past.over[max(0, len(over) - most) :]
