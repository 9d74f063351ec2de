"""Base class for chat models behind HTTP with a streamed reply: Groq and all OpenAI-compatible servers.

The bytes of the stream are read here, not by the client library. The library takes a reply that broke off for a
complete one (see ``completions``), and leaves suspended generators behind when a reply is abandoned. Retries are also
flowkit's own (``runtime.failover``), because the library would wait silently for a ``retry-after`` of a minute.
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.history import remembered, size
from flowkit.messages import Ask, Message, ReplyStep, Token
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.client import Client, http_fault, let_go
from flowkit.providers.cloud.completions import Completion, Events
from flowkit.providers.cloud.faults import CloudError, of_status
from flowkit.providers.cloud.keys import cleaned, key_of
from flowkit.tools import ToolSpec, arguments_of, content_of, plain_name, tools_of

if TYPE_CHECKING:
    import httpx

CONNECT_S = 5.0
_NO_LIST = (404, 405, 501)
"""HTTP statuses of a server that has no list of models."""
_LIMITS = ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests")
_OPEN, _CLOSE = "<think>", "</think>"
_SPARE_S = 1.0


class ChatOptions(opt.Options):
    """Options that all chat models share."""

    model: str
    """The model's name, as the server knows it."""
    system: str = "You are a friendly assistant. Answer in one or two short sentences."
    """The system prompt."""
    max_tokens: int = Field(default=300, ge=1, le=32_768)
    """The longest reply, in tokens."""
    temperature: float = Field(default=0.6, ge=0.0, le=2.0)
    """0 always takes the likeliest token."""
    seed: int | None = None
    """Seed of the server's random numbers, if it supports one."""
    remember: int = Field(default=20, ge=0, le=1000)
    """The most past exchanges that the request contains."""
    context: int | None = Field(default=None, ge=256, le=10_000_000)
    """The model's context size in tokens, for prompt, history and reply together. If it is given, the history is
    shortened to fit."""
    extra: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """More keys for the body of the request, as the server documents them, such as {reasoning_effort: low}."""


class Chat(Provider):
    """Answers an ``Ask`` with the tokens of the model's reply. A subclass sets `name`, `variable` and the paths."""

    kind = "llm"
    requires = ("groq", "httpx")
    install = "pip install 'flowkit-voice[cloud]'"
    licences: ClassVar[tuple[tuple[str, str], ...]] = (("groq", "Apache-2.0"), ("httpx", "BSD-3-Clause"))
    remote = True
    path: ClassVar[str]
    """Path of the chat completions, relative to the base URL."""
    models_path: ClassVar[str]
    """Path of the list of models, relative to the base URL."""
    opens_reasoning: bool = False
    """Whether the server's chat template opens the reasoning, so that only its end mark arrives."""

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.title = f"llm {self.name}"
        connect_us = around.connect_us
        self._connect_s = CONNECT_S if connect_us is None else connect_us / US_PER_S
        self._nursery: trio.Nursery | None = None
        self._noticed = False

    @classmethod
    def needs_key(cls, options: Any) -> bool:
        """Whether the server is known to need an API key. The key from the environment is sent only to such a
        server."""
        return True

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises CloudError without a key."""
        cls._key(options)

    @classmethod
    def _key(cls, options: Any) -> opt.Secret:
        needed = cls.needs_key(options)
        return key_of(f"llm {cls.name}", options.api_key, cls.variable if needed else "", needed=needed)

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Client]:
        """Import the client library and open a pool of connections. Raises CloudError without a key."""
        key = cls._key(options)
        client = await trio.to_thread.run_sync(Client, key, options.base_url)
        async with client.closing():
            yield client

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open a connection in the background."""
        async with trio.open_nursery() as self._nursery:
            self._keep_spare()
            try:
                yield
            finally:
                self._nursery.cancel_scope.cancel()

    def learn(self, models: list[dict[str, Any]]) -> None:
        """The server has listed its models: find out what it can do."""

    def body(self, ask: Ask) -> dict[str, Any]:
        """The body of the request, to be sent as JSON."""
        options = self.options
        messages = _said("system", ask.instructions or options.system)
        for exchange in remembered(ask.history, options.remember, self._room(ask)):
            messages += _said("user", exchange.user)
            messages += (message for step in exchange.steps for message in _step(step))
            messages += _said("assistant", exchange.agent)
        messages += _said("user", ask.text)
        messages += (message for step in ask.steps for message in _step(step))
        messages += _said("assistant", ask.said)
        body: dict[str, Any] = {
            "messages": messages,
            "model": options.model,
            "max_completion_tokens": options.max_tokens,
            "stream": True,
            "temperature": options.temperature,
        }
        if options.seed is not None:
            body["seed"] = options.seed
        if tools := [_tool(spec) for spec in (*self.around.tools, *tools_of(ask.offered))]:
            body["tools"] = tools
            if not ask.tools:
                body["tool_choice"] = "none"
        # Last, so that the user can replace any key.
        body.update(options.extra)
        return body

    def _room(self, ask: Ask) -> int | None:
        """Estimated number of tokens left for the history; None without a limit."""
        options = self.options
        if options.context is None:
            return None
        return (
            int(options.context)
            - int(options.max_tokens)
            - size(ask.instructions or options.system, ask.text, ask.said)
        )

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Ask):
            raise ProviderError(f"{self.title}: cannot answer {type(request).__name__}")
        try:
            await self._answer(request, emit)
        except CloudError as error:
            raise cleaned(error, self.title, self._client.key) from error.__cause__
        except trio.Cancelled:
            self._keep_spare()
            raise

    async def _answer(self, ask: Ask, emit: Emit) -> None:
        completion, events, index, said = Completion(), Events(), 0, ""
        opened = self.opens_reasoning and not ask.said
        response = await self._open(ask)
        stream = response.aiter_bytes()
        try:
            while not completion.done and (data := await _next(stream)):
                for event, payload in events.feed(data):
                    if not (text := completion.take(event, payload)):
                        continue
                    if opened and text.strip():
                        opened = False
                        # A server that sends reasoning separately, or its start mark after all, needs no mark here.
                        if not completion.reasoned and not text.lstrip().startswith("<"):
                            await emit(Token(index, _OPEN))
                            index += 1
                    await emit(Token(index, text))
                    index += 1
                    said = self._look_for_reasoning(said, text)
        finally:
            await let_go(response, stream)
        self._tell("usage", " ".join(f"{k}={v}" for k, v in completion.usage.items() if isinstance(v, (int, float))))
        completion.check()
        # Only after the check: the arguments of a reply that broke off must not be used.
        for call in completion.tool_calls():
            await emit(call)

    def _look_for_reasoning(self, said: str, text: str) -> str:
        """Report the end of reasoning that never began. Returns the end of what was `said`, for the next call."""
        said += text
        if _OPEN in said or self.opens_reasoning or self._noticed:
            # Passed in again at the next call, this ends the search for the rest of the reply.
            return _OPEN
        if _CLOSE in said:
            self._noticed = True
            self.around.notice(
                f"{self.title}: reasoning was spoken: a reply has {_CLOSE} without {_OPEN}, which the server's chat template"
                " must have written. Let the server send reasoning separately, or set `opens_reasoning: true`"
            )
        # The mark may be split between two tokens.
        return said[-len(_CLOSE) :]

    async def _open(self, ask: Ask) -> httpx.Response:
        """Send the request. Returns when the headers of the response have come."""
        response = await self._client.post(self.path, self.body(ask), self._connect_s)
        self._tell("rate_limits", " ".join(f"{k}={response.headers[k]}" for k in _LIMITS if k in response.headers))
        if "html" in response.headers.get("content-type", ""):
            await let_go(response)
            raise of_status(response.status_code, "an HTML page instead of a stream of JSON")
        return response

    async def probe(self) -> str:
        """Request the list of models, to see whether the server answers, the key works and the model exists.

        Raises ProviderError.
        """
        try:
            models = await self._models()
        except CloudError as error:
            if error.status in _NO_LIST:
                return f"the server answers, but has no list of models; {self.options.model} was not looked for"
            raise cleaned(error, self.title, self._client.key) from error.__cause__
        names = [model.get("id") for model in models]
        # An empty list proves nothing about the model.
        if names and self.options.model not in names:
            near = difflib.get_close_matches(self.options.model, map(str, names), n=1)
            raise ProviderError(
                f"{self.title}: the server answers, but has no model {self.options.model!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(str, names[:5]))}",
            )
        return f"the server answers, model {self.options.model}"

    async def _models(self) -> list[dict[str, Any]]:
        body = await self._client.get(self.models_path, self._connect_s)
        listed = body.get("data") if isinstance(body, dict) else None
        models = [model for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []
        self.learn(models)
        return models

    # -- a spare connection -----------------------------------------------------------------------------------------

    def _keep_spare(self) -> None:
        """Open a connection in the background, for the first turn, and again after a cancelled stream, which closes its
        own."""
        if self._nursery is not None and not self._nursery.cancel_scope.cancel_called:
            self._nursery.start_soon(self._warm)

    async def _warm(self) -> None:
        # Shielded: httpcore does not close a socket whose TLS handshake is cancelled.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _SPARE_S):
            try:
                await self._models()
            except CloudError as exc:
                # Only recorded: the next call raises the same error.
                self._tell("spare", f"no spare connection: {exc.trouble}")

    @property
    def _client(self) -> Client:
        client: Client = self.model
        return client

    def _tell(self, name: str, detail: str) -> None:
        if detail:
            self.around.event(self.around.now_us(), name, f"{self.title}: {detail}")


def _said(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": text}] if text else []


def _step(step: ReplyStep) -> list[dict[str, Any]]:
    """A step of a reply: what the assistant wrote and called, and each outcome."""
    calls = [
        {"id": c.id, "type": "function", "function": {"name": plain_name(c.name), "arguments": arguments_of(c)}}
        for c in step.calls
    ]
    outcomes = [{"role": "tool", "tool_call_id": call.id, "content": content_of(call)} for call in step.calls]
    return [{"role": "assistant", "content": step.text or None, "tool_calls": calls}, *outcomes]


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function}


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    """The next bytes of the stream; empty at its end. Raises CloudError."""
    import httpx

    try:
        return await anext(stream, b"")
    except httpx.HTTPError as exc:
        raise http_fault(exc) from exc
