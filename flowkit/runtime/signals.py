"""Ctrl-C, SIGTERM, a terminal that is closed: sessions end in order at the first signal, at once at the second."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio


class Signals:
    """What to do at a signal: `in_order` at the first, `at_once` at the second, or at the first while there is no `in_order`.
    `asked` says whether there was a signal."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self.in_order: Callable[[], None] | None = None
        self.at_once: Callable[[], None] = scope.cancel
        self.asked = False

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wait for signals. Does nothing outside the main thread, the only one that gets them."""
        if threading.current_thread() is not threading.main_thread():
            task_status.started()
            return
        closed = (signal.SIGHUP,) if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else ()  # under nohup it is
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *closed) as signals:
            task_status.started()
            async for _ in signals:
                again, self.asked = self.asked, True
                if again or self.in_order is None:
                    self.at_once()
                else:
                    self.in_order()


@asynccontextmanager
async def open_signals() -> AsyncIterator[Signals]:
    """Listen while the body runs. Unless `at_once` is replaced, it cancels the body."""
    async with trio.open_nursery() as nursery:
        signals = Signals(nursery.cancel_scope)
        # Waited for, so that a signal right at the beginning of the body does not kill the process.
        await nursery.start(signals.listen)
        yield signals
        nursery.cancel_scope.cancel()
