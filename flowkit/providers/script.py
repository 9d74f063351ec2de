"""Scripts: a provider's behaviour with declared timings, without I/O, so that both pumps can play it.

A script answers each call with a ``ScriptCall``, whose methods say what follows from being opened, fed, ended: items, each a
declared delay after that event. Items leave a call one after another; one that is held back holds back those behind it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from typing import NamedTuple

from flowkit.messages import Message


class Answer(NamedTuple):
    """`item`, due `delay_us` after the event that it answers."""

    delay_us: int
    item: Message


class ScriptCall:
    """One call's behaviour. Answers to opening are drawn one by one and may be endless; their delays must not fall."""

    def opened(self) -> Iterable[tuple[int, Message]]:
        """What follows from the request itself."""
        return ()

    def fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        """What follows from one item that the stage feeds."""
        return ()

    def ended(self) -> Iterable[tuple[int, Message]]:
        """What follows from the end of the stage's input."""
        return ()


class Script(ABC):
    """Makes the calls of one provider. Must answer equal requests in equal order alike: no clock, no dice."""

    @abstractmethod
    def open(self, request: Message) -> ScriptCall:
        """Begin to answer a request."""


class Agenda:
    """The items of one call that are still to come, by due time and then by the order in which they were declared.

    `due_us`: when the next item is there, its due time but not before the one ahead of it was accepted; None if there is none.
    """

    __slots__ = ("_answers", "_call", "_free_us", "_heap", "_opened_us", "_seq", "_stream", "due_us")

    def __init__(self, call: ScriptCall, opened_us: int) -> None:
        self._call = call
        self._answers = call.fed
        self._opened_us = opened_us
        self._stream: Iterator[tuple[int, Message]] = iter(call.opened())
        self._heap: list[tuple[int, int, Message]] = []
        self._seq = 0
        self._free_us = opened_us
        self.due_us: int | None = None
        self._draw()
        self._look()

    def fed(self, item: Message, at_us: int) -> None:
        """The stage fed `item` at `at_us`."""
        answer = self._answers
        if answers := answer(item):
            self._add(answers, at_us)

    def ended(self, at_us: int) -> None:
        """The stage ended its input at `at_us`."""
        self._add(self._call.ended(), at_us)

    def pop(self) -> Message:
        """Take the next item; say when it was accepted with ``accepted``."""
        _, seq, item = heappop(self._heap)
        if seq == 0:
            self._draw()
        self._look()
        return item

    def accepted(self, at_us: int) -> None:
        """The stage accepted the item taken last at `at_us`; the next leaves no earlier."""
        self._free_us = at_us
        if self.due_us is not None and self.due_us < at_us:
            self.due_us = at_us

    def take(self, at_us: int) -> Message:
        """``pop`` and ``accepted`` in one, for a taker that never waits in between."""
        heap = self._heap
        _, seq, item = heap[0]
        if seq == 0 and (answer := next(self._stream, None)) is not None:
            heapreplace(heap, (self._opened_us + answer[0], 0, answer[1]))
        else:
            heappop(heap)
        self._free_us = at_us
        if heap:
            due_us = heap[0][0]
            self.due_us = due_us if due_us > at_us else at_us
        else:
            self.due_us = None
        return item

    def _draw(self) -> None:
        """Keep exactly one answer of the opening stream on the heap, under sequence number 0."""
        answer = next(self._stream, None)
        if answer is not None:
            heappush(self._heap, (self._opened_us + answer[0], 0, answer[1]))

    def _add(self, answers: Iterable[tuple[int, Message]], at_us: int) -> None:
        heap = self._heap
        for delay_us, answer in answers:
            seq = self._seq = self._seq + 1
            heappush(heap, (at_us + delay_us, seq, answer))
        self._look()

    def _look(self) -> None:
        if heap := self._heap:
            due_us, free_us = heap[0][0], self._free_us
            self.due_us = due_us if due_us > free_us else free_us
        else:
            self.due_us = None
