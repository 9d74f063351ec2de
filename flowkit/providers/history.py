"""What of a conversation a language model is told."""

from __future__ import annotations

from flowkit.messages import Exchange


def remembered(history: tuple[Exchange, ...], most: int) -> tuple[Exchange, ...]:
    """The newest exchanges, at most `most` of them. They are forgotten by the half dozen, not one a turn: as long as
    the beginning stays the same, the model need not read it again."""
    if len(history) <= most:
        return history
    step = max(1, most // 2)
    forgotten = -(-(len(history) - most) // step) * step
    return history[min(forgotten, len(history)) :]
