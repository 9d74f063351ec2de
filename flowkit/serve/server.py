"""The server: one port with one host behind it. It answers each request, and drains at a signal."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import trio
from prometheus_client import CONTENT_TYPE_LATEST

from flowkit.clock import US_PER_S, chance
from flowkit.config import Config
from flowkit.config.schema import TraceOptions
from flowkit.config.serve import Serve, masked
from flowkit.errors import UsageError
from flowkit.plan.graph import Plan
from flowkit.runtime.host import Host, open_host
from flowkit.runtime.session import alone
from flowkit.runtime.signals import open_signals
from flowkit.serve import page
from flowkit.serve.auth import LONGEST_S, NOBODY, SECRET_S, SHORTEST_S, Caller, Doorkeeper, is_local
from flowkit.serve.connection import ClientConnection, ClientProtocol, Shop
from flowkit.serve.families import text_of
from flowkit.serve.http import BadRequest, HttpAnswer, HttpExchange, HttpRequest, json_bytes, refusal
from flowkit.serve.inside import Inside
from flowkit.serve.listening import Endpoint
from flowkit.serve.log import Log, to_stderr
from flowkit.serve.metrics import Metrics
from flowkit.serve.observe import RunningSessions
from flowkit.serve.pipeline import served
from flowkit.serve.places import Alone, Coordinator, PlaceAnswer
from flowkit.serve.proxies import HEADER, Proxies
from flowkit.serve.realtime.protocol import Protocol
from flowkit.serve.socket import Socket
from flowkit.serve.twilio.protocol import PhoneCall
from flowkit.serve.twilio.webhook import STREAM, VOICE, Switchboard
from flowkit.serve.variables import SessionVariables, without_variables
from flowkit.trace.retention import fresh_path

REALTIME, SECRETS = "/v1/realtime", "/v1/realtime/client_secrets"
PAGE, OBSERVE = "/page/", "/v1/flowkit/observe"
MOST_CONNECTIONS = 2_000
"""Connections at the same time, with or without a session. More are closed at once."""
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, ssl.SSLError, OSError)
_AGAIN = "5"
"""After how many seconds a client that was refused may try again."""
Traces = Callable[[], Path | None]
"""Called for each session: where it is recorded, if it is."""


def nowhere() -> None:
    """No session is recorded."""


class RealtimeServer:
    """Answers the connections of a port.

    Args:
        host: runs the sessions of `plan`.
        options: the file's `serve:` block.
        address: the address that the port is bound to.
        tls: serve TLS with this context.
        traces: says where each session is recorded.
        log: called with each event.
        coordinator: covers the other processes of the server too.
        variables: the values of `{{name}}`; by default the pipeline needs none.
        key: signs client secrets if there are no tokens, so that other processes accept them.
        recordings: where the file says that sessions are recorded, for those who look inside.
    """

    def __init__(
        self,
        host: Host,
        plan: Plan,
        options: Serve,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        traces: Traces = nowhere,
        log: Log = to_stderr,
        coordinator: Coordinator | None = None,
        variables: SessionVariables | None = None,
        key: bytes = b"",
        recordings: TraceOptions | None = None,
    ) -> None:
        self.host = host
        self.options = options
        self.metrics = Metrics(lambda: host.gauges, options.limits.sessions)
        self._proxies = Proxies(options.proxies)
        self._doorkeeper = Doorkeeper(options, address, key)
        self._switchboard = None if options.twilio is None else Switchboard(options.twilio, secure=tls is not None)
        self._shop = Shop(host, plan, options, self.metrics, log)
        self._log = log
        self._tls = tls
        self._traces = traces
        self._variables = variables
        self._connections = 0
        self._coordinator = coordinator or Alone(options.limits)
        self._inside = Inside(self._doorkeeper, self._shop, self._coordinator, recordings or TraceOptions())

    @property
    def running(self) -> RunningSessions:
        """The sessions that run in this process."""
        return self._shop.running

    async def run(self, listeners: list[trio.SocketListener], drain: trio.Event, started: Callable[[], None]) -> None:
        """Answer connections until `drain` is set; then drain. `started` is called once that begins."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.serve_listeners, self.connection, listeners, handler_nursery=nursery))
            started()
            await drain.wait()
            await self.drained()
            nursery.cancel_scope.cancel()

    async def drained(self) -> None:
        """Take no session any more, and wait until those that run have ended. Replies go on to their end, within `drain`."""
        self._log("draining", sessions=self.host.gauges.sessions)
        self._shop.draining.set()
        await self.host.drain(within_us=self.options.drain)
        self._log("drained")

    # -- connections --------------------------------------------------------------------------------------------------

    async def connection(self, stream: trio.SocketStream) -> None:
        """Answer one connection of the port."""
        await self.answer(stream, str(stream.socket.getpeername()[0]))

    async def answer(self, stream: trio.abc.Stream, peer: str) -> None:
        """Answer one connection, of a client at address `peer`. Whatever happens to it, the others do not notice."""
        if self._connections >= MOST_CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        try:
            await self._serve(stream, peer)
        except _GONE:
            pass
        except Exception as error:
            self._failed(error)
        except BaseExceptionGroup as group:
            if (others := group.split(_GONE)[1]) is not None:
                if not isinstance(others, Exception):
                    raise
                self._failed(others)
        finally:
            self._connections -= 1
            await trio.aclose_forcefully(stream)

    def _failed(self, error: Exception) -> None:
        first = alone(error)
        self._log("connection failed", error=f"{type(first).__name__}: {first}")

    async def _serve(self, stream: trio.abc.Stream, peer: str) -> None:
        """HttpAnswer the requests of one connection."""
        limit_s = self.options.limits.handshake / US_PER_S
        if self._tls is not None:
            stream = secured = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
            with trio.fail_after(limit_s):
                await secured.do_handshake()
        http = HttpExchange(stream)
        while True:
            request: HttpRequest | None = None
            with trio.move_on_after(limit_s) as limit:
                try:
                    if (request := await http.request()) is None:
                        return
                    answer = self._refusal(request)
                except BadRequest as error:
                    answer = error.answer
            if limit.cancelled_caught:
                answer = refusal(408, "The request did not come in time.", "request_timeout")
            if request is not None and request.upgrades and request.path in (REALTIME, STREAM):
                answer = answer or await self._upgrade(http, request, peer)
                if answer is None:
                    return
                self.metrics.refused.labels(answer.code).inc()
            if answer is None and request is not None and request.upgrades and request.path == OBSERVE:
                answer = await self._inside.observe(http, request)
                if answer is None:
                    return
            if answer is None and request is not None:
                answer = await self._answer(request)
            assert answer is not None
            self.metrics.requests.labels(str(answer.status)).inc()
            if not await http.answer(answer):
                return

    # -- requests -----------------------------------------------------------------------------------------------------

    def _refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """Why a request is refused whatever it asks for."""
        # Twilio calls the server by its public name. What it may do is in its signature.
        of_a_call = self._switchboard is not None and request.path in (VOICE, STREAM)
        return None if of_a_call else self._doorkeeper.stranger(request)

    async def _answer(self, request: HttpRequest) -> HttpAnswer:
        method, handler = _ROUTES.get(request.path, ("", None))
        if handler is None:
            return refusal(404, f"There is nothing at {request.path[:80]!r}.", "not_found")
        if request.method != method:
            return refusal(405, f"{request.path} takes {method}.", "method_not_allowed", allow=method)
        return await handler(self, request)

    async def _healthy(self, request: HttpRequest) -> HttpAnswer:
        """The process answers."""
        return HttpAnswer(200, b"ok\n", "text/plain")

    async def _ready(self, request: HttpRequest) -> HttpAnswer:
        """Whether a session would be admitted now. For load balancers."""
        ready = await self._coordinator.accepting(self.host.accepting)
        return HttpAnswer(200 if ready else 503, b"ready\n" if ready else b"not ready\n", "text/plain")

    async def _metrics(self, request: HttpRequest) -> HttpAnswer:
        caller = self._with_token(request)
        if isinstance(caller, HttpAnswer):
            return caller
        families = await self._coordinator.families(self.metrics.families())
        return HttpAnswer(200, text_of(families), CONTENT_TYPE_LATEST)

    def _with_token(self, request: HttpRequest) -> Caller | HttpAnswer:
        """The caller, who must have a token and not only a client secret."""
        caller = self._doorkeeper.caller(request)
        if isinstance(caller, Caller) and not caller.token:
            return refusal(403, "This needs a token; a client secret opens sessions only.", "token_needed")
        return caller

    async def _new_secret(self, request: HttpRequest) -> HttpAnswer:
        """A client secret for a browser."""
        caller = self._with_token(request)
        if isinstance(caller, HttpAnswer):
            return caller
        try:
            asked = json.loads(request.body or b"{}")
            session, seconds = asked.get("session", {}), asked.get("expires_after", {}).get("seconds", SECRET_S)
            observes = asked.get("observe", False)
        except (ValueError, AttributeError, RecursionError):
            return refusal(400, "The body is not a JSON object with session and expires_after.", "invalid_json")
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not SHORTEST_S <= seconds <= LONGEST_S:
            what = f"expires_after.seconds must be {SHORTEST_S} to {LONGEST_S}."
            return refusal(400, what, "invalid_value")
        if not isinstance(session, dict) or session.get("type", "realtime") != "realtime":
            return refusal(400, "session must be an object of type 'realtime'.", "invalid_value")
        if not isinstance(observes, bool):
            return refusal(400, "observe must be true or false.", "invalid_value")
        value, expires_at = self._doorkeeper.secret(session, seconds, observes=observes)
        known = {**session, "type": "realtime", "object": "realtime.session", "id": f"sess_{value[-16:]}"}
        return HttpAnswer(200, json_bytes({"value": value, "expires_at": expires_at, "session": known}))

    async def _websocket(self, request: HttpRequest) -> HttpAnswer:
        return refusal(426, f"{request.path} is a WebSocket.", "upgrade_required", upgrade="websocket")

    async def _voice(self, request: HttpRequest) -> HttpAnswer:
        """TwiML for a call."""
        if self._switchboard is None:
            return refusal(404, _NO_TWILIO, "not_found")
        accepting = await self._coordinator.accepting(self.host.accepting)
        return self._switchboard.voice(request, accepting=accepting)

    async def _page(self, request: HttpRequest) -> HttpAnswer:
        return page.index(self._shop.plan.name, token=not self._doorkeeper.open)

    async def _asset(self, request: HttpRequest) -> HttpAnswer:
        return page.asset(request.path.removeprefix(PAGE))

    async def _sessions(self, request: HttpRequest) -> HttpAnswer:
        return await self._inside.sessions(request)

    async def _report(self, request: HttpRequest) -> HttpAnswer:
        return await self._inside.report(request)

    # -- sessions -----------------------------------------------------------------------------------------------------

    async def _upgrade(self, http: HttpExchange, request: HttpRequest, peer: str) -> HttpAnswer | None:
        """Begin a session; returns why not, or None once it is over."""
        id, limits = f"sess_{uuid4().hex[:12]}", self.options.limits
        # All calls come from Twilio's few addresses, so for them that limit says nothing.
        forwarded = request.headers.get(HEADER, "")
        peer = id if request.path == STREAM else self._proxies.client(peer, forwarded)
        caller = NOBODY if request.path == STREAM else self._doorkeeper.caller(request)
        if isinstance(caller, HttpAnswer):
            return caller
        protocol = self._protocol(request, caller, id)
        if isinstance(protocol, HttpAnswer):
            return protocol
        verdict = await self._coordinator.take(peer) if self.host.accepting else PlaceAnswer.FULL
        if verdict is PlaceAnswer.FULL:
            return refusal(
                503, "This server takes no other session now.", "server_busy", "server_error", retry_after=_AGAIN
            )
        if verdict is PlaceAnswer.PEER_FULL:
            what = f"This address has {limits.per_peer} sessions, as many as it may (serve.limits.per_peer)."
            return refusal(429, what, "too_many_sessions", retry_after=_AGAIN)
        try:
            socket = Socket(http.stream, most=limits.message, unsent=limits.unsent)
            if await socket.accept(request, http.trailing):
                await ClientConnection(self._shop, socket, id, protocol, self._traces()).run()
        finally:
            self._coordinator.leave(peer)
        return None

    def _protocol(self, request: HttpRequest, caller: Caller, id: str) -> ClientProtocol | HttpAnswer:
        """What a client at this address speaks, or why it is refused."""
        plan, options, switchboard = self._shop.plan, self.options, self._switchboard
        if request.path == STREAM:
            if switchboard is None or options.twilio is None:
                return refusal(404, _NO_TWILIO, "not_found")
            signed = switchboard.signed(request)
            given = {} if self._variables is None else {"values": self._variables.with_those}
            return PhoneCall(plan, options, lambda call, ticket: signed or switchboard.admits(call, ticket), **given)
        for name, value in request.query.items():
            if name in _UNSUPPORTED:
                return refusal(400, f"{name}={value[:80]} is not supported by this server.", "unsupported")
        values = self._variables.of(request, caller) if self._variables else {}
        if isinstance(values, HttpAnswer):
            return values
        return Protocol(plan, options, id, without_variables(caller.session), values)


_NO_TWILIO = "This server takes no calls: its file has no serve.twilio."
_UNSUPPORTED = frozenset({"intent", "call_id"})
"""Parts of the address of a WebSocket that ask for something other than a conversation."""
_ROUTES: dict[str, tuple[str, Callable[[Any, HttpRequest], Awaitable[HttpAnswer]]]] = {
    "/healthz": ("GET", RealtimeServer._healthy),
    "/readyz": ("GET", RealtimeServer._ready),
    "/metrics": ("GET", RealtimeServer._metrics),
    SECRETS: ("POST", RealtimeServer._new_secret),
    "/": ("GET", RealtimeServer._page),
    **{f"{PAGE}{name}": ("GET", RealtimeServer._asset) for name in page.ASSETS},
    "/v1/flowkit/sessions": ("GET", RealtimeServer._sessions),
    "/v1/flowkit/report": ("POST", RealtimeServer._report),
    OBSERVE: ("GET", RealtimeServer._websocket),
    REALTIME: ("GET", RealtimeServer._websocket),
    STREAM: ("GET", RealtimeServer._websocket),
    VOICE: ("POST", RealtimeServer._voice),
}


def sampled(config: Config) -> Traces:
    """Where each session is recorded: a share of them, under names of their own."""

    def next_trace() -> Path | None:
        return fresh_path(config.top.trace, config.name) if chance() < config.top.serve.trace.sample else None

    return next_trace


def checked(config: Config, endpoint: Endpoint) -> None:
    """Raises UsageError if others can reach the address and no token is declared, or one is masked."""
    twilio = config.top.serve.twilio
    if any(map(masked, (*config.top.serve.tokens, *([] if twilio is None else [twilio.auth_token])))):
        raise UsageError("a token of the pipeline is masked: this is the configuration of a trace")
    if not is_local(endpoint.host) and not config.top.serve.tokens:
        raise UsageError(
            f"others can reach {endpoint.host}, and the pipeline has no token for them",
            hint="add serve: {tokens: ['${TOKEN}']} to the file, or listen on 127.0.0.1",
        )


@asynccontextmanager
async def open_server(
    config: Config, endpoint: Endpoint, variables: Mapping[str, str], *, notice: Callable[[str], None], **options: Any
) -> AsyncIterator[RealtimeServer]:
    """A server of a pipeline, with everything loaded. Every session has `variables`. The other options are those of
    ``RealtimeServer``.

    Raises:
        UsageError: the certificate cannot be read, or the pipeline has no place for a variable.
        FlowkitError: the pipeline cannot work, or a model cannot be loaded.
    """
    limits, tls = config.top.serve.limits, endpoint.tls()
    config, plan = served(config)
    known: dict[str, Any] = {
        "traces": sampled(config),
        "recordings": config.top.trace,
        "variables": SessionVariables(config, variables),
    }
    async with open_host(config, max_sessions=limits.sessions, max_lag_us=limits.lag, notice=notice) as host:
        yield RealtimeServer(host, plan, config.top.serve, endpoint.host, tls=tls, **known, **options)


async def serve(
    config: Config,
    endpoint: Endpoint,
    *,
    log: Log = to_stderr,
    variables: Mapping[str, str] | None = None,
    notice: Callable[[str], None],
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a pipeline in this process, until a signal. The first SIGTERM or Ctrl-C drains, the second ends everything at once.

    Args:
        config: the pipeline.
        endpoint: where to listen.
        log: called with each event.
        variables: the values of `{{name}}` that every session has.
        notice: called with lines for people while the models are loaded.
        ready: called with the server's URL once it listens.

    Raises:
        UsageError: the address is open to others and there is no token, it cannot be listened on, or the pipeline has no
            place for a variable.
        FlowkitError: as ``open_server``.
    """
    checked(config, endpoint)
    async with (
        open_signals() as signals,
        open_server(config, endpoint, variables or {}, log=log, notice=notice) as server,
    ):
        listeners = await endpoint.listeners()
        drain = trio.Event()
        signals.in_order = drain.set
        url = endpoint.url(listeners[0].socket.getsockname()[1])
        await server.run(listeners, drain, lambda: ready(url))
