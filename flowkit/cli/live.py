"""Tries providers and devices without a session, for ``check --live`` and ``doctor --live``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import trio

from flowkit.clock import monotonic_us
from flowkit.errors import FlowkitError
from flowkit.options import Options
from flowkit.plan import Plan
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.models import opened

PATIENCE_S = 60.0
"""Time limit in seconds for loading and trying one provider."""


def ready(plan: Plan) -> Iterator[tuple[str, bool]]:
    """Try each provider of the plan. Yields a line for people, and whether the provider works."""
    around = Surroundings(plan.input_rate_hz, plan.frame_us, monotonic_us, _notice)
    for stage in plan.stages:
        for choice in (*([stage.provider] if stage.provider else []), *stage.failover):
            yield asked(f"{stage.id}: {choice.name}", choice.cls, choice.options, around)


def asked(title: str, cls: type[Provider], options: Options, around: Surroundings | None = None) -> tuple[str, bool]:
    """Load a provider, make it ready and probe it. Returns a line that starts with `title`, and whether it works."""
    started_us = monotonic_us()
    try:
        found = trio.run(_ask, cls, options, around or Surroundings(16_000, 20_000, monotonic_us, _notice))
    except trio.TooSlowError:
        return f"{title} was not ready within {PATIENCE_S:.0f} s", False
    except FlowkitError as exc:
        return f"{title}: {exc}" + (f"; {exc.hint}" if exc.hint else ""), False
    took_s = (monotonic_us() - started_us) / 1e6
    return f"{title} is ready ({took_s:.1f} s)" + (f": {found}" if found else ""), True


async def _ask(cls: type[Provider], options: Options, around: Surroundings) -> str:
    with trio.fail_after(PATIENCE_S):
        async with opened(cls, options, around) as provider:
            return await provider.probe()


def _notice(line: str) -> None:
    print(line, file=sys.stderr)
