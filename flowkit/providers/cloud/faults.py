"""What can go wrong between flowkit and a provider's servers, in one vocabulary, and what helps.

Every fault of a cloud provider is a ``CloudError`` with a ``Trouble``; the trouble alone decides whether asking again makes
sense. Status and close codes are mapped here in tables, so that a code is judged in one place.
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
    """What kind of fault it is: also the word that the trace says."""

    AUTH = "auth"
    """The key is wrong, empty or expired."""
    PAYMENT = "payment"
    """The account has no credit."""
    LIMIT = "limit"
    """Too much was asked in too short a time; there may be a time at which to come again."""
    REQUEST = "request"
    """The provider understands the request and refuses it: a model that does not exist, a message out of place."""
    LENGTH = "length"
    """The request is longer than the model's context, or than what is allowed at a time."""
    SERVER = "server"
    """The provider says that it is at fault."""
    NETWORK = "network"
    """No connection, or one that broke: DNS, certificates, refusal, reset."""
    CLOSED = "closed"
    """The connection was closed in order, but too early."""
    PROTOCOL = "protocol"
    """Something came that the protocol does not know: HTML, broken JSON, a missing field."""
    TIMEOUT = "timeout"
    """Nothing useful came in time."""
    CERTIFICATE = "certificate"
    """The server cannot prove who it is."""
    DEAF = "deaf"
    """There was voice, again and again, and no words were heard."""
    EMPTY = "empty"
    """The answer has nothing in it that could be said."""


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
    """A fault of a cloud provider. `retry_after_us`: how long the provider wants to be left alone, if it said so."""

    def __init__(self, trouble: Trouble, message: str, *, hint: str = "", retry_after_us: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.trouble = trouble
        self.retry_after_us = retry_after_us
        self.status: int | None = None
        """The HTTP status that said so, if one did."""

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed if it is made again."""
        return self.trouble in _PASSING

    @property
    def lasting(self) -> bool:
        """Whether every request will fail until something changes: a key, an account, the sound that is heard."""
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

# RFC 6455 section 7.4 and AssemblyAI's list of session errors; 1006 stands for a connection that ended without a close.
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
    Trouble.CERTIFICATE: "check the clock of this machine, its certificates, and who answers at that address",
}


_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|exceed_context|(prompt|input|request|messages?) (is|are) too (long|large)"
    r"|too many (input )?tokens|reduce the length|maximum (context|number of tokens)",
    re.IGNORECASE,
)


def too_long(what: str) -> bool:
    """Whether a refusal, by its code or its words, is for the request's length: there are as many forms as servers."""
    return _TOO_LONG.search(what) is not None


def of_status(status: int, what: str, headers: Mapping[str, str] | None = None) -> CloudError:
    """The fault that an HTTP status means. `headers` have lower-case names; `what` is the body's own message."""
    trouble = _STATUS.get(status) or (Trouble.SERVER if status >= 500 else Trouble.REQUEST)
    if status < 400:
        trouble = Trouble.PROTOCOL
    elif status == 400 and too_long(what):
        trouble = Trouble.LENGTH
    wait = retry_after_us((headers or {}).get("retry-after", ""))
    said = f"HTTP {status}" + (f": {what}" if what else "")
    if wait is not None:
        said += f" (retry after {wait / US_PER_S:.0f} s)"
    error = CloudError(trouble, said, hint=_HINTS.get(trouble, ""), retry_after_us=wait)
    error.status = status
    return error


def of_close(code: int, reason: str) -> CloudError:
    """The fault that a websocket's close code means."""
    trouble = _CLOSE.get(code) or (Trouble.REQUEST if 4000 <= code < 5000 else Trouble.SERVER)
    said = f"the connection was closed ({code}{': ' + reason if reason else ''})"
    return CloudError(trouble, said, hint=_HINTS.get(trouble, ""))


_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_LONGEST_US = 24 * 3600 * US_PER_S


def retry_after_us(value: str) -> int | None:
    """A ``retry-after`` header as microseconds from now: seconds (``2``, ``0.5``, ``7200``), an HTTP date, or the spans that
    rate-limit headers use (``2m59.5s``, ``1h``). None if it says nothing; at most a day; a date gone by is 0."""
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        return _date_us(value) if "," in value else _span_us(value)
    return min(max(0, round(seconds * US_PER_S)), _LONGEST_US) if seconds < 1e12 else None


def _date_us(value: str) -> int | None:
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return min(max(0, round(at.timestamp() * US_PER_S) - wall_us()), _LONGEST_US)


def _span_us(value: str) -> int | None:
    match = _SPAN.fullmatch(value)
    if not value or match is None:
        return None
    hours, minutes, seconds, thousandths = (float(part or 0) for part in match.groups())
    return min(round((hours * 3600 + minutes * 60 + seconds + thousandths / 1000) * US_PER_S), _LONGEST_US)


def schema(what: str) -> CloudError:
    """Something that the protocol does not allow."""
    return CloudError(Trouble.PROTOCOL, what)


@contextmanager
def lone_fault() -> Iterator[None]:
    """Around a nursery of tasks that share a connection: when it breaks several of them notice, and the first one's word is
    enough. Errors of any other kind come out as they are."""
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
