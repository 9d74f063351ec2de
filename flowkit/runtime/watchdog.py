"""The watchdog: whatever holds the event loop for more than 20 ms is reported, with its stack while it did so, and
so is an inline call that takes more than 2 ms.

The loop can also stand still because other processes have the cores. That is nobody's fault here, and told apart: Linux counts
how long a thread that could run waited for a core, and only what is left of a step's time is held against its task. Where
the system does not count, all of it is.
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
"""What an inline call may take: a tenth of a frame of 20 ms, so that several sessions fit on a core."""
_now_ns = time.perf_counter_ns
"""Asked before and after every step of every task, so asked directly."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A step of task `task` lasted `lasted_us`, of which it waited `waited_us` for a core; `stack` is where it was (empty if it
    held the GIL too)."""

    task: str
    lasted_us: int
    stack: str
    waited_us: int = 0
    limit_us: int = LIMIT_US

    @property
    def held(self) -> bool:
        """Whether the task itself held the loop, be it at work or blocked; else the process was starved."""
        return self.lasted_us - self.waited_us > self.limit_us


class Watchdog(trio.abc.Instrument):
    """``with Watchdog(report):`` inside ``trio.run``. A thread looks every quarter of the limit; the loop itself measures."""

    def __init__(self, report: Callable[[Stall], None], limit_us: int = LIMIT_US) -> None:
        self._report = report
        self._limit_ns = limit_us * 1000
        self._since_ns = 0
        self._stack = ""
        self._loop_thread = threading.get_ident()
        self._waits = Waits()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="flowkit watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        trio.lowlevel.add_instrument(self)
        self._waits.open()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        trio.lowlevel.remove_instrument(self)
        self._over.set()
        self._thread.join()
        self._waits.close()

    def timed(self, name: str) -> Timed:
        """For what is done in place inside a step, many times over: an inline call."""
        return Timed(name, self._report, self._waits)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since_ns = _now_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        since_ns, self._since_ns = self._since_ns, 0
        if since_ns and (lasted_ns := _now_ns() - since_ns) > self._limit_ns:
            waited_ns = min(lasted_ns, self._waits.since(since_ns))
            self._report(Stall(task.name, lasted_ns // 1000, self._stack, waited_ns // 1000))
        if self._stack:
            self._stack = ""

    def _look(self) -> None:
        """Two notes are kept, so one has to be from before a step that turns out long: later ones are not taken."""
        quarter_ns = self._limit_ns // 4
        while not self._over.wait(quarter_ns / 1e9):
            since_ns, now_ns = self._since_ns, _now_ns()
            if not since_ns or now_ns - since_ns < quarter_ns:
                self._waits.note(now_ns)
            elif not self._stack and now_ns - since_ns > self._limit_ns:
                frame = sys._current_frames().get(self._loop_thread)
                if frame is not None and self._since_ns == since_ns:
                    self._stack = "".join(traceback.format_stack(frame, limit=12))


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
    """``with timed:`` around what is done in place: reports it, as `name`, if it takes more than 2 ms, and again if longer."""

    __slots__ = ("_longest_ns", "_name", "_report", "_since_ns", "_waits")

    def __init__(self, name: str, report: Callable[[Stall], None], waits: Waits) -> None:
        self._name = name
        self._report = report
        self._waits = waits
        self._longest_ns = IN_PLACE_US * 1000
        self._since_ns = 0

    def __enter__(self) -> None:
        self._since_ns = _now_ns()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        lasted_ns = _now_ns() - self._since_ns
        if lasted_ns > self._longest_ns:
            stall = Stall(self._name, lasted_ns // 1000, "", self._waits.since(self._since_ns) // 1000, IN_PLACE_US)
            if stall.held:
                self._longest_ns = lasted_ns
                self._report(stall)
