"""The simple conversations of ``flowkit.testing.stage``. They contain the words that a stage's options name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from enum import Enum
from itertools import cycle, islice
from typing import Any

from pydantic import BaseModel

from flowkit.testing.strategies.conversations import Conversation

_MOST, _LONGEST = 12, 60
"""How many words are taken from the options, and how many characters one may have."""
_BOTH = {"speech": [{"at": "0ms", "lasts": "160ms"}, {"at": "1500ms", "lasts": "300ms"}]}
_LONG = 40
"""Sentences of the long reply: more than any queue holds."""


def words_of(options: Any) -> tuple[str, ...]:
    """The texts among the values of a stage's options, such as the words of a filter."""
    found = (text.strip() for text in _texts(options))
    return tuple(dict.fromkeys(text for text in found if text and len(text) <= _LONGEST and text.isprintable()))[:_MOST]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from () if isinstance(value, Enum) else (value,)
    elif isinstance(value, BaseModel):
        yield from _texts([item for _, item in value])
    elif isinstance(value, Mapping):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, Set):
        yield from sorted(_texts(list(value)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def plain_conversations(words: tuple[str, ...]) -> tuple[Conversation, ...]:
    """Short conversations that show most faults. Each of `words` is said in them, as it is and in capitals."""
    named = "".join(f" Well, {word} it is. {word.upper()}!" for word in words)
    said = {"replies": ({"text": f"Yes, I think so. No, wait. Perhaps it is not so, or is it?{named}"},)}
    others = ({"text": f"One of them. Two of them. Three of them.{named}"}, {"text": f"Another, then.{named}"})
    once: Conversation = {
        "mic": {"speech": [{"at": "0ms", "lasts": "160ms"}]},
        "asr": {"utterances": (" ".join(["One", *words]) + ".", "Two.")},
    }
    revoked = ("Yes", ".", f"com is it.{named}", " Fine.")
    skipped = f"`x`. **Well**, that is so.{named} [Here](http://a.b/c) it is. <b></b>\n\nYes."
    long = " ".join(islice(cycle(f"{word.capitalize()} it is." for word in words or ("this",)), _LONG))
    return (
        once | {"llm": said},
        # An interrupt while the voice speaks.
        once | {"llm": said, "mic": _BOTH},
        # An interrupt while the model still writes.
        once | {"llm": {"replies": others, "per_token": "200ms"}, "mic": _BOTH},
        once | {"llm": {"replies": ({"text": ""},)}},
        # The model fails.
        once | {"llm": {"replies": ({"text": "One. Two. Three.", "fail_after": 2},)}, "mic": _BOTH},
        once | {"llm": said, "chunker": {"queue": {"max": 1}}, "tts": {"queue": {"max": 1}}},
        # The first clause is provisional; one is revoked.
        once | {"llm": {"replies": ({"tokens": revoked}, *said["replies"])}, "chunker": {"speculate_end": True}},
        once | {"llm": said, "chunker": {"speculate_end": True}},
        # Clauses whose spoken form is shorter than their text, or empty.
        once | {"llm": {"replies": ({"text": skipped},)}, "chunker": {"speak": {"code": "skip"}}},
        once
        | {"llm": {"replies": ({"text": long},), "per_token": "1ms"}, "tts": {"first_audio": "1ms", "per_char": "1ms"}},
    )
