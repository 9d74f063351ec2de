"""Languages, one data file each. `base` serves the rest, and `guess` detects the language of a text.

To add one: copy a file, fill in its word lists, and add cases to `tests/chunker/cases`. No other file names the
language, except that `guess` needs a script or a few small words to detect it.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from .guess import guess
from .table import Language, Stop

__all__ = ["Language", "Stop", "guess", "load", "undecided"]


@lru_cache(maxsize=64)
def load(code: str) -> Language:
    """The rules of a language code such as `en` or `de-AT`; those of `base` for a language without a file."""
    name = code.replace("_", "-").split("-")[0].lower()
    if name.isalpha() and name.isascii() and name not in ("table", "guess"):
        try:
            return _read(name)
        except ModuleNotFoundError:
            pass  # no file for this language: the general table is the documented answer
    return _read("base")


@lru_cache(maxsize=1)
def undecided() -> Language:
    """The rules while the language is unknown: English, with German dates (Am 3. Oktober)."""
    return load("en").with_ordinals("dates")


def _read(name: str) -> Language:
    language: Language = import_module(f".{name}", __package__).LANGUAGE
    return language
