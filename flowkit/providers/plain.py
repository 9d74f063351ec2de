"""Text for a voice, without what no voice says. What a voice would take for its own markup its own module escapes.

Otherwise a model's text could steer a voice, and words would be lost that count as heard.
"""

from __future__ import annotations

import regex

_UNSPEAKABLE = regex.compile(r"[\p{Cc}\p{Cs}]")
"""Control characters, with which some engines are steered (NUL ends their strings), and halves of characters."""
_TAG = regex.compile(r"<(?=[\s/!?]*\p{L}[^<>]*>)")
"""What opens a tag, also for an engine that forgives a space."""


def plain(text: str) -> str:
    """The text with a blank for each character that cannot be said."""
    return _UNSPEAKABLE.sub(" ", text)


def without_tags(text: str, less_than: str = "<") -> str:
    """The text with its tags opened, so that what is in them is said; `less_than` for each other mark of that kind."""
    return _TAG.sub(" ", text).replace("<", less_than)
