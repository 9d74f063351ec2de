"""Text as it comes off a wire: lines of JSON that may be broken, and characters that may be cut in two."""

from __future__ import annotations

import json
from typing import Any

from flowkit.providers.cloud.faults import schema
from flowkit.secrets import mask

_SHOWN, _LOOKED_AT = 80, 4096


def json_object(data: str | bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises CloudError (protocol) for anything else, quoting how it begins."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise schema(f"expected JSON, got {_begin(data)}") from exc
    if not isinstance(found, dict):
        raise schema(f"expected a JSON object, got {_begin(data)}")
    return found


def _begin(data: str | bytes) -> str:
    """Masked before it is cut: half a key is no key that anybody would find."""
    whole = data.decode(errors="replace") if isinstance(data, bytes) else data
    return repr(mask(whole[:_LOOKED_AT])[:_SHOWN])


class Characters:
    """Puts characters together again that were cut between two tokens: JSON may carry a character outside the basic plane as
    two escapes, and servers send them apart. What never finds its other half becomes U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, text: str) -> str:
        """`text` with the half that waited in front; a half at its end waits in turn."""
        if not self._half and text.isascii():
            return text
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def rest(self) -> str:
        """What is left at the end."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""
