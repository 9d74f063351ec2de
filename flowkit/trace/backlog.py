"""What waits for the recorder's writing thread: bounded by the session's time, so that any session may be a minute ahead of it."""

from __future__ import annotations

import threading
from collections import deque

from flowkit.clock import US_PER_S
from flowkit.trace.tape import Job

LONGEST_US = 60 * US_PER_S
"""What waits may span so much of the session. How many hand-overs that is, and how large, depends on what happens in it."""


class Backlog:
    """Hand-overs from the pump's thread to the writing thread, in their order."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Job]] = deque()
        self.changed = threading.Condition()
        self._ended = False

    def put(self, at_us: int, job: Job) -> bool:
        """Let `job` wait, made at `at_us` of the session. False if the oldest that waits is more than the bound before it: then all
        that waits is dropped, for a record with a gap is none."""
        with self.changed:
            if self.waiting and at_us - self.waiting[0][0] > LONGEST_US:
                self.waiting.clear()
                return False
            self.waiting.append((at_us, job))
            self.changed.notify_all()
            return True

    def end(self) -> None:
        """No more will be put."""
        with self.changed:
            self._ended = True
            self.changed.notify_all()

    def take(self, timeout_s: float) -> Job | None:
        """The oldest, waited for; None behind the last. Raises TimeoutError if none comes in time."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.waiting or self._ended, timeout_s):
                raise TimeoutError
            if not self.waiting:
                return None
            _, job = self.waiting.popleft()
            self.changed.notify_all()
            return job
