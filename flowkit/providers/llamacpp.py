"""llama.cpp in this process, on the CPU: the embedded default, with SmolLM2-135M-Instruct, which is demo quality.

Give it a GGUF of your own for better answers, or take provider openai_compatible for a server. Tokens stream out of the
library's thread; the model works for one call at a time, and a cancelled call leaves at once while the model finishes
the token (or the prompt) that it is at.

    {kind: llm, provider: llamacpp, model: models/mine.gguf, system: "You are a clinic's receptionist."}
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.history import remembered, size
from flowkit.messages import Ask, Message, Token
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError, Trouble, too_long
from flowkit.providers.loading import loading, lone_error, settled
from flowkit.providers.weights import LOCAL_EXTRA, SMOLLM2, check_digest

_AHEAD = 8
"""Tokens between the model's thread and the stage. Behind them the model waits."""
_MAGIC = b"GGUF"

Messages = list[dict[str, str]]


class Example(opt.Options):
    """A short exchange that shows the model how to answer."""

    user: str
    agent: str


# A model of 135M parameters follows examples far better than instructions: with these it answers in one plain sentence.
DEMO_EXAMPLES = (
    Example(user="What colour is the sky?", agent="The sky is blue."),
    Example(user="How many days are in a week?", agent="A week has seven days."),
    Example(user="Who wrote Hamlet?", agent="William Shakespeare wrote Hamlet."),
    Example(user="What is two plus two?", agent="Two plus two is four."),
)


class LlamaCpp(Provider):
    """Answers with the tokens of the model's reply."""

    kind = "llm"
    name = "llamacpp"
    requires = ("xllamacpp",)
    install = LOCAL_EXTRA

    class Options(opt.Options):
        model: Path | None = None
        """A GGUF file of an instruction-tuned model. Default: the bundled SmolLM2-135M-Instruct."""
        sha256: str = Field(default="", pattern="^([0-9a-fA-F]{64})?$")
        """If given, the digest that the file must have."""
        system: str = "You are a friendly assistant. Answer in one or two short sentences."
        """The system prompt."""
        examples: tuple[Example, ...] | None = None
        """Exchanges put before the conversation. Default: four for the bundled model, none for another."""
        max_tokens: int = Field(default=80, ge=1, le=4096)
        """The longest reply, in tokens."""
        temperature: float = Field(default=0.0, ge=0.0, le=2.0)
        """0 always takes the likeliest token."""
        seed: int = Field(default=0, ge=0, le=2**32 - 2)
        """Of the dice, for a temperature above 0."""
        context: int = Field(default=2048, ge=256, le=131_072)
        """Tokens that prompt, past and reply may have together."""
        remember: int = Field(default=8, ge=0, le=1000)
        """Past exchanges that the model is told of, at most."""
        threads: int = Field(default=0, ge=0, le=256)
        """Threads; 0 is one less than there are cores, since llama.cpp stalls badly when its threads must share
        them."""

    options: Options

    def __init__(self, options: Any, around: Surroundings) -> None:
        super().__init__(options, around)
        self._server: Any = None
        self._free = trio.CapacityLimiter(1)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Load the model and read the prompt's fixed part, so that the first turn need not. Raises ProviderError."""
        with loading(self):
            await trio.to_thread.run_sync(self._load)
        try:
            yield
        finally:
            if await settled(self._free):
                await trio.to_thread.run_sync(self._unload)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Ask):
            raise ProviderError(f"llm llamacpp: cannot answer {type(request).__name__}")
        messages = self.messages(request)
        send, receive = trio.open_memory_channel[str](_AHEAD)
        stop = threading.Event()
        with lone_error():
            async with trio.open_nursery() as nursery:
                try:
                    nursery.start_soon(self._run, messages, send, stop)
                    index = 0
                    async for text in receive:
                        await emit(Token(index, text))
                        index += 1
                finally:
                    stop.set()
                    receive.close()

    def messages(self, ask: Ask) -> Messages:
        """The conversation as the model is told it: system prompt, examples, what is remembered, and the user's
        text."""
        options = self.options
        examples = (() if options.model else DEMO_EXAMPLES) if options.examples is None else options.examples
        shown = [(e.user, e.agent) for e in examples]
        fixed = size(options.system, ask.text, *(text for pair in shown for text in pair))
        past = remembered(ask.history, options.remember, options.context - options.max_tokens - fixed)
        said = shown + [(e.user, e.agent) for e in past]
        turns = [
            {"role": role, "content": text} for pair in said for role, text in zip(_ROLES, pair, strict=True) if text
        ]
        return [{"role": "system", "content": options.system}, *turns, {"role": "user", "content": ask.text}]

    async def _run(self, messages: Messages, send: trio.MemorySendChannel[str], stop: threading.Event) -> None:
        def tell(text: str) -> bool:
            """From the model's thread: hand on a piece, waiting while the stage holds back; True stops the model."""
            try:
                trio.from_thread.run(send.send, text)
            except (trio.BrokenResourceError, trio.RunFinishedError, trio.Cancelled):
                return True
            return stop.is_set()

        async with send:
            # An abandoned thread keeps `_free` until the library has returned, so the next call waits for it.
            generate = self._generate
            await trio.to_thread.run_sync(generate, messages, tell, stop, limiter=self._free, abandon_on_cancel=True)

    def _generate(self, messages: Messages, tell: Callable[[str], bool], stop: threading.Event) -> None:
        """Raises ProviderError if the library refuses; a CloudError of trouble `length` for a prompt that exceeds the context."""
        refused: list[str] = []

        def heard(chunk: dict[str, Any]) -> bool:
            if not chunk.get("choices"):
                refused.append(str(chunk.get("message") or chunk.get("error") or chunk))
                return True
            text = chunk["choices"][0].get("delta", {}).get("content")
            return tell(text) if text else stop.is_set()

        options = self.options
        request = {
            "messages": messages,
            "stream": True,
            "cache_prompt": True,
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
        }
        if not stop.is_set():
            try:
                self._server.handle_chat_completions(request, heard)
            except (RuntimeError, ValueError) as exc:
                refused.append(str(exc))
        if refused and too_long(refused[0]):
            raise CloudError(Trouble.LENGTH, f"llm llamacpp: {refused[0]}")
        if refused:
            raise ProviderError(f"llm llamacpp: {refused[0]}")

    def _load(self) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._checked_model())
        params.n_ctx = self.options.context
        params.n_parallel = 1
        params.n_gpu_layers = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads()
        params.cache_ram_mib = 0  # prompts of finished turns are not kept aside; the one slot's prefix is
        params.verbosity = -1
        params.ui = False
        with tempfile.TemporaryDirectory(prefix="flowkit-") as folder:
            # The library serves HTTP as well, without being asked. On a socket that is unlinked at once nobody can call
            # it.
            params.hostnames = [f"{folder}/unused.sock"]
            self._server = xllamacpp.Server(params)
        self._generate(self.messages(Ask(0, "Hello")), lambda text: True, threading.Event())

    def _checked_model(self) -> Path:
        model = self.options.model
        if model is None:
            return SMOLLM2.checked()
        try:
            with model.open("rb") as file:
                magic = file.read(len(_MAGIC))
        except OSError as exc:
            raise ProviderError(f"llm llamacpp: cannot read {model}: {exc.strerror}") from exc
        if magic != _MAGIC:
            raise ProviderError(f"llm llamacpp: {model} is not a GGUF file")
        if self.options.sha256:
            check_digest(model, self.options.sha256, "llm llamacpp", "the digest is option sha256")
        return model

    def _threads(self) -> int:
        return self.options.threads or max(1, len(os.sched_getaffinity(0)) - 1)

    def _unload(self) -> None:
        self._server = None


_ROLES = ("user", "assistant")
