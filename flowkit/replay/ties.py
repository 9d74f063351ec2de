"""Other orders of simultaneous items: finds what in a session depends on which of two items in the same microsecond
came first.

Deadlines and credits keep their place, because rules define it. Items of different providers at one instant have no
order except the pump's own. An order is written as a schedule, such as ``17.1,42.2``: at tie number 17 the second item comes first,
at tie 42 the third. All other ties are in the usual order, so the same schedule runs the same session again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from flowkit.engine import Stimulus
from flowkit.errors import UsageError
from flowkit.figures.report import Report
from flowkit.plan.graph import Plan
from flowkit.providers.inline import Script
from flowkit.replay.fewer import fewest
from flowkit.replay.heap import HeapCall, HeapPump
from flowkit.replay.simulate import Prepared, Replayed

_SCHEDULE = re.compile(r"(\d{1,9})\.(\d{1,3})")
_MOST_REPLAYS = 40
"""How many replays may be spent on making a schedule short."""

Schedule = Mapping[int, int]
"""For each tie that is not in the usual order, which of its items comes first, from 0."""
Choose = Callable[[int, int], int]
"""Which of so many items comes first: (number of the tie, how many items)."""


def parse_schedule(text: str) -> Schedule:
    """Read a schedule. Raises UsageError."""
    found: dict[int, int] = {}
    for part in filter(None, text.split(",")):
        if (match := _SCHEDULE.fullmatch(part)) is None:
            raise UsageError(
                f"--schedule {text!r}: {part!r} is no tie with its choice",
                hint="such as 17.1,42.2: as --permute-ties prints it",
            )
        found[int(match[1])] = int(match[2])
    return found


def schedule_text(schedule: Schedule) -> str:
    """The schedule as a text that ``parse_schedule`` reads."""
    return ",".join(f"{tie}.{choice}" for tie, choice in sorted(schedule.items()))


class TiePump(HeapPump):
    """A heap pump that asks `choose` at each tie. `taken` are the choices other than the usual one, and `ties` how many ties there
    were."""

    def __init__(self, plan: Plan, scripts: Mapping[str, Script]) -> None:
        super().__init__(plan, scripts)
        self.choose: Choose = lambda tie, count: 0
        self.ties = 0
        self.taken: dict[int, int] = {}

    def _choose(self) -> tuple[Stimulus, ...] | None:
        tied = [] if self._uncredited else self._tied()
        if len(tied) > 1:
            choice = min(self.choose(self.ties, len(tied)), len(tied) - 1)
            if choice:
                self.taken[self.ties] = choice
                first = tied[choice].stage
                # Of equal times the pump takes the last one in this order.
                self._calls[first] = self._calls.pop(first)
            self.ties += 1
        try:
            return super()._choose()
        finally:
            if len(tied) > 1:
                self._calls = dict(sorted(self._calls.items(), reverse=True))

    def _tied(self) -> list[HeapCall]:
        """The calls whose items are next at the same time, in the usual order; none if a deadline comes first."""
        able = [
            (max(call.due_us, self._now_us), call)
            for call in self._calls.values()
            if call.due_us is not None and self.engine.accepts_item(call.stage)
        ]
        next_us = min((due_us for due_us, _ in able), default=0)
        deadline_us = self.engine.next_deadline()
        if deadline_us is not None and next_us > self._now_us and deadline_us <= next_us:
            return []
        return sorted((call for due_us, call in able if due_us == next_us), key=lambda call: call.stage)


class Ordered(NamedTuple):
    """A replay in another order of ties: its figures, and the choices that were not the usual ones."""

    report: Report
    schedule: Schedule


def scheduled(prepared: Prepared, schedule: Schedule) -> Replayed:
    """The replay with this schedule. Raises UsageError if the session has no such tie."""
    replayed, pump = _ran(prepared, lambda tie, count: schedule.get(tie, 0), brief=False)
    if pump.taken != schedule:
        raise UsageError(
            f"--schedule {schedule_text(schedule)}: the session has {pump.ties} ties, and not all of these choices",
            hint="a schedule belongs to one trace and its settings",
        )
    return replayed


def permuted(prepared: Prepared, times: int) -> list[Ordered]:
    """The replays with `times` other orders, drawn with the seeds 1 to `times`."""
    return [_drawn(prepared, random.Random(seed)) for seed in range(1, times + 1)]


def _drawn(prepared: Prepared, dice: random.Random) -> Ordered:
    replayed, pump = _ran(prepared, lambda tie, count: dice.randrange(count))
    return Ordered(replayed.report, pump.taken)


def _ran(prepared: Prepared, choose: Choose, *, brief: bool = True) -> tuple[Replayed, TiePump]:
    pumps: list[TiePump] = []

    class Pump(TiePump):
        def __init__(self, plan: Plan, scripts: Mapping[str, Script]) -> None:
            super().__init__(plan, scripts)
            self.choose = choose
            pumps.append(self)

    return prepared.run(pump_cls=Pump, brief=brief), pumps[0]


def shortest(prepared: Prepared, usual: Report, failed: Schedule, what: str) -> Schedule:
    """The fewest choices of a schedule with which `what` still differs from the usual order."""
    left = [_MOST_REPLAYS]

    def differs(ties: tuple[int, ...]) -> bool:
        left[0] -= 1
        if left[0] < 0:
            return False
        ran, _ = _ran(prepared, lambda tie, count: failed[tie] if tie in ties else 0)
        return what in differing(usual, ran.report)

    ties = fewest(tuple(sorted(failed)), differs)
    return {tie: failed[tie] for tie in ties}


def depending(usual: Report, others: list[Ordered]) -> dict[str, list[Ordered]]:
    """What differs between the usual order and the others, with the orders in which it does."""
    found: dict[str, list[Ordered]] = {}
    for other in others:
        for what in differing(usual, other.report):
            found.setdefault(what, []).append(other)
    return found


def differing(a: Report, b: Report) -> list[str]:
    """What differs between the figures of two orders."""
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
