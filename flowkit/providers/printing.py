"""A voice that prints: shows the clauses as they would be spoken, to build a pipeline step by step.

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
    """Writes each clause to standard output, a line each, and makes no sound."""

    kind = "tts"
    name = "print"

    class Options(opt.Options):
        prefix: str = ""
        """Put before each line."""

    options: Options

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not isinstance(request, Speak):
            raise ProviderError(f"tts print: cannot speak {type(request).__name__}")
        # Whoever reads the other end of a pipe may be slow; the loop must not wait for them.
        await trio.to_thread.run_sync(_print_line, self.options.prefix + request.text)


def _print_line(line: str) -> None:
    print(line, flush=True)
