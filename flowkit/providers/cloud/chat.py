"""Base class for chat models behind HTTP with a streamed reply: Groq and all OpenAI-compatible servers.

The bytes of the stream are read here, not by the client library. The library takes a reply that broke off for a
complete one (see ``completions``), and leaves suspended generators behind when a reply is abandoned. Retries are also
flowkit's own (``runtime.failover``), because the library would wait silently for a ``retry-after`` of a minute.
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.history import remembered, size
from flowkit.messages import Ask, Message, Token, Usage
from flowkit.providers.base import Emit, Surroundings
from flowkit.providers.cloud.client import let_go, next_bytes
from flowkit.providers.cloud.completions import Completion, Events, usage_of
from flowkit.providers.cloud.faults import CloudError, of_status
from flowkit.providers.cloud.service import HttpService
from flowkit.providers.cloud.tool_messages import offered_tools, steps_messages

if TYPE_CHECKING:
    import httpx

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


class Chat(HttpService):
    """Answers an ``Ask`` with the tokens of the model's reply. A subclass sets `name`, `variable` and the paths."""

    kind = "llm"
    of_session = frozenset({"system"})
    chooses = True
    path: ClassVar[str]
    """Path of the chat completions, relative to the base URL."""
    opens_reasoning: bool = False
    """Whether the server's chat template opens the reasoning, so that only its end mark arrives."""

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._nursery: trio.Nursery | None = None
        self._noticed = False

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

    async def models(self) -> list[dict[str, Any]]:
        models = await super().models()
        self.learn(models)
        return models

    def body(self, ask: Ask) -> dict[str, Any]:
        """The body of the request, to be sent as JSON."""
        options = self.options
        messages = _said("system", ask.instructions or options.system)
        for exchange in remembered(ask.history, options.remember, self._room(ask)):
            messages += _said("user", exchange.user)
            messages += steps_messages(exchange.steps)
            messages += _said("assistant", exchange.agent)
        messages += _said("user", ask.text)
        messages += steps_messages(ask.steps)
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
        body |= offered_tools(ask, self.around.tools)
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
            with self.named():
                await self._answer(request, emit)
        except trio.Cancelled:
            self._keep_spare()
            raise

    async def _answer(self, ask: Ask, emit: Emit) -> None:
        completion, events, index, said = Completion(), Events(), 0, ""
        opened = self.opens_reasoning and not ask.said
        body = self.body(ask)
        response = await self._open(body)
        stream = response.aiter_bytes()
        # Reported before the reply: one that is interrupted has no other chance to report what was sent for it.
        asked = Usage(input_tokens=_asked_tokens(body), estimated=True)
        try:
            await emit(asked)
            while not completion.done and (data := await next_bytes(stream)):
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
        await emit(usage_of(completion.usage) or replace(asked, output_tokens=index))
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

    async def _open(self, body: dict[str, Any]) -> httpx.Response:
        """Send the request. Returns when the headers of the response have come."""
        response = await self.client.post(self.path, body, self.connect_s)
        self.tell("rate_limits", " ".join(f"{k}={response.headers[k]}" for k in _LIMITS if k in response.headers))
        if "html" in response.headers.get("content-type", ""):
            await let_go(response)
            raise of_status(response.status_code, "an HTML page instead of a stream of JSON")
        return response

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
                await self.models()
            except CloudError as exc:
                # Only recorded: the next call raises the same error.
                self.tell("spare", f"no spare connection: {exc.trouble}")


def _asked_tokens(body: dict[str, Any]) -> int:
    """The estimated size of a request in tokens."""
    contents = [message.get("content") or json.dumps(message) for message in body["messages"]]
    return size(*(content for content in contents if isinstance(content, str)), *map(json.dumps, body.get("tools", ())))


def _said(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": text}] if text else []
