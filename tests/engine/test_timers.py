"""Timers: the earliest fires first, each tag has one timer, and a cancelled one leaves no trace."""

from hypothesis import given
from hypothesis import strategies as st

from flowkit.engine.timers import Timers


def test_a_deadline_moves_and_is_taken_back() -> None:
    timers = Timers()
    timers.set(0, "a", 50)
    timers.set(0, "a", 20)
    assert timers.next_us() == 20
    assert timers.pop_due(19) is None
    assert timers.pop_due(60) == (0, "a", 20)
    assert timers.pop_due(60) is None
    timers.set(0, "a", 70)
    timers.set(0, "a", None)
    assert timers.next_us() is None


def test_equal_deadlines_go_by_stage_then_by_when_they_were_set() -> None:
    timers = Timers()
    for stage, tag in ((2, "x"), (1, "b"), (1, "a")):
        timers.set(stage, tag, 10)
    assert [timers.pop_due(10) for _ in range(3)] == [(1, "b", 10), (1, "a", 10), (2, "x", 10)]


def test_a_stage_s_deadlines_are_cleared_together() -> None:
    timers = Timers()
    timers.set(1, "a", 10)
    timers.set(1, "b", 5)
    timers.set(2, "a", 20)
    timers.clear(1)
    assert timers.next_us() == 20
    assert timers.pop_due(19) is None
    assert timers.pop_due(20) == (2, "a", 20)


COMMANDS = st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 50)))


@given(st.lists(COMMANDS, max_size=80))
def test_as_a_plain_dictionary(commands: list[tuple[int, str, int | None]]) -> None:
    timers, known = Timers(), dict[tuple[int, str], int]()
    for stage, tag, at_us in commands:
        timers.set(stage, tag, at_us)
        if at_us is None:
            known.pop((stage, tag), None)
        else:
            known[stage, tag] = at_us
        assert timers.next_us() == min(known.values(), default=None)
    popped = []
    while (due := timers.pop_due(100)) is not None:
        popped.append(due)
    assert sorted((at, stage, tag) for stage, tag, at in popped) == sorted((at, s, t) for (s, t), at in known.items())
    assert [at for _, _, at in popped] == sorted(known.values())
