"""One live provider call: a task in a cancel scope of its own, with a memory channel in each direction.

The channel to the provider is as long as the stage's bound. The channel from the provider has no buffer: while the stage
holds items back, the provider waits in ``emit`` and reads no further.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

import trio

from flowkit.engine import AT_ONCE
from flowkit.messages import Done, Message
from flowkit.plan.graph import CONTROL_BOUND
from flowkit.providers.answers import ANSWERS, checked, failure
from flowkit.providers.base import Provider


class Call(Protocol):
    """What the pump does with a call, in a task or inline.

    `due_us` is the time since when it has an item, or from when it will have one; None if that is not known. `tell` says that a
    credit is due.
    """

    stage: int
    id: int
    due_us: int | None
    tell: bool

    def feed(self, item: Message) -> None: ...
    def end_input(self) -> None: ...
    def cancel(self) -> None: ...
    def credit(self) -> int: ...
    def offered(self, now_us: int) -> tuple[Message, int] | None: ...


class LiveCall:
    """Call `id` of stage number `stage`. `news` is called whenever the pump should look."""

    def __init__(
        self, stage: int, id_: int, window: int, batch: int, now_us: Callable[[], int], news: Callable[[], None]
    ):
        self.stage = stage
        self.id = id_
        self.scope = trio.CancelScope()
        self._batch = batch
        self._untold = 0
        self.tell = False
        """Whether a credit is due: the items taken make a batch, or a reply was stopped."""
        self.due_us: int | None = None
        """Since when it may have been waiting to hand an item over: cheaper to ask than the channel, at every step of the pump."""
        self._now_us = now_us
        self._news = news
        self._feed, self._fed = trio.open_memory_channel[Message](window + CONTROL_BOUND)
        self._brought: tuple[Message, int] | None = None
        """What the provider hands over just now, for the pump to take on the spot."""
        self._offer, self._offers = trio.open_memory_channel[tuple[Message, int]](0)

    # -- the pump's side --------------------------------------------------------------------------------------------

    def feed(self, item: Message) -> None:
        """Hand over one item. Raises trio.WouldBlock if the provider has let more lie than its bound allows."""
        self._feed.send_nowait(item)

    def end_input(self) -> None:
        """Nothing more will be fed."""
        self._feed.close()

    def cancel(self) -> None:
        """Stop; nothing it still says is listened to."""
        self.scope.cancel()
        self._offers.close()
        self._feed.close()

    def credit(self) -> int:
        """How many fed items the provider has taken since the last credit."""
        untold, self._untold, self.tell = self._untold, 0, False
        return untold

    def offered(self, now_us: int) -> tuple[Message, int] | None:
        """The item that the provider waits to hand over, with the time since when; taking it lets the provider go on."""
        try:
            return self._offers.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            self.due_us = None
            # The channel has nothing, or is closed, but the provider may be handing an item over just now.
            return self._withdraw()

    # -- the provider's side ----------------------------------------------------------------------------------------

    async def run(self, provider: Provider, request: Message) -> None:
        """Answer `request`; whatever the provider raises becomes the call's failure, here and nowhere else."""
        answers = ANSWERS.get(type(request), ())

        async def emit(item: Message) -> None:
            await self._send(checked(item, answers, provider))

        with self.scope:
            try:
                # Closed here, because a provider that fails leaves it half-way.
                async with aclosing(self._items()) as items:
                    await provider.call(request, items, emit)
                last: Message = Done()
            # The call was cancelled, and nothing listens for its failure.
            except trio.BrokenResourceError:
                return
            except Exception as error:
                last = failure(provider, error)
            await self._send(last)

    async def _send(self, item: Message) -> None:
        """As sending into a channel: who is cancelled here has sent nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.due_us = self._now_us()
        self._brought = (item, self.due_us)
        self._news()
        if (held := self._withdraw()) is None:
            # The pump has taken the item, so a cancellation must not make it look unsent.
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await self._offer.send(held)

    def _withdraw(self) -> tuple[Message, int] | None:
        brought, self._brought = self._brought, None
        return brought

    async def _items(self) -> AsyncGenerator[Message]:
        async for item in self._fed:
            self._untold += 1
            if self._untold >= self._batch or type(item) in AT_ONCE:
                self.tell = True
                self._news()
            yield item
