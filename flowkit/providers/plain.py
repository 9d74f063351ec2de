"""Removes from a TTS's text what cannot be spoken: control characters and tags.

Otherwise text from the LLM could control the TTS engine, and words would be lost that the history counts as heard. Each
TTS provider escapes the markup of its own engine.
"""

from __future__ import annotations

import regex

_UNSPEAKABLE = regex.compile(r"[\p{Cc}\p{Cs}]")
"""Control characters, which some engines interpret (NUL ends their strings), and unpaired surrogates."""
_TAG = regex.compile(r"<(?=[\s/!?]*\p{L}[^<>]*>)")
"""The `<` of a tag. Some engines accept a space after it."""


def plain(text: str) -> str:
    """The text with each control character and unpaired surrogate replaced by a space."""
    return _UNSPEAKABLE.sub(" ", text)


def without_tags(text: str, less_than: str = "<") -> str:
    """The text with the `<` of each tag replaced by a space, so that the tag's words are spoken, and any other `<` by
    `less_than`."""
    return _TAG.sub(" ", text).replace("<", less_than)
