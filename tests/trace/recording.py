"""Recorded sessions for these tests: a scripted pipeline on the live pump, under a clock that jumps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
import trio.testing

from flowkit.engine import Engine, Row
from flowkit.engine.observer import Observer
from flowkit.figures.live import LiveFigures
from flowkit.plan import Plan
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.testing.sessions import Kept, providers_of
from flowkit.trace.recorder import Recorder, open_recorder
from flowkit.trace.tape import Recording


class Patient(Observer):
    """Virtual time outruns the thread that writes, which a live session never does: this waits for it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def rows(self, rows: list[Row]) -> None:
        self._recorder.flush()


class Recorded:
    """A session that was run and recorded: what the live side knew, to compare the trace with."""

    def __init__(
        self, plan: Plan, engine: Engine, rows: list[Row], listener: LiveFigures, recording: Recording
    ) -> None:
        self.plan = plan
        self.engine = engine
        self.rows = rows
        self.listener = listener
        self.recording = recording


def record(path: Path, plan: Plan, **options: Any) -> Recorded:
    """Run `plan` in virtual time and record it to `path`; `options` go to ``open_recorder``."""
    recorder, kept, listener = open_recorder(path, plan, **options), Kept(), LiveFigures(plan)

    async def main() -> TrioPump:
        clock = SessionClock()
        settled = trio.testing.wait_all_tasks_blocked
        observers = (Patient(recorder), recorder, kept, listener)
        async with open_alarms() as alarms, providers_of(plan, clock) as providers:
            pump = TrioPump(plan, providers, clock, alarms, observers=observers, settled=settled)
            await pump.run()
        return pump

    pump = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    recording = recorder.close(pump.engine.finished or "closed")
    return Recorded(plan, pump.engine, kept.all, listener, recording)
