"""The one place that reads a clock or draws random numbers. Everything else is given integer microseconds."""

from __future__ import annotations

import random
import time

US_PER_S = 1_000_000
US_PER_MS = 1_000


def wall_us() -> int:
    """Wall-clock time in microseconds since 1970, for the start of a trace. Never used for a decision."""
    return time.time_ns() // 1000


def monotonic_us() -> int:
    """Monotonic time in microseconds from an arbitrary zero, to measure durations outside a session."""
    return time.perf_counter_ns() // 1000


def cpu_us() -> int:
    """CPU time of this process in microseconds, all its threads together."""
    return time.process_time_ns() // 1000


def ms(us: int) -> float:
    """Microseconds as milliseconds, rounded to three decimals, for people and for JSON."""
    return round(us / US_PER_MS, 3)


def whole_ms(us: int) -> int:
    """Microseconds as whole milliseconds, for people. Half a millisecond is rounded up, as in the report page."""
    return (us + 500) // US_PER_MS


def chance() -> float:
    """A random number from 0 to 1, for jitter in the delay of a retry. Never used for a decision."""
    return random.random()
