"""Inline calls on the live pump: run in place, by the same rules as calls in tasks, and reported when they take too long."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flowkit.clock import monotonic_us
from flowkit.engine import Engine
from flowkit.errors import ProviderError
from flowkit.messages import Ask, Done, Fault, Message, Probability, Token
from flowkit.options import Options
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.providers.models import open_models
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.failover import resilient
from flowkit.runtime.pump import TrioPump
from flowkit.runtime.watchdog import IN_PLACE_US, Stall, Watchdog
from flowkit.testing.evidence import Evidence
from flowkit.testing.sessions import heap_session, providers_of, scripted_plan, trio_session

ONE_TURN: dict[str, Any] = {
    "mic": {"speech": [{"at": "0ms", "lasts": "200ms"}]},
    "vad": {"end": "200ms"},
    "asr": {"utterances": ("How are you?",)},
    "llm": {"replies": ({"text": "Very well, thank you."},)},
}


def with_provider(kind: str, cls: type[Provider]) -> Plan:
    plan = scripted_plan(**ONE_TURN)
    choice = ProviderChoice(cls.name, cls, Options())
    return replace(plan, stages=tuple(replace(s, provider=choice) if s.kind == kind else s for s in plan.stages))


def ran(plan: Plan, limit_s: float = 30.0) -> tuple[Engine, list[Stall], list[str]]:
    """The session's engine, what was reported, and the tasks that it had."""
    stalls: list[Stall] = []
    tasks: list[str] = []

    class Tasks(trio.abc.Instrument):
        def task_spawned(self, task: trio.lowlevel.Task) -> None:
            tasks.append(task.name)

    async def main() -> Engine:
        clock = SessionClock()
        async with open_alarms() as alarms, providers_of(plan, clock) as providers:
            pump = TrioPump(plan, providers, clock, alarms, timed=Watchdog(stalls.append).timed)
            with trio.move_on_after(limit_s):
                await pump.run()
        return pump.engine

    engine = trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[Tasks()])
    return engine, stalls, tasks


def faults(engine: Engine) -> list[str]:
    return [row.message.what for row in engine.journal.rows if isinstance(row.message, Fault)]


def test_a_session_of_inline_calls_has_one_task() -> None:
    plan = scripted_plan(**ONE_TURN)
    engine, _, tasks = ran(plan)
    assert engine.finished == "input_ended"
    assert engine.journal.rows == heap_session(plan).journal.rows
    assert not [name for name in tasks if "call" in name]
    evidence = Evidence(plan)
    trio_session(plan, evidence, inline=False)
    calls = [name.split()[0] for name in evidence.tasks if "call" in name]
    assert sorted(calls) == ["asr", "llm", "mic", "speaker", "tts", "vad"]


class Slow(InlineProvider):
    """Takes 3 ms in place for each item that it is fed."""

    kind, name = "vad", "slow"

    def open(self, request: Message) -> InlineCall:
        def fed(item: Message) -> Iterator[Answer]:
            began_us = monotonic_us()
            while monotonic_us() < began_us + 1_500 + IN_PLACE_US:
                pass
            yield from ()

        return InlineCall(fed=fed)


def test_one_that_takes_too_long_is_reported_by_name() -> None:
    _, stalls, _ = ran(with_provider("vad", Slow), limit_s=2.0)
    stalls = [stall for stall in stalls if stall.task == "vad: slow inline"]
    assert stalls[0].lasted_us > IN_PLACE_US
    assert [stall.lasted_us for stall in stalls] == sorted(stall.lasted_us for stall in stalls), (
        "only what is longer yet"
    )


class Llm(InlineProvider):
    kind, name = "llm", "mine"


class RaisesAtOnce(Llm):
    def open(self, request: Message) -> InlineCall:
        raise ProviderError("no answer today", hint="ask again tomorrow")


class BreaksOff(Llm):
    def open(self, request: Message) -> InlineCall:
        def opened() -> Iterator[Answer]:
            yield Answer(0, Token(0, "All is "))
            raise ZeroDivisionError("division by zero")

        return InlineCall(opened=opened)


class SaysWhatItMayNot(Llm):
    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=lambda: (Answer(0, Probability(0, 0.5)), Answer(0, Done())))


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (RaisesAtOnce, "mine: no answer today (ask again tomorrow)"),
        (BreaksOff, "mine: ZeroDivisionError: division by zero"),
        (SaysWhatItMayNot, "mine: emitted Probability, which a llm provider may not emit"),
    ],
)
def test_what_it_raises_or_may_not_say_is_its_failure(cls: type[Provider], what: str) -> None:
    engine, _, _ = ran(with_provider("llm", cls))
    assert faults(engine) == [what]
    assert engine.finished == "input_ended"


class Endless(InlineProvider):
    """Says more and more at one instant."""

    kind, name = "vad", "endless"

    def open(self, request: Message) -> InlineCall:
        return InlineCall(opened=lambda: (Answer(0, Probability(i, 0.0)) for i in count()))


def test_one_that_never_stops_talking_holds_nobody_up() -> None:
    async def main() -> int:
        plan, clock = with_provider("vad", Endless), SessionClock()
        async with open_alarms() as alarms, providers_of(plan, clock) as providers, trio.open_nursery() as nursery:
            pump = TrioPump(plan, providers, clock, alarms)
            nursery.start_soon(pump.run)
            turns = [await trio.lowlevel.checkpoint() for _ in range(10)]
            nursery.cancel_scope.cancel()
        return len(turns)

    assert trio.run(main) == 10


def test_a_failover_list_runs_it_in_a_task() -> None:
    class Speaks(Llm):
        def open(self, request: Message) -> InlineCall:
            return InlineCall(opened=lambda: (Answer(5_000, Token(0, "Yes.")), Answer(5_000, Done())))

    plan = with_provider("llm", Speaks)
    llm = plan.stage("llm")
    assert llm.provider is not None
    listed = replace(llm, provider=replace(llm.provider, cls=BreaksOff), failover=(llm.provider,))
    plan = replace(plan, stages=tuple(listed if s.kind == "llm" else s for s in plan.stages))

    async def main() -> list[Message]:
        clock, said = SessionClock(), list[Message]()
        clock.start()
        around = Surroundings(16_000, 20_000, clock.now_us, notice=lambda line: None, at_s=clock.at_s)

        async def emit(item: Message) -> None:
            said.append(item)

        async with open_models(around.notice) as models, resilient(listed, around, models) as provider:
            await provider.call(Ask(1, "?"), _nothing(), emit)
        return said

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == [Token(0, "All is "), Token(1, "Yes.")]


async def _nothing() -> Any:
    for item in ():
        yield item
