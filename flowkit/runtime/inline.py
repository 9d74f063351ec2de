"""One inline call, live: run in place, in whichever task drives the pump. The pump sees no difference to a call in a task."""

from __future__ import annotations

from flowkit.engine import AT_ONCE, Engine
from flowkit.messages import Message
from flowkit.providers.inline import Agenda, InlineCall
from flowkit.runtime.watchdog import Timed


class PlacedCall(Agenda):
    """Call `id` of stage number `stage`. Delays of its answers count from the instant that `engine` is at. `timed` measures how
    long the provider takes in place."""

    __slots__ = ("_batch", "_engine", "_timed", "_untold", "id", "stage", "tell")

    def __init__(self, stage: int, id_: int, batch: int, call: InlineCall, engine: Engine, timed: Timed) -> None:
        self.stage = stage
        self.id = id_
        self._batch = batch
        self._untold = 0
        self.tell = False
        self._engine = engine
        self._timed = timed
        with timed:
            super().__init__(call, engine.now_us)

    def feed(self, item: Message) -> None:
        """Hand over one item: it is taken at once."""
        with self._timed:
            self.fed(item, self._engine.now_us)
        self._untold += 1
        if self._untold >= self._batch or type(item) in AT_ONCE:
            self.tell = True

    def end_input(self) -> None:
        """Nothing more will be fed."""
        with self._timed:
            self.ended(self._engine.now_us)

    def cancel(self) -> None:
        """Nothing is left to be stopped."""

    def credit(self) -> int:
        """How many fed items were taken since the last credit."""
        untold, self._untold, self.tell = self._untold, 0, False
        return untold

    def offered(self, now_us: int) -> tuple[Message, int] | None:
        """The item that is due, with the time since when."""
        due_us = self.due_us
        if due_us is None:
            return None
        with self._timed:
            return self.take(now_us), due_us
