"""Inline providers: their answers follow from the request and the fed messages alone, without I/O, threads or a clock.

Such a provider answers each request with an ``InlineCall``: three functions for the three events of a call (it is
opened, it is fed a message, its input ends). Each function returns answers, each with a delay after its event. Answers
leave a call in order. While the stage does not accept one, the later ones wait.

A pump runs an inline call in place, without a task or a channel. Both pumps run the same objects.
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
    """`item`, due `delay_us` microseconds after the event that it answers."""

    delay_us: int
    item: Message


def _nothing(*event: Message) -> Iterable[tuple[int, Message]]:
    return ()


class InlineCall(NamedTuple):
    """The answers of one call. The call ends with the answer Done or Failed, or when the stage cancels it."""

    opened: Callable[[], Iterable[tuple[int, Message]]] = _nothing
    """Answers to the request itself. They are read one at a time and may be endless. Their delays must not decrease."""
    fed: Callable[[Message], Iterable[tuple[int, Message]]] = _nothing
    """Answers to one message that the stage feeds."""
    ended: Callable[[], Iterable[tuple[int, Message]]] = _nothing
    """Answers to the end of the stage's input. A Done comes after all that is still due."""


class Script(Protocol):
    """A source of inline calls: a provider, or the recording of one. The same requests in the same order get the same
    answers."""

    def open(self, request: Message) -> InlineCall:
        """Start to answer a request."""


class InlineProvider(Provider):
    """Base class of inline providers. No step of a call may take longer than 2 ms, because the event loop waits for
    it."""

    @abstractmethod
    def open(self, request: Message) -> InlineCall:
        """Start to answer a request. Raising ProviderError, here or in the call's functions, ends the call with
        ``Failed``."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        """Play the call in a task. A failover list needs this, and so do tests."""
        from flowkit.providers.play import play  # imported late because replay does not need Trio

        await play(self, guarded(self, request), fed, emit)


def guarded(provider: InlineProvider, request: Message) -> InlineCall:
    """The provider's call. Exceptions, and answers that the provider may not give, become ``Failed``."""
    answers = ANSWERS.get(type(request), ())

    def drawn(found: Iterable[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
        try:
            for delay_us, item in found:
                yield delay_us, item if isinstance(item, (Done, Failed)) else checked(item, answers, provider)
        # Answers are drawn one by one, so an error may come long after the function has returned.
        except Exception as error:
            yield Answer(0, failure(provider, error))

    def safely(answer: Callable[..., Iterable[tuple[int, Message]]]) -> Callable[..., Iterable[tuple[int, Message]]]:
        def answered(*event: Message) -> Iterable[tuple[int, Message]]:
            try:
                found = answer(*event)
            except Exception as error:
                return (Answer(0, failure(provider, error)),)
            return drawn(found) if found != () else ()  # most of what is fed has no answer

        return answered

    try:
        opened, fed, ended = provider.open(request)
    except Exception as error:
        failed = failure(provider, error)
        return InlineCall(opened=lambda: (Answer(0, failed),))
    return InlineCall(safely(opened), safely(fed), safely(ended))


class Agenda:
    """The pending answers of one call, ordered by due time and then by the order in which they were given.

    `due_us` is when the next answer is available: its due time, but not before the stage accepted the previous one. It
    is None if no answer is pending.
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
        self._set_due()

    def fed(self, item: Message, at_us: int) -> None:
        """The stage fed `item` at `at_us`."""
        answer = self._answers
        if answers := answer(item):
            self._add(answers, at_us)

    def give(self, item: Message, at_us: int) -> None:
        """Give an answer that nobody has asked for, such as a frame from outside, at `at_us`."""
        self._add(((0, item),), at_us)

    def ended(self, at_us: int) -> None:
        """The stage ended its input at `at_us`."""
        latest_us = max((due_us for due_us, _, _ in self._heap), default=at_us) - at_us
        # Nothing follows the end of a call.
        answers = [(max(delay, latest_us) if type(item) is Done else delay, item) for delay, item in self._call.ended()]
        self._add(answers, at_us)

    def pop(self) -> Message:
        """Remove and return the next answer. Call ``accepted`` when the stage has accepted it."""
        _, seq, item = heappop(self._heap)
        if seq == 0:
            self._draw()
        self._set_due()
        return item

    def accepted(self, at_us: int) -> None:
        """The stage accepted the last answer at `at_us`. The next one is not available earlier."""
        self._free_us = at_us
        if self.due_us is not None and self.due_us < at_us:
            self.due_us = at_us

    def take(self, at_us: int) -> Message:
        """``pop`` and ``accepted`` in one step, for a caller that never waits between the two."""
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
        """Put the next answer of ``opened`` on the heap. It has sequence number 0, and there is at most one."""
        answer = next(self._stream, None)
        if answer is not None:
            heappush(self._heap, (self._opened_us + answer[0], 0, answer[1]))

    def _add(self, answers: Iterable[tuple[int, Message]], at_us: int) -> None:
        heap = self._heap
        for delay_us, answer in answers:
            seq = self._seq = self._seq + 1
            heappush(heap, (at_us + delay_us, seq, answer))
        self._set_due()

    def _set_due(self) -> None:
        if heap := self._heap:
            due_us, free_us = heap[0][0], self._free_us
            self.due_us = due_us if due_us > free_us else free_us
        else:
            self.due_us = None
