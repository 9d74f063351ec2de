"""Runs a recorded session again, without threads, sockets or sleep.

Reading order: ``rerun`` (exact replay), ``heap`` (the pump of all other replays), ``simulate`` with ``material``,
``recorded``, ``voice`` and ``warp`` (what stands in for providers and the user), ``settings`` (which pipeline runs),
``compare`` (two sessions), ``ties`` (other orders of simultaneous items).

For programs there are two functions: ``run`` replays in virtual time, with the recorded pipeline or a changed one, and
``exactly`` repeats the recording and compares every message.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flowkit.replay.rerun import Exactly, exactly
    from flowkit.replay.simulate import Replayed
    from flowkit.replay.simulate import simulate as run

__all__ = ["Exactly", "Replayed", "exactly", "run"]
_PLACES = {
    "Exactly": ("rerun", "Exactly"),
    "exactly": ("rerun", "exactly"),
    "Replayed": ("simulate", "Replayed"),
    "run": ("simulate", "simulate"),
}


if not TYPE_CHECKING:  # to a type checker, an unknown name is an error

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, because its module may be what imports this package."""
        if (place := _PLACES.get(name)) is not None:
            from importlib import import_module

            return getattr(import_module(f"flowkit.replay.{place[0]}"), place[1])
        raise AttributeError(f"module 'flowkit.replay' has no attribute {name!r}")
