"""A host in a thread of its own, for programs that do not run Trio: asyncio, a web framework, a plain script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, Self, TypeVar

import trio

from flowkit.figures.report import TurnReport
from flowkit.runtime.gauges import Gauges
from flowkit.runtime.handle import Session
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import SessionOutcome

T = TypeVar("T")


class HostThread:
    """Runs sessions in another thread. Its methods may be called from any thread. Made by ``open_host_in_thread``."""

    def __init__(self, host: Host, nursery: trio.Nursery) -> None:
        self._host = host
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()

    def run_session(self, *args: Any, **options: Any) -> Future[SessionOutcome]:
        """Begin a session, as ``Host.run_session`` does with the same arguments. Returns a future for the outcome, or for what that
        function raises. Cancelling the future ends the session at once.

        In an asyncio program: ``outcome = await asyncio.wrap_future(host.run_session())``.
        """
        return self._run(lambda: self._host.run_session(*args, **options))

    def session(self, *args: Any, **options: Any) -> SessionThread:
        """Run a session in the background while the body of ``with`` or, in an asyncio program, of ``async with`` runs, as
        ``Host.session`` does with the same arguments."""
        return SessionThread(self._host.session(*args, **options), self)

    def _run(self, made: Callable[[], Awaitable[T]]) -> Future[T]:
        """Run `made` in the host's thread. Returns a future for what it returns or raises. Cancelling the future cancels it."""
        future, scope = Future[T](), trio.CancelScope()

        async def running() -> None:
            with scope, suppress(InvalidStateError):  # it was cancelled meanwhile
                try:
                    result = await made()
                except Exception as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        def done(future: Future[T]) -> None:
            if future.cancelled():
                with suppress(trio.RunFinishedError):  # and the host is gone
                    self._token.run_sync_soon(scope.cancel)

        future.add_done_callback(done)
        self._token.run_sync_soon(self._nursery.start_soon, running)
        return future

    def gauges(self) -> Gauges:
        """The host as it is now."""
        return trio.from_thread.run_sync(lambda: self._host.gauges, trio_token=self._token)

    def close(self, reason: str = "closed") -> None:
        """Admit no more, and end every session in order."""
        self._token.run_sync_soon(self._host.close, reason)

    def drain(self, within_us: int | None = None) -> None:
        """Admit no more, and return when every session has ended. After `within_us` they are closed in order."""
        trio.from_thread.run(self._host.drain, within_us, trio_token=self._token)


class SessionThread:
    """A session in the background of a host in another thread. Its methods are those of ``Session`` and may be called from any
    thread. Made by ``HostThread.session``.

    In an asyncio program:

        async with host.session() as session:
            session.type("Hello?")
            turn = await asyncio.wrap_future(session.reply())

    Elsewhere ``with`` and ``session.reply().result()`` do the same, and block.
    """

    def __init__(self, made: AbstractAsyncContextManager[Session], host: HostThread) -> None:
        self._made = made
        self._host = host
        self._begun = Future[Session]()
        self._over: Future[None]

    def __enter__(self) -> Self:
        self._over = self._host._run(self._keep)
        self._begun.result()
        return self

    def __exit__(self, *error: object) -> None:
        self._end().result()

    async def __aenter__(self) -> Self:
        self._over = self._host._run(self._keep)
        try:
            await asyncio.wrap_future(self._begun)
        except asyncio.CancelledError:
            self._over.cancel()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.wrap_future(self._end())

    def type(self, text: str) -> None:
        """The user says `text`, as if it had been typed. It is answered, and it interrupts a reply."""
        self._tell(lambda session: session.type(text))

    def stop(self) -> None:
        """Give up the reply that is under way."""
        self._tell(Session.stop)

    def close(self, reason: str = "closed") -> None:
        """End the session in order."""
        self._tell(lambda session: session.close(reason))

    def reply(self) -> Future[TurnReport]:
        """A future for what ``Session.reply`` returns: the turn, when the agent has replied.

        In an asyncio program: ``turn = await asyncio.wrap_future(session.reply())``.
        """
        return self._host._run(self._begun.result().reply)

    def outcome(self) -> Future[SessionOutcome]:
        """A future for how the session went."""
        return self._host._run(self._begun.result().outcome)

    async def _keep(self) -> None:
        """The session, in the host's thread."""
        try:
            async with self._made as session:
                self._begun.set_result(session)
                await session.outcome()
        except Exception as error:
            if self._begun.done():
                raise
            self._begun.set_exception(error)

    def _tell(self, what: Callable[[Session], None]) -> None:
        session = self._begun.result()
        with suppress(trio.RunFinishedError):  # a session that has ended takes nothing either
            self._host._token.run_sync_soon(what, session)

    def _end(self) -> Future[None]:
        self.close()
        return self._over


@contextmanager
def open_host_in_thread(*args: Any, **options: Any) -> Iterator[HostThread]:
    """A host as ``open_host`` makes it with the same arguments, in a thread of its own.

    Returns when everything is loaded, and raises what ``open_host`` raises. When the body ends, sessions that still run are ended
    in order. Entering and leaving block; an asyncio program that does so while it serves others uses ``asyncio.to_thread``.
    """
    ready, over = Future[HostThread](), threading.Event()

    async def main() -> None:
        async with open_host(*args, **options) as host, trio.open_nursery() as nursery:
            ready.set_result(HostThread(host, nursery))
            await trio.to_thread.run_sync(over.wait)
            host.close()
            await host.drain()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            # The future has its result already, so the error can only be raised in this thread.
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="flowkit host")
    thread.start()
    try:
        yield ready.result()
    finally:
        over.set()
        thread.join()
