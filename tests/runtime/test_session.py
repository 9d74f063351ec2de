"""A whole live session: how it ends when it is told to once and twice, and that nothing is left of it."""

import gc
import os
import signal
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import trio
import trio.testing

from flowkit.engine import Engine
from flowkit.errors import ProviderError
from flowkit.messages import Ask, Frames, Message, PlaybackStarted, Token
from flowkit.options import Options
from flowkit.plan.graph import Plan, ProviderChoice, Timeouts
from flowkit.providers.base import Emit, Provider
from flowkit.runtime.host import Host, open_host, run_alone
from flowkit.runtime.session import INTERRUPTED, SessionOutcome
from flowkit.testing.sessions import Kept, heap_session, scripted_plan

TALK: dict[str, Any] = {
    "mic": {"speech": [{"at": "0ms", "lasts": "200ms"}], "length": "600s"},
    "vad": {"end": "200ms"},
    "asr": {"utterances": ("Tell me everything.",)},
    "llm": {"replies": ({"text": "It is a long story. " * 30},)},
}


def with_llm(plan: Plan, cls: type[Provider]) -> Plan:
    choice = ProviderChoice(cls.name, cls, Options())
    return replace(plan, stages=tuple(replace(s, provider=choice) if s.kind == "llm" else s for s in plan.stages))


def run(plan: Plan, *helpers: Any, kept: Kept | None = None, **options: Any) -> SessionOutcome:
    """A session on a clock that jumps, with helpers beside it; afterwards no task is left."""

    async def main() -> SessionOutcome:
        async with trio.open_nursery() as nursery:
            for helper in helpers:
                nursery.start_soon(helper)
            outcome = await run_alone(
                plan,
                notice=lambda line: None,
                observers=(*options.pop("observers", ()), *((kept,) if kept else ())),
                settled=trio.testing.wait_all_tasks_blocked,
                **options,
            )
            nursery.cancel_scope.cancel()
        left = [task.name for task in trio.lowlevel.current_root_task().child_nurseries[0].child_tasks]  # type: ignore[union-attr]
        assert not [name for name in left if "call" in name], left
        return outcome

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_session_ends_with_its_input_and_its_journal_is_the_heap_s() -> None:
    plan = scripted_plan(**{**TALK, "mic": {"speech": TALK["mic"]["speech"]}, "llm": {"replies": ({"text": "Yes."},)}})
    outcome = run(plan, kept=(kept := Kept()))
    assert outcome.reason == "input_ended"
    assert kept.all == heap_session(plan).journal.rows
    assert {inbox.bound.max for _, inbox in outcome.inboxes} >= {50}


def test_a_session_of_a_given_length_is_closed_in_order() -> None:
    outcome = run(scripted_plan(**TALK), kept=(kept := Kept()), duration_us=2_500_000)
    assert outcome.reason == "closed"
    assert kept.all[-1].handled_us == 2_500_000
    assert any(isinstance(row.message, PlaybackStarted) for row in kept.all), "in the midst of its reply"


async def ctrl_c_at(*seconds: float, sent: signal.Signals = signal.SIGINT) -> None:
    passed = 0.0
    for at_s in seconds:
        await trio.sleep(at_s - passed)
        passed = at_s
        os.kill(os.getpid(), sent)
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("at_s", [0.1, 0.45, 0.7, 3.0])
def test_ctrl_c_ends_it_in_order_in_every_phase(at_s: float) -> None:
    """While the user speaks, while the LLM is asked, before the first sound, amid the reply."""
    threads = threading.active_count()
    outcome = run(scripted_plan(**TALK), lambda: ctrl_c_at(at_s), kept=(kept := Kept()))
    assert outcome.reason == INTERRUPTED
    assert kept.all, "what happened so far is kept"
    assert kept.all[-1].handled_us <= at_s * 1e6 + 20_000
    assert threading.active_count() <= threads


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends_are_like_ctrl_c(sent: signal.Signals) -> None:
    outcome = run(scripted_plan(**TALK), lambda: ctrl_c_at(0.7, sent=sent), kept=(kept := Kept()))
    assert (outcome.reason, kept.all[-1].handled_us) == (INTERRUPTED, 700_000)


def test_where_hangups_are_ignored_they_go_on_being_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outcome = run(scripted_plan(**TALK), lambda: ctrl_c_at(0.7, sent=signal.SIGHUP), duration_us=2_500_000)
        assert outcome.reason == "closed"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sessions_run_in_threads_of_their_own_too() -> None:
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(lambda _: run(scripted_plan(**TALK), duration_us=2_500_000), range(3)))
    assert [outcome.reason for outcome in outcomes] == ["closed"] * 3


class LongLoading(Provider):
    kind, name = "llm", "slow"

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        await trio.sleep(3_600)
        yield

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise AssertionError("never loaded")


def test_ctrl_c_while_models_are_loaded() -> None:
    outcome = run(with_llm(scripted_plan(**TALK), LongLoading), lambda: ctrl_c_at(5), kept=(kept := Kept()))
    assert outcome.reason == INTERRUPTED
    assert kept.all == []


def test_a_second_ctrl_c_does_not_wait() -> None:
    outcome = run(with_llm(scripted_plan(**TALK), Polite), lambda: ctrl_c_at(1.0, 1.2))
    assert outcome.reason == INTERRUPTED


class Polite(Provider):
    """Needs some time to close, but can be cancelled."""

    kind, name = "llm", "polite"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(1, shield=True):
                await trio.sleep(0.5)


def test_a_provider_that_fails_to_load_is_told_before_anything_runs() -> None:
    class Missing(Provider):
        kind, name = "llm", "missing"

        @asynccontextmanager
        async def ready(self) -> AsyncIterator[None]:
            raise ProviderError("no such model", hint="flowkit setup local")
            yield

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            raise AssertionError("never loaded")

    with pytest.raises(ExceptionGroup) as raised:  # of the test's own nursery
        run(with_llm(scripted_plan(**TALK), Missing))
    (error,) = raised.value.exceptions
    assert isinstance(error, ProviderError)
    assert error.hint == "flowkit setup local"


def test_what_a_thread_says_after_its_call_was_cancelled_is_not_heard() -> None:
    """Real time: the clock would jump past a thread."""
    gone = threading.Event()

    class InAThread(Provider):
        kind, name = "llm", "thread"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            assert isinstance(request, Ask)
            try:
                await trio.to_thread.run_sync(gone.wait, 5, abandon_on_cancel=False)
                await emit(Token(0, "too late"))
            finally:
                gone.set()

    async def release(engine: Engine) -> None:
        while engine.finished is None:
            await trio.sleep(0.01)
        gone.set()

    async def main() -> SessionOutcome:
        plan = with_llm(
            scripted_plan(**{**TALK, "vad": {"end": "40ms"}, "asr": {"final_after": "0ms", "utterances": ("Hi.",)}}),
            InAThread,
        )
        async with trio.open_nursery() as nursery:
            return await run_alone(
                plan,
                notice=lambda line: None,
                observers=(kept,),
                duration_us=600_000,
                started=lambda engine, figures: nursery.start_soon(release, engine),
            )

    kept = Kept()
    outcome = trio.run(main)
    assert outcome.reason == "closed"
    assert not [row for row in kept.all if isinstance(row.message, Token)]
    assert any(isinstance(row.message, Frames) for row in kept.all)
    assert gone.is_set()


def test_while_a_session_runs_the_collector_leaves_alone_what_was_loaded() -> None:
    before, seen = gc.get_threshold(), list[tuple[int, int]]()

    def started(engine: Engine, figures: object) -> None:
        seen.append((gc.get_freeze_count(), len(gc.get_objects())))

    run(scripted_plan(**TALK), started=started, duration_us=10_000_000)
    ((frozen, looked_through),) = seen
    assert frozen > 50_000
    assert looked_through < frozen / 5
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


# -- deadlines ---------------------------------------------------------------------------------------------------------


class Deaf(Provider):
    """Takes its input and never answers."""

    kind, name = "asr", "deaf"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for _ in fed:
            pass


class Numb(Deaf):
    kind, name = "vad", "numb"


def deaf(plan: Plan, kind: str, *choices: ProviderChoice) -> Plan:
    first, *others = choices
    stages = tuple(replace(s, provider=first, failover=tuple(others)) if s.kind == kind else s for s in plan.stages)
    return replace(plan, stages=stages)


def test_an_asr_has_time_from_the_end_of_an_utterance_on() -> None:
    """Not from the session's start: nobody speaks for five seconds, and the utterance ends after 5.4."""
    plan = scripted_plan(**{**TALK, "mic": {"speech": [{"at": "5s", "lasts": "200ms"}], "length": "20s"}})
    choice = ProviderChoice("deaf", Deaf, Options(), Timeouts(first_item_us=1_000_000))
    outcome = run(deaf(plan, "asr", choice), kept=(kept := Kept()), duration_us=30_000_000)
    assert outcome.reason == "failed: failover: deaf: nothing useful came in time"
    assert kept.all[-1].handled_us == pytest.approx(6_400_000, abs=40_000)


def test_a_deadline_stands_where_another_provider_could_take_over() -> None:
    choices = [ProviderChoice("numb", Numb, Options(), Timeouts(first_item_us=1_000_000)) for _ in range(2)]
    outcome = run(deaf(scripted_plan(**TALK), "vad", *choices), kept=(kept := Kept()), duration_us=30_000_000)
    assert outcome.reason == "failed: the provider gave nothing in time"
    assert kept.all[-1].handled_us == 1_000_000


# -- several sessions --------------------------------------------------------------------------------------------------


class Weighty(Provider):
    """An LLM with something to load."""

    kind, name = "llm", "weighty"
    loaded: ClassVar[list[str]] = []

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[object]:
        await trio.sleep(1)
        cls.loaded.append("loaded")
        yield object()
        cls.loaded.append("closed")

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await emit(Token(0, f"From {id(self.model)}."))


def test_sessions_that_share_models_load_them_once() -> None:
    plan = with_llm(scripted_plan(**TALK), Weighty)
    outcomes: list[SessionOutcome] = []
    kept = Kept()

    async def main() -> None:
        async def session(host: Host) -> None:
            outcomes.append(await host.run_session(observers=(kept,), duration_us=3_000_000))

        async with open_host(plan, notice=lambda line: None) as host, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(session, host)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert Weighty.loaded == ["loaded", "closed"]
    said = {row.message.text for row in kept.all if isinstance(row.message, Token)}
    assert [outcome.reason for outcome in outcomes] == ["closed"] * 3
    assert len(said) == 1, "by the same model"
