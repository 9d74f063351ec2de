"""Stimuli, which a pump brings to the engine, and effects, which the engine asks the pump to carry out."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from flowkit.messages import Message, Silence


class Stimulus(NamedTuple):
    """An item for a stage, from outside the engine."""

    stage: int
    """Index of the stage."""
    call: int
    """Number of the provider call that gave the item; 0 if no call did."""
    item: Message
    available_us: int
    """When the item was available. It may be handled later, if the stage holds it back."""


class CallOpened(NamedTuple):
    """Start call number `call` of the stage's provider with `request`. `scope` is ``turn`` or ``session``."""

    stage: int
    call: int
    request: Message
    scope: str


class CallFed(NamedTuple):
    """Pass `item` to the call."""

    stage: int
    call: int
    item: Message


class CallEnded(NamedTuple):
    """Tell the call that it will be fed nothing more. Its answers are still awaited."""

    stage: int
    call: int


class CallCancelled(NamedTuple):
    """Cancel the call. What still comes from it is stale."""

    stage: int
    call: int


class Finished(NamedTuple):
    """The session is over. `reason` is ``input_ended``, ``closed`` or ``failed: ...``."""

    reason: str


Effect: TypeAlias = CallOpened | CallFed | CallEnded | CallCancelled | Finished


def credit_batch(window: int) -> int:
    """After how many taken items a provider reports a credit, for a stage with this `window`.

    A quarter of the window: small enough that the stage does not run out of credit while its provider keeps up, large
    enough that credits are a small part of the journal.
    """
    return max(1, window // 4)


AT_ONCE = frozenset({Silence})
"""Items that stop a reply. When the device takes one, it is credited at once, together with all items before it. So the
next reply finds the whole bound free, as the first one did."""
