"""Virtual time: what a provider may wait for in it, and models that are loaded before it begins."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn
from unittest.mock import patch

import trio

from flowkit.clock import US_PER_S, cpu_us
from flowkit.errors import UsageError
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.providers.loading import loading
from flowkit.testing.provider.left import tasks

_CALL = re.compile(r"(?P<stage>\S+) call \d+")
"""The name of a call's task."""


@dataclass
class VirtualTime:
    """Refuses threads, processes and sockets while a session runs under a clock that jumps: it would jump past them.

    ``started`` is entered around ``trio.run``, ``inside`` in it. The first use ends the session, and ``started`` raises
    UsageError.

    `computes`: threads are allowed. Their work is done in place, and takes the processor time that it needs.
    """

    computes: bool = False

    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _refused: str = ""

    @contextmanager
    def started(self) -> Iterator[None]:
        """Refuse threads and processes. Raises UsageError if something was refused."""
        with ExitStack() as stack:
            for module, name, what in (
                (trio.to_thread, "run_sync", "a thread (trio.to_thread.run_sync)"),
                (trio, "run_process", "a process"),
                (trio.lowlevel, "open_process", "a process"),
            ):
                in_place = self.computes and module is trio.to_thread
                stack.enter_context(patch.object(module, name, _computed if in_place else self._refusing(what)))
            try:
                yield
            finally:
                if self._refused:
                    raise UsageError(
                        f"{self._refused}, but this session runs in virtual time, which does not wait for it",
                        hint="test this provider with flowkit.testing.provider.check_provider",
                    )

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Refuse sockets, and end the session at the first use of anything that is refused."""
        trio.socket.set_custom_hostname_resolver(_Resolver(self))
        trio.socket.set_custom_socket_factory(_Sockets(self))
        with self._scope:
            yield

    def refuse(self, what: str) -> NoReturn:
        """Raises UsageError, in the provider and at the end of the session."""
        # The first use is the cause; others may follow while tasks are cancelled.
        self._refused = self._refused or f"{_provider()} uses {what}"
        self._scope.cancel()
        raise UsageError(f"{what} cannot be used in virtual time")

    def _refusing(self, what: str) -> Any:
        async def refused(*args: Any, **options: Any) -> NoReturn:
            self.refuse(what)

        return refused


async def _computed(work: Callable[..., Any], *args: Any, limiter: Any = None, **options: Any) -> Any:
    """What ``trio.to_thread.run_sync`` does, without a thread."""
    if limiter is not None:
        await limiter.acquire_on_behalf_of(args)
    began_us = cpu_us()
    try:
        result = work(*args)
        # Not the time that passed: on a busy machine that would say more of the other programs.
        await trio.sleep((cpu_us() - began_us) / US_PER_S)
        return result
    finally:
        if limiter is not None:
            limiter.release_on_behalf_of(args)


def _provider() -> str:
    """Whose call the current task belongs to."""
    task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    # A task that the call has started may be the one that was refused.
    while task is not None:
        if call := _CALL.fullmatch(task.name):
            return f"the provider of stage {call['stage']!r}"
        task = task.parent_nursery.parent_task if task.parent_nursery else None
    return "a provider"


class _Sockets(trio.abc.SocketFactory):
    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    def socket(self, *args: Any, **options: Any) -> NoReturn:
        self._time.refuse("a socket")


class _Resolver(trio.abc.HostnameResolver):
    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    async def getaddrinfo(self, *args: Any, **options: Any) -> NoReturn:
        self._time.refuse("a socket")

    async def getnameinfo(self, *args: Any, **options: Any) -> NoReturn:
        self._time.refuse("a socket")


class KeptModel:
    """A model that is loaded once, in a thread with an event loop on the real clock, and kept until the process ends.

    So loading it may use threads and files, and it is not loaded again for each session.
    """

    def __init__(self, cls: type[Provider], options: Options) -> None:
        self.value: Any = None
        self.bound = False
        """The model has tasks or a nursery, so that it works only in the event loop that loaded it."""
        self._cls = cls
        self._options = options
        self._error: BaseException | None = None
        self._loaded = threading.Event()
        # A daemon, because the end of the process must not wait for it.
        threading.Thread(target=self._run, name=f"{cls.kind} {cls.name} model", daemon=True).start()
        self._loaded.wait()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            trio.run(self._hold)
        except BaseException as error:
            self._error = error
        # Also after an error, or the thread that waits would hang.
        self._loaded.set()

    async def _hold(self) -> None:
        before = tasks()
        with loading(self._cls, lambda line: None, self._options):
            context = self._cls.load(self._options)
            self.value = await context.__aenter__()
        self.bound = bool(tasks() - before or trio.lowlevel.current_task().child_nurseries)
        self._loaded.set()
        if self.bound:
            await context.__aexit__(None, None, None)
            return
        await trio.sleep_forever()


_kept: dict[tuple[type[Provider], str], KeptModel] = {}


def kept_model(cls: type[Provider], options: Options | None = None) -> KeptModel:
    """The model of a provider with these options, or with default ones. Raises what loading it raises."""
    options = options or cls.Options()
    key = (cls, options.model_dump_json())
    if key not in _kept:
        _kept[key] = KeptModel(cls, options)
    return _kept[key]
