"""The figures of a running session: what they are at its end, what they cost, and that they do not grow with it."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import trio
import trio.testing

from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.figures.live import LiveFigures
from flowkit.figures.metrics import measure
from flowkit.figures.reference import Reference
from flowkit.messages import Frames
from flowkit.plan import Plan
from flowkit.replay.heap import HeapPump
from flowkit.report.live_state import LiveState
from flowkit.runtime.host import run_alone
from flowkit.testing.sessions import Kept, scripted_plan, scripts_of
from tests.trace.sessions import pipeline, planned

HAND_OVER_US = 250_000
MINUTE_US = 60_000_000
EVERY_MS = 6_000
ROOM = np.random.default_rng(1).integers(-50, 50, 320).astype("<i2").tobytes()
VOICE = np.random.default_rng(2).integers(-9_000, 9_000, 320).astype("<i2").tobytes()


def test_at_the_end_they_are_those_of_the_whole_journal() -> None:
    kept, plan = Kept(), planned(pipeline())
    outcome = trio.run(
        lambda: run_alone(
            plan, notice=lambda line: None, observers=(kept,), settled=trio.testing.wait_all_tasks_blocked
        ),
        clock=trio.testing.MockClock(autojump_threshold=0),
    )
    reference = outcome.figures.reference()
    assert reference is not None
    report = outcome.figures.report()
    assert report == measure(kept.all, plan=plan, voiced=Reference(320, reference.levels), events=kept.events)
    assert report != measure(kept.all, plan=plan, events=kept.events), "the reference detector counts"
    assert [turn.end_reason for turn in report.turns] == ["interrupted", "completed"]
    assert outcome.figures.report() == report


# -- long sessions -----------------------------------------------------------------------------------------------------


def talk(minutes: int) -> Plan:
    """A turn every six seconds."""
    turns = range(minutes * MINUTE_US // (1000 * EVERY_MS))
    return scripted_plan(
        mic={"speech": [{"at": f"{n * EVERY_MS + 500}ms", "lasts": "800ms"} for n in turns]},
        asr={"utterances": tuple(f"Question {n}?" for n in turns)},
        llm={"replies": ({"text": "The capital of France is Paris. It lies on the Seine, and is worth a journey."},)},
    )


def hand_overs(plan: Plan, observers: tuple[Observer, ...]) -> Iterator[tuple[int, Callable[[], None]]]:
    """Runs the session; for each hand-over its time, and what hands it over."""
    pump, at_us = HeapPump(plan, scripts_of(plan)), 0
    for observer in observers:
        if isinstance(observer, LiveState):
            observer.engine = pump.engine
            observer.figures = next(known for known in observers if isinstance(known, LiveFigures))
    while pump.engine.finished is None:
        at_us += HAND_OVER_US
        pump.run(until_us=at_us)
        rows = pump.engine.journal.take()
        yield at_us, lambda rows=rows: hand_over(rows, observers)  # type: ignore[misc]


def hand_over(rows: list[Row], observers: tuple[Observer, ...]) -> None:
    rows = [row._replace(message=heard(row.message)) if isinstance(row.message, Frames) else row for row in rows]
    for observer in observers:
        observer.rows(rows)


def heard(frames: Frames) -> Frames:
    """The frame with the sound of a voice or of a room."""
    return replace(frames, pcm=VOICE if 500 <= frames.index * 20 % EVERY_MS < 1_300 else ROOM)


def live(plan: Plan) -> tuple[LiveFigures, LiveState]:
    return LiveFigures(plan), LiveState(plan)


def grown(minutes: int, *more: Observer) -> int:
    """By how many bytes what is held grows from the middle of the session to its end."""
    plan = talk(minutes)
    tracemalloc.start()
    try:
        middle = 0
        for at_us, go in hand_overs(plan, (*live(plan), *more)):
            go()
            if not middle and at_us >= minutes * MINUTE_US // 2:
                middle = tracemalloc.get_traced_memory()[0]
        return tracemalloc.get_traced_memory()[0] - middle
    finally:
        tracemalloc.stop()


def test_two_minutes_more_take_less_than_their_share_of_five_megabytes_an_hour() -> None:
    assert grown(4) < 5_000_000 * 2 // 60
    assert grown(1, Kept()) > 1_000_000, "it would be seen if rows were kept"


def test_a_hand_over_costs_as_much_after_sixty_turns_as_at_the_beginning() -> None:
    plan = talk(6)
    observers, calls = live(plan), list[int]()
    for _, go in hand_overs(plan, observers):
        calls.append(counted(go))
    assert len(observers[0].report().turns) == 60
    quarter = len(calls) // 4
    assert max(calls[-quarter:]) <= 1.1 * max(calls[:quarter])
    # The dearest is the one with which a reply begins to sound, and its figures are shown.
    assert max(calls) <= 4 * sorted(calls)[len(calls) // 2]


def counted(do: Callable[[], object]) -> int:
    """How many functions are called by it."""
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(before)
    return calls
