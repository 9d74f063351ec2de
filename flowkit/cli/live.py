"""Asking providers and devices whether they would work, without a session: for ``check --live``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import trio

from flowkit.clock import monotonic_us
from flowkit.errors import FlowkitError
from flowkit.plan import Plan, PlannedStage
from flowkit.plan.graph import ProviderChoice
from flowkit.providers.base import Surroundings

PATIENCE_S = 60.0
"""How long one provider may take to load."""


def ready(plan: Plan) -> Iterator[tuple[str, bool]]:
    """One line for each provider of the plan, and whether it got ready."""
    around = Surroundings(plan.input_rate_hz, plan.frame_us, monotonic_us, lambda line: print(line, file=sys.stderr))
    for stage in plan.stages:
        for choice in (*([stage.provider] if stage.provider else []), *stage.failover):
            yield _line(stage, choice, around)


def _line(stage: PlannedStage, choice: ProviderChoice, around: Surroundings) -> tuple[str, bool]:
    started_us = monotonic_us()
    try:
        trio.run(_open, choice, around)
    except trio.TooSlowError:
        return f"{stage.id}: {choice.name} was not ready within {PATIENCE_S:.0f} s", False
    except FlowkitError as exc:
        return f"{stage.id}: {choice.name}: {exc}" + (f"; {exc.hint}" if exc.hint else ""), False
    return f"{stage.id}: {choice.name} is ready ({(monotonic_us() - started_us) / 1e6:.1f} s)", True


async def _open(choice: ProviderChoice, around: Surroundings) -> None:
    with trio.fail_after(PATIENCE_S):
        async with choice.cls(choice.options, around).ready():
            pass
