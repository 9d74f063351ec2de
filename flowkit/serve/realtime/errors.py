"""How a client event is refused."""

from __future__ import annotations

from typing import Any

INVALID, SERVER = "invalid_request_error", "server_error"
"""The types of errors."""


class EventRefused(Exception):
    """A client event cannot be carried out, and nothing of it was. Raised by its handler; the client gets an ``error`` event.

    `code` is one of the contract's own where it has one, and `param` names the field.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def unsupported(what: str, param: str | None = None) -> EventRefused:
    """The refusal of something that OpenAI's server has and this one does not."""
    return EventRefused("unsupported", f"{what} is not supported by this server.", param)


def error_event(
    code: str, message: str, param: str | None = None, event_id: str | None = None, kind: str = INVALID
) -> dict[str, Any]:
    """An ``error`` event, without its own id."""
    error = {"type": kind, "code": code, "message": message, "param": param, "event_id": event_id}
    return {"type": "error", "error": error}
