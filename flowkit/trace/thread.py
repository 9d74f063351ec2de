"""The thread that writes recordings: one for all sessions of a host.

Each recording has a backlog of its own. Its bound is a time of the session: a session may be a minute ahead of the
disk. Beyond that its recording ends, and the session goes on.

To add a job costs a session no system call and wakes no thread. The thread looks by itself, twenty times a second. It
writes a session's jobs together, when they complete a chunk of the journal: writing has a price for each piece. It rests after
each piece, so that it holds a third of a core at most. Sessions that began together complete their chunks together, and fifty
pieces in a row would delay the audio of all of them by tens of milliseconds.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from flowkit.clock import US_PER_S, monotonic_us
from flowkit.trace.chunks import CHUNK_US

if TYPE_CHECKING:
    from flowkit.trace.tape import Job

LONGEST_US = 60 * US_PER_S
"""How far a session may get ahead of the thread. A time and not a number of jobs, because what a job holds depends on
the session."""
_LOOK_EVERY_S = 0.05
_IDLE_US = 400_000
"""After this long without a job, the chunk under way is written as it is, so that a killed session loses little."""
_REST = 2
"""How many times as long as a piece took the thread rests after it."""
_AT_ONCE = 20
"""How many jobs are written as one piece: about a second of a session. Other recordings wait meanwhile."""


class Writer(Protocol):
    """Writes one recording, in the thread. If it fails it ends the recording and raises nothing."""

    def write(self, jobs: list[Job]) -> None:
        """Write these jobs, in order."""

    def idle(self) -> None:
        """Called when no job has come for a while."""


class Backlog:
    """The jobs of one session that are not written yet, in order. `changed` is notified when some were written."""

    def __init__(self, writer: Writer) -> None:
        self.waiting: deque[tuple[int, Job]] = deque()
        self.changed = threading.Condition()
        self._writer = writer
        self._writing = False
        self._newest_us = monotonic_us()
        self._idle = False
        self._chunk = 0
        self._hurry = False

    @property
    def written(self) -> bool:
        """Whether no job waits and nothing is being written."""
        return not (self.waiting or self._writing)

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
            self._newest_us, self._idle = monotonic_us(), False
            return True

    def hurry(self) -> None:
        """Whatever waits is to be written at once."""
        self._hurry = True

    def due(self) -> bool:
        """Whether there is something to be written now: a chunk of the journal is whole, or no job has come for a while."""
        # Without the lock, because it is asked twenty times a second for each session. The next look corrects an error.
        waiting = len(self.waiting)
        if not waiting:
            return not self._idle and monotonic_us() - self._newest_us > _IDLE_US
        if self._hurry or waiting >= _AT_ONCE or self._newest_chunk() != self._chunk:
            return True
        return monotonic_us() - self._newest_us > _IDLE_US

    def _newest_chunk(self) -> int:
        try:
            return self.waiting[-1][0] // CHUNK_US
        except IndexError:  # dropped in this moment
            return self._chunk

    def write(self) -> bool:
        """Write the oldest jobs. Only the thread calls this. Returns False if none waits."""
        with self.changed:
            jobs = [job for _, job in islice(self.waiting, _AT_ONCE)]
            idle = not (jobs or self._idle) and monotonic_us() - self._newest_us > _IDLE_US
            # The chunk under way is written too: who waits for the end must not write beside the thread.
            self._writing = bool(jobs) or idle
            self._idle = self._idle or idle
            self._chunk = self.waiting[len(jobs) - 1][0] // CHUNK_US if jobs else self._chunk
        if jobs:
            self._writer.write(jobs)
        else:
            # Only when nothing waits any more, because a hurry means all that waits and not one piece of it.
            self._hurry = False
        if idle:
            self._writer.idle()
        # Removed only now: what is being written counts against the bound.
        with self.changed:
            # `put` may have dropped all of them meanwhile.
            for _ in range(min(len(jobs), len(self.waiting))):
                self.waiting.popleft()
            self._writing = False
            self.changed.notify_all()
        return bool(jobs)

    @property
    def behind(self) -> bool:
        """Whether more waits than is written as one piece."""
        return len(self.waiting) > _AT_ONCE

    def rest(self) -> None:
        """No job comes any more, so the thread has nothing to do here. Call it with the lock, when everything is written."""
        self._idle = True


class WritingThread:
    """Writes the backlogs that were added, in turn. The thread runs while there are any."""

    def __init__(self) -> None:
        self._backlogs: list[Backlog] = []
        self._lock = threading.Lock()
        self._look = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, backlog: Backlog) -> None:
        """Write this backlog too."""
        with self._lock:
            # A new list, because the thread walks over the old one without the lock.
            self._backlogs = [*self._backlogs, backlog]
            if self._thread is None:
                # A daemon, so that a recorder that nobody closed does not keep the process from ending.
                self._thread = threading.Thread(target=self._run, name="flowkit recorder", daemon=True)
                self._thread.start()

    def flush(self, backlog: Backlog, *, last: bool = False) -> None:
        """Wait until everything that was added to `backlog` so far is written or dropped. `last`: no job comes any more."""
        with backlog.changed:
            while not backlog.written:
                backlog.hurry()
                self._look.set()
                backlog.changed.wait()
            if last:
                # Under the same lock, because the thread may look at it once more before it is removed.
                backlog.rest()

    def remove(self, backlog: Backlog) -> None:
        """Wait until `backlog` is written, and then forget it."""
        self.flush(backlog, last=True)
        with self._lock:
            # A new list here too. The thread is then woken, so that it ends at once if this was the last backlog.
            self._backlogs = [other for other in self._backlogs if other is not backlog]
        self._look.set()

    def _run(self) -> None:
        while True:
            with self._lock:
                backlogs = self._backlogs
                if not backlogs:
                    # Under the lock: `add` either finds a thread that goes on, or starts another.
                    self._thread = None
                    return
            wrote = False
            for backlog in filter(Backlog.due, backlogs):
                began_us = monotonic_us()
                wrote = backlog.write() or wrote
                # Who is behind, or is waited for, is not made to wait longer.
                if not backlog.behind:
                    self._look.wait(_REST * (monotonic_us() - began_us) / US_PER_S)
            if not wrote:
                self._look.wait(_LOOK_EVERY_S)
                self._look.clear()
