"""What of a conversation a language model is told: how large it is, and what is left out so that it fits.

Sizes are estimated tokens, since nobody but the model's own tokeniser knows them; where an estimate was too low the model
refuses, and is asked again with less (``stages.llm``).
"""

from __future__ import annotations

from collections.abc import Sequence

from flowkit.chunker.text import measure
from flowkit.messages import Ask, Exchange

_FRAME = 5
"""Tokens that a chat template puts around each message."""


def size(*texts: str) -> int:
    """The estimated tokens of these messages."""
    return sum(measure(text) + _FRAME for text in texts if text)


def size_of(ask: Ask) -> int:
    """The estimated tokens of a request, without what the provider adds to it."""
    return size(ask.text, ask.said) + sum(size(exchange.user, exchange.agent) for exchange in ask.history)


def fitting(history: Sequence[Exchange], most: int, tokens: int) -> tuple[Exchange, ...]:
    """The newest exchanges: at most `most`, and of `tokens` together at most."""
    kept = len(history)
    while kept and len(history) - kept < most:
        exchange = history[kept - 1]
        tokens -= size(exchange.user, exchange.agent)
        if tokens < 0:
            break
        kept -= 1
    return tuple(history[kept:])


def remembered(history: tuple[Exchange, ...], most: int, tokens: int | None = None) -> tuple[Exchange, ...]:
    """The newest exchanges, at most `most` of them, and no more than fit into `tokens`. They are forgotten by the half dozen,
    not one a turn: as long as the beginning stays the same, the model need not read it again."""
    if tokens is not None:
        most = min(most, len(fitting(history, most, tokens)))
    if len(history) <= most:
        return history
    step = max(1, most // 2)
    forgotten = -(-(len(history) - most) // step) * step
    return history[min(forgotten, len(history)) :]
