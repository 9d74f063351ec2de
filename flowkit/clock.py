"""The one place that reads a clock, and throws dice. Everything else is handed integer microseconds."""

from __future__ import annotations

import random
import time

US_PER_S = 1_000_000
US_PER_MS = 1_000


def wall_us() -> int:
    """Wall-clock time in microseconds since 1970, for a trace's base; never used for a decision."""
    return time.time_ns() // 1000


def monotonic_us() -> int:
    """Monotonic time in microseconds from an arbitrary zero; for stop-watches outside a session."""
    return time.perf_counter_ns() // 1000


def ms(us: int) -> float:
    """Microseconds as milliseconds, for people and for JSON."""
    return round(us / US_PER_MS, 3)


def chance() -> float:
    """A random number from 0 to 1; for the jitter of a wait, never for a decision."""
    return random.random()
