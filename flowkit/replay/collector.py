"""Switches the garbage collector off during a replay."""

from __future__ import annotations

import gc
from collections.abc import Callable

from flowkit.runtime.realtime import Counted


def _disable() -> Callable[[], None]:
    """Disable the collector, and return the function that restores it.

    A replay creates millions of rows and no cycles. To search them for cycles again and again would take a quarter of
    its time.
    """
    was = gc.isenabled()
    gc.disable()
    return gc.enable if was else _nothing


def _nothing() -> None:
    """The collector was disabled before, so it stays so."""


without_collector = Counted(_disable)
"""A context manager and decorator for a replay. It may be nested."""
