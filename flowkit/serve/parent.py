"""Several processes behind one port: this one starts the workers, starts them again when they die or hang, and drains them.

It holds no session and loads no model. What covers all workers is kept here: the places of sessions, readiness and metrics.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import trio

from flowkit.clock import US_PER_S
from flowkit.config import Config
from flowkit.errors import WorkersError
from flowkit.runtime.signals import open_signals
from flowkit.secrets import known
from flowkit.serve.families import Families, lasting, merged, read
from flowkit.serve.link import Link, LinkLost
from flowkit.serve.listening import Endpoint
from flowkit.serve.log import Log, to_stderr
from flowkit.serve.metrics import of_workers
from flowkit.serve.observe import Seen
from flowkit.serve.pipeline import served
from flowkit.serve.places import Places
from flowkit.serve.process import Process, start_worker
from flowkit.serve.server import checked
from flowkit.serve.variables import SessionVariables
from flowkit.serve.worker import WorkerTask

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0
STEADY_S = 60.0
"""The failure of a worker that has run for so long is the first one again."""
ANSWER_S = 1.0
"""A worker that does not answer within this time is left out."""
WATCH_S = 5.0
"""How often each worker is asked whether its event loop still turns, and how long it may take to answer."""
MISSED = 2
"""After so many unanswered questions it hangs. One may be missed because the parent itself stood still."""
GRACE_S = 10.0
"""How much longer than `drain` a worker may take to end, or to end at once."""


def pause_s(failures: int) -> float:
    """How long to wait before a worker that has failed so many times is started again."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 20)))


class Parent:
    """Keeps `count` workers running, each in a process that `start` makes, given the worker's number."""

    def __init__(self, count: int, places: Places, start: Callable[[int], Awaitable[Process]], log: Log) -> None:
        self._count = count
        self._places = places
        self._start = start
        self._log = log
        self._links: dict[int, Link] = {}
        """The links to the workers that are ready."""
        self._counted: dict[int, Families] = {}
        """What each worker had counted when it was last asked."""
        self._past: Families = []
        """The same of those that have ended."""
        self._lost = 0
        self._begun = trio.Event()
        """A worker has been ready once, or none will be."""
        self._draining = trio.Event()

    async def run(self, drain: trio.Event, drain_s: float, started: Callable[[], None]) -> None:
        """Run until `drain` is set and all workers have ended. `started` is called when the first is ready.

        Raises WorkersError if the first one cannot begin.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end, drain, drain_s, nursery.cancel_scope)
            async with trio.open_nursery() as workers:
                # The first one alone: if it cannot begin, nor can the others, and its error is printed once.
                workers.start_soon(self._keep, 1)
                await self._begun.wait()
                if not self._draining.is_set():
                    started()
                for number in range(2, self._count + 1):
                    workers.start_soon(self._keep, number)
            self._log("drained")
            nursery.cancel_scope.cancel()

    async def _end(self, drain: trio.Event, drain_s: float, scope: trio.CancelScope) -> None:
        await drain.wait()
        self._log("draining", workers=len(self._links))
        self._draining.set()
        self._begun.set()
        await trio.sleep(drain_s + GRACE_S)
        scope.cancel()

    # -- one worker ---------------------------------------------------------------------------------------------------

    async def _keep(self, number: int) -> None:
        """Keep one worker running until the parent drains."""
        failures = 0
        while not self._draining.is_set():
            began_s = trio.current_time()
            how = await self._one(number)
            if self._draining.is_set():
                break
            if not self._begun.is_set():
                raise WorkersError(f"a worker could not begin ({how})", hint="its error is printed above")
            failures = 1 if trio.current_time() - began_s > STEADY_S else failures + 1
            self._lost += 1
            self._log("worker ended", worker=number, how=how, again_in_s=pause_s(failures))
            with trio.move_on_after(pause_s(failures)):
                await self._draining.wait()

    async def _one(self, number: int) -> str:
        """Run one process to its end; returns how it ended."""
        process, answers = await self._start(number), dict[str, Callable[[Any], Awaitable[Any]]]()
        link = Link(process.stream, answers)
        answers |= self._answers(number, link)
        self._log("worker started", worker=number, pid=process.pid)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._drain, link)
                nursery.start_soon(self._watch, number, process, nursery.cancel_scope)
                await link.run()
                nursery.cancel_scope.cancel()
        finally:
            self._over(number)
            how = await self._ended(process)
        return how

    async def _ended(self, process: Process) -> str:
        with trio.CancelScope(shield=True):
            # Without its link a worker ends at once.
            await trio.aclose_forcefully(process.stream)
            with trio.move_on_after(GRACE_S) as grace:
                how = await process.ended()
            if grace.cancelled_caught:
                process.kill()
                how = await process.ended()
        return how

    async def _watch(self, number: int, process: Process, scope: trio.CancelScope) -> None:
        """Kill a worker that hangs. Then it is one that has died."""
        missed = 0
        while missed < MISSED:
            await trio.sleep(WATCH_S)
            # While it loads its models it is not ready, and may take long.
            link = self._links.get(number)
            answered = link is None or await _asked(link, "accepting", within_s=WATCH_S) is not None
            missed = 0 if answered else missed + 1
        self._log("worker hangs", worker=number, pid=process.pid)
        process.kill()
        scope.cancel()

    async def _drain(self, link: Link) -> None:
        await self._draining.wait()
        link.tell("drain")

    def _over(self, number: int) -> None:
        self._links.pop(number, None)
        self._places.lost(number)
        self._past = merged([self._past, lasting(self._counted.pop(number, []))])

    # -- what workers ask ---------------------------------------------------------------------------------------------

    def _answers(self, number: int, link: Link) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        async def take(peer: str) -> str:
            return self._places.take(peer, number)

        async def leave(peer: str) -> None:
            self._places.leave(peer, number)

        async def ready(given: None) -> None:
            self._links[number] = link
            self._log("worker ready", worker=number)
            self._begun.set()

        async def last(families: Any) -> None:
            self._counted[number] = read(families)

        about_all: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "accepting": self._accepting,
            "families": self._families,
            "running": self._running,
            "observed": self._observed,
        }
        return {"take": take, "leave": leave, "ready": ready, "last": last, **about_all}

    async def _accepting(self, given: None) -> bool:
        """Whether any worker would admit a session."""
        # A worker may end meanwhile.
        links = list(self._links.values())
        return self._places.free and any([await _asked(link, "accepting") for link in links])

    async def _families(self, given: None) -> Families:
        """The metrics of all workers, and those of the workers themselves."""

        async def count(number: int, link: Link) -> None:
            if (families := await _asked(link, "families")) is not None:
                self._counted[number] = read(families)

        async with trio.open_nursery() as nursery:
            for number, link in self._links.items():
                nursery.start_soon(count, number, link)
        return merged([*self._counted.values(), self._past, of_workers(len(self._links), self._lost)])

    async def _running(self, given: None) -> list[Seen]:
        """The sessions of all workers."""
        return [one for link in list(self._links.values()) for one in await _asked(link, "running") or []]

    async def _observed(self, id: str) -> Seen | None:
        """What the worker sees that has the session."""
        for link in list(self._links.values()):
            if (seen := await _asked(link, "observed", id)) is not None:
                return dict(seen)
        return None


async def _asked(link: Link, what: str, given: Any = None, within_s: float = ANSWER_S) -> Any:
    """A worker's answer; None if it does not answer in time."""
    with suppress(LinkLost), trio.move_on_after(within_s):
        return await link.ask(what, given)
    return None


async def serve(
    config: Config,
    endpoint: Endpoint,
    *,
    allow_tools: bool,
    variables: Mapping[str, str] | None = None,
    log: Log = to_stderr,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a pipeline in `serve.workers` processes, until a signal. The first SIGTERM or Ctrl-C drains, the second
    ends everything at once.

    Args:
        config: the pipeline.
        endpoint: where to listen.
        allow_tools: the file may import modules and start programs.
        variables: the values of `{{name}}` that every session has.
        log: called with each event.
        ready: called with the server's URL once the first worker listens.

    Raises:
        UsageError: the address is open to others and there is no token, or it cannot be listened on.
        WorkersError: no worker can begin.
        FlowkitError: the pipeline cannot work, or has no place for a variable.
    """
    options = config.top.serve
    checked(config, endpoint)
    endpoint.tls()
    SessionVariables(served(config)[0], variables or {})
    with ExitStack() as stack:
        bound = endpoint.reserve(stack)
        work = WorkerTask(
            config, endpoint, variables or {}, bound, secrets.token_bytes(32), known().values, allow_tools
        )
        parent = Parent(options.workers, Places(options.limits), partial(start_worker, work), log)
        async with open_signals() as signals:
            drain = trio.Event()
            signals.in_order = drain.set
            await parent.run(drain, options.drain / US_PER_S, lambda: ready(endpoint.url(bound[0].port)))
