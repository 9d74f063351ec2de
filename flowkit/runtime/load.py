"""How busy a host is: how late its event loop wakes, and how much of the processor a session takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from flowkit.clock import US_PER_S, cpu_us
from flowkit.runtime.alarms import Alarm, Alarms

_EVERY_S = 0.25
_KEPT = 20
"""What was measured in the last five seconds counts."""


class Load:
    """Measured four times a second; `sessions` tells how many there are. `tell` is called with each measurement's lateness."""

    def __init__(self, alarms: Alarms, sessions: Callable[[], int]) -> None:
        self._alarms = alarms
        self._alarm = Alarm(self._ring)
        self._sessions = sessions
        self._late_us: deque[int] = deque(maxlen=_KEPT)
        self._spent: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        """CPU time in microseconds and session-seconds, a pair for each measurement."""
        self._due_s = 0.0
        self._cpu_us = 0

    def start(self) -> None:
        """Begin to measure."""
        self._cpu_us = cpu_us()
        self._next(trio.current_time())

    def late(self, late_us: int) -> None:
        """The loop woke so much later than it should have."""
        self._late_us.append(late_us)

    @property
    def lag_us(self) -> int:
        """How late the loop wakes: a tenth of the last seconds' measurements were later. One long stall is not a lasting lag."""
        ordered = sorted(self._late_us)
        return ordered[len(ordered) * 9 // 10] if ordered else 0

    @property
    def cpu_us_a_session_s(self) -> int:
        """Microseconds of this process's CPU time for each second of a session; 0 where there was none."""
        session_s = sum(seconds for _, seconds in self._spent)
        return round(sum(spent_us for spent_us, _ in self._spent) / session_s) if session_s else 0

    def _ring(self) -> None:
        now_s, now_us = trio.current_time(), cpu_us()
        self.late(round((now_s - self._due_s) * US_PER_S))
        # The measurement may have been late, so the time since the last one is counted and not the interval.
        self._spent.append((now_us - self._cpu_us, self._sessions() * (now_s - self._due_s + _EVERY_S)))
        self._cpu_us = now_us
        self._next(now_s)

    def _next(self, now_s: float) -> None:
        self._due_s = now_s + _EVERY_S
        self._alarms.set(self._alarm, self._due_s)
