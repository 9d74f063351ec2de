"""A clock that jumps, beside work in threads that takes real time."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import MockClock


def waited_for(clock: MockClock) -> Callable[..., Awaitable[Any]]:
    """``trio.to_thread.run_sync`` during which the clock stands still. Otherwise it would jump over seconds."""
    run_sync, running, threshold_s = trio.to_thread.run_sync, set[object](), clock.autojump_threshold

    async def run(*args: Any, **options: Any) -> Any:
        running.add(own := object())
        clock.autojump_threshold = math.inf
        try:
            return await run_sync(*args, **options)
        finally:
            running.remove(own)
            clock.autojump_threshold = math.inf if running else threshold_s

    return run
