"""What the tests of providers share: a session's surroundings, and ways to call a provider without an engine."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from flowkit.clock import US_PER_S
from flowkit.messages import Frames, Message
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.registry import missing

RATE_HZ = 16_000
FRAME_US = 20_000
FRAME_BYTES = 640
AUDIO = Path(__file__).parents[2] / "pipelines" / "audio"

M = TypeVar("M", bound=Message)


@dataclass
class Session:
    """Surroundings on Trio's clock (or a mock of it), and what people were told."""

    rate_hz: int = RATE_HZ
    frame_us: int = FRAME_US
    notices: list[str] = field(default_factory=list)

    def around(self) -> Surroundings:
        """To be called inside trio.run: the session's time begins now."""
        zero_s = trio.current_time()

        def now_us() -> int:
            return round((trio.current_time() - zero_s) * US_PER_S)

        return Surroundings(self.rate_hz, self.frame_us, now_us, self.notices.append)


@dataclass
class Answers:
    """An `emit` that keeps what was answered, and ends the call it belongs to when `enough` says so."""

    enough: Callable[[list[Message]], bool] = lambda items: False
    items: list[Message] = field(default_factory=list)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def emit(self, item: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.items.append(item)
        if self.enough(self.items):
            self.scope.cancel()

    def of(self, kind: type[M]) -> list[M]:
        return [item for item in self.items if isinstance(item, kind)]


async def feed(items: Iterable[Message]) -> AsyncIterator[Message]:
    """What a stage feeds, all at once."""
    for item in items:
        await trio.lowlevel.checkpoint()
        yield item


async def answer(
    provider: Provider,
    request: Message,
    fed: Iterable[Message] = (),
    enough: Callable[[list[Message]], bool] = lambda items: False,
) -> Answers:
    """Call a provider that is ready; the call is cancelled when its answers are `enough`."""
    answers = Answers(enough)
    with answers.scope:
        await provider.call(request, feed(fed), answers.emit)
    return answers


def frames(pcm: bytes) -> list[Message]:
    """Sound as input frames, the last one filled up with silence."""
    count = -(-len(pcm) // FRAME_BYTES)
    cut = (pcm[i * FRAME_BYTES : (i + 1) * FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for i in range(count))
    return [Frames(i, 1, piece) for i, piece in enumerate(cut)]


def recorded(name: str) -> bytes:
    """The samples of one of the project's own recordings."""
    with wave.open(str(AUDIO / name)) as file:
        return file.readframes(file.getnframes())


def installed(*classes: type[Provider]) -> Any:
    """Skips a test whose models are not installed, and says which."""
    lacking = [module for cls in classes for module in missing(cls)]
    return pytest.mark.skipif(bool(lacking), reason=f"not installed: {', '.join(lacking)}")
