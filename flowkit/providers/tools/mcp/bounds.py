"""How much of one message is read.

The SDK's own transports read messages of any size and parse them in one go, so a result of 10 MB would hold up every
session of a host for 400 ms. `LONGEST` bytes are parsed in about 5 ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 256 * 1024
TOO_LONG = f"the answer has more than {LONGEST // 1024} kB"
_ENDS = 256
"""Bytes at each end of a line that is too long. The id of the message lies there."""
_ID = re.compile(
    rb'^\s*\{\s*(?:"jsonrpc":\s*"2\.0",\s*)?"id":\s*(\d+)|"id":\s*(\d+)(?:,\s*"jsonrpc":\s*"2\.0")?\s*\}\s*$'
)


class MessageLine(NamedTuple):
    """A line, or both ends of one that is too long."""

    text: bytes
    whole: bool

    @property
    def id(self) -> int | None:
        """The id of the message, as far as the ends of a line show it."""
        found = _ID.search(self.text)
        return int(found[1] or found[2]) if found else None


class Lines:
    """Splits bytes into lines, and keeps at most `LONGEST` bytes of each."""

    def __init__(self) -> None:
        self._held, self._size = b"", 0

    def feed(self, data: bytes) -> Iterator[MessageLine]:
        """The lines that `data` completes."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._add(end)
            yield MessageLine(self._held, self._size <= LONGEST)
            self._held, self._size = b"", 0
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._held += piece
        self._size += len(piece)
        if self._size > LONGEST:
            self._held = self._held[:_ENDS] + self._held[-_ENDS:]
