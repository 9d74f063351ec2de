"""flowkit: a declarative framework for real-time voice agents. Public names are few and are imported when they are asked for."""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, whose import would be most of the chunker's start
if TYPE_CHECKING:
    from typing import Any

    from flowkit.chunker import Chunk, Chunker, Rules

__version__ = "0.1.0.dev0"
__all__ = ["Chunk", "Chunker", "Rules", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Chunk", "Chunker", "Rules"):
        from flowkit import chunker

        return getattr(chunker, name)
    raise AttributeError(f"module 'flowkit' has no attribute {name!r}")
