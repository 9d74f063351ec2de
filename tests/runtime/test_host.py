"""A host: it loads once, admits, refuses, drains, and lets no session disturb another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from flowkit.config import Config, load
from flowkit.config.budgets import PARTS
from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.errors import ProviderError, Refused, UsageError
from flowkit.messages import Ask, Message, Token, Transcribe
from flowkit.options import Options
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.base import Emit, Provider
from flowkit.providers.canned import Canned
from flowkit.providers.waitlist import Waitlist
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import SessionOutcome
from flowkit.runtime.watchdog import Watchdog
from flowkit.stages.base import Actions
from flowkit.stages.llm import LlmState, LlmTurn
from flowkit.testing.sessions import Kept, heap_session, scripted_plan
from flowkit.testing.strategies.conversations import Conversation, conversations
from tests.soak.test_host import TALK as PIPELINE

TALK: dict[str, Any] = {
    "mic": {"speech": [{"at": "0ms", "lasts": "200ms"}, {"at": "2s", "lasts": "200ms"}]},
    "vad": {"end": "200ms"},
    "asr": {"utterances": ("How are you?", "And else?")},
    "llm": {"replies": ({"text": "Very well, thank you."},)},
}


def in_time(main: Callable[[], Awaitable[Any]]) -> Any:
    return trio.run(main, clock=MockClock(autojump_threshold=0))


def quiet(plan: Plan | Config, **options: Any) -> Any:
    return open_host(plan, notice=lambda line: None, **options)


def with_provider(plan: Plan, kind: str, cls: type[Provider]) -> Plan:
    choice = ProviderChoice(cls.name, cls, Options())
    return replace(plan, stages=tuple(replace(s, provider=choice) if s.kind == kind else s for s in plan.stages))


# -- models ------------------------------------------------------------------------------------------------------------


class Weighty(Provider):
    """An LLM with something to load."""

    kind, name = "llm", "weighty"
    loaded: ClassVar[list[str]] = []

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[object]:
        cls.loaded.append("loaded")
        yield object()
        cls.loaded.append("closed")

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await emit(Token(0, f"From {id(self.model)}."))


def test_fifty_sessions_load_one_model_and_so_do_those_that_come_later() -> None:
    Weighty.loaded.clear()
    plan = with_provider(scripted_plan(**TALK), "llm", Weighty)
    seen: list[list[str]] = []

    async def main() -> None:
        async with quiet(plan) as host:
            seen.append(list(Weighty.loaded))
            for _ in range(2):
                async with trio.open_nursery() as nursery:
                    for _ in range(25):
                        nursery.start_soon(host.run_session)
            seen.append(list(Weighty.loaded))

    in_time(main)
    assert seen == [["loaded"], ["loaded"]]
    assert Weighty.loaded == ["loaded", "closed"]


class Shared(Provider):
    """An LLM that serves one call at a time, and takes 300 ms."""

    kind, name = "llm", "shared"

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Waitlist[int]]:
        yield Waitlist("llm shared", [1], 10)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async with self.model.place(self.around):
            await trio.sleep(0.3)
            await emit(Token(0, "Fine."))


def test_the_wait_for_a_model_that_others_use_is_a_part_of_its_own() -> None:
    turns: list[dict[str, int]] = []

    async def main() -> None:
        async def one(host: Host) -> None:
            outcome = await host.run_session()
            report = outcome.figures.report()
            turns.extend(dict(zip(PARTS, turn.parts_us or (), strict=True)) for turn in report.turns[:1])

        async with quiet(with_provider(scripted_plan(**TALK), "llm", Shared)) as host, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one, host)

    in_time(main)
    assert sorted(turn["model_wait"] // 1000 for turn in turns) == [0, 300, 600]
    assert {turn["llm_first_token"] // 1000 for turn in turns} == {300}


class Full(Shared):
    """The same, and no call may wait for it."""

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Waitlist[int]]:
        yield Waitlist("llm shared", [1], 0)


def test_a_call_that_finds_the_line_full_goes_to_the_next_provider() -> None:
    heard: list[str] = []

    async def main() -> None:
        async def one(host: Host) -> None:
            outcome = await host.run_session(turns=1)
            heard.append(outcome.figures.report().turns[0].agent)

        plan = with_provider(scripted_plan(**TALK), "llm", Full)
        canned = ProviderChoice("canned", Canned, Canned.Options(text="I am busy."))
        stages = tuple(replace(s, failover=(canned,)) if s.kind == "llm" else s for s in plan.stages)
        async with quiet(replace(plan, stages=stages)) as host, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one, host)

    in_time(main)
    assert sorted(heard) == ["Fine.", "I am busy.", "I am busy."]


class Broken(Weighty):
    name = "broken"

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[object]:
        raise ProviderError("no such weights", hint="flowkit setup local")
        yield


def test_a_plan_that_cannot_load_is_told_before_the_host_is_open() -> None:
    async def main() -> None:
        async with quiet(with_provider(scripted_plan(**TALK), "llm", Broken)):
            raise AssertionError("it is open")

    with pytest.raises(ProviderError, match="no such weights"):
        in_time(main)


def test_what_is_raised_in_the_body_comes_out_as_it_is() -> None:
    async def main() -> None:
        async with quiet(scripted_plan(**TALK)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_time(main)


# -- admission ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"max_sessions": 0}, {"max_sessions": -1}, {"max_lag_us": 0}])
def test_a_limit_of_nothing_is_none(limits: dict[str, int]) -> None:
    async def main() -> None:
        async with quiet(scripted_plan(**TALK), **limits):
            raise AssertionError("it is open")

    with pytest.raises(UsageError, match="must be at least 1"):
        in_time(main)


def test_a_full_host_refuses_until_a_session_has_ended() -> None:
    async def main() -> None:
        async with quiet(scripted_plan(**TALK), max_sessions=2) as host, trio.open_nursery() as nursery:
            nursery.start_soon(host.run_session)
            nursery.start_soon(partial(host.run_session, duration_us=1_000_000))
            await trio.sleep(0.5)
            assert not host.accepting
            with pytest.raises(Refused, match="max_sessions"):
                await host.run_session()
            await trio.sleep(1)
            assert host.accepting
            nursery.start_soon(host.run_session)
            await trio.sleep(0.1)
            assert (host.gauges.sessions, host.gauges.begun, host.gauges.refused) == (2, 3, 1)
            assert {depth.stage for depth in host.gauges.queues} >= {"llm", "tts"}

    in_time(main)


def test_a_session_counts_while_its_recording_is_being_made(tmp_path: Path) -> None:
    async def main() -> None:
        refused = 0

        async def caller(host: Host, number: int) -> None:
            nonlocal refused
            try:
                await host.run_session(trace=tmp_path / f"{number}.jsonl")
            except Refused:
                refused += 1

        async with quiet(load("talk.yaml", text=PIPELINE), max_sessions=2) as host:
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(caller, host, number)
            assert (refused, host.gauges.begun) == (3, 2)

    trio.run(main)


def test_a_host_that_wakes_late_refuses_but_not_the_first_session() -> None:
    async def main() -> None:
        plan = scripted_plan(**{**TALK, "mic": {"length": "20s"}})
        async with quiet(plan, max_lag_us=30_000) as host, trio.open_nursery() as nursery:
            for _ in range(20):
                host.load.late(31_000)
            nursery.start_soon(host.run_session)
            await trio.sleep(0.1)
            assert host.gauges.lag_us == 31_000
            with pytest.raises(Refused, match="31 ms late"):
                await host.run_session()
            await trio.sleep(5)
            assert host.gauges.sessions == 1
            assert host.accepting, "only the last seconds count"

    in_time(main)


# -- ending ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("within_us", "reason", "lasted_s"),
    [(None, "input_ended", 4.08), (1_000_000, "closed", 1.5), (9_000_000, "input_ended", 4.08)],
)
def test_a_host_that_drains_refuses_and_waits(within_us: int | None, reason: str, lasted_s: float) -> None:
    outcomes: list[SessionOutcome] = []

    async def main() -> float:
        async def session(host: Host) -> None:
            outcomes.append(await host.run_session())

        async with quiet(scripted_plan(**TALK)) as host, trio.open_nursery() as nursery:
            began_s = trio.current_time()
            nursery.start_soon(session, host)
            await trio.sleep(0.5)
            nursery.start_soon(host.drain, within_us)
            await wait_all_tasks_blocked()
            with pytest.raises(Refused, match="draining"):
                await host.run_session()
            await host.drain()
            return trio.current_time() - began_s

    assert in_time(main) == pytest.approx(lasted_s, abs=0.1)
    assert [outcome.reason for outcome in outcomes] == [reason]


def test_no_session_outlives_its_host() -> None:
    outcomes: list[SessionOutcome] = []

    async def main() -> None:
        async def session(host: Host) -> None:
            outcomes.append(await host.run_session())

        async with trio.open_nursery() as nursery:
            async with quiet(scripted_plan(**TALK)) as host:
                nursery.start_soon(session, host)
                await trio.sleep(1)
            assert [outcome.reason for outcome in outcomes] == ["closed"]

    in_time(main)


# -- isolation ---------------------------------------------------------------------------------------------------------


class Raises(LlmTurn):
    """A stage with a defect."""

    def step(self, state: LlmState, message: Message, now_us: int) -> Actions:
        if isinstance(message, Token):
            raise ZeroDivisionError("a stage's own defect")
        return super().step(state, message, now_us)


class Blocks(Provider):
    """Blocks the event loop for two seconds, by the watchdog's clock."""

    kind, name = "llm", "blocks"
    now_ns: ClassVar[int] = 0

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Ask)
        if request.turn == 1:
            Blocks.now_ns += 2_000_000_000
        await emit(Token(0, "Hm."))


class Floods(Provider):
    """Never stops."""

    kind, name = "llm", "floods"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Ask)
        index = 0
        while True:
            await emit(Token(index, "and so on. "))
            index += 1


class NeverReads(Provider):
    """Takes nothing that it is fed."""

    kind, name = "asr", "never reads"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Transcribe)
        await trio.sleep_forever()


def neighbours() -> list[Plan]:
    """Fifteen sessions that behave, each another conversation."""
    return [
        scripted_plan(
            **{**TALK, "mic": {"speech": [{"at": f"{37 * i}ms", "lasts": "200ms"}], "length": f"{1 + i % 3}s"}}
        )
        for i in range(15)
    ]


def test_of_twenty_sessions_five_misbehave_and_the_others_do_not_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    Blocks.now_ns = 1
    monkeypatch.setattr("flowkit.runtime.watchdog._now_ns", lambda: Blocks.now_ns)
    monkeypatch.setattr(Watchdog, "_look", lambda self: None)
    # Alarms that rest between two wakes shift times by up to three milliseconds, and nothing else.
    monkeypatch.setattr("flowkit.runtime.alarms.REST_S", 0.0)
    plan = scripted_plan(**TALK)
    raises = replace(plan, stages=tuple(replace(s, cls=Raises) if s.kind == "llm" else s for s in plan.stages))
    bad = {
        "raises": raises,
        "blocks": with_provider(plan, "llm", Blocks),
        "floods": with_provider(plan, "llm", Floods),
        "never reads": with_provider(plan, "asr", NeverReads),
        "is cancelled": plan,
    }
    good = {f"good {i}": neighbour for i, neighbour in enumerate(neighbours())}
    kept = {name: Kept() for name in (*bad, *good)}
    outcomes: dict[str, SessionOutcome] = {}
    stalls: list[str] = []

    async def main() -> None:
        async def session(name: str, plan: Plan) -> None:
            with trio.move_on_after(1) if name == "is cancelled" else trio.CancelScope():
                options = {"observers": (kept[name],), "duration_us": 5_000_000}
                outcomes[name] = await host.run_session(plan, name=name, **options)

        async with quiet(plan) as host:
            async with trio.open_nursery() as nursery:
                for name, one in (*bad.items(), *good.items()):
                    nursery.start_soon(session, name, one)
            stalls.extend(host.stalls.lines())

    in_time(main)
    for name, neighbour in good.items():
        assert kept[name].all == heap_session(neighbour).journal.rows, name
        assert outcomes[name].reason == "input_ended"
    assert outcomes["raises"].reason == "failed: ZeroDivisionError: a stage's own defect"
    assert isinstance(outcomes["raises"].error, ZeroDivisionError)
    assert outcomes["floods"].reason == "closed"
    assert outcomes["never reads"].reason == "closed"
    assert "is cancelled" not in outcomes
    assert kept["is cancelled"].all[-1].handled_us <= 1_000_000
    assert stalls == ["the event loop was held once, for 2000 ms at most, by blocks: llm call 5"]
    told = [[event[1] for event in kept[name].events].count("stall") for name in good]
    assert told == [1] * len(good), "to every session that was held up, once"


class BreaksOnRows(Observer):
    def rows(self, rows: list[Row]) -> None:
        raise OSError("no space left on device")


def test_an_observer_that_fails_ends_its_session_with_its_reason() -> None:
    outcomes: list[SessionOutcome] = []

    async def main() -> None:
        async with quiet(scripted_plan(**TALK)) as host:
            outcomes.append(await host.run_session(observers=(BreaksOnRows(),)))
            outcomes.append(await host.run_session())
            assert host.gauges.failed == 1

    in_time(main)
    assert [outcome.reason for outcome in outcomes] == ["failed: OSError: no space left on device", "input_ended"]


@settings(max_examples=2)
@given(st.lists(conversations(), min_size=10, max_size=10), st.random_module())
def test_among_fifty_neighbours_a_journal_is_what_it_is_alone(drawn: list[Conversation], random: object) -> None:
    plans = [scripted_plan(**conversation) for conversation in drawn]
    alone = [heap_session(plan) for plan in plans]
    assume(all(engine.finished for engine in alone))
    kept = [[Kept() for _ in range(5)] for _ in plans]

    async def main() -> None:
        async def session(plan: Plan, kept: Kept, begins_s: float) -> None:
            await trio.sleep(begins_s)
            await host.run_session(plan, observers=(kept,))

        async with quiet(plans[0]) as host, trio.open_nursery() as nursery:
            for i, plan in enumerate(plans):
                for j, one in enumerate(kept[i]):
                    nursery.start_soon(session, plan, one, 0.0137 * (i + j))

    # Alarms that rest between two wakes shift times by up to three milliseconds, and nothing else.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flowkit.runtime.alarms.REST_S", 0.0)
        in_time(main)
    for engine, same in zip(alone, kept, strict=True):
        for one in same:
            assert one.all == engine.journal.rows
