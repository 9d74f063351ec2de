"""What must not be written to a trace: secrets never, and with ``trace.redact`` only the content that it names.

Redaction is an allow-list and fails closed. Every text of every message is masked unless its class of content is kept.
A message kind that is not listed here has no class, so its texts are always masked. Of a redacted trace only the timing
can be replayed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from flowkit.engine import Row
from flowkit.errors import UsageError
from flowkit.messages import Audio, Credit, Frames, Message, Probability, Usage
from flowkit.secrets import Masks
from flowkit.trace.rows import content_of

MASK = "[redacted]"

CLASSES = ("transcripts", "tokens", "clauses", "tools", "errors", "events", "config", "audio")
"""The classes of content that ``trace.redact.keep`` may name."""

_CONTENT = {
    ("Partial", "text"): "transcripts",
    ("Final", "text"): "transcripts",
    ("Typed", "text"): "transcripts",
    ("TurnSoFar", "said"): "transcripts",
    ("TurnSoFar", "asked"): "clauses",
    ("Utterance", "text"): "transcripts",
    ("Utterance", "heard"): "clauses",
    ("Token", "text"): "tokens",
    ("Clause", "text"): "clauses",
    ("Clause", "spoken"): "clauses",
    ("Clause", "marks"): "clauses",
    ("ClauseStarted", "text"): "clauses",
    ("ClauseStarted", "spoken"): "clauses",
    ("ClauseStarted", "marks"): "clauses",
    ("Heard", "text"): "clauses",
    ("WordTimes", "words"): "clauses",
    ("Filler", "text"): "clauses",
    ("Utterance", "say"): "clauses",
    ("Utterance", "instructions"): "config",
    ("Respond", "instructions"): "config",
    ("Respond", "text"): "transcripts",
    ("Respond", "tools"): "tools",
    ("Respond", "choice"): "tools",
    ("Respond", "farewell"): "clauses",
    ("Utterance", "offered"): "tools",
    ("Utterance", "choice"): "tools",
    ("HeardUntil", "text"): "clauses",
    ("Keys", "keys"): "transcripts",
    ("Instruct", "instructions"): "config",
    ("Instruct", "tools"): "tools",
    ("Instruct", "choice"): "tools",
    ("Remember", "text"): "transcripts",
    ("Forget", "text"): "transcripts",
    ("ToolCall", "name"): "tools",
    ("ToolCall", "arguments"): "tools",
    ("ToolOutcome", "content"): "tools",
    ("Fault", "what"): "errors",
    ("Failed", "what"): "errors",
}
"""The class of each text field."""
_HARMLESS = {
    ("EndOfUtterance", "why"), ("EndOfUtterance", "by"), ("Prediction", "by"),
    ("Clause", "reason"), ("Timer", "tag"), ("Fault", "stage"), ("Failed", "kind"),
    ("ToolCall", "id"), ("ToolOutcome", "id"), ("ToolOutcome", "status"), ("CancelTool", "id"),
}  # fmt: skip
"""Fields that hold single short words chosen by flowkit. They are kept, unless they hold anything else: a trace that is
redacted a second time may come from anyone."""
_WORD = re.compile(r"[a-z][a-z0-9_]{0,23}")
REASONS = frozenset(
    {"input_ended", "closed", "interrupted", "cut off", "hung_up", "agent_ended", "user_idle", "session_limit"}
)
"""Reasons for the end of a session that quote nobody."""
EVENTS = frozenset(
    {"stall", "starved", "masked", "attempt", "failover", "circuit", "left_out", "late", "device", "context", "spare", "odd_pcm",
     "unknown", "microphone overrun", "speaker late", "speaker began", "speaker ended", "model wait"}
)  # fmt: skip
"""Event names that reveal nothing about anyone. Any other name is masked like the details of events."""


_WITHOUT_TEXT = frozenset({Frames, Probability, Credit, Audio, Usage})
"""Frequent messages without text, which are skipped to save time."""


class Redactor:
    """Masks content that is not kept, and secrets everywhere.

    Args:
        keep: classes of content to keep. None: no redaction.
        secrets: values to mask wherever they occur.

    Raises:
        UsageError: `keep` names an unknown class.
    """

    def __init__(self, keep: Iterable[str] | None = None, secrets: Iterable[str] = ()) -> None:
        self.kept = None if keep is None else frozenset(keep)
        if unknown := sorted((self.kept or frozenset()) - set(CLASSES)):
            raise UsageError(f"trace.redact.keep: unknown content {unknown[0]!r}; known: {', '.join(CLASSES)}")
        self.scrub = Masks(secrets)
        self._texts: dict[type[Message], tuple[str, ...]] = {}

    def keeps(self, content_class: str) -> bool:
        """Whether content of this class is written."""
        return self.kept is None or content_class in self.kept

    def text(self, text: str, content_class: str) -> str:
        """`text` with secrets masked, or ``[redacted]`` if its class is not kept."""
        return self.scrub(text) if self.keeps(content_class) or not text else MASK

    def event_name(self, name: str) -> str:
        """The name of an event. Names that are not flowkit's own are treated as the text of an event."""
        return name if name in EVENTS else self.text(name, "events")

    def reason(self, reason: str) -> str:
        """The reason for the end of a session. It is treated as an error's text if it may quote someone."""
        return reason if reason in REASONS else self.text(reason, "errors")

    def rows(self, rows: list[Row]) -> list[Row]:
        """`rows` with their messages masked. The same list if there is nothing to mask."""
        if self.kept is None and not self.scrub:
            return rows
        return [row if type(row.message) in _WITHOUT_TEXT else self._row(row) for row in rows]

    def _row(self, row: Row) -> Row:
        cls = type(row.message)
        if cls not in self._texts:
            self._texts[cls] = _texts_of(cls)
        return row._replace(message=self._message(row.message)) if self._texts[cls] else row

    def _message(self, message: Message) -> Message:
        masks: dict[str, Any] = {}
        kind = type(message).__name__
        for name in self._texts[type(message)]:
            value = getattr(message, name)
            harmless = (kind, name) in _HARMLESS and isinstance(value, str) and _WORD.fullmatch(value)
            # A field that is not listed gets an empty class, which `keep` cannot name. So it is masked.
            kept = harmless or self.keeps(_CONTENT.get((kind, name), ""))
            # A masked text becomes the mask, a masked tuple an empty one. What is empty stays empty.
            masked = self._scrubbed(value) if kept else (MASK if isinstance(value, str) else ()) if value else value
            if masked != value:
                masks[name] = masked
        return replace(message, **masks) if masks else message

    def _scrubbed(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._scrubbed(part) for part in value)
        return self.scrub(value) if isinstance(value, str) else value


def _texts_of(cls: type[Message]) -> tuple[str, ...]:
    """The fields that may hold text: all except numbers. So a field of an unknown type is masked too."""
    numbers = ("int", "float", "bool")
    return tuple(f.name for f in fields(cls) if f.name in content_of(cls).names and str(f.type) not in numbers)
