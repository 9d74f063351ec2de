"""What a provider call was fed, kept for the next attempt."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

import trio

from flowkit.messages import Message


class FedItems:
    """The fed items that are not acknowledged. Each attempt reads all of them.

    At most `unread` items are taken ahead of the reader, so that back-pressure reaches the stage. At most `kept` are kept.
    """

    def __init__(self, unread: int, kept: int) -> None:
        self._items: deque[Message] = deque()
        self._first = self._read = 0
        self._unread = unread
        self._kept = kept
        self.ended = False
        """Whether the stage has ended its input."""
        self._news = trio.Event()
        self.lost = 0
        """Items that no further attempt gets, because more than `kept` were waiting."""

    def __len__(self) -> int:
        return len(self._items)

    async def fill(self, fed: AsyncIterator[Message], seen: Callable[[Message], None]) -> None:
        """Take what the stage feeds. Runs in a task of its own."""
        async for item in fed:
            self._items.append(item)
            # Before any wait: the deadlines depend on what was fed, also while no provider reads it.
            seen(item)
            self._note()
            while self._first + len(self._items) - self._read > self._unread:
                await self._news.wait()
            while len(self._items) > self._kept:
                self._items.popleft()
                self._first += 1
                self.lost += 1
        self.ended = True
        self._note()

    def read(self) -> Reader:
        """Read all items that are kept, then those that come, to the end of the input. There is one reader at a time."""
        self._read = self._first
        return Reader(self)

    async def next(self) -> Message:
        """The next item for the reader."""
        while True:
            # Items beyond this reader's place may have been lost meanwhile.
            self._read = max(self._read, self._first)
            place = self._read - self._first
            if place < len(self._items):
                self._read += 1
                self._note()
                return self._items[place]
            if self.ended:
                raise StopAsyncIteration
            await self._news.wait()

    def forget(self, count: int) -> None:
        """Drop the oldest `count` items, as far as they have been read."""
        for _ in range(min(count, self._read - self._first)):
            self._items.popleft()
            self._first += 1

    def replace_first(self, item: Message) -> None:
        """Exchange the oldest item."""
        self._items[0] = item

    def items(self) -> deque[Message]:
        """What is kept, oldest first."""
        return self._items

    def _note(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Reader:
    """Iterates over the fed items. It is no generator, because an attempt that is abandoned would leave a suspended one behind."""

    def __init__(self, tape: FedItems | None) -> None:
        self._tape = tape

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Message:
        if self._tape is None:
            raise StopAsyncIteration
        return await self._tape.next()
