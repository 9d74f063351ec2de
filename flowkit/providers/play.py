"""Plays an inline call in a task: emits its answers at their times on the session's clock."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import trio

from flowkit.errors import ProviderError
from flowkit.messages import Done, Failed, Message
from flowkit.providers.answers import Malformed
from flowkit.providers.base import Emit, Surroundings
from flowkit.providers.inline import Agenda, InlineCall, InlineProvider
from flowkit.providers.loading import lone_error


async def play(provider: InlineProvider, call: InlineCall, fed: AsyncIterator[Message], emit: Emit) -> None:
    """Play a `call` of `provider` until it is done, or until its input has ended and no answer is pending.

    Raises ProviderError if the call fails.
    """
    around = provider.around
    agenda = Agenda(call, around.now_us())
    listener = _Listener(agenda, around)

    async def answer() -> None:
        if failed := await _answer(agenda, listener, emit, around):
            error = Malformed if failed.kind == "malformed" else ProviderError
            raise error(failed.what.removeprefix(f"{provider.name}: "))

    with lone_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.listen, fed)
            await answer()
            nursery.cancel_scope.cancel()


async def _answer(agenda: Agenda, listener: _Listener, emit: Emit, around: Surroundings) -> Failed | None:
    while not (listener.ended and agenda.due_us is None):
        at_us = agenda.due_us
        if at_us is None or at_us > around.now_us():
            await listener.wait(at_us)
            continue
        item = agenda.pop()
        if isinstance(item, Done):
            return None
        if isinstance(item, Failed):
            return item
        await emit(item)
        agenda.accepted(around.now_us())
    return None


class _Listener:
    """Reads fed messages as soon as they arrive, because an answer's delay counts from then."""

    def __init__(self, agenda: Agenda, around: Surroundings) -> None:
        self._agenda = agenda
        self._around = around
        self._changed = trio.Event()
        self.ended = False

    async def listen(self, fed: AsyncIterator[Message]) -> None:
        async for item in fed:
            self._agenda.fed(item, self._around.now_us())
            self._changed.set()
        self._agenda.ended(self._around.now_us())
        self.ended = True
        self._changed.set()

    async def wait(self, until_us: int | None) -> None:
        """Wait until a message is fed, the input ends, or the session's clock reaches `until_us` (None: no limit)."""
        with trio.move_on_at(math.inf if until_us is None else self._around.at_s(until_us)):
            await self._changed.wait()
        if self._changed.is_set():
            self._changed = trio.Event()
