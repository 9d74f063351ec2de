"""Helpers of the contract tests: one way to call a provider of flowkit, and its outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import trio

from flowkit.clock import US_PER_S
from flowkit.errors import ProviderError
from flowkit.messages import (
    Ask,
    Audio,
    EndOfUtterance,
    Final,
    Frames,
    InputEnded,
    Message,
    Narrate,
    Speak,
    SpeechStarted,
    Token,
    ToolCall,
    Transcribe,
    WordTimes,
)
from flowkit.options import Options
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError
from flowkit.providers.models import opened
from flowkit.testing.provider import PacedItems
from flowkit.tools import ToolSpec

OK, SILENT = "ok", "silent"
VOICE, QUIET = b"\1\1" * 320, bytes(640)
"""A frame of 20 ms at 16 kHz."""
SILENT_AFTER_S, PATIENCE_S = 0.8, 5.0
"""How long a provider is waited for of which nothing is expected, and any other: a busy machine is slow."""


@dataclass
class Outcome:
    """The outcome of a call: `end` is ok, silent, or the trouble; `items` are the answers before it."""

    end: str = OK
    error: str = ""
    items: list[Message] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(item.text for item in self.items if isinstance(item, Token))

    @property
    def calls(self) -> list[ToolCall]:
        return [item for item in self.items if isinstance(item, ToolCall)]

    @property
    def finals(self) -> list[str]:
        return [item.text for item in self.items if isinstance(item, Final)]

    @property
    def samples(self) -> int:
        return sum(item.samples for item in self.items if isinstance(item, Audio))

    @property
    def words(self) -> list[str]:
        """The words of the last WordTimes of each clause."""
        by_clause = {item.clause: item.words for item in self.items if isinstance(item, WordTimes)}
        return [word for words in by_clause.values() for word, _ in words]


def utterance(number: int = 1, first: int = 0, voiced: int = 40, silent: int = 25) -> list[Message]:
    """Voiced frames, and the end of the utterance after them."""
    frames: list[Message] = [Frames(first + i, 1, VOICE if i < voiced else QUIET) for i in range(voiced + silent)]
    started = SpeechStarted(first)
    return [*frames[:3], started, *frames[3:], EndOfUtterance(number, first + voiced - 1)]


def around(outcome: Outcome) -> Surroundings:
    """Surroundings whose events go to `outcome`. Call it inside trio.run."""
    zero_s = trio.current_time()

    def now_us() -> int:
        return round((trio.current_time() - zero_s) * US_PER_S)

    return Surroundings(16_000, 20_000, now_us, lambda line: None, event=lambda at, n, d: outcome.events.append((n, d)))


async def call(
    provider: Provider, outcome: Outcome, request: Message, fed: AsyncIterator[Message], patience_s: float = PATIENCE_S
) -> None:
    """Call a provider that is ready. The result goes into `outcome`; it is silent after `patience_s` without an answer."""

    async def emit(item: Message) -> None:
        for _ in range(20):  # a stage that takes its time: what a call has said last must not be lost when it ends
            await trio.lowlevel.checkpoint()
        outcome.items.append(item)
        watch.deadline = trio.current_time() + patience_s

    try:
        with trio.move_on_after(patience_s) as watch:
            await provider.call(request, fed, emit)
        if watch.cancelled_caught:
            outcome.end = SILENT
    except CloudError as error:
        outcome.end, outcome.error = error.trouble.value, str(error)
    except ProviderError as error:
        outcome.end, outcome.error = "error", str(error)


def one_call(
    cls: type[Provider],
    options: Options,
    request: Message,
    fed: Iterable[Message] = (),
    pause_s: float = 0,
    tools: Iterable[ToolSpec] = (),
    silent: bool = False,
) -> Outcome:
    """Make a provider, get it ready and call it once, in a new event loop.

    `tools`: what an LLM may call. `silent`: it is expected to fall silent, and is not waited for long.
    """
    outcome = Outcome()

    async def main() -> None:
        try:
            here = around(outcome)
            here.tools.extend(tools)
            async with opened(cls, options, here) as provider:
                await call(
                    provider, outcome, request, PacedItems(fed, pause_s), SILENT_AFTER_S if silent else PATIENCE_S
                )
        except CloudError as error:
            outcome.end, outcome.error = error.trouble.value, str(error)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    trio.run(main)
    return outcome


__all__ = [
    "OK",
    "SILENT",
    "Any",
    "Ask",
    "InputEnded",
    "Narrate",
    "Outcome",
    "PacedItems",
    "Speak",
    "Transcribe",
    "around",
    "call",
    "one_call",
    "utterance",
]
