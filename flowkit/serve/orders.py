"""What a client's protocol wants of the session."""

from __future__ import annotations

from typing import NamedTuple

from flowkit.messages import Message


class Order(NamedTuple):
    """A message for the session: for the stage of kind `to`. For ``mic`` it is pushed, in order with the frames."""

    to: str
    message: Message
