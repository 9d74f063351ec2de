"""An inline call played in a task, at its declared times on the session's clock."""

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
    """Play a `call` of `provider` until it is done, or until its input has ended and nothing is left to say. Raises ProviderError
    where it fails."""
    around = provider.around
    agenda = Agenda(call, around.now_us())
    listener = _Listener(agenda, around)

    async def say() -> None:
        if failed := await _say(agenda, listener, emit, around):
            error = Malformed if failed.kind == "malformed" else ProviderError
            raise error(failed.what.removeprefix(f"{provider.name}: "))

    with lone_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.listen, fed)
            await say()
            nursery.cancel_scope.cancel()


async def _say(agenda: Agenda, listener: _Listener, emit: Emit, around: Surroundings) -> Failed | None:
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
    """Reads what is fed as it comes, so that declared delays count from the feeding, not from the reading."""

    def __init__(self, agenda: Agenda, around: Surroundings) -> None:
        self._agenda = agenda
        self._around = around
        self._news = trio.Event()
        self.ended = False

    async def listen(self, fed: AsyncIterator[Message]) -> None:
        async for item in fed:
            self._agenda.fed(item, self._around.now_us())
            self._news.set()
        self._agenda.ended(self._around.now_us())
        self.ended = True
        self._news.set()

    async def wait(self, until_us: int | None) -> None:
        """Until something is fed or the session's clock shows `until_us`."""
        with trio.move_on_at(math.inf if until_us is None else self._around.at_s(until_us)):
            await self._news.wait()
        if self._news.is_set():
            self._news = trio.Event()
