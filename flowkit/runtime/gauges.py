"""The figures of a host, for metrics and for a load balancer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowkit.engine import Engine


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The queues before one stage, in all sessions: `waiting` messages in them, of which `longest` in one; `max` is its bound."""

    stage: str
    waiting: int
    longest: int
    max: int


@dataclass(frozen=True, slots=True)
class Gauges:
    """A host at one moment. Counts are since it was opened.

    `sessions` run now, `begun` were begun, `refused` were not admitted, `failed` ended with ``failed: ...``. `stalls` counts how
    often the event loop was held for more than 20 ms. `lag_us` is how late the loop wakes, over the last five seconds.
    `cpu_us_a_session_s` is the process's CPU time, in microseconds, for each second of a session.
    """

    sessions: int
    begun: int
    refused: int
    failed: int
    stalls: int
    lag_us: int
    cpu_us_a_session_s: int
    queues: tuple[QueueDepth, ...]


def queue_depths(engines: Iterable[Engine]) -> tuple[QueueDepth, ...]:
    """The queues of `engines`, by stage."""
    depths: dict[str, QueueDepth] = {}
    for engine in engines:
        for stage, inbox in engine.inboxes():
            waiting, before = len(inbox.queue), depths.get(stage, QueueDepth(stage, 0, 0, inbox.max))
            depths[stage] = QueueDepth(
                stage, before.waiting + waiting, max(before.longest, waiting), max(before.max, inbox.max)
            )
    return tuple(depths.values())
