"""Where a replay first differs from the record."""

from __future__ import annotations

from dataclasses import dataclass

from flowkit.messages import Message
from flowkit.trace.rows import RowTuple


@dataclass(frozen=True, slots=True)
class Difference:
    """The first row that is not what the code makes now. `recorded` is None for a message that was not recorded at all,
    `now` is None for one that the code no longer sends."""

    stage: str
    what: str
    recorded: RowTuple | None
    now: Message | None
    cause: tuple[str, int]


class Diverged(Exception):
    """Ends a fold at its first difference."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.what)
        self.difference = difference
