"""Other orders of simultaneous items: finds what in a session depends on which of two items in the same microsecond
came first.

Deadlines and credits keep their place, because rules define it. Items of different providers at one instant have no
order except the pump's own. Each order has a seed, so it can be run again.
"""

from __future__ import annotations

import random
from dataclasses import replace

from flowkit.engine import Stimulus
from flowkit.figures.report import Report
from flowkit.replay.heap import HeapCall, HeapPump
from flowkit.replay.simulate import Replayed, simulate
from flowkit.trace.reader import Trace


class TiePump(HeapPump):
    """A heap pump that picks at random among the items of an instant. A subclass sets `seed`."""

    seed = 0

    def _choose(self) -> tuple[Stimulus, ...] | None:
        if not hasattr(self, "_random"):
            self._random = random.Random(self.seed)
        calls = list(self._calls.items())
        self._random.shuffle(calls)
        kept, self._calls = self._calls, _in_order(calls)
        try:
            return super()._choose()
        finally:
            # The base class removes calls that have ended. The others go back into the usual order.
            self._calls = {stage: call for stage, call in kept.items() if stage in self._calls}


def _in_order(calls: list[tuple[int, HeapCall]]) -> dict[int, HeapCall]:
    return dict(calls)


def permuted(
    trace: Trace, times: int, *, pipeline: str | None = None, overrides: tuple[str, ...] = ()
) -> list[Replayed]:
    """The replays of a trace with `times` other orders, with the seeds 1 to `times`."""
    return [
        simulate(trace, pipeline=pipeline, overrides=overrides, pump_cls=type("SeededTies", (TiePump,), {"seed": seed}))
        for seed in range(1, times + 1)
    ]


def depending(usual: Report, others: list[Report]) -> list[str]:
    """What differs between the usual order and the others, one line each. `others` are in order of their seeds, from 1."""
    found: dict[str, list[int]] = {}
    for seed, other in enumerate(others, 1):
        for what in _differing(usual, other):
            found.setdefault(what, []).append(seed)
    return [f"{what} depends on the order of simultaneous events ({_seeds(seeds)})" for what, seeds in found.items()]


def _differing(a: Report, b: Report) -> list[str]:
    if len(a.turns) != len(b.turns):
        return [f"the number of turns ({len(a.turns)}, {len(b.turns)})"]
    found = []
    for one, other in zip(a.turns, b.turns, strict=True):
        for name in ("user", "agent", "heard", "end_reason", "ttfa_us", "parts_us", "clauses"):
            if getattr(one, name) != getattr(other, name):
                found.append(f"turn {one.turn}: {name}")
    if [replace(i, t_us=0) for i in a.interrupts] != [replace(i, t_us=0) for i in b.interrupts]:
        found.append("an interrupt's figures")
    return found


def _seeds(seeds: list[int]) -> str:
    shown = ", ".join(map(str, seeds[:5]))
    return f"{len(seeds)} of the orders, such as number {shown}"
