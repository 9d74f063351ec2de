"""How much of a conversation is sent to a language model: its size, and what is left out so that it fits.

Sizes are estimated tokens, because only the model's own tokeniser knows the exact number. If an estimate is too low,
the model refuses the request, and it is made again with less history (``stages.llm``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flowkit.chunker.text import measure
from flowkit.messages import Ask, Exchange, ReplyStep

_FRAME = 5
"""How many tokens a chat template adds to each message."""


def size(*texts: str) -> int:
    """The estimated size of these messages in tokens."""
    return sum(measure(text) + _FRAME for text in texts if text)


def size_of(ask: Ask) -> int:
    """The estimated size of a request in tokens, without what the provider adds to it."""
    return size(ask.text, ask.said) + _size_of_steps(ask.steps) + sum(map(_size_of_exchange, ask.history))


# Each request of a session has the history of the one before it.
@lru_cache(maxsize=1024)
def _size_of_exchange(exchange: Exchange) -> int:
    return size(exchange.user, exchange.agent) + _size_of_steps(exchange.steps)


def _size_of_steps(steps: tuple[ReplyStep, ...]) -> int:
    called = [call for step in steps for call in step.calls]
    texts = (step.text for step in steps)
    return size(*texts, *(f"{call.name} {call.arguments}" for call in called), *(call.content for call in called))


def fitting(history: Sequence[Exchange], most: int, tokens: int) -> tuple[Exchange, ...]:
    """The newest exchanges: at most `most`, with at most `tokens` tokens together."""
    kept = len(history)
    while kept and len(history) - kept < most:
        exchange = history[kept - 1]
        tokens -= _size_of_exchange(exchange)
        if tokens < 0:
            break
        kept -= 1
    return tuple(history[kept:])


def remembered(history: tuple[Exchange, ...], most: int, tokens: int | None = None) -> tuple[Exchange, ...]:
    """The newest exchanges: at most `most`, with at most `tokens` tokens together.

    When there are more than `most`, half of `most` are dropped at once and not one in each turn. As long as the
    beginning of the history stays the same, the model can reuse what it has computed for it.
    """
    if tokens is not None:
        most = min(most, len(fitting(history, most, tokens)))
    if len(history) <= most:
        return history
    step = max(1, most // 2)
    forgotten = -(-(len(history) - most) // step) * step
    return history[min(forgotten, len(history)) :]
