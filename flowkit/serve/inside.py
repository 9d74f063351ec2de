"""What those see who may look inside: the sessions that run, those that were recorded, and a report of each.

``flowkit report`` makes the report in a process of its own, because the sessions that run must not wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl

import trio

from flowkit.clock import US_PER_S, ms
from flowkit.config.schema import TraceOptions
from flowkit.printable import one_line
from flowkit.serve.auth import Doorkeeper
from flowkit.serve.connection import Shop
from flowkit.serve.http import HttpAnswer, HttpExchange, HttpRequest, json_bytes, refusal
from flowkit.serve.observe import Seen, show
from flowkit.serve.places import Coordinator
from flowkit.serve.socket import Socket
from flowkit.trace.opening import opening
from flowkit.trace.retention import recorded

MOST_LISTED = 50
_MOST_WORDS = 80
"""Characters of what was said first."""
_REPORT_S = 120
_SANDBOX = (("content-security-policy", "sandbox allow-scripts allow-downloads"),)
"""A report runs as no page of this server, so that nothing in it can reach what the page knows."""


class Inside:
    """Answers those who may look inside.

    Args:
        doorkeeper: says who may.
        shop: has the sessions that run.
        coordinator: knows those of the other processes.
        traces: where and how sessions are recorded.
    """

    def __init__(self, doorkeeper: Doorkeeper, shop: Shop, coordinator: Coordinator, traces: TraceOptions) -> None:
        self._doorkeeper = doorkeeper
        self._shop = shop
        self._coordinator = coordinator
        self._traces = traces
        self._one_at_a_time = trio.CapacityLimiter(1)

    def refuses(self, request: HttpRequest) -> HttpAnswer | None:
        """Why the caller may not look inside; None if it may."""
        caller = self._doorkeeper.caller(request)
        if isinstance(caller, HttpAnswer):
            return caller
        if not caller.observes:
            what = "This needs a token, or a client secret that was made with observe: true."
            return refusal(403, what, "observing_not_allowed")
        return None

    async def observe(self, http: HttpExchange, request: HttpRequest) -> HttpAnswer | None:
        """Show a session; returns why not, or None once it is over or the client has left."""
        if (refused := self.refuses(request)) is not None:
            return refused
        id = request.query.get("session", "")
        if await self._observed(id) is None:
            return refusal(404, f"No session {id[:80]!r} runs.", "not_found")
        limits = self._shop.options.limits
        socket = Socket(http.stream, most=limits.message, unsent=limits.unsent)
        if await socket.accept(request, http.trailing):
            self._shop.log("session observed", session=id)
            await socket.run(partial(show, socket, partial(self._observed, id)))
        return None

    async def _observed(self, id: str) -> Seen | None:
        return await self._coordinator.observed(id, self._shop.running.observed(id))

    async def sessions(self, request: HttpRequest) -> HttpAnswer:
        """The sessions that run, and the recordings of those that have ended, the newest first."""
        if (refused := self.refuses(request)) is not None:
            return refused
        running = await self._coordinator.running(self._shop.running.described())
        busy = {session["recording"] for session in running}
        over = await trio.to_thread.run_sync(_listed, self._traces, self._shop.plan.name, busy)
        return HttpAnswer(200, json_bytes({"running": running, "recorded": over}))

    async def report(self, request: HttpRequest) -> HttpAnswer:
        """The report of a recording, as a page. A form may hold the client secret, because a browser sends no header with it."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if secret := form.get("secret"):
            request = replace(request, headers={**request.headers, "authorization": f"Bearer {secret}"})
        if (refused := self.refuses(request)) is not None:
            return refused
        name = form.get("recording", "")
        # Looked up in the list, so that no name leads to another file.
        stored = await trio.to_thread.run_sync(recorded, self._traces, self._shop.plan.name, sys.maxsize)
        path = next((one.path for one in stored if one.path.name == name), None)
        if path is None:
            return refusal(404, f"There is no recording {name[:80]!r} of this pipeline.", "not_found")
        async with self._one_at_a_time:
            return await _reported(path)


def _listed(traces: TraceOptions, name: str, busy: Collection[str]) -> list[dict[str, Any]]:
    """The recordings that are not `busy`, with what a caller may know them by."""
    told: list[dict[str, Any]] = []
    for one in recorded(traces, name, MOST_LISTED):
        if one.path.name not in busy:
            found = opening(one.path)
            words, turns = (None, None) if found is None else (one_line(found.words)[:_MOST_WORDS], found.turns)
            times = {"began": one.began_us // US_PER_S, "lasted_ms": ms(one.length_us)}
            told.append({"recording": one.path.name, **times, "words": words, "turns": turns})
    return told


async def _reported(trace: Path) -> HttpAnswer:
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        command = [sys.executable, "-m", "flowkit", "report", str(trace.absolute()), "-o", str(page)]
        with trio.move_on_after(_REPORT_S):
            done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
            if not done.returncode:
                text = await trio.to_thread.run_sync(page.read_bytes)
                return HttpAnswer(200, text, "text/html; charset=utf-8", _SANDBOX)
            why = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            return refusal(500, f"flowkit report failed: {why}", "report_failed", "server_error")
    return refusal(503, f"The report took longer than {_REPORT_S} s.", "report_failed", "server_error")
