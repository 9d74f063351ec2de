"""Calls that wait for a shared model: fair among sessions, bounded, and nothing lost."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from flowkit.errors import ProviderError
from flowkit.providers.base import Surroundings
from flowkit.providers.waitlist import WAITED, Waitlist
from tests.providers.support import FakeSession


@dataclass(frozen=True)
class Call:
    """A call of `session` at `at_ms`, which takes `lasts_ms` and is cancelled after `patience_ms`."""

    session: str
    at_ms: int
    lasts_ms: int
    patience_ms: int


@dataclass
class Seen:
    """What happened, in order: (call, what), with what one of came, got, left, refused, gone."""

    what: list[tuple[int, str]] = field(default_factory=list)
    fair: bool = True
    """Whether calls were refused when the line was full, and only then."""
    waits_us: list[int] = field(default_factory=list)

    def numbers(self, what: str) -> list[int]:
        return [number for number, said in self.what if said == what]


calls = st.builds(
    Call,
    st.sampled_from("abc"),
    st.integers(0, 20),
    st.integers(1, 10),
    st.sampled_from([5, 20, 1000, 1000, 1000]),
)


def around(session: str, seen: Seen) -> Surroundings:
    def event(at_us: int, name: str, detail: str) -> None:
        assert name == WAITED
        seen.waits_us.append(int(detail.rpartition("waited_us=")[2]))

    return replace(
        FakeSession().around(), session=session, event=event, now_us=lambda: round(trio.current_time() * 1_000_000)
    )


async def play(line: Waitlist[int], drawn: list[Call], parallel: int, waiting: int, apart: bool) -> Seen:
    """Make the calls. `apart`: so that no two things happen at the same time."""
    seen, serving, lined, here = Seen(), set[int](), set[int](), set[int]()

    async def one(number: int, call: Call) -> None:
        await trio.sleep(call.at_ms / 1000 + apart * number * 1e-5)
        with trio.move_on_after(call.patience_ms / 1000) as scope:
            try:
                full = len(here) >= parallel + waiting
                seen.what.append((number, "came"))
                lined.add(number)
                here.add(number)
                async with line.place(around(call.session, seen)) as server:
                    lined.discard(number)
                    seen.fair &= not full
                    assert server not in serving
                    serving.add(server)
                    seen.what.append((number, "got"))
                    try:
                        await trio.sleep(call.lasts_ms / 1000 + apart * (number + 1) * 1.37e-7)
                    finally:
                        serving.discard(server)
                        here.discard(number)
                        seen.what.append((number, "left"))
            except ProviderError:
                seen.fair &= full
                lined.discard(number)
                here.discard(number)
                seen.what.append((number, "refused"))
        if scope.cancelled_caught and number in lined:
            lined.discard(number)
            here.discard(number)
            seen.what.append((number, "gone"))

    async with trio.open_nursery() as nursery:
        for number, call in enumerate(drawn):
            nursery.start_soon(one, number, call)
    return seen


@given(st.lists(calls, max_size=25), st.sampled_from([1, 1, 2, 3]), st.integers(0, 12), st.booleans())
def test_fair_bounded_and_nothing_is_lost(drawn: list[Call], parallel: int, waiting: int, apart: bool) -> None:
    line = Waitlist("llm toy", range(parallel), waiting)
    seen = trio.run(play, line, drawn, parallel, waiting, apart, clock=MockClock(autojump_threshold=0))
    ends = Counter(number for number, what in seen.what if what in ("left", "refused", "gone"))
    assert ends == dict.fromkeys(range(len(drawn)), 1), "each call ends once"
    assert seen.fair
    assert line.free
    assert len(line._free) == parallel
    assert not line._waiting
    if parallel > 1 or not apart:
        # What happens in the same instant runs in an order that Trio draws.
        return
    came, got = seen.numbers("came"), seen.numbers("got")
    for session in "abc":
        mine = [number for number in came if drawn[number].session == session and number in got]
        assert [number for number in got if number in mine] == mine, "first come, first served in a session"
    assert_turns(seen, drawn)


def assert_turns(seen: Seen, drawn: list[Call]) -> None:
    """Nobody who waits is passed over by two calls of another session."""
    waits: dict[int, Counter[str]] = {}
    for number, what in seen.what:
        if what == "came":
            waits[number] = Counter()
            continue
        waits.pop(number, None)
        if what == "got":
            mine = drawn[number].session
            for other, passed in waits.items():
                ahead = any(drawn[n].session == drawn[other].session for n in before(waits, other))
                if drawn[other].session != mine and not ahead:
                    passed[mine] += 1
                    assert passed[mine] < 2, f"call {other} was passed over twice by session {mine}"


def before(waits: dict[int, Counter[str]], number: int) -> list[int]:
    """The calls that wait and came earlier."""
    return list(waits)[: list(waits).index(number)]


def test_a_session_with_many_calls_lets_another_in() -> None:
    async def main() -> list[str]:
        line, order, seen = Waitlist("llm toy", ["it"], 100), list[str](), Seen()

        async def call(session: str, name: str) -> None:
            async with line.place(around(session, seen)):
                order.append(name)
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            for session, name in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")]:
                nursery.start_soon(call, session, name)
                await wait_all_tasks_blocked()
        assert seen.waits_us == [1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000]
        return order

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == ["a1", "a2", "b1", "c1", "a3", "b2"]


def test_a_cancelled_thread_keeps_its_server_until_it_has_ended() -> None:
    async def main() -> None:
        line, gate, seen = Waitlist("llm toy", ["it"], 100), threading.Event(), Seen()
        with trio.move_on_after(0.05):
            await line.in_thread(around("a", seen), lambda server: gate.wait())
        assert not line.free
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                line.in_thread, around("b", seen), lambda server: gate.is_set() or pytest.fail("too early")
            )
            await wait_all_tasks_blocked(0.02)
            assert len(line._waiting) == 1
            gate.set()
        assert await line.settled()
        assert line.free

    trio.run(main)


def test_a_model_that_still_computes_is_waited_for_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> bool:
        line = Waitlist("llm toy", ["it"], 1)
        await line.take(around("a", Seen()))
        began = trio.current_time()
        settled = await line.settled()
        assert trio.current_time() - began == 5
        return settled

    assert not trio.run(main, clock=MockClock(autojump_threshold=0))


def test_an_error_of_the_work_frees_the_server() -> None:
    async def main() -> None:
        line = Waitlist("llm toy", ["it"], 1)
        with pytest.raises(ZeroDivisionError):
            await line.in_thread(around("a", Seen()), lambda server: 1 / 0)
        assert line.free

    trio.run(main)
