"""The session's clock: integer microseconds since the session began, on Trio's clock, so that tests can make it jump."""

from __future__ import annotations

import trio

_US = 1_000_000


class SessionClock:
    """Zero until ``start``; must be read inside ``trio.run``."""

    def __init__(self) -> None:
        self._zero_s: float | None = None

    def start(self) -> None:
        """The session begins now."""
        self._zero_s = trio.current_time()

    def now_us(self) -> int:
        """Microseconds since the session began."""
        return 0 if self._zero_s is None else round((trio.current_time() - self._zero_s) * _US)

    def began_us(self, at_s: float) -> int:
        """How long after the time `at_s` of Trio's clock the session began."""
        return 0 if self._zero_s is None else round((self._zero_s - at_s) * _US)

    def at_s(self, at_us: int) -> float:
        """The time `at_us` of the session as a time on Trio's clock: for absolute deadlines, equal for equal `at_us`."""
        return (self._zero_s or 0.0) + at_us / _US
