"""What a process has once: models, worker processes, pools of connections, shared by all sessions that ask with equal options.

A model is loaded by the first session that wants it, in a task of the process's own, and closed when the last has let go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import trio

from flowkit.errors import ProviderError
from flowkit.options import Options
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.loading import GRACE_S, loading

P = TypeVar("P", bound=Provider)


class _Model:
    """One loaded model. `came`: it is there, or `error` says why not."""

    def __init__(self, cls: type[Provider], options: Options) -> None:
        self.cls = cls
        self.options = options
        self.value: Any = None
        self.error: Exception | None = None
        self.came = trio.Event()
        self.users: list[trio.CancelScope] = []
        # Shielded: whoever is cancelled with all its sessions lets go of it when they have, not before.
        self._scope = trio.CancelScope(shield=True)
        self._unused = trio.Event()

    async def hold(self, notice: Callable[[str], None]) -> None:
        """Load it, and keep it until it is released."""
        with self._scope:
            try:
                async with AsyncExitStack() as stack:
                    with loading(self.cls, notice):
                        self.value = await stack.enter_async_context(self.cls.load(self.options))
                    self.came.set()
                    await self._unused.wait()
            except Exception as error:
                self._broke(error, notice)
        self.came.set()

    def release(self) -> None:
        """Nobody wants it any more."""
        self._unused.set()
        self._scope.deadline = trio.current_time() + (2 * GRACE_S if self.came.is_set() else 0)

    def _broke(self, error: Exception, notice: Callable[[str], None]) -> None:
        self.error = error
        if self.came.is_set():
            notice(f"{self.cls.kind} {self.cls.name}: broke down: {error}")
        for user in self.users:
            user.cancel()


class Models:
    """The models of a process; see ``open_models``."""

    def __init__(self, nursery: trio.Nursery, notice: Callable[[str], None]) -> None:
        self._nursery = nursery
        self._notice = notice
        self._models: list[_Model] = []

    @asynccontextmanager
    async def shared(self, cls: type[Provider], options: Options) -> AsyncIterator[Any]:
        """What ``cls.load(options)`` gives, loaded unless it is there already. Raises what loading raises, and ProviderError if
        the model breaks down later on."""
        model = self._of(cls, options)
        scope = trio.CancelScope()
        model.users.append(scope)
        try:
            await model.came.wait()
            if model.error is None:
                with scope:
                    yield model.value
            if model.error is not None:
                raise model.error if isinstance(model.error, ProviderError) else _broken(cls, model.error)
        finally:
            model.users.remove(scope)
            if not model.users:
                self._models.remove(model)
                model.release()

    def _of(self, cls: type[Provider], options: Options) -> _Model:
        for model in self._models:
            if model.cls is cls and model.options == options and model.error is None:
                return model
        model = _Model(cls, options)
        self._models.append(model)
        self._nursery.start_soon(model.hold, self._notice, name=f"{cls.kind} {cls.name} model")
        return model


def _broken(cls: type[Provider], error: Exception) -> ProviderError:
    broken = ProviderError(f"{cls.kind} {cls.name}: broke down: {type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


@asynccontextmanager
async def open_models(notice: Callable[[str], None]) -> AsyncIterator[Models]:
    """Models for as long as the body runs; `notice` is told, a line each, what is being loaded."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield Models(nursery, notice)
        except Exception as error:  # carried past the nursery, which would wrap it into a group
            failure = error
    if failure is not None:
        raise failure


@asynccontextmanager
async def opened(cls: type[P], options: Any, around: Surroundings, models: Models | None = None) -> AsyncIterator[P]:
    """A provider that is ready, with its model; one of its own if no `models` are given. Raises FlowkitError."""
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
            except Exception as error:  # carried past the provider's own nursery, which would wrap it into a group
                failure = error
    if failure is not None:
        raise failure
