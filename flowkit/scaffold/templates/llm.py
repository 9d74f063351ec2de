"""An LLM that repeats the user's text. Replace it by your own model or service."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import trio

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.messages import Ask, Message, Token
from flowkit.providers.base import Emit, Provider

_WORD = re.compile(r"\s*\S+")


class LlmModel:
    """What a process needs once: weights, or a client with its pool of connections."""

    async def reply(self, system: str, ask: Ask) -> AsyncGenerator[str, None]:
        """The reply, word by word."""
        for word in _WORD.findall(f"You said: {ask.text or 'nothing'}. I have heard {len(ask.history)} things before."):
            await trio.lowlevel.checkpoint()
            yield word


class MyLlm(Provider):
    """Answers an ``Ask`` with the tokens of the reply."""

    kind = "llm"
    name = "mine"

    class Options(opt.Options):
        system: str = "You are a friendly assistant."
        """The system prompt."""

    options: Options

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[LlmModel]:
        """Make the model, in a thread, for all sessions."""
        yield await trio.to_thread.run_sync(LlmModel)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Ask):
            raise ProviderError(f"llm mine: cannot answer {type(request).__name__}")
        model: LlmModel = self.model
        index = 0
        async with aclosing(model.reply(self.options.system, request)) as reply:
            async for text in reply:
                await emit(Token(index, text))
                index += 1

    async def probe(self) -> str:
        """Ask the service whether a call would succeed. Raises ProviderError."""
        return "it only repeats the user's text"
