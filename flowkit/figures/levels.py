"""How full each queue was over time, computed from rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowkit.clock import ms
from flowkit.engine import Row
from flowkit.figures.layout import Layout


def queue_levels(rows: Sequence[Row], layout: Layout) -> list[dict[str, Any]]:
    """The level of each queue before a stage with a bounded edge.

    Returns for each such stage its id (`stage`), bound (`max`), policy (`when_full`) and `steps`: pairs of a time in
    milliseconds and the level from then on. The level is how many messages had been sent to the stage and were not yet
    handled. It counts both sides of the edge, so a level above the bound means that a sender had to wait.
    """
    bounds = {edge.stage: edge for edge in layout.edges}
    changes: dict[str, dict[int, int]] = {stage: {} for stage in bounds}
    for row in rows:
        # A message that was handled in the instant in which it was sent never waited.
        if row.lane == "D" and row.cause_stage and row.sent_us != row.handled_us and row.stage in changes:
            of_stage = changes[row.stage]
            of_stage[row.sent_us] = of_stage.get(row.sent_us, 0) + 1
            of_stage[row.handled_us] = of_stage.get(row.handled_us, 0) - 1
    return [
        {
            "stage": stage,
            "max": bounds[stage].max,
            "when_full": bounds[stage].when_full,
            "steps": _steps(changes[stage]),
        }
        for stage, _ in layout.kinds
        if stage in bounds
    ]


def _steps(changes: dict[int, int]) -> list[tuple[float, int]]:
    level, steps = 0, []
    for at_us in sorted(changes):
        if changes[at_us]:
            level += changes[at_us]
            steps.append((ms(at_us), level))
    return steps
