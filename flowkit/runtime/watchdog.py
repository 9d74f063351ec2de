"""The watchdog: whatever holds the event loop for more than 20 ms is reported, with its stack while it does so."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import trio

LIMIT_US = 20_000
_now_ns = time.perf_counter_ns
"""Asked before and after every step of every task, so asked directly."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Task `task` held the loop for `lasted_us`; `stack` is where it was (empty if it held the GIL too)."""

    task: str
    lasted_us: int
    stack: str


class Watchdog(trio.abc.Instrument):
    """``with Watchdog(report):`` inside ``trio.run``. A thread looks every quarter of the limit; the loop itself measures."""

    def __init__(self, report: Callable[[Stall], None], limit_us: int = LIMIT_US) -> None:
        self._report = report
        self._limit_ns = limit_us * 1000
        self._since_ns = 0
        self._stack = ""
        self._loop_thread = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="flowkit watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        trio.lowlevel.add_instrument(self)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        trio.lowlevel.remove_instrument(self)
        self._over.set()
        self._thread.join()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since_ns = _now_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        since_ns, self._since_ns = self._since_ns, 0
        if since_ns and _now_ns() - since_ns > self._limit_ns:
            self._report(Stall(task.name, (_now_ns() - since_ns) // 1000, self._stack))
        if self._stack:
            self._stack = ""

    def _look(self) -> None:
        while not self._over.wait(self._limit_ns / 4_000_000_000):
            since_ns = self._since_ns
            if since_ns and not self._stack and _now_ns() - since_ns > self._limit_ns:
                frame = sys._current_frames().get(self._loop_thread)
                if frame is not None and self._since_ns == since_ns:
                    self._stack = "".join(traceback.format_stack(frame, limit=12))
