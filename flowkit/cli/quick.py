"""A quick start for commands that only read files: heavy modules are loaded late."""

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
"""Modules that provider modules import, but do not need for their declarations."""


def start() -> None:
    """Call this first in such a command.

    Heavy modules are then loaded at the first use of one of their names. pydantic does not look for plugins. The
    garbage collector runs less often, because imports create no garbage.
    """
    gc.set_threshold(100_000)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for name in HEAVY:
        if name not in sys.modules and (spec := find_spec(name)) is not None:
            sys.modules[name] = _Later(spec)


class _Later(ModuleType):
    """Takes the place of a module until one of its names is used.

    The standard library's LazyLoader does not help. It loads a module when its ``__file__`` is read, and pydantic,
    through ``inspect``, reads that of every module for each class. There is no ``__path__``, because a submodule that is
    imported before its package is only half there when the package wants it.
    """

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__file__ = spec.origin

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
