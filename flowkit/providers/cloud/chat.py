"""A streaming chat model behind HTTP: what Groq and every OpenAI-compatible server have in common.

Groq's official async client makes the requests and runs natively under Trio; the stream's bytes are read here, since the
library takes a broken-off reply for a whole one (see ``completions``) and leaves suspended generators behind when a reply
is abandoned. Retries are flowkit's (``runtime.failover``): the library's own obey a ``retry-after`` of a minute in silence.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.history import remembered, size
from flowkit.messages import Ask, Message, Token
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.completions import Completion, Events
from flowkit.providers.cloud.faults import CloudError, Trouble, of_status, retry_after_us, too_long
from flowkit.providers.cloud.keys import cleaned, key_of
from flowkit.providers.cloud.line import certificate_fault, network_fault, refusal
from flowkit.providers.registry import ensure_installed

if TYPE_CHECKING:
    import httpx
    from groq import AsyncGroq

CONNECT_S = 5.0
_KEPT_S = 300.0
"""How long an idle connection is kept for the next turn; httpx lets go of it after 5 s."""
_LIMITS = ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests")
_SPARE_S = 1.0
_CLOSE_S = 0.5


class ChatOptions(opt.Options):
    """Options of every chat model."""

    model: str
    """The model's name, as the server knows it."""
    system: str = "You are a friendly assistant. Answer in one or two short sentences."
    """The system prompt."""
    max_tokens: int = Field(default=300, ge=1, le=32_768)
    """The longest reply, in tokens."""
    temperature: float = Field(default=0.6, ge=0.0, le=2.0)
    """0 always takes the likeliest token."""
    seed: int | None = None
    """Of the server's dice, where it knows such a thing."""
    remember: int = Field(default=20, ge=0, le=1000)
    """Past exchanges that the model is told of, at most."""
    context: int | None = Field(default=None, ge=256, le=10_000_000)
    """Tokens that prompt, past and reply may have together, if that is known: no more of the past is told than fits."""
    extra: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """More keys for the request's body, as the server documents them, such as {reasoning_effort: low}."""


class Chat(Provider):
    """Answers with the tokens of the model's reply. Subclasses say where the server is and how its key is called."""

    kind = "llm"
    requires = ("groq", "httpx")
    install = "pip install 'flowkit-voice[cloud]'"
    remote = True
    variable: ClassVar[str]
    """The environment's variable that holds the key."""
    path: ClassVar[str]
    """Behind the base URL: where completions are asked for."""
    models_path: ClassVar[str]
    """Behind the base URL: where the list of models is."""

    def __init__(self, options: Any, around: Surroundings) -> None:
        super().__init__(options, around)
        self.title = f"llm {self.name}"
        self.key = opt.Secret("")
        self._client: AsyncGroq | None = None
        self._nursery: trio.Nursery | None = None

    def needs_key(self) -> bool:
        """Whether the server is known to want a key; only to such a one is the environment's key given."""
        return True

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Import the client library and open a connection in the background. Raises ProviderMissing, and CloudError without a
        key."""
        ensure_installed(type(self))
        needed = self.needs_key()
        self.key = key_of(self.title, self.options.api_key, self.variable if needed else "", needed=needed)
        self._client = await trio.to_thread.run_sync(self._make_client)
        try:
            async with trio.open_nursery() as self._nursery:
                self._keep_spare()
                try:
                    yield
                finally:
                    self._nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._client.close()

    def _make_client(self) -> AsyncGroq:
        """In a thread: the library takes up to two seconds to import."""
        import httpx
        from groq import AsyncGroq

        around = self.around
        connect_s = CONNECT_S if around.connect_us is None else around.connect_us / US_PER_S
        limits = httpx.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=_KEPT_S)
        # Silence is judged by the call's own deadlines, which know what is useful; these are the last resort.
        timeout = httpx.Timeout(60.0, connect=connect_s)
        hooks = {"request": [_without_generator]}
        http = httpx.AsyncClient(limits=limits, timeout=timeout, follow_redirects=True, event_hooks=hooks)
        key = self.key.get_secret_value() or "none"
        return AsyncGroq(
            api_key=key, base_url=self.options.base_url.rstrip("/"), max_retries=0, timeout=timeout, http_client=http
        )

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request's JSON."""
        options = self.options
        messages = [{"role": "system", "content": options.system}] if options.system else []
        for exchange in remembered(ask.history, options.remember, self._room(ask)):
            pair = (("user", exchange.user), ("assistant", exchange.agent))
            messages += [{"role": role, "content": text} for role, text in pair if text]
        messages.append({"role": "user", "content": ask.text})
        if ask.said:
            messages.append({"role": "assistant", "content": ask.said})
        body: dict[str, Any] = {
            "messages": messages,
            "model": options.model,
            "max_completion_tokens": options.max_tokens,
            "stream": True,
            "temperature": options.temperature,
        }
        if options.seed is not None:
            body["seed"] = options.seed
        body.update(options.extra)
        return body

    def _room(self, ask: Ask) -> int | None:
        """Estimated tokens that are left for the past."""
        options = self.options
        if options.context is None:
            return None
        return int(options.context) - int(options.max_tokens) - size(options.system, ask.text, ask.said)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Ask):
            raise ProviderError(f"{self.title}: cannot answer {type(request).__name__}")
        try:
            await self._answer(request, emit)
        except CloudError as error:
            raise cleaned(error, self.title, self.key) from error.__cause__
        except trio.Cancelled:
            self._keep_spare()
            raise

    async def _answer(self, ask: Ask, emit: Emit) -> None:
        completion, events, index = Completion(), Events(), 0
        response = await self._open(ask)
        stream = response.aiter_bytes()
        try:
            while not completion.done and (data := await _next(stream)):
                for event, payload in events.feed(data):
                    if text := completion.take(event, payload):
                        await emit(Token(index, text))
                        index += 1
        finally:
            await _let_go(response, stream)
        self._tell("usage", " ".join(f"{k}={v}" for k, v in completion.usage.items() if isinstance(v, (int, float))))
        completion.check()

    async def _open(self, ask: Ask) -> httpx.Response:
        """Ask; returns when the headers are there."""
        assert self._client is not None, "call() comes after ready()"
        import groq
        import httpx

        try:
            raw: Any = await self._client.post(
                self.path, body=self.body(ask), cast_to=httpx.Response, stream=True, stream_cls=groq.AsyncStream
            )
        except groq.APIStatusError as exc:
            raise status_fault(exc.response) from exc
        except groq.APIError as exc:
            raise http_fault(exc) from exc
        self._tell("rate_limits", " ".join(f"{k}={raw.headers[k]}" for k in _LIMITS if k in raw.headers))
        if "html" in raw.headers.get("content-type", ""):
            await _let_go(raw)
            raise of_status(raw.status_code, "an HTML page instead of a stream of JSON")
        response: httpx.Response = raw
        return response

    async def probe(self) -> str:
        """Ask for the list of models: says whether the key works. Raises ProviderError. Usable inside ``ready()`` only."""
        import groq

        assert self._client is not None, "probe() comes after ready()"
        try:
            models = await self._client.get(self.models_path, cast_to=object)
        except groq.APIStatusError as exc:
            raise cleaned(status_fault(exc.response), self.title, self.key) from exc
        except groq.APIError as exc:
            raise cleaned(http_fault(exc), self.title, self.key) from exc
        listed = models.get("data") if isinstance(models, dict) else None
        names = [entry.get("id") for entry in listed or [] if isinstance(entry, dict)]
        if names and self.options.model not in names:
            raise ProviderError(f"{self.title}: the key works, but there is no model {self.options.model!r}")
        return f"{self.title}: the key works, model {self.options.model}"

    # -- a warm spare -----------------------------------------------------------------------------------------------

    def _keep_spare(self) -> None:
        """Open a connection in the background: the first turn finds it, and a cancelled stream costs the one it had."""
        if self._nursery is not None and not self._nursery.cancel_scope.cancel_called:
            self._nursery.start_soon(self._warm)

    async def _warm(self) -> None:
        import groq

        assert self._client is not None
        # Shielded: httpcore forgets to close a socket whose TLS handshake is cancelled.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _SPARE_S):
            try:
                await self._client.get(self.models_path, cast_to=object)
            except (groq.APIError, ValueError) as exc:
                # The next call will meet the same and say it; the trace may know beforehand.
                self._tell("spare", f"no spare connection: {type(exc).__name__}")

    def _tell(self, name: str, detail: str) -> None:
        if detail:
            self.around.event(self.around.now_us(), name, f"{self.title}: {detail}")


class _Body:
    """A request's body as a plain iterator. httpx makes it a generator, which a call that is cancelled while it sends would
    leave behind, suspended."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content

    async def aclose(self) -> None:
        """Nothing is held."""


@cache
def _body_stream() -> type[Any]:
    import httpx

    return type("BodyStream", (_Body, httpx.AsyncByteStream), {})


async def _without_generator(request: httpx.Request) -> None:
    request.stream = _body_stream()(await request.aread())


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    """The stream's next bytes; none at its end."""
    import httpx

    try:
        return await anext(stream, b"")
    except httpx.HTTPError as exc:
        raise http_fault(exc) from exc


async def _let_go(response: httpx.Response, stream: AsyncIterator[bytes] | None = None) -> None:
    """Close the response: a whole one goes back to the pool, an abandoned one is dropped. Nested generators that nobody runs to
    their end are a ResourceWarning later, so the stream is run on in a scope that is cancelled already: it unwinds at once."""
    with trio.CancelScope(shield=True) as scope:
        scope.cancel()
        try:
            while stream is not None and await _next(stream):
                pass
        except Exception:  # whatever it was, the call has its own error by now
            stream = None
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
        await response.aclose()


def status_fault(response: httpx.Response) -> CloudError:
    """The fault behind an error status; the library has read the body."""
    try:
        body = response.content
    except Exception:  # a body that was never read cannot be quoted
        body = b""
    headers = {name.lower(): value for name, value in response.headers.items()}
    error = of_status(response.status_code, refusal(body, headers), headers)
    if error.trouble is Trouble.REQUEST and too_long(body.decode(errors="replace")):
        error.trouble = Trouble.LENGTH  # some say so in a code or type only
    return _with_reset(error, headers)


def _with_reset(error: CloudError, headers: Mapping[str, str]) -> CloudError:
    """Where a limit was met without `retry-after`, the rate-limit headers may say when it is lifted."""
    if error.trouble is Trouble.LIMIT and error.retry_after_us is None:
        resets = [retry_after_us(headers.get(f"x-ratelimit-reset-{what}", "")) for what in ("requests", "tokens")]
        remaining = [headers.get(f"x-ratelimit-remaining-{what}") for what in ("requests", "tokens")]
        spent = [reset for reset, left in zip(resets, remaining, strict=True) if left == "0" and reset is not None]
        error.retry_after_us = max(spent, default=None)
    return error


def http_fault(exc: BaseException) -> CloudError:
    """What the transport's error means."""
    import httpx

    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate_fault(cause)
        if isinstance(cause, httpx.TimeoutException):
            return CloudError(Trouble.TIMEOUT, f"nothing came in time ({type(cause).__name__})")
        if isinstance(cause, (httpx.RemoteProtocolError, httpx.DecodingError, httpx.ReadError, httpx.WriteError)):
            return CloudError(Trouble.NETWORK, f"the connection broke{': ' if str(cause) else ''}{cause}")
        cause = cause.__cause__ or cause.__context__
    return network_fault(exc)
