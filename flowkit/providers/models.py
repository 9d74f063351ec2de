"""Shared models: each is loaded once per process and used by all sessions with equal options.

A model can be weights, a worker process or a pool of connections. The first session that needs it loads it, in a task
that does not belong to the session. It is closed when the last session has released it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import trio

from flowkit.errors import FlowkitError, ProviderError
from flowkit.options import Options
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.loading import GRACE_S, loading

P = TypeVar("P", bound=Provider)


class _Model:
    """One model. `loaded` is set when loading has ended; then `value` holds it, or `error` says why there is none."""

    def __init__(self, cls: type[Provider], options: Options) -> None:
        self.cls = cls
        self.options = options
        self.value: Any = None
        self.error: Exception | None = None
        self.loaded = trio.Event()
        self.users: list[trio.CancelScope] = []
        # Shielded: if the caller is cancelled, its sessions must end before the model is closed.
        self._scope = trio.CancelScope(shield=True)
        self._unused = trio.Event()

    async def hold(self, notice: Callable[[str], None]) -> None:
        """Load the model and keep it open until ``release`` is called."""
        with self._scope:
            try:
                async with AsyncExitStack() as stack:
                    with loading(self.cls, notice, self.options):
                        self.value = await stack.enter_async_context(self.cls.load(self.options))
                    self.loaded.set()
                    await self._unused.wait()
            except Exception as error:
                self._fail(error, notice)
        # Also after an error, or waiting sessions would hang.
        self.loaded.set()

    def release(self) -> None:
        """Close the model. While it is still loading, loading is cancelled."""
        self._unused.set()
        # Closing waits up to GRACE_S for a thread that still computes, so it gets twice that time.
        self._scope.deadline = trio.current_time() + (2 * GRACE_S if self.loaded.is_set() else 0)

    def _fail(self, error: Exception, notice: Callable[[str], None]) -> None:
        self.error = error
        if self.loaded.is_set():
            notice(f"{self.cls.kind} {self.cls.name}: failed: {error}")
        # Sessions that use it would wait for a model that is gone.
        for user in self.users:
            user.cancel()


class Models:
    """The models of a process. Made by ``open_models``."""

    def __init__(self, nursery: trio.Nursery, notice: Callable[[str], None]) -> None:
        self._nursery = nursery
        self._notice = notice
        self._models: list[_Model] = []

    @asynccontextmanager
    async def shared(self, cls: type[Provider], options: Options) -> AsyncIterator[Any]:
        """The value of ``cls.load(options)``, loaded now or already loaded by another session.

        Raises the error that loading raised, and ProviderError if the model fails later.
        """
        model = self._of(cls, options)
        scope = trio.CancelScope()
        model.users.append(scope)
        try:
            await model.loaded.wait()
            if model.error is None:
                with scope:
                    yield model.value
            if model.error is not None:
                raise model.error if isinstance(model.error, FlowkitError) else _failed(cls, model.error)
        finally:
            model.users.remove(scope)
            if not model.users:
                # Before it is closed: a new session must not get it any more.
                self._models.remove(model)
                model.release()

    def _of(self, cls: type[Provider], options: Options) -> _Model:
        for model in self._models:
            # A model that failed is not handed out again; the next session loads another.
            if model.cls is cls and _alike(cls, model.options, options) and model.error is None:
                return model
        model = _Model(cls, options)
        self._models.append(model)
        self._nursery.start_soon(model.hold, self._notice, name=f"{cls.kind} {cls.name} model")
        return model


def _alike(cls: type[Provider], one: Options, other: Options) -> bool:
    if not cls.of_session:
        return one == other
    apart = dict.fromkeys(cls.of_session)
    return one.model_copy(update=apart) == other.model_copy(update=apart)


def _failed(cls: type[Provider], error: Exception) -> ProviderError:
    failed = ProviderError(f"{cls.kind} {cls.name}: failed: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


@asynccontextmanager
async def open_models(notice: Callable[[str], None]) -> AsyncIterator[Models]:
    """The process's models, for as long as the body runs. `notice` gets a line for each model that is loaded."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield Models(nursery, notice)
        except Exception as error:  # raised after the nursery, which would wrap it in a group
            failure = error
    if failure is not None:
        raise failure


@asynccontextmanager
async def opened(cls: type[P], options: Any, around: Surroundings, models: Models | None = None) -> AsyncIterator[P]:
    """A provider that is ready to be called. Its model comes from `models`; without `models` it is loaded for this
    provider alone.

    Raises FlowkitError.
    """
    if models is None:
        async with open_models(around.notice) as own, opened(cls, options, around, own) as provider:
            yield provider
        return
    failure: Exception | None = None
    async with models.shared(cls, options) as model:
        provider = cls(options, around, model)
        async with provider.ready():
            try:
                yield provider
            except Exception as error:  # raised after the provider's own nursery, which would wrap it in a group
                failure = error
    if failure is not None:
        raise failure
