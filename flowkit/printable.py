"""Makes text that others wrote (a model, a transcript, a file name) safe to show.

A terminal obeys control characters: they move the cursor, rename the window, fill the clipboard. Here each becomes a
visible escape. The escapes have the form of JSON's, so JSON text stays the same JSON.
"""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters except tab and line feed, characters that change the direction of text, surrogates, and code
points that are not characters."""


def printable(text: str) -> str:
    r"""The text with every control character as an escape such as ``\u001b``. Tabs and line feeds stay."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """The text made printable, on one line: line feeds become spaces."""
    return printable(text.replace("\r\n", "\n").strip("\n").replace("\n", " "))


def all_printable(value: Any) -> Any:
    """Lists and mappings of plain data with all texts, keys too, made printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {all_printable(key): all_printable(item) for key, item in value.items()}
    return [all_printable(item) for item in value] if isinstance(value, list | tuple) else value
