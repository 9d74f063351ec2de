"""The queue between the pump's thread and the recorder's writing thread.

Its bound is a time of the session, not a number of jobs: what a job holds depends on what happens in the session.
"""

from __future__ import annotations

import threading
from collections import deque

from flowkit.clock import US_PER_S
from flowkit.trace.tape import Job

LONGEST_US = 60 * US_PER_S
"""How far the session may get ahead of the writing thread: a minute."""


class Backlog:
    """Jobs for the writing thread, in order."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Job]] = deque()
        self.changed = threading.Condition()
        self._ended = False

    def put(self, at_us: int, job: Job) -> bool:
        """Append `job`, made at session time `at_us`.

        Returns False if the oldest waiting job is more than the bound older. Then all waiting jobs are dropped:
        recording ends here, because a record with a gap could not be replayed.
        """
        with self.changed:
            if self.waiting and at_us - self.waiting[0][0] > LONGEST_US:
                self.waiting.clear()
                return False
            self.waiting.append((at_us, job))
            self.changed.notify_all()
            return True

    def end(self) -> None:
        """Note that there will be no more jobs."""
        with self.changed:
            self._ended = True
            self.changed.notify_all()

    def take(self, timeout_s: float) -> Job | None:
        """Wait for the oldest job and remove it. Returns None after the last one.

        Raises TimeoutError if there is none within `timeout_s` seconds.
        """
        with self.changed:
            if not self.changed.wait_for(lambda: self.waiting or self._ended, timeout_s):
                raise TimeoutError
            if not self.waiting:
                return None
            _, job = self.waiting.popleft()
            self.changed.notify_all()
            return job
