"""The interpreter as sessions in real time want it, for as long as there are any."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SWITCH_S = 0.0002
_THRESHOLDS = (50_000, 2, 2)
"""The collector looks at new objects far less often than by default: most are rows, which live for a second and are no garbage.
What several dozen sessions hold for that second stays below the threshold, so it looks only when memory grows. At 2,000 it held the
loop of 75 sessions for tens of milliseconds at a time, to find nothing: a session leaves no cycles. For a program with cycles of
its own, every ninth look is at all objects."""


class Counted:
    """What is global to the process and wanted by several at once. `begin` is called for the first of them and returns what puts
    everything back, which is called after the last: saved and restored by each, it would be left as one of them found it."""

    def __init__(self, begin: Callable[[], Callable[[], None]]) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._users = 0
        self._restore: Callable[[], None] = lambda: None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """It is wanted while the block runs."""
        with self._lock:
            if not self._users:
                self._restore = self._begin()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._restore()


def _begin() -> Callable[[], None]:
    """What was imported and loaded stays: it is frozen, for looking through all of it for garbage would hold the loop for tens of
    milliseconds. What comes later is looked through as ever, the old too: a process that lives long would keep its cycles else. The
    collector goes by the number of objects that it found alive last, hence a second look when next to none are left to see. And a
    thread that wants to run, such as a sound card's callback, waits a fraction of a millisecond for the one that runs, not five."""
    switch_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.collect()
    # A shorter interval that the program has set is kept.
    sys.setswitchinterval(min(switch_s, _SWITCH_S))
    # A program that has set more, or turned the collector off with 0, keeps that.
    if 0 < thresholds[0] < _THRESHOLDS[0]:
        gc.set_threshold(*_THRESHOLDS)

    def restore() -> None:
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*thresholds)
        gc.unfreeze()

    return restore


in_real_time = Counted(_begin)
"""``with in_real_time():`` around a session; after the last that overlap the interpreter is as before the first."""
