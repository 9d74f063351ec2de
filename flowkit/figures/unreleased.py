"""What has come of an answer that was begun early, kept back until it is released. For those who show a session as it runs."""

from __future__ import annotations

from collections.abc import Callable

from flowkit.engine import Row
from flowkit.messages import Interrupt, Released, Utterance


class Unreleased:
    """Passes rows on. Those of an answer that was begun early come together when it is released, or never.

    Args:
        replying: whether a row is part of what comes of an utterance.
    """

    def __init__(self, replying: Callable[[Row], bool]) -> None:
        self._replying = replying
        self._rows: list[Row] = []

    def take(self, row: Row) -> list[Row]:
        """The rows that are to be shown now. `row` is the next of the session."""
        message, rows = row.message, self._rows
        if not self._replying(row):
            return [row]
        # Every replying stage has a row for either. The first is the LLM's, which began.
        if isinstance(message, Released):
            self._rows = []
            return rows
        if isinstance(message, Interrupt) and message.early:
            self._rows = []
        elif rows or (isinstance(message, Utterance) and message.early):
            rows.append(row)
        else:
            return [row]
        return []
