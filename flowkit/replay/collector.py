"""The garbage collector, out of the way of a replay."""

from __future__ import annotations

import gc
from collections.abc import Callable

from flowkit.runtime.realtime import Counted


def _begin() -> Callable[[], None]:
    """A replay makes millions of rows and no cycles; looking for cycles among them again and again would take a quarter of it."""
    was = gc.isenabled()
    gc.disable()
    return gc.enable if was else _nothing


def _nothing() -> None:
    """It was off before."""


without_collector = Counted(_begin)
"""``with without_collector():`` around a replay."""
