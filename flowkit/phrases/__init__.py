"""What people say where a turn ends, goes on, or stays with the other, one table for each language.

To add a language: copy a file and fill in its lists. No other file names the language.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

from flowkit.phrases.table import Endings

__all__ = ["Endings", "backchannels", "languages", "load"]

_NO_LANGUAGE = "table"


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """The codes of the languages that have a table."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if module.name != _NO_LANGUAGE))


@lru_cache(maxsize=32)
def load(code: str) -> Endings:
    """The table of a language code such as `en` or `de-AT`. A language without one has an empty table."""
    name = code.replace("_", "-").split("-")[0].lower()
    if name not in languages():
        return Endings()
    table: Endings = import_module(f"{__name__}.{name}").ENDINGS
    return table


def backchannels(codes: Iterable[str]) -> tuple[str, ...]:
    """What a listener says in these languages without wanting the turn."""
    listed = (phrase for code in sorted(codes) for phrase in load(code).backchannels.split(","))
    return tuple(dict.fromkeys(" ".join(phrase.split()) for phrase in listed if phrase.strip()))
