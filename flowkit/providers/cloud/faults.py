"""The errors of cloud providers.

Every error of a cloud provider is a ``CloudError`` with a ``Trouble``. The trouble alone decides whether a retry makes
sense. The tables here map HTTP statuses and websocket close codes to troubles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from enum import StrEnum

from flowkit.clock import US_PER_S, wall_us
from flowkit.errors import ProviderError


class Trouble(StrEnum):
    """The kind of an error. Traces and messages use its value."""

    AUTH = "auth"
    """The key is wrong, empty or expired."""
    PAYMENT = "payment"
    """The account has no credit."""
    LIMIT = "limit"
    """A rate limit was exceeded. The provider may say when to try again."""
    REQUEST = "request"
    """The provider refuses the request: the model does not exist, or a message is not allowed at this point."""
    LENGTH = "length"
    """The request is longer than the model's context, or than the provider allows."""
    SERVER = "server"
    """The provider reports an error of its own."""
    NETWORK = "network"
    """The connection failed or broke: DNS, refused, reset."""
    CLOSED = "closed"
    """The provider closed the connection properly, but too early."""
    PROTOCOL = "protocol"
    """The provider sent something that the protocol does not allow: HTML, broken JSON, a missing field."""
    TIMEOUT = "timeout"
    """No connection or no answer came in time."""
    CERTIFICATE = "certificate"
    """The server's certificate is not valid."""
    DEAF = "deaf"
    """The ASR returned no words for several utterances in which the VAD heard speech."""
    EMPTY = "empty"
    """The answer contains no text that can be spoken."""


_PASSING = frozenset(
    {
        Trouble.LIMIT,
        Trouble.SERVER,
        Trouble.NETWORK,
        Trouble.CLOSED,
        Trouble.PROTOCOL,
        Trouble.TIMEOUT,
        Trouble.EMPTY,
    }
)
_LASTING = frozenset({Trouble.AUTH, Trouble.PAYMENT, Trouble.CERTIFICATE, Trouble.DEAF})


class CloudError(ProviderError):
    """An error of a cloud provider.

    `retry_after_us` is how long to wait before a retry, in microseconds, if the provider said so.
    """

    def __init__(self, trouble: Trouble, message: str, *, hint: str = "", retry_after_us: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.trouble = trouble
        self.retry_after_us = retry_after_us
        self.status: int | None = None
        """The HTTP status of the response, if there was one."""

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed on a retry."""
        return self.trouble in _PASSING

    @property
    def lasting(self) -> bool:
        """Whether every request will fail until something outside changes, such as the key or the account."""
        return self.trouble in _LASTING


_STATUS: Mapping[int, Trouble] = {
    401: Trouble.AUTH,
    402: Trouble.PAYMENT,
    403: Trouble.AUTH,
    408: Trouble.SERVER,
    425: Trouble.SERVER,
    413: Trouble.LENGTH,
    429: Trouble.LIMIT,
    498: Trouble.LIMIT,  # Groq: flex tier, capacity exceeded
}

# RFC 6455 section 7.4 and AssemblyAI's session errors. 1006 is a connection that ended without a close frame.
_CLOSE: Mapping[int, Trouble] = {
    1000: Trouble.CLOSED,
    1001: Trouble.CLOSED,
    1002: Trouble.PROTOCOL,
    1003: Trouble.REQUEST,
    1006: Trouble.NETWORK,
    1007: Trouble.REQUEST,
    1008: Trouble.AUTH,
    1009: Trouble.REQUEST,
    1011: Trouble.SERVER,
    1012: Trouble.SERVER,
    1013: Trouble.SERVER,
    3005: Trouble.SERVER,
    3006: Trouble.REQUEST,
    3007: Trouble.REQUEST,
    3008: Trouble.CLOSED,
    3009: Trouble.LIMIT,
}

_HINTS: Mapping[Trouble, str] = {
    Trouble.AUTH: "check the API key",
    Trouble.PAYMENT: "the account has no credit left",
    Trouble.CERTIFICATE: "check this machine's clock and certificates, and the server's address",
}


_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|exceed_context|(prompt|input|request|messages?) (is|are) too (long|large)"
    r"|too many (input )?tokens|reduce the length|maximum (context|number of tokens)",
    re.IGNORECASE,
)


def too_long(what: str) -> bool:
    """Whether an error's code or text says that the request is too long. Every server words it differently."""
    return _TOO_LONG.search(what) is not None


_BAD_CALL = re.compile(r"tool_use_failed|failed to call a function|tool call validation failed", re.IGNORECASE)
"""Groq refuses with status 400 what its own model wrote as a tool call. Asked again, the model may write a good one."""


def of_status(status: int, what: str, headers: Mapping[str, str] | None = None, *, title: str = "") -> CloudError:
    """The error for an HTTP status.

    Args:
        status: The status.
        what: The message in the body.
        headers: The headers, with lower-case names; `retry-after` is used.
        title: Kind and name of the provider, such as ``"llm mine"``, to begin the message with.
    """
    trouble = _STATUS.get(status) or (Trouble.SERVER if status >= 500 else Trouble.REQUEST)
    # A good status is an error only because of its content, such as an HTML page.
    if status < 400:
        trouble = Trouble.PROTOCOL
    elif status == 400 and too_long(what):
        trouble = Trouble.LENGTH
    elif status == 400 and _BAD_CALL.search(what):
        trouble = Trouble.SERVER
    wait = retry_after_us((headers or {}).get("retry-after", ""))
    said = (f"{title}: " if title else "") + f"HTTP {status}" + (f": {what}" if what else "")
    if wait is not None:
        said += f" (retry after {wait / US_PER_S:.0f} s)"
    error = CloudError(trouble, said, hint=_HINTS.get(trouble, ""), retry_after_us=wait)
    error.status = status
    return error


def of_close(code: int, reason: str) -> CloudError:
    """The error for a websocket close code (RFC 6455 section 7.4) and reason."""
    trouble = _CLOSE.get(code) or (Trouble.REQUEST if 4000 <= code < 5000 else Trouble.SERVER)
    said = f"the connection was closed ({code}{': ' + reason if reason else ''})"
    return CloudError(trouble, said, hint=_HINTS.get(trouble, ""))


# The `m` of `ms` is no minute.
_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_LONGEST_US = 24 * 3600 * US_PER_S


def retry_after_us(value: str) -> int | None:
    """A ``retry-after`` header as microseconds from now; None if it cannot be read.

    The value is in seconds (``2``, ``0.5``, ``7200``), an HTTP date, or a span as in rate-limit headers (``2m59.5s``,
    ``1h``). The result is at most a day, and 0 for a date in the past.
    """
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        return _date_us(value) if "," in value else _span_us(value)
    # Infinity and NaN are numbers too, and cannot be rounded.
    return min(max(0, round(seconds * US_PER_S)), _LONGEST_US) if seconds < 1e12 else None


def _date_us(value: str) -> int | None:
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return min(max(0, round(at.timestamp() * US_PER_S) - wall_us()), _LONGEST_US)


def _span_us(value: str) -> int | None:
    match = _SPAN.fullmatch(value)
    # The pattern also matches an empty text.
    if not value or match is None:
        return None
    hours, minutes, seconds, thousandths = (float(part or 0) for part in match.groups())
    return min(round((hours * 3600 + minutes * 60 + seconds + thousandths / 1000) * US_PER_S), _LONGEST_US)


def schema(what: str) -> CloudError:
    """The error for something that the protocol does not allow."""
    return CloudError(Trouble.PROTOCOL, what)


@contextmanager
def lone_fault() -> Iterator[None]:
    """Wrap a nursery whose tasks share a connection: a group of CloudErrors is raised as its first one.

    When a connection breaks, several tasks raise the same error. A group with any other exception is raised unchanged.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        faults, others = group.split(CloudError)
        if faults is None or others is not None:
            raise
        leaf: BaseException = faults
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        raise leaf from leaf.__cause__
