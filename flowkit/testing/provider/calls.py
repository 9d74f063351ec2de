"""Calls a provider without an engine: the surroundings of a session, messages to feed, and an ``emit`` that collects
the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from flowkit.clock import US_PER_S
from flowkit.messages import EndOfUtterance, Frames, Message, SpeechStarted, SpeechStopped
from flowkit.providers.base import Provider, Surroundings

RATE_HZ = 16_000
FRAME_US = 20_000
FRAME_BYTES = 2 * RATE_HZ * FRAME_US // US_PER_S

M = TypeVar("M", bound=Message)


@dataclass
class FakeSession:
    """The surroundings of a session on Trio's clock, or on a mock clock.

    `notices` collects the lines for the user, and `events` the (name, detail) pairs for the trace.
    """

    rate_hz: int = RATE_HZ
    frame_us: int = FRAME_US
    notices: list[str] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)

    def around(self) -> Surroundings:
        """Make the surroundings. The session's time starts now. Call it inside ``trio.run``."""
        zero_s = trio.current_time()

        def now_us() -> int:
            return round((trio.current_time() - zero_s) * US_PER_S)

        def at_s(at_us: int) -> float:
            return zero_s + at_us / US_PER_S

        def event(at_us: int, name: str, detail: str) -> None:
            self.events.append((name, detail))

        return Surroundings(self.rate_hz, self.frame_us, now_us, self.notices.append, at_s, event)


class PacedItems:
    """Messages to feed, each after a pause of `pause_s` seconds.

    It is not a generator, because an abandoned call would leave a suspended generator behind.
    """

    def __init__(self, items: Iterable[Message] = (), pause_s: float = 0.0) -> None:
        self._items = iter(items)
        self._pause_s = pause_s

    def __aiter__(self) -> PacedItems:
        return self

    async def __anext__(self) -> Message:
        await trio.sleep(self._pause_s)
        try:
            return next(self._items)
        # A StopIteration must not leave a coroutine, where it becomes a RuntimeError.
        except StopIteration:
            raise StopAsyncIteration from None


@dataclass
class Answers:
    """Collects the answers of a call in `items`. Cancels the call's `scope` when `enough(items)` is True."""

    enough: Callable[[list[Message]], bool] = lambda items: False
    items: list[Message] = field(default_factory=list)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def emit(self, item: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.items.append(item)
        if self.enough(self.items):
            self.scope.cancel()

    def of(self, kind: type[M]) -> list[M]:
        """The answers of type `kind`."""
        return [item for item in self.items if isinstance(item, kind)]


async def answer(
    provider: Provider,
    request: Message,
    fed: Iterable[Message] = (),
    enough: Callable[[list[Message]], bool] = lambda items: False,
) -> Answers:
    """Call a provider that is ready, and collect its answers.

    Args:
        provider: The provider, such as ``opened`` yields it.
        request: The request.
        fed: The messages that the stage feeds.
        enough: The call is cancelled when it returns True for the answers so far.

    Raises whatever the provider raises.
    """
    answers = Answers(enough)
    with answers.scope:
        await provider.call(request, PacedItems(fed), answers.emit)
    return answers


def frames(pcm: bytes, first: int = 0) -> list[Message]:
    """Split audio (s16le mono at 16 kHz) into frames of 20 ms, numbered from `first`. The last frame is filled up with
    silence."""
    count = -(-len(pcm) // FRAME_BYTES)
    cut = (pcm[i * FRAME_BYTES : (i + 1) * FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for i in range(count))
    return [Frames(first + i, 1, piece) for i, piece in enumerate(cut)]


def utterance(pcm: bytes, number: int = 1, first: int = 0) -> list[Message]:
    """One utterance as the ASR stage feeds it, for audio `pcm` (s16le mono at 16 kHz).

    It consists of frames numbered from `first`, 0.5 s of silence, a SpeechStarted, a SpeechStopped, and the EndOfUtterance
    number `number`.
    """
    voiced = frames(pcm, first)
    last = first + len(voiced) - 1
    silent = frames(bytes(25 * FRAME_BYTES), last + 1)
    return [
        *voiced[:3],
        SpeechStarted(first),
        *voiced[3:],
        *silent[:5],
        SpeechStopped(last),
        *silent[5:],
        EndOfUtterance(number, last),
    ]
