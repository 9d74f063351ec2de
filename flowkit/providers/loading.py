"""Loading and letting go of models: progress for people, errors in one line, and no thread left at work behind the
session."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from flowkit.clock import US_PER_S, monotonic_us
from flowkit.errors import FlowkitError, ProviderError
from flowkit.providers.base import Provider
from flowkit.providers.registry import ensure_installed, has_model

GRACE_S = 5.0
"""How long the end of a session waits for a model that is still computing for a cancelled call."""


@contextmanager
def loading(cls: type[Provider], notice: Callable[[str], None]) -> Iterator[None]:
    """Around the loading of a provider's model: says that it loads, and how long it took, unless there is nothing to load here.

    Raises ProviderMissing if what it requires is not installed; turns whatever the library raises into ProviderError.
    """
    ensure_installed(cls)
    title = f"{cls.kind} {cls.name}"
    told = notice if has_model(cls) and not cls.remote else lambda line: None
    told(f"{title}: loading")
    began_us = monotonic_us()
    try:
        yield
    except FlowkitError:
        raise
    except Exception as exc:
        raise ProviderError(f"{title}: cannot be loaded: {exc}", hint=f"reinstall it: {cls.install}") from exc
    told(f"{title}: ready after {(monotonic_us() - began_us) / US_PER_S:.1f} s")


async def imported(*modules: str) -> None:
    """Import libraries, in a thread: on the loop that would hold up everybody."""
    for module in modules:
        await trio.to_thread.run_sync(importlib.import_module, module)


async def settled(model: trio.CapacityLimiter) -> bool:
    """Wait until no abandoned thread computes on the model that `model` (a limiter of one) guards; False if one still
    does."""
    with trio.move_on_after(GRACE_S, shield=True):
        async with model:
            return True
    return False


@contextmanager
def lone_error() -> Iterator[None]:
    """Around a nursery: if one error comes out, it comes out as itself, not as a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaf: BaseException = group
        while isinstance(leaf, BaseExceptionGroup) and len(leaf.exceptions) == 1:
            leaf = leaf.exceptions[0]
        if leaf is group:
            raise
        raise leaf from leaf.__cause__
