"""The watchdog reports whatever holds the event loop for more than 20 ms, with its stack, and any inline call that takes more than
2 ms.

The loop can also stand still because other processes have the cores. No task is to blame for that, so it is reported separately.
Linux counts how long a runnable thread waited for a core. Only the rest of a step's time counts against its task. Where the system
does not count, all of it does.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import trio

LIMIT_US = 20_000
IN_PLACE_US = 2_000
"""How long an inline call may take: a tenth of a frame of 20 ms, so that several sessions fit on a core."""
_now_ns = time.perf_counter_ns
"""Called before and after every step of every task, so without a function between."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A step of task `task` lasted `lasted_us`, and waited `waited_us` of that for a core.

    `stack` shows where it was. It is empty if the task held the GIL too.
    """

    task: str
    lasted_us: int
    stack: str
    waited_us: int = 0
    limit_us: int = LIMIT_US

    @property
    def held(self) -> bool:
        """Whether the task itself held the loop, at work or blocked. If not, the process was starved."""
        return self.lasted_us - self.waited_us > self.limit_us


class Watchdog(trio.abc.Instrument):
    """``with Watchdog(report):`` inside ``trio.run``. The loop itself measures. A thread looks twice in the time of the limit, for
    the stack. A stall is reported once: what `timed` has reported of a step is not reported again with the step."""

    def __init__(self, report: Callable[[Stall], None], limit_us: int = LIMIT_US) -> None:
        self._report = report
        self._limit_ns = limit_us * 1000
        self._since_ns = 0
        self.stack = ""
        """Where the step under way has been for more than the limit."""
        self.reported_ns = 0
        """How much of the step under way has been reported."""
        self._loop_thread = threading.get_ident()
        self.waits = Waits()
        # A bare lock, because to wait for an event costs twice as much, a hundred times a second.
        self._over = threading.Lock()
        self._thread = threading.Thread(target=self._look, name="flowkit watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        trio.lowlevel.add_instrument(self)
        # Opened in the loop's thread, because the system counts for each thread.
        self.waits.open()
        self._over.acquire()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        trio.lowlevel.remove_instrument(self)
        self._over.release()
        # The thread reads the file that is closed next.
        self._thread.join()
        self.waits.close()

    def timed(self, name: str, report: Callable[[Stall], None] | None = None, limit_us: int = IN_PLACE_US) -> Timed:
        """For what runs in place inside a step, many times over, such as an inline call. `report` stands in for the watchdog's."""
        return Timed(name, self, report or self._report, limit_us)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since_ns = _now_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        # 0 between steps, so that the thread does not take the loop's sleep for a stall.
        since_ns, self._since_ns = self._since_ns, 0
        # The step in which the watchdog was added has no beginning.
        if since_ns and (lasted_ns := _now_ns() - since_ns - self.reported_ns) > self._limit_ns:
            # The note may be older than the step, and then includes waiting from before it.
            waited_ns = min(lasted_ns, self.waits.since(since_ns))
            self._report(Stall(task.name, lasted_ns // 1000, self.stack, waited_ns // 1000))
        if self.stack:
            self.stack = ""
        self.reported_ns = 0

    def _look(self) -> None:
        """Two notes are kept. One must be from before a step that turns out long, so none is taken during such a step."""
        half_ns = self._limit_ns // 2
        while not self._over.acquire(timeout=half_ns / 1e9):
            since_ns, now_ns = self._since_ns, _now_ns()
            if not since_ns or now_ns - since_ns < half_ns:
                self.waits.note(now_ns)
            elif not self.stack and now_ns - since_ns > self._limit_ns:
                frame = sys._current_frames().get(self._loop_thread)
                # The step may have ended meanwhile, and the stack would be another step's.
                if frame is not None and self._since_ns == since_ns:
                    self.stack = "".join(traceback.format_stack(frame, limit=12))


class Waits:
    """How long a thread has waited for a core so far, as Linux counts it (``/proc/.../schedstat``)."""

    def __init__(self) -> None:
        self._file = -1
        self._noted: list[tuple[int, int]] = []

    def open(self) -> None:
        """Look at the calling thread from now on."""
        try:
            self._file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        except OSError:
            self._file = -1  # not counted on this system

    def note(self, at_ns: int) -> None:
        """What it has waited until `at_ns` belongs to no step that begins later. Called from any thread."""
        # A new list, because the loop's thread may be reading the old one.
        self._noted = [*self._noted[-1:], (at_ns, self._so_far_ns())]

    def since(self, at_ns: int) -> int:
        """Nanoseconds waited since the last note before `at_ns`; 0 where that is not counted."""
        before = [waited_ns for noted_ns, waited_ns in self._noted if noted_ns <= at_ns]
        return self._so_far_ns() - before[-1] if before else 0

    def close(self) -> None:
        """Look no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _so_far_ns(self) -> int:
        return int(os.pread(self._file, 64, 0).split()[1]) if self._file >= 0 else 0


class Timed:
    """``with timed:`` around what is done in place. Reports it, as `name`, if it takes longer than the limit. With a limit below
    the watchdog's own, it is reported again only when it takes longer than ever before."""

    __slots__ = ("_dog", "_grows", "_limit_ns", "_name", "_report", "_reported_ns", "_since_ns")

    def __init__(self, name: str, dog: Watchdog, report: Callable[[Stall], None], limit_us: int) -> None:
        self._name = name
        self._dog = dog
        self._report = report
        self._limit_ns = limit_us * 1000
        self._grows = limit_us < LIMIT_US
        self._since_ns = self._reported_ns = 0

    def __enter__(self) -> None:
        self._reported_ns = self._dog.reported_ns
        self._since_ns = _now_ns()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        lasted_ns = _now_ns() - self._since_ns
        if lasted_ns > self._limit_ns:
            self._took(lasted_ns)

    def _took(self, lasted_ns: int) -> None:
        dog, limit_ns = self._dog, self._limit_ns
        # Time that a block inside this one has reported is not counted twice.
        lasted_ns -= dog.reported_ns - self._reported_ns
        if lasted_ns <= limit_ns:
            return
        waited_ns = min(lasted_ns, dog.waits.since(self._since_ns))
        stack, limit_us = ("", IN_PLACE_US) if lasted_ns <= LIMIT_US * 1000 else (dog.stack, LIMIT_US)
        stall = Stall(self._name, lasted_ns // 1000, stack, waited_ns // 1000, limit_us)
        if stall.held:  # if not, the step as a whole is judged
            if self._grows:
                self._limit_ns = lasted_ns
            dog.reported_ns += lasted_ns
            self._report(stall)
