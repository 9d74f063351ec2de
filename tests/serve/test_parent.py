"""The parent of several workers, with processes that are made up, under a clock that jumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from flowkit.config.serve import ServeLimits
from flowkit.errors import WorkersError
from flowkit.serve.link import Link, LinkLost
from flowkit.serve.parent import GRACE_S, WATCH_S, Parent, pause_s
from flowkit.serve.places import Places
from tests.serve.wire import in_time

COUNTED = ["flowkit_turns", "counter", "Turns.", [["flowkit_turns_total", {}, 2.0]]]
RUNNING = ["flowkit_sessions", "gauge", "Sessions.", [["flowkit_sessions", {}, 1.0]]]


class Worker:
    """A process that is none. Its side of the link answers; it ends when it is told to drain, unless it is `stubborn`."""

    def __init__(self, number: int, *, stubborn: bool = False) -> None:
        self.pid = 1_000 + number
        self.number = number
        self.stream, self.theirs = memory_stream_pair()
        self.stubborn = stubborn
        self.link = Link(self.theirs, {"drain": self._drain, "accepting": self._yes, "families": self._families})
        self.over, self.how, self.killed = trio.Event(), "exit code 0", False

    async def run(self, *, ready: bool = True) -> None:
        if ready:
            self.link.tell("ready")
        await self.link.run()
        if not self.stubborn:
            self.over.set()

    def die(self, how: str = "SIGKILL") -> None:
        self.how = how
        self.theirs.send_stream.close()
        self.theirs.receive_stream.close()
        self.over.set()

    async def ended(self) -> str:
        await self.over.wait()
        return self.how

    def kill(self) -> None:
        self.killed = True
        self.over.set()

    async def _drain(self, given: None) -> None:
        if not self.stubborn:
            self.die("exit code 0")

    async def _yes(self, given: None) -> bool:
        return True

    async def _families(self, given: None) -> Any:
        return [COUNTED, RUNNING]


class Company:
    """A parent with workers, all that it has started, and what it has logged."""

    def __init__(self, nursery: trio.Nursery, make: Callable[[int], Worker], count: int = 2) -> None:
        self.workers: list[Worker] = []
        self.logged: list[dict[str, Any]] = []
        self.drain, self.begun = trio.Event(), trio.Event()
        self._nursery, self._make = nursery, make
        self._happened = trio.Event()
        self.parent = Parent(count, Places(ServeLimits(sessions=3, per_peer=2)), self._start, self._log)

    async def run(self) -> None:
        await self.parent.run(self.drain, 5, self.begun.set)
        self._nursery.cancel_scope.cancel()

    async def _start(self, number: int) -> Worker:
        self.workers.append(worker := self._make(number))
        self._nursery.start_soon(worker.run)
        return worker

    def _log(self, event: str, **fields: Any) -> None:
        self.logged.append({"event": event, **fields})
        self._happened.set()

    async def settled(self, count: int) -> list[Worker]:
        """Wait until so many workers have been ready."""
        while [event["event"] for event in self.logged].count("worker ready") < count:
            self._happened = trio.Event()
            await self._happened.wait()
        return self.workers


def with_company(talk: Callable[[Company], Any], make: Callable[[int], Worker] = Worker) -> Company:
    made: list[Company] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            made.append(company := Company(nursery, make))
            nursery.start_soon(company.run)
            await talk(company)

    in_time(main)
    return made[0]


def test_a_place_is_one_of_the_whole_server_and_a_lost_worker_gives_its_own_back() -> None:
    async def talk(company: Company) -> None:
        first, second = await company.settled(2)
        assert [await worker.link.ask("take", "a") for worker in (first, second, first)] == [
            "admitted", "admitted", "peer full",
        ]  # fmt: skip
        assert await first.link.ask("take", "b") == "admitted"
        assert await second.link.ask("take", "c") == "full"
        assert await second.link.ask("accepting") is False
        first.die()
        await company.settled(3)
        assert await second.link.ask("accepting") is True
        second.link.tell("leave", "a")
        assert [await second.link.ask("take", name) for name in "aac"] == ["admitted", "admitted", "admitted"]
        company.drain.set()

    with_company(talk)


def test_what_a_lost_worker_had_counted_still_counts() -> None:
    async def talk(company: Company) -> None:
        first, second = await company.settled(2)

        async def figures() -> dict[str, float]:
            families = await second.link.ask("families")
            return {name: value for *_, samples in families for name, _, value in samples}

        before = await figures()
        assert (before["flowkit_turns_total"], before["flowkit_sessions"], before["flowkit_workers"]) == (4, 2, 2)
        first.die()
        await trio.sleep(0.01)
        after = await figures()
        assert (after["flowkit_turns_total"], after["flowkit_sessions"], after["flowkit_workers"]) == (4, 1, 1)
        assert after["flowkit_workers_ended_total"] == 1
        await company.settled(3)
        assert (await figures())["flowkit_turns_total"] == 6
        company.drain.set()

    with_company(talk)


def test_a_worker_that_dies_again_and_again_is_started_less_often() -> None:
    async def talk(company: Company) -> None:
        await company.settled(2)
        for count in range(3, 12):
            company.workers[-1].die("exit code 1")
            await company.settled(count)
        await trio.sleep(61)
        company.workers[-1].die("SIGSEGV")
        await company.settled(12)
        company.drain.set()

    company = with_company(talk)
    pauses = [event["again_in_s"] for event in company.logged if event["event"] == "worker ended"]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 0.25]
    assert pause_s(10_000) == 30


def test_if_the_first_cannot_begin_the_server_does_not() -> None:
    class Failing(Worker):
        async def run(self, *, ready: bool = True) -> None:
            self.die("exit code 4")

    async def talk(company: Company) -> None:
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        with_company(talk, Failing)
    assert caught.group_contains(WorkersError, match="could not begin .exit code 4")


def test_draining_tells_every_worker_and_one_that_does_not_end_is_ended() -> None:
    began_s: list[float] = []

    async def talk(company: Company) -> None:
        await company.settled(2)
        began_s.append(trio.current_time())
        company.drain.set()
        try:
            await trio.sleep_forever()
        finally:
            began_s.append(trio.current_time())

    company = with_company(talk, lambda number: Worker(number, stubborn=number == 2))
    assert [worker.killed for worker in company.workers] == [False, True]
    assert began_s[1] - began_s[0] == pytest.approx(5 + 2 * GRACE_S, abs=1)


def test_a_worker_may_end_while_it_is_asked() -> None:
    class Dying(Worker):
        async def _yes(self, given: None) -> bool:
            self.die()
            return False

    async def talk(company: Company) -> None:
        (_, second) = await company.settled(2)
        assert await second.link.ask("accepting") is True
        company.drain.set()

    with_company(talk, lambda number: Dying(number) if number == 1 else Worker(number))


def test_one_that_does_not_answer_is_left_out() -> None:
    class Stuck(Worker):
        async def _yes(self, given: None) -> bool:
            await trio.sleep_forever()
            raise AssertionError

    async def talk(company: Company) -> None:
        (first, _) = await company.settled(2)
        assert await first.link.ask("accepting") is True
        company.drain.set()

    with_company(talk, lambda number: Stuck(number) if number == 2 else Worker(number))


class Sleepy(Worker):
    """Answers no question while `asleep`."""

    asleep = False

    async def _yes(self, given: None) -> bool:
        while self.asleep:
            await trio.sleep(0.1)
        return True


def test_one_that_hangs_is_killed_told_of_and_started_again() -> None:
    async def talk(company: Company) -> None:
        first, second = await company.settled(2)
        assert await second.link.ask("take", "a") == await second.link.ask("take", "b") == "admitted"
        assert isinstance(second, Sleepy)
        second.asleep = True
        began_s = trio.current_time()
        await company.settled(3)
        assert 2 * WATCH_S < trio.current_time() - began_s < 5 * WATCH_S
        assert [await first.link.ask("take", name) for name in "aab"] == ["admitted"] * 3, "its places are free again"
        await trio.sleep(10 * WATCH_S)
        company.drain.set()

    company = with_company(talk, lambda number: Sleepy(number))
    assert [worker.killed for worker in company.workers] == [False, True, False]
    told = [
        (event["event"], event["worker"])
        for event in company.logged
        if event["event"] in ("worker hangs", "worker ended")
    ]
    assert told == [("worker hangs", 2), ("worker ended", 2)]


def test_one_answer_that_is_missed_is_not_a_hang() -> None:
    async def talk(company: Company) -> None:
        (_, second) = await company.settled(2)
        assert isinstance(second, Sleepy)
        for _ in range(5):
            second.asleep = True
            await trio.sleep(1.2 * WATCH_S)
            second.asleep = False
            await trio.sleep(2 * WATCH_S)
        company.drain.set()

    company = with_company(talk, lambda number: Sleepy(number))
    assert [worker.killed for worker in company.workers] == [False, False]


def test_one_that_loads_its_models_for_long_is_let_be() -> None:
    class Loading(Sleepy):
        async def run(self, *, ready: bool = True) -> None:
            if self.number == 2:
                await trio.sleep(20 * WATCH_S)
            await super().run()

    async def talk(company: Company) -> None:
        await company.settled(2)
        company.drain.set()

    company = with_company(talk, Loading)
    assert [worker.killed for worker in company.workers] == [False, False]


def test_who_waits_for_an_answer_learns_that_the_other_side_is_gone() -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()
        link = Link(ours, {})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)

            async def ask() -> None:
                with pytest.raises(LinkLost):
                    await link.ask("take", "a")

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await theirs.aclose()
        await ask()

    in_time(main)
