"""Whatever a provider does in the middle of a session, each turn ends in speech or with its fault, and nobody is asked for ever.

Every fault meets every stage at every position, with and without a provider to fail over to; then some in a row. Some
hundred sessions in CI, 10,000 in the profile `deep`. Failover belongs to the runtime, so those sessions run on the live pump
under a clock that jumps; the others on the heap pump too.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config.schema import Circuit, Retry
from flowkit.engine import Engine, Fate
from flowkit.messages import Done, Failed, Fault, Heard, Message, Probability, Utterance
from flowkit.options import us
from flowkit.plan.graph import Bound, Plan, PlannedStage, ProviderChoice, Timeouts
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError, Trouble
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.providers.models import open_models
from flowkit.providers.scripted import ScriptedAsr, ScriptedLlm, ScriptedProvider, ScriptedTts
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.loading import loaded
from flowkit.runtime.pump import TrioPump
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import ends_come_last, nothing_is_lost, order_is_kept, session_ends
from flowkit.testing.sessions import heap_session, planned_of, scripted_plan
from tests.fuzz.test_config import DEEP

EXAMPLES = int(os.environ.get("FLOWKIT_FUZZ_EXAMPLES", "4500" if DEEP else "15"))
LIMIT_S = 2.0
"""Of the processor's time, for one session."""
LONGEST_US = 60_000_000
ATTEMPTS = 8
"""Of one call of a stage: some at each of two providers, and once more for an empty answer."""

STAGES: dict[str, type[ScriptedProvider]] = {"asr": ScriptedAsr, "llm": ScriptedLlm, "tts": ScriptedTts}
SETTINGS: dict[str, Any] = {
    "mic": {"speech": [{"at": "100ms", "lasts": "200ms"}, {"at": "5000ms", "lasts": "200ms"}], "frame": "30ms"},
    "vad": {"end": "100ms"},
    "asr": {"utterances": ["One?", "Two?"], "final_after": "20ms", "partial_every": "60ms"},
    "llm": {"replies": [{"text": "A first one. And more."}], "first_token": "40ms"},
    "tts": {"per_char": "20ms", "first_audio": "20ms"},
}
TURNS = 2
PATIENCE = Timeouts(us("300ms"), us("300ms"), us("300ms"))


class Kind(Enum):
    """What a provider can do in the place of its next item."""

    FAIL = auto()
    STOP = auto()
    STALL = auto()
    LATE = auto()
    TWICE = auto()
    ALIEN = auto()
    DEFECT = auto()


@dataclass(frozen=True)
class Wrong:
    """A fault in the place of item number `after`."""

    kind: Kind
    after: int
    trouble: Trouble = Trouble.NETWORK


@dataclass
class Faulty:
    """The faults of a stage's calls, in order, and how many calls there were."""

    wrongs: list[Wrong]
    calls: int = 0

    def next(self) -> Wrong | None:
        """That of the next call; None if it has none."""
        self.calls += 1
        return self.wrongs[self.calls - 1] if self.calls <= len(self.wrongs) else None


# -- on the heap pump --------------------------------------------------------------------------------------------------


def inline(whole: type[ScriptedProvider], faulty: Faulty) -> type[InlineProvider]:
    """The scripted provider with faults."""

    class Wronged(whole):  # type: ignore[misc, valid-type]
        def open(self, request: Message) -> InlineCall:
            call, wrong = super().open(request), faulty.next()
            return call if wrong is None else _wronged(call, wrong)

    return Wronged


_ENDS = {Kind.FAIL: lambda wrong: Failed("error", wrong.trouble.value), Kind.STOP: lambda wrong: Done()}


def _wronged(call: InlineCall, wrong: Wrong) -> InlineCall:
    left = [wrong.after]

    def items(answer: Callable[..., Iterable[tuple[int, Message]]]) -> Callable[..., Iterator[tuple[int, Message]]]:
        def answers(*event: Message) -> Iterator[tuple[int, Message]]:
            for at_us, item in answer(*event):
                left[0] -= 1
                if left[0] >= 0:
                    yield at_us, item
                elif wrong.kind in _ENDS:
                    yield Answer(at_us, _ENDS[wrong.kind](wrong))
                    return
                elif wrong.kind is Kind.STALL:
                    return
                elif wrong.kind is Kind.TWICE and left[0] == -1 and not isinstance(item, Done):
                    yield from ((at_us, item), (at_us, item))
                else:
                    yield at_us + 200_000 * (wrong.kind is Kind.LATE), item

        return answers

    return InlineCall(items(call.opened), items(call.fed))


# -- with failover, on the live pump under a clock that jumps ----------------------------------------------------------


def tasked(whole: type[ScriptedProvider], faulty: Faulty) -> type[Provider]:
    """The same in a task of its own, as providers that do I/O."""

    class Wronged(Provider):
        kind, name, Options = whole.kind, "wronged", whole.Options  # type: ignore[misc, assignment]

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            wrong, count = faulty.next(), itertools.count()

            async def wronged(item: Message) -> None:
                if wrong is not None and next(count) == wrong.after:
                    await _befall(wrong, item, emit)
                await emit(item)

            try:
                await whole(self.options, self.around).call(request, fed, wronged)
            except _Stopped:
                pass

    return Wronged


class _Stopped(Exception):
    """The call ends as if all were said."""


async def _befall(wrong: Wrong, item: Message, emit: Emit) -> None:
    match wrong.kind:
        case Kind.FAIL:
            raise CloudError(wrong.trouble, "as told", retry_after_us=7_200_000_000 if wrong.after == 1 else None)
        case Kind.STOP:
            raise _Stopped
        case Kind.STALL:
            await trio.sleep_forever()
        case Kind.LATE:
            await trio.sleep(0.2)
        case Kind.TWICE:
            await emit(item)
        case Kind.ALIEN:
            await emit(Probability(0, 0.5))
        case Kind.DEFECT:
            raise KeyError("a defect")


@dataclass
class Session:
    """How a session went: the engine, and the calls of the faulty providers."""

    engine: Engine
    faulty: dict[str, Faulty] = field(default_factory=dict)


def plan_of(faulty: dict[str, Faulty], make: Callable[..., type[Provider]], failover: bool) -> Plan:
    plan = scripted_plan(**SETTINGS)
    stages = tuple(_stage(stage, faulty.get(stage.kind), make, failover) for stage in plan.stages)
    return planned_of(stages, {stage.id: Bound(stage.window) for stage in stages}, plan.frame_us)


def _stage(
    stage: PlannedStage, faulty: Faulty | None, make: Callable[..., type[Provider]], failover: bool
) -> PlannedStage:
    if faulty is None or stage.provider is None:
        return stage
    whole, options = STAGES[stage.kind], stage.provider.options
    first = ProviderChoice("wronged", make(whole, faulty), options, PATIENCE)
    if not failover:
        return replace(stage, provider=first)
    first = replace(first, retry=Retry(max=1, backoff=us("10ms")), circuit=Circuit(open_after=2, probe_every=us("2s")))
    return replace(stage, provider=first, failover=(ProviderChoice("scripted", whole, options, PATIENCE),))


def on_the_heap(faulty: dict[str, Faulty]) -> Session:
    evidence = Evidence(plan := plan_of(faulty, inline, failover=False))
    engine = heap_session(plan, evidence, limit_us=LONGEST_US)
    for promise in (session_ends, nothing_is_lost, order_is_kept, ends_come_last):
        promise(evidence)
    return Session(engine, faulty)


def live(faulty: dict[str, Faulty], *, failover: bool) -> Session:
    plan = plan_of(faulty, tasked, failover)

    async def main() -> Engine:
        clock = SessionClock()
        around = Surroundings(plan.input_rate_hz, plan.frame_us, clock.now_us, lambda line: None, clock.at_s)
        async with (
            open_models(lambda line: None) as models,
            open_alarms() as alarms,
            loaded(plan, around, models) as providers,
        ):
            pump = TrioPump(plan, providers, clock, alarms, settled=trio.testing.wait_all_tasks_blocked)
            with trio.move_on_after(LONGEST_US / 1_000_000):
                await pump.run()
        return pump.engine

    return Session(trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)), faulty)


# -- what must hold ----------------------------------------------------------------------------------------------------


def judge(run: Callable[[], Session], *, failover: bool) -> None:
    began_s = time.process_time()
    session = run()
    assert time.process_time() - began_s < LIMIT_S
    rows = [row for row in session.engine.journal if row.fate is Fate.HANDLED]
    asked = {row.message.turn: row.message for row in rows if row.stage == "llm" and isinstance(row.message, Utterance)}
    # A voice that makes no sound and no error counts as one that prints; a question that went on is part of the next.
    heard = {row.turn for row in rows if row.stage == "gate" and isinstance(row.message, Heard) and row.message.text}
    joined = {turn for turn in asked if turn + 1 in asked and asked[turn + 1].text.startswith(asked[turn].text)}
    at_fault = {row.turn for row in rows if row.stage == "gate" and isinstance(row.message, Fault)}
    silent = set(asked) - heard - joined - (set() if failover else at_fault)
    finished = session.engine.finished
    assert finished is not None, "the session goes on for ever"
    assert finished == "input_ended" or (finished.startswith("failed: ") and not failover)
    if finished == "input_ended":
        assert not silent, f"turns {silent} were silent"
        assert len(asked) >= TURNS or ("asr" in session.faulty and not failover), "a question was lost"
    calls = {"asr": TURNS, "llm": len(asked), "tts": 2 * len(asked)}
    for kind, faulty in session.faulty.items():
        assert faulty.calls <= ATTEMPTS * max(1, calls[kind]), f"{kind} was asked {faulty.calls} times"


Told = dict[str, list[Wrong]]
"""The faults of each stage's calls, in order."""
PLACES = range(6)
ON_THE_HEAP = [Kind.FAIL, Kind.STOP, Kind.STALL, Kind.LATE, Kind.TWICE]
SINGLE = list(itertools.product(STAGES, Kind, PLACES, (1, 2, 9), (True, False)))


def stops_hearing(told: Told, failover: bool) -> bool:
    """Whether an ear says that all is done, long before it is; see the last test."""
    return failover and any(wrong.kind is Kind.STOP for wrong in told.get("asr", ()))


@pytest.mark.parametrize("share", range(8))
def test_every_fault_at_every_stage_and_position(share: int) -> None:
    """Of one call, two, or all. In CI one of eighteen of these sessions."""
    for stage, kind, after, calls, failover in SINGLE[share :: 8 if DEEP else 144]:
        told = {stage: [Wrong(kind, after)] * calls}
        if not stops_hearing(told, failover):
            check_live(told, failover)
        if kind in ON_THE_HEAP and not failover:
            check_on_the_heap(told)


def check_on_the_heap(told: Told) -> None:
    judge(lambda: on_the_heap({kind: Faulty(faults) for kind, faults in told.items()}), failover=False)


def check_live(told: Told, failover: bool) -> None:
    judge(lambda: live({kind: Faulty(faults) for kind, faults in told.items()}, failover=failover), failover=failover)


def wrongs(kinds: Iterable[Kind]) -> st.SearchStrategy[Told]:
    """Some faults in a row, at some stages."""
    wrong = st.builds(Wrong, st.sampled_from(list(kinds)), st.integers(0, 8), st.sampled_from(list(Trouble)))
    return st.dictionaries(st.sampled_from(list(STAGES)), st.lists(wrong, min_size=1, max_size=9), min_size=1)


@settings(max_examples=EXAMPLES)
@given(wrongs(ON_THE_HEAP))
def test_faults_in_a_row_on_the_heap_pump(told: Told) -> None:
    check_on_the_heap(told)


@settings(max_examples=EXAMPLES)
@given(wrongs(Kind), st.booleans())
def test_faults_in_a_row_with_and_without_failover(told: Told, failover: bool) -> None:
    if not stops_hearing(told, failover):
        check_live(told, failover)


def test_an_ear_that_stops_early_gives_way() -> None:
    check_live({"asr": [Wrong(Kind.STOP, 1)]}, failover=True)
