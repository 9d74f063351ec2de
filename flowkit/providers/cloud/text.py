"""Parsing of received text: JSON that may be broken, and characters that may be split."""

from __future__ import annotations

import json
from typing import Any

from flowkit.providers.cloud.faults import schema
from flowkit.secrets import mask

_SHOWN, _LOOKED_AT = 80, 4096


def json_object(data: str | bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises CloudError (protocol) for anything else, and quotes the first 80 characters."""
    try:
        found = json.loads(data)
    # The parser recurses, so JSON that is nested too deeply ends in a RecursionError.
    except (ValueError, RecursionError) as exc:
        raise schema(f"expected JSON, got {_begin(data)}") from exc
    if not isinstance(found, dict):
        raise schema(f"expected a JSON object, got {_begin(data)}")
    return found


def _begin(data: str | bytes) -> str:
    # Masked before it is shortened: half a key would not be recognised.
    whole = data.decode(errors="replace") if isinstance(data, bytes) else data
    return repr(mask(whole[:_LOOKED_AT])[:_SHOWN])


class Characters:
    """Joins surrogate pairs that are split between two tokens.

    JSON may encode a character beyond U+FFFF as two escapes, and some servers send these separately. A half without its
    other half becomes U+FFFD.
    """

    def __init__(self) -> None:
        self._half = ""

    def join(self, text: str) -> str:
        """Return `text` after the half that waits. A half at the end of `text` waits for the next call."""
        # Nearly all tokens end here: no half waits, and ASCII has none.
        if not self._half and text.isascii():
            return text
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def rest(self) -> str:
        """Call it at the end of the stream. Returns U+FFFD if a half still waits, else an empty string."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""
