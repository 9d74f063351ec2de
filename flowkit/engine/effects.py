"""What goes into the engine from outside, and what comes out of it to be done outside."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from flowkit.messages import Message, Silence


class Stimulus(NamedTuple):
    """`item` of call `call` (0: of the session itself) for stage `stage`, an index; it was there from `available_us` on."""

    stage: int
    call: int
    item: Message
    available_us: int


class CallOpened(NamedTuple):
    """Start call `call` of the stage's provider. `scope` is ``turn`` or ``session``."""

    stage: int
    call: int
    request: Message
    scope: str


class CallFed(NamedTuple):
    """Hand `item` to the call."""

    stage: int
    call: int
    item: Message


class CallEnded(NamedTuple):
    """Nothing more will be fed to the call."""

    stage: int
    call: int


class CallCancelled(NamedTuple):
    """Stop the call; whatever it still sends is stale."""

    stage: int
    call: int


class Finished(NamedTuple):
    """The session is over. `reason`: ``input_ended``, ``closed``, or ``failed: ...``."""

    reason: str


Effect: TypeAlias = CallOpened | CallFed | CallEnded | CallCancelled | Finished


def credit_batch(window: int) -> int:
    """Fed items after whose taking a credit is reported: often enough never to stall, seldom enough to cost nothing."""
    return max(1, window // 4)


AT_ONCE = frozenset({Silence})
"""Items that stop a reply. Taking one is credited at once with all before it, so that the next reply finds the whole bound free,
as the first one did."""
