"""Calling a provider without an engine: a session's surroundings, what a stage feeds, and an ``emit`` that keeps what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from flowkit.clock import US_PER_S
from flowkit.messages import EndOfUtterance, Frames, Message, SpeechStarted
from flowkit.providers.base import Provider, Surroundings

RATE_HZ = 16_000
FRAME_US = 20_000
FRAME_BYTES = 2 * RATE_HZ * FRAME_US // US_PER_S

M = TypeVar("M", bound=Message)


@dataclass
class FakeSession:
    """Surroundings on Trio's clock (or a mock of it), and what was told: notices for people; events (name, detail) for traces."""

    rate_hz: int = RATE_HZ
    frame_us: int = FRAME_US
    notices: list[str] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)

    def around(self) -> Surroundings:
        """To be called inside trio.run: the session's time begins now."""
        zero_s = trio.current_time()

        def now_us() -> int:
            return round((trio.current_time() - zero_s) * US_PER_S)

        def at_s(at_us: int) -> float:
            return zero_s + at_us / US_PER_S

        def event(at_us: int, name: str, detail: str) -> None:
            self.events.append((name, detail))

        return Surroundings(self.rate_hz, self.frame_us, now_us, self.notices.append, at_s, event)


class PacedItems:
    """What a stage feeds: items, each after a pause. No generator: an abandoned call would leave it behind, suspended."""

    def __init__(self, items: Iterable[Message] = (), pause_s: float = 0.0) -> None:
        self._items = iter(items)
        self._pause_s = pause_s

    def __aiter__(self) -> PacedItems:
        return self

    async def __anext__(self) -> Message:
        await trio.sleep(self._pause_s)
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None


@dataclass
class Answers:
    """An ``emit`` that keeps what was said, and ends the call it belongs to when `enough` says so."""

    enough: Callable[[list[Message]], bool] = lambda items: False
    items: list[Message] = field(default_factory=list)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def emit(self, item: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.items.append(item)
        if self.enough(self.items):
            self.scope.cancel()

    def of(self, kind: type[M]) -> list[M]:
        """What was said of that type."""
        return [item for item in self.items if isinstance(item, kind)]


async def answer(
    provider: Provider,
    request: Message,
    fed: Iterable[Message] = (),
    enough: Callable[[list[Message]], bool] = lambda items: False,
) -> Answers:
    """Call a provider that is ready; the call is cancelled when its answers are `enough`. Raises what the provider raises."""
    answers = Answers(enough)
    with answers.scope:
        await provider.call(request, PacedItems(fed), answers.emit)
    return answers


def frames(pcm: bytes, first: int = 0) -> list[Message]:
    """Sound (s16le mono at 16 kHz) as input frames of 20 ms from number `first` on, the last one filled up with silence."""
    count = -(-len(pcm) // FRAME_BYTES)
    cut = (pcm[i * FRAME_BYTES : (i + 1) * FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for i in range(count))
    return [Frames(first + i, 1, piece) for i, piece in enumerate(cut)]


def utterance(pcm: bytes, number: int = 1, first: int = 0) -> list[Message]:
    """`pcm` as the ASR's stage feeds it: frames from number `first` on, 0.5 s of silence, and the marks of utterance `number`."""
    voiced = frames(pcm, first)
    last = first + len(voiced) - 1
    silent = frames(bytes(25 * FRAME_BYTES), last + 1)
    return [*voiced[:3], SpeechStarted(first), *voiced[3:], *silent, EndOfUtterance(number, last)]
