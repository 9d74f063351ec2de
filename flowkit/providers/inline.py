"""Inline calls: providers whose answers follow from what they are asked and fed alone, without I/O, thread or clock.

Such a provider answers each call with an ``InlineCall``: three functions that say what follows from being opened, fed, ended:
items, each a declared delay after that event. Items leave a call one after another; one that is held back holds back those
behind it. A pump runs the call in place: no task, no channel. Both pumps run the same objects.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from typing import NamedTuple, Protocol

from flowkit.messages import Done, Failed, Message
from flowkit.providers.answers import ANSWERS, checked, failure
from flowkit.providers.base import Emit, Provider


class Answer(NamedTuple):
    """`item`, due `delay_us` after the event that it answers."""

    delay_us: int
    item: Message


def _nothing(*event: Message) -> Iterable[tuple[int, Message]]:
    return ()


class InlineCall(NamedTuple):
    """One call's behaviour. It ends with the answer Done or Failed, or when the stage cancels it."""

    opened: Callable[[], Iterable[tuple[int, Message]]] = _nothing
    """What follows from the request itself: drawn one by one, may be endless; its delays must not fall."""
    fed: Callable[[Message], Iterable[tuple[int, Message]]] = _nothing
    """What follows from one item that the stage feeds."""
    ended: Callable[[], Iterable[tuple[int, Message]]] = _nothing
    """What follows from the end of the stage's input."""


class Script(Protocol):
    """Whoever answers with inline calls: a provider, or a recording of one. It answers equal requests in equal order alike."""

    def open(self, request: Message) -> InlineCall:
        """Begin to answer a request."""


class InlineProvider(Provider):
    """Base of providers that answer inline. A call must take no longer than 2 ms in place: the event loop waits for it."""

    @abstractmethod
    def open(self, request: Message) -> InlineCall:
        """Begin to answer a request. Raising ProviderError, here or in the call's functions, means Failed."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        """The same in a task of its own, for whoever needs one: a failover list, a test."""
        from flowkit.providers.play import play  # here, since a replay does without Trio

        await play(self, guarded(self, request), fed, emit)


def guarded(provider: InlineProvider, request: Message) -> InlineCall:
    """The provider's call, with whatever it raises, and whatever it may not say, turned into its failure."""
    answers = ANSWERS.get(type(request), ())

    def safely(answer: Callable[..., Iterable[tuple[int, Message]]]) -> Callable[..., Iterator[tuple[int, Message]]]:
        def answered(*event: Message) -> Iterator[tuple[int, Message]]:
            try:
                for delay_us, item in answer(*event):
                    yield delay_us, item if isinstance(item, (Done, Failed)) else checked(item, answers, provider)
            except Exception as error:
                yield Answer(0, failure(provider, error))

        return answered

    try:
        opened, fed, ended = provider.open(request)
    except Exception as error:
        failed = failure(provider, error)
        return InlineCall(opened=lambda: (Answer(0, failed),))
    return InlineCall(safely(opened), safely(fed), safely(ended))


class Agenda:
    """The items of one call that are still to come, by due time and then by the order in which they were declared.

    `due_us`: when the next item is there, its due time but not before the one ahead of it was accepted; None if there is none.
    """

    __slots__ = ("_answers", "_call", "_free_us", "_heap", "_opened_us", "_seq", "_stream", "due_us")

    def __init__(self, call: InlineCall, opened_us: int) -> None:
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
