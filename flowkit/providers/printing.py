"""A TTS that prints the clauses instead of speaking them. Useful while a pipeline is built step by step.

{kind: tts, provider: print}
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from flowkit import options as opt
from flowkit.errors import ProviderError
from flowkit.messages import Message, Speak
from flowkit.providers.base import Emit, Provider


class Print(Provider):
    """Writes each clause to standard output as one line. Emits no audio."""

    kind = "tts"
    name = "print"
    silent = True

    class Options(opt.Options):
        prefix: str = ""
        """Text before each line."""

    options: Options

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Speak):
            raise ProviderError(f"tts print: cannot speak {type(request).__name__}")
        # In a thread: standard output may be a pipe whose reader is slow.
        await trio.to_thread.run_sync(_print_line, self.options.prefix + request.text)


def _print_line(line: str) -> None:
    print(line, flush=True)
