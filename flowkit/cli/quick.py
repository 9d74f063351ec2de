"""A quick start for commands that only look at files: what they will not need is not loaded."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

HEAVY = ("trio", "numpy", "soundfile", "soxr")
"""Modules that providers import for their work, not for their declarations."""


def start() -> None:
    """Call first in such a command. Heavy modules are loaded when something in them is used, pydantic looks for no plugins,
    and the garbage collector, for which imports leave nothing to do, runs less often."""
    gc.set_threshold(100_000)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for name in HEAVY:
        if name not in sys.modules and (spec := find_spec(name)) is not None:
            sys.modules[name] = _Later(spec)


class _Later(ModuleType):
    """Stands for a module until something in it is asked for. The standard library's LazyLoader would not do: it loads as soon
    as anybody asks for ``__file__``, which ``inspect`` asks of every module, and pydantic of ``inspect`` for each class."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__file__ = spec.origin
        self.__path__ = spec.submodule_search_locations or []

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
