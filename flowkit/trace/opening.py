"""How a recorded session begins, and how long it is in turns: what a list of recordings says of each."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from flowkit.errors import TraceError
from flowkit.messages import Utterance
from flowkit.trace.reader import read_trace

_MOST_BYTES = 4 << 20
"""Larger traces are not opened for a list, which has to be there at once."""
_TURN = b'"name":"invoke_agent"'


class Opening(NamedTuple):
    """`words`: what the user said first; empty if nothing was said. `turns`: how many turns there were."""

    words: str
    turns: int


def opening(path: Path) -> Opening | None:
    """The opening of the trace at `path`; None if it cannot be read or is large. A file that has not changed is read once."""
    try:
        stat = path.stat()
        return _opening(path, stat.st_mtime_ns, stat.st_size) if stat.st_size <= _MOST_BYTES else None
    except (OSError, TraceError):
        return None


# A list of recordings has at most fifty, and may be asked for after every session.
@lru_cache(maxsize=256)
def _opening(path: Path, written_ns: int, size: int) -> Opening:
    trace = read_trace(path)
    # The rows are decoded only up to those words. Turns have spans, which need no decoding.
    texts = (row.message.text for row in trace.journal() if isinstance(row.message, Utterance))
    words = next(filter(None, texts), "")
    return Opening(words, path.read_bytes().count(_TURN))
