"""What a provider's class says of itself, looked at without running it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from flowkit.config.docs import field_docs
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.providers.registry import missing

KINDS = ("mic", "vad", "asr", "gate", "llm", "tts", "speaker")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def declared(cls: type[Provider]) -> Iterator[str]:
    """What is wrong with it, a line each."""
    kind: Any = getattr(cls, "kind", None)
    name: Any = getattr(cls, "name", None)
    options: Any = cls.Options
    if kind not in KINDS:
        yield f"its kind is {kind!r}; the kinds that have providers are {', '.join(KINDS)}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"its name is {name!r}; a name is made of small letters, digits and _"
    if not (isinstance(options, type) and issubclass(options, Options)):
        yield "its Options are no subclass of flowkit.options.Options"
    else:
        undocumented = [option for option in cls.Options.model_fields if not field_docs(cls.Options).get(option)]
        if undocumented:
            yield f"options without a line of docs below them: {', '.join(undocumented)}"
    if inspect.isabstract(cls):
        yield f"it lacks {', '.join(sorted(cls.__abstractmethods__))}"
    if cls.requires and not cls.install:
        yield "it requires modules, but `install` does not say which command installs them"
    if lacking := missing(cls):
        yield f"it requires {', '.join(lacking)}, which is not installed here"
