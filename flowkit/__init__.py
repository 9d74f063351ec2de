"""flowkit: a declarative framework for real-time voice agents.

The public names are few. Each is imported when it is first used, so that ``import flowkit`` is fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from `typing`, whose import would take most of the chunker's start time
if TYPE_CHECKING:
    from typing import Any

    from flowkit.chunker import Chunk, Chunker, Rules
    from flowkit.runtime.host import Host, open_host
    from flowkit.runtime.threaded import HostThread, open_host_in_thread

__version__ = "0.1.0.dev0"
__all__ = [
    "Chunk",
    "Chunker",
    "Host",
    "HostThread",
    "Rules",
    "__version__",
    "open_host",
    "open_host_in_thread",
]
_PLACES = {
    "Chunk": "chunker",
    "Chunker": "chunker",
    "Rules": "chunker",
    "Host": "runtime.host",
    "open_host": "runtime.host",
    "HostThread": "runtime.threaded",
    "open_host_in_thread": "runtime.threaded",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if (place := _PLACES.get(name)) is not None:
        from importlib import import_module

        return getattr(import_module(f"flowkit.{place}"), name)
    raise AttributeError(f"module 'flowkit' has no attribute {name!r}")
