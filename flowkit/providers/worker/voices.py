"""A TTS in one worker process, or in several (`parallel`), for any number of sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from flowkit.messages import Message
from flowkit.providers.base import Emit, Surroundings
from flowkit.providers.waitlist import SharedOptions, Waitlist
from flowkit.providers.worker.parent import Worker


class Voices:
    """The worker processes of a TTS, and the clauses that wait for one.

    Args:
        title: Names it in errors.
        module: The module that a process runs, as with ``python -m``.
        setup: The settings that the module gets, as JSON.
        options: How many processes, and how many clauses may wait.
    """

    def __init__(self, title: str, module: str, setup: Mapping[str, Any], options: SharedOptions) -> None:
        self._workers = [Worker(title, module, setup) for _ in range(options.parallel)]
        self._waitlist = Waitlist(title, self._workers, options.waiting)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Voices]:
        """Start the processes and wait until they have loaded the voice. Raises ProviderError if one does not."""
        async with AsyncExitStack() as stack:
            for worker in self._workers:
                await stack.enter_async_context(worker.running())
            yield self

    async def answer(
        self, request: Message, around: Surroundings, emit: Emit, escape: Callable[[str], str] = str
    ) -> None:
        """Answer a Speak with Audio: the ``call`` of a provider with this voice. See ``Worker.answer``.

        Raises ProviderError, also if too many clauses wait already.
        """
        worker = await self._waitlist.take(around)
        held = [worker]

        def give_back() -> None:
            if held:
                self._waitlist.give_back(held.pop())

        # As soon as the process is free, because this session may take the audio only while it plays.
        try:
            await worker.answer(request, emit, escape, give_back)
        finally:
            give_back()
