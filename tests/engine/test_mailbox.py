"""One inbox: its bound, its policies, its markers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.config.schema import WhenFull
from flowkit.engine.mailbox import Envelope, Inbox, Push
from flowkit.messages import EndOfReply, Message, Token
from flowkit.plan.graph import Bound


def envelope(message: Message, seq: int = 0) -> Envelope:
    return message, "llm", 1, 0, 0, 0, seq


def inbox(most: int, when_full: WhenFull = WhenFull.BLOCK) -> Inbox:
    return Inbox(0, 1, "tokens", Bound(most, when_full))


def test_a_bound_counts_what_waits_on_either_side() -> None:
    box = inbox(3)
    assert box.push(envelope(Token(0, "a")), in_flight=2)
    assert not box.push(envelope(Token(1, "b")), in_flight=2)
    assert box.push(envelope(Token(1, "b")), in_flight=1)
    assert box.high_water == 3


@pytest.mark.parametrize(
    ("when_full", "message", "expected"),
    [
        (WhenFull.BLOCK, Token(9, "z"), (Push.BLOCKED, None)),
        (WhenFull.BLOCK, EndOfReply(), (Push.BLOCKED, None)),
        (WhenFull.ERROR, Token(9, "z"), (Push.OVERFLOW, None)),
        (WhenFull.DROP_NEWEST, Token(9, "z"), (Push.DROPPED_NEW, Token(9, "z"))),
        (WhenFull.DROP_NEWEST, EndOfReply(), (Push.BLOCKED, None)),
        (WhenFull.DROP_OLDEST, Token(9, "z"), (Push.DROPPED_OLD, Token(0, "a"))),
        (WhenFull.DROP_OLDEST, EndOfReply(), (Push.DROPPED_OLD, Token(0, "a"))),
    ],
)
def test_what_a_full_queue_does(when_full: WhenFull, message: Message, expected: tuple[Push, Message | None]) -> None:
    box = inbox(2, when_full)
    box.push(envelope(Token(0, "a")), 0)
    box.push(envelope(Token(1, "b")), 0)
    done, dropped = box.full(envelope(message))
    assert (done, dropped[0] if dropped else None) == expected
    assert box.dropped == (done in (Push.DROPPED_NEW, Push.DROPPED_OLD))
    assert len(box.queue) == 2


def test_a_queue_full_of_markers_drops_the_new_or_waits() -> None:
    box = inbox(1, WhenFull.DROP_OLDEST)
    box.push(envelope(EndOfReply()), 0)
    assert box.full(envelope(Token(0, "a")))[0] is Push.DROPPED_NEW
    assert box.full(envelope(EndOfReply()))[0] is Push.BLOCKED


def test_waiting_senders_are_timed_once() -> None:
    box = inbox(1)
    box.blocked(10)
    box.blocked(15)
    box.unblocked(30)
    box.unblocked(99)
    assert box.blocked_us == 20


@given(
    when_full=st.sampled_from(WhenFull),
    most=st.integers(1, 10),
    steps=st.lists(st.one_of(st.none(), st.booleans()), max_size=60),
)
def test_no_policy_exceeds_the_bound_loses_a_marker_or_changes_order(
    when_full: WhenFull, most: int, steps: list[bool | None]
) -> None:
    """None takes one out; True pushes a marker, False a token."""
    box, sent, lost, taken = inbox(most, when_full), 0, list[Message](), list[Envelope]()
    for step in steps:
        if step is None:
            taken += [box.queue.popleft()] if box.queue else []
            continue
        sent += 1
        new = envelope(EndOfReply() if step else Token(sent, ""), sent)
        if not box.push(new, 0):
            _, dropped = box.full(new)
            lost += [dropped[0]] if dropped else []
        assert len(box.queue) <= box.high_water <= most
    assert all(isinstance(message, Token) for message in lost)
    order = [e[6] for e in [*taken, *box.queue]]
    assert order == sorted(order)
