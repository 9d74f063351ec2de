"""Typed text instead of speech: each line of standard input is an utterance. The end of the input ends the session."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import trio

from flowkit.messages import InputEnded, Message, Typed
from flowkit.providers.base import Emit, Provider


class TypedLines(Provider):
    """Emits each line of standard input as ``Typed``. Skips empty lines."""

    kind = "gate"
    name = "typed"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        # Nothing can stop a thread that reads a terminal, so a cancelled call leaves it behind.
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            if text := line.strip():
                await emit(Typed(text))
        await emit(InputEnded(0))
