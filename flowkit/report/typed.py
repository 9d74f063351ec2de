"""A session whose user types: a prompt on a terminal, the typed lines elsewhere, and the reply after its line."""

from __future__ import annotations

from collections.abc import Callable

from flowkit.engine import Fate, Row
from flowkit.engine.observer import Observer
from flowkit.messages import Fault, ReplyPlayed, Utterance
from flowkit.printable import one_line

PROMPT = "> "
ERASE = "\r\x1b[K"
"""Empties the terminal's line."""


class TypedView(Observer):
    """Shows a typed session.

    Args:
        write: called with text, with its line breaks.
        lines: shows the rest.
        prints: the replies are printed by their provider, at once. The line before them must not wait for its row.
        terminal: the user sees what is typed, and gets a prompt when a reply is over.
    """

    def __init__(self, write: Callable[[str], None], lines: Observer, *, prints: bool, terminal: bool) -> None:
        self._write = write
        self._lines = lines
        self._prints = prints
        self._terminal = terminal
        self._asked = 0
        """The newest turn whose line was written."""
        self._prompted = False
        """Whether a prompt is the last thing that was written."""

    def prompt(self) -> None:
        """Ask for a line."""
        self._prompted = True
        self._write(PROMPT)

    def close(self) -> None:
        """End with an empty line: a prompt that nobody will answer is taken away."""
        self._write(ERASE if self._prompted else "\n")

    def event(self, at_us: int, name: str, detail: str) -> None:
        self._lines.event(at_us, name, detail)

    def at_once(self, rows: list[Row]) -> None:
        """Write the line of a turn before its reply is printed."""
        if not self._prints:
            return
        for row in rows:
            match row.message:
                case Utterance() if self._terminal:
                    self._answers(typed=bool(row.message.text))
                case Utterance(turn=turn, text=text) if text and turn > self._asked and row.fate is Fate.HANDLED:
                    self._asked = turn
                    self._write(f"{PROMPT}{one_line(text)}\n")

    def rows(self, rows: list[Row]) -> None:
        self._lines.rows(rows)
        for row in rows:
            if row.fate is not Fate.HANDLED or not self._terminal:
                continue
            if isinstance(row.message, Utterance):
                self._answers(typed=bool(row.message.text))
            elif isinstance(row.message, ReplyPlayed | Fault) and not self._prompted:
                self.prompt()

    def _answers(self, *, typed: bool) -> None:
        """A reply begins. Where nothing was `typed`, the cursor still stands behind a prompt."""
        if self._prompted and not typed:
            self._write(ERASE)
        self._prompted = False
