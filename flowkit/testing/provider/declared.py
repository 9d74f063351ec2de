"""Checks the declarations of a provider class, without making a provider."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from flowkit.config.docs import field_docs
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.providers.registry import missing

KINDS = ("mic", "vad", "asr", "turn", "gate", "llm", "tools", "tts", "speaker")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def declared(cls: type[Provider]) -> Iterator[str]:
    """Check kind, name, options, docstrings and requirements. Yields one line for each fault."""
    kind: Any = getattr(cls, "kind", None)
    name: Any = getattr(cls, "name", None)
    options: Any = cls.Options
    if kind not in KINDS:
        yield f"its kind is {kind!r}; the kinds that have providers are {', '.join(KINDS)}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"its name is {name!r}; a name has lower-case letters, digits and _"
    if not (isinstance(options, type) and issubclass(options, Options)):
        yield "its Options is not a subclass of flowkit.options.Options"
    else:
        undocumented = [option for option in cls.Options.model_fields if not field_docs(cls.Options).get(option)]
        if undocumented:
            yield f"options without a docstring below them: {', '.join(undocumented)}"
        if unknown := [option for option in cls.tells_tokens or () if option not in cls.Options.model_fields]:
            yield f"its tells_tokens names options that it does not have: {', '.join(unknown)}"
    if inspect.isabstract(cls):
        yield f"it does not implement {', '.join(sorted(cls.__abstractmethods__))}"
    if cls.requires and not cls.install:
        yield "it requires modules, but `install` does not name the command that installs them"
    if lacking := missing(cls):
        yield f"it requires {', '.join(lacking)}, which is not installed"
