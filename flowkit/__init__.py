"""flowkit: a declarative framework for real-time voice agents.

The public names are few. Each is imported when it is first used, so that ``import flowkit`` is fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from `typing`, whose import would take most of the chunker's start time
if TYPE_CHECKING:
    from typing import Any

    from flowkit.chunker import Chunk, Chunker, Rules

__version__ = "0.1.0.dev0"
__all__ = ["Chunk", "Chunker", "Rules", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in ("Chunk", "Chunker", "Rules"):
        from flowkit import chunker

        return getattr(chunker, name)
    raise AttributeError(f"module 'flowkit' has no attribute {name!r}")
