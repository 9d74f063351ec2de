"""A microphone whose frames are pushed by a connection, through ``runtime.remote.Remote``. It needs no task."""

from __future__ import annotations

from flowkit.messages import Message
from flowkit.providers.inline import InlineCall, InlineProvider


class PushedSource(InlineProvider):
    """A microphone that says nothing by itself."""

    kind = "mic"
    name = "pushed"

    def open(self, request: Message) -> InlineCall:
        return InlineCall()
