"""A host in a thread of its own, for programs that do not run Trio: asyncio, a web framework, a plain script."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any

import trio

from flowkit.runtime.gauges import Gauges
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import SessionOutcome


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
        future = Future[SessionOutcome]()
        scope = trio.CancelScope()

        async def session() -> None:
            with scope:
                try:
                    outcome = await self._host.run_session(*args, **options)
                except Exception as error:
                    with suppress(InvalidStateError):  # it was cancelled meanwhile
                        future.set_exception(error)
                else:
                    with suppress(InvalidStateError):
                        future.set_result(outcome)

        def done(future: Future[SessionOutcome]) -> None:
            if future.cancelled():
                with suppress(trio.RunFinishedError):  # and the host is gone
                    self._token.run_sync_soon(scope.cancel)

        future.add_done_callback(done)
        self._token.run_sync_soon(self._nursery.start_soon, session)
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
