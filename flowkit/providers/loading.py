"""Helpers for loading and closing models: progress for the user, readable errors, no thread left running."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from flowkit.clock import US_PER_S, monotonic_us
from flowkit.errors import FlowkitError, ProviderError
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.providers.registry import ensure_installed, has_model

GRACE_S = 5.0
"""How long closing a model waits, in seconds, while it still computes for a cancelled call."""


@contextmanager
def loading(cls: type[Provider], notice: Callable[[str], None], options: Options) -> Iterator[None]:
    """Wrap the loading of a provider's model. Reports to `notice` that it loads and how long it took.

    Reports nothing for a remote provider and for one without a model.

    Raises:
        ProviderMissing: a module that the provider requires is not installed.
        ProviderError: the library raised an exception.
    """
    ensure_installed(cls)
    title = f"{cls.kind} {cls.name}"
    quiet = cls.remote or not has_model(cls) or cls.loads_nothing(options)
    report = (lambda line: None) if quiet else notice
    report(f"{title}: loading")
    began_us = monotonic_us()
    try:
        yield
    # Such an error has its own hint already.
    except FlowkitError:
        raise
    except Exception as exc:
        raise ProviderError(f"{title}: cannot be loaded: {exc}", hint=f"reinstall it: {cls.install}") from exc
    report(f"{title}: ready after {(monotonic_us() - began_us) / US_PER_S:.1f} s")


async def imported(*modules: str) -> None:
    """Import modules in a thread, because an import can take seconds and would block the event loop."""
    for module in modules:
        await trio.to_thread.run_sync(importlib.import_module, module)


@contextmanager
def lone_error() -> Iterator[None]:
    """Unwrap a group of one exception that a nursery raises into that exception."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaf: BaseException = group
        while isinstance(leaf, BaseExceptionGroup) and len(leaf.exceptions) == 1:
            leaf = leaf.exceptions[0]
        if leaf is group:
            raise
        raise leaf from leaf.__cause__
