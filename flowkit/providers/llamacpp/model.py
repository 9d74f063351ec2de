"""The shared model. It answers `parallel` requests at a time; further requests wait in line."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from flowkit.errors import ProviderError
from flowkit.messages import ToolCall
from flowkit.providers.base import Surroundings
from flowkit.providers.cloud.completions import Completion
from flowkit.providers.cloud.faults import CloudError, Trouble, too_long
from flowkit.providers.llamacpp.gguf import MAGIC
from flowkit.providers.waitlist import Waitlist
from flowkit.providers.weights import SMOLLM2, check_digest

Request = dict[str, Any]
"""The keys of a chat completion that depend on the conversation: messages, and tools if there are any."""


class Llama:
    """A model with the options ``LlamaCpp.Options``. Call ``load`` before ``reply``."""

    def __init__(self, options: Any) -> None:
        self._options = options
        self._server: Any = None
        self._waitlist = Waitlist("llm llamacpp", range(options.parallel), options.waiting)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Unload the model when the body ends, unless it still computes for a cancelled call after ``GRACE_S``."""
        try:
            yield
        finally:
            if await self._waitlist.settled():
                await trio.to_thread.run_sync(self._unload)

    async def reply(
        self,
        request: Request,
        around: Surroundings,
        send: trio.MemorySendChannel[str | ToolCall],
        stop: threading.Event,
    ) -> None:
        """Generate a reply for the session `around`, and send its tokens and then its tool calls to `send`, until `stop` is
        set. Raises ProviderError."""

        def pass_on(text: str) -> bool:
            """Send a token from the model's thread. Returns True to stop the model."""
            try:
                trio.from_thread.run(send.send, text)
            # The call has ended, so its tokens have no reader.
            except (trio.BrokenResourceError, trio.RunFinishedError, trio.Cancelled):
                return True
            return stop.is_set()

        async with send:
            calls = await self._waitlist.in_thread(around, lambda slot: self.generate(request, pass_on, stop))
            for call in calls:
                await send.send(call)

    def load(self, beginning: Request) -> None:
        """Load the model and evaluate `beginning`, the start of every prompt. Call it in a thread. Raises
        ProviderError."""
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._checked_model())
        # The library divides the context among its slots.
        params.n_ctx = self._options.context * self._options.parallel
        params.n_parallel = self._options.parallel
        params.n_gpu_layers = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads()
        params.cache_ram_mib = 0  # keep only the prefix of each slot, no prompts of finished turns
        params.verbosity = -1
        params.ui = False
        with tempfile.TemporaryDirectory(prefix="flowkit-") as folder:
            # The library always starts an HTTP server. On a socket that is unlinked at once nobody can reach it.
            params.hostnames = [f"{folder}/unused.sock"]
            self._server = xllamacpp.Server(params)
        # The first token stops it: only the evaluated prompt is wanted.
        self.generate(beginning, lambda text: True, threading.Event())

    def found(self) -> Path:
        """The path of the model. Raises ProviderError if the file is missing or is not a GGUF file."""
        model: Path | None = self._options.model
        if model is None:
            return SMOLLM2.path()
        try:
            with model.open("rb") as file:
                magic = file.read(len(MAGIC))
        except OSError as exc:
            raise ProviderError(f"llm llamacpp: cannot read {model}: {exc.strerror}") from exc
        if magic != MAGIC:
            raise ProviderError(f"llm llamacpp: {model} is not a GGUF file")
        return model

    def _checked_model(self) -> Path:
        model = self.found()
        if self._options.model is None:
            return SMOLLM2.checked()
        if self._options.sha256:
            check_digest(model, self._options.sha256, "llm llamacpp", "the digest is option sha256")
        return model

    def _threads(self) -> int:
        return self._options.threads or max(1, len(os.sched_getaffinity(0)) - 1)

    def generate(self, request: Request, pass_on: Callable[[str], bool], stop: threading.Event) -> list[ToolCall]:
        """Generate a reply, in the calling thread. `pass_on` gets each token and returns True to stop. Returns its tool calls.

        Raises ProviderError if the library refuses the request, and CloudError with trouble `length` if the prompt
        exceeds the context.
        """
        refused: list[str] = []
        completion = Completion()

        def received(chunk: dict[str, Any]) -> bool:
            if not chunk.get("choices"):
                refused.append(str(chunk.get("message") or chunk.get("error") or chunk))
                return True
            text = completion.text_of(chunk)
            return pass_on(text) if text else stop.is_set()

        options = self._options
        request = {
            **request,
            "stream": True,
            "cache_prompt": True,
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
        }
        # The call may have been cancelled while it waited for the model.
        if not stop.is_set():
            try:
                self._server.handle_chat_completions(request, received)
            except (RuntimeError, ValueError) as exc:
                refused.append(str(exc))
        if refused and too_long(refused[0]):
            raise CloudError(Trouble.LENGTH, f"llm llamacpp: {refused[0]}")
        if refused:
            raise ProviderError(f"llm llamacpp: {refused[0]}")
        return completion.tool_calls()

    def _unload(self) -> None:
        self._server = None
