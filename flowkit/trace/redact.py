"""What may not be written: secrets never, and with ``trace.redact`` no content that is not named.

Redaction is an allow-list that fails closed: every text of every message is masked unless its class of content is kept, and a
message kind that is not known here has no class. A redacted trace replays its timing only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from flowkit.engine import Row
from flowkit.errors import UsageError
from flowkit.messages import Audio, Credit, Frames, Message, Probability
from flowkit.secrets import Masks
from flowkit.trace.rows import content_of

MASK = "[redacted]"

CLASSES = ("transcripts", "tokens", "clauses", "errors", "events", "config", "audio")
"""What ``trace.redact.keep`` may name."""

_CONTENT = {
    ("Partial", "text"): "transcripts",
    ("Final", "text"): "transcripts",
    ("Typed", "text"): "transcripts",
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
    ("Fault", "what"): "errors",
    ("Failed", "what"): "errors",
}
_HARMLESS = {("Clause", "reason"), ("Timer", "tag"), ("Fault", "stage"), ("Failed", "kind")}
"""Texts that flowkit itself chooses: single short words. Anything else there is somebody's, in a trace that one need not trust."""
_WORD = re.compile(r"[a-z][a-z0-9_]{0,23}")
REASONS = frozenset({"input_ended", "closed", "interrupted", "cut off"})
EVENTS = frozenset(
    {"stall", "starved", "masked", "attempt", "failover", "circuit", "left_out", "late", "device", "context", "spare", "odd_pcm",
     "unknown", "microphone overrun", "speaker late", "speaker began", "speaker ended"}
)  # fmt: skip
"""Names that say nothing about anybody; any other is masked like the content of events."""


_TEXTLESS = frozenset({Frames, Probability, Credit, Audio})


class Redactor:
    """Masks what is not kept, and secrets wherever they stand. Without `keep` (None) nothing is redacted."""

    def __init__(self, keep: Iterable[str] | None = None, secrets: Iterable[str] = ()) -> None:
        self.kept = None if keep is None else frozenset(keep)
        if unknown := sorted((self.kept or frozenset()) - set(CLASSES)):
            raise UsageError(f"trace.redact.keep: unknown content {unknown[0]!r}; known: {', '.join(CLASSES)}")
        self.scrub = Masks(secrets)
        self._texts: dict[type[Message], tuple[str, ...]] = {}

    def keeps(self, content_class: str) -> bool:
        """Whether content of that class is written."""
        return self.kept is None or content_class in self.kept

    def text(self, text: str, content_class: str) -> str:
        """`text` without secrets, or the mask."""
        return self.scrub(text) if self.keeps(content_class) or not text else MASK

    def event_name(self, name: str) -> str:
        """The name of an event, if it is one of flowkit's, or the mask."""
        return name if name in EVENTS else self.text(name, "events")

    def reason(self, reason: str) -> str:
        """Why a session ended, or, where that may quote somebody, the mask."""
        return reason if reason in REASONS else self.text(reason, "errors")

    def rows(self, rows: list[Row]) -> list[Row]:
        """The rows with their messages masked; the same list if there is nothing to mask."""
        if self.kept is None and not self.scrub:
            return rows
        return [row if type(row.message) in _TEXTLESS else self._row(row) for row in rows]

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
            kept = harmless or self.keeps(_CONTENT.get((kind, name), ""))
            masked = self._scrubbed(value) if kept else (MASK if isinstance(value, str) else ()) if value else value
            if masked != value:
                masks[name] = masked
        return replace(message, **masks) if masks else message

    def _scrubbed(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._scrubbed(part) for part in value)
        return self.scrub(value) if isinstance(value, str) else value


def _texts_of(cls: type[Message]) -> tuple[str, ...]:
    """The fields that may hold text: all but numbers, so that a field of a kind unknown here is masked too."""
    numbers = ("int", "float", "bool")
    return tuple(f.name for f in fields(cls) if f.name in content_of(cls).names and str(f.type) not in numbers)
