"""Text that others chose (a model, a transcript, a file's name), as it may be shown to people.

A terminal obeys control characters: they move the cursor, rename the window, fill the clipboard. Shown, each becomes an escape that
can be seen, in the form of JSON's, so that JSON with escapes in its texts is still the same JSON.
"""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""C0 and C1 but tab and line feed, what changes the direction of text around it, and what is no character at all."""


def printable(text: str) -> str:
    """The text with every control character as a visible escape (``\\u001b``); tabs and line feeds stay."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """The same for a place that has one line: no text can begin another."""
    return printable(text.replace("\r\n", "\n").strip("\n").replace("\n", " "))


def all_printable(value: Any) -> Any:
    """Plain data (lists, mappings, texts) with every text printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {all_printable(key): all_printable(below) for key, below in value.items()}
    return [all_printable(below) for below in value] if isinstance(value, list | tuple) else value
