"""What ``serve:`` may contain: who may talk to ``flowkit serve``, what a client may change, and how much it may use."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from flowkit import options as opt
from flowkit.secrets import is_hidden

_SHORTEST = 16


def masked(token: opt.Secret) -> bool:
    """Whether it is one of a recorded configuration."""
    return is_hidden(token.get_secret_value())


def _long_enough(token: opt.Secret) -> opt.Secret:
    if len(token.get_secret_value()) < _SHORTEST and not masked(token):
        # Of pydantic's own type: it tells the length and not the token, so it is shown for a token from a variable too.
        raise PydanticCustomError("string_too_short", "is too short", {"min_length": _SHORTEST})
    return token


Token = Annotated[opt.Secret, AfterValidator(_long_enough), Field(json_schema_extra={"minLength": _SHORTEST})]


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(f"must be an address or a network, such as 127.0.0.1 or 10.0.0.0/8: {error}") from error
    return text


class Settable(StrEnum):
    """What a client may change with ``session.update``."""

    INSTRUCTIONS = "instructions"
    """The system prompt, for its session or for one response."""
    TOOLS = "tools"
    """Tools of its own, which it runs itself."""
    TURN_DETECTION = "turn_detection"
    """Who ends an utterance, the thresholds, and whether a voice interrupts."""
    OUTPUT_MODALITIES = "output_modalities"
    """Whether it gets speech or text."""


class ServeLimits(opt.Options):
    """How much clients may use. Who exceeds a limit gets an error with its reason, and the others do not notice."""

    sessions: int = Field(default=100, ge=1, le=10_000)
    """How many sessions may run at the same time. One more is refused with status 503."""
    per_peer: int = Field(default=20, ge=1, le=10_000)
    """How many of them may come from one address. One more is refused with status 429."""
    lag: opt.Duration = Field(default=opt.us("50ms"), ge=1_000)
    """While the event loop wakes later than this, no further session is admitted. It protects those that run."""
    message: opt.Size = Field(default=500_000, ge=1_000, le=16_000_000)
    """The largest message. A larger one closes the connection with code 1009."""
    handshake: opt.Duration = opt.us("10s")
    """How long a request may take, from the connection to its last byte."""
    idle: opt.Duration = opt.us("10min")
    """How long a client may send nothing. After that its connection is closed."""
    ahead: opt.Duration = opt.us("30s")
    """How much more audio a client may send than time has passed. What exceeds it is refused with an error."""
    unsent: opt.Size = Field(default=2_000_000, ge=10_000, le=100_000_000)
    """How much may wait for a client that reads slowly. With more its connection is closed."""


class Twilio(opt.Options):
    """Telephone calls by Twilio Media Streams."""

    auth_token: Token
    """The auth token of the Twilio account, which signs the account's requests."""
    url: str | None = Field(default=None, pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$")
    """The server as Twilio calls it, such as https://voice.example.com, where a proxy is in front. By default requests tell."""
    key_pause: opt.Duration = opt.us("1500ms")
    """After this long without another key, the keys that were pressed are answered. `#` passes them on at once."""


class ServeTrace(opt.Options):
    """Which sessions are recorded."""

    sample: float = Field(default=1.0, ge=0, le=1)
    """Share of the sessions that are recorded, into `trace.dir`."""


class Serve(opt.Options):
    """How ``flowkit serve`` offers the pipeline to clients."""

    tokens: tuple[Token, ...] = ()
    """Tokens of which a client must send one. Without any, only this machine can connect. A token has at least 16 characters."""
    origins: tuple[str, ...] = ()
    """Web pages that may connect, such as [https://example.com]. Programs other than browsers send no origin."""
    proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Addresses or networks of reverse proxies, such as [127.0.0.1]. From these alone `X-Forwarded-For` is believed, so that
    `limits.per_peer` counts clients instead of the proxy."""
    client_may_set: tuple[Settable, ...] = tuple(Settable)
    """What a client may change with `session.update`. By default everything."""
    greeting: bool = True
    """Whether the agent says the `greeting` of the file to each client."""
    lead: opt.Duration = opt.us("500ms")
    """How far ahead of its time audio is sent. An interruption has to take back at most so much."""
    drain: opt.Duration = opt.us("30s")
    """How long replies and the goodbye may go on after SIGTERM. Then the remaining sessions are closed."""
    goodbye: str | None = Field(default=None, min_length=1)
    """What the agent says to each client after SIGTERM, once nobody is being answered. Without it the connection is closed."""
    workers: int = Field(default=1, ge=1, le=256)
    """How many processes share the port, each with models of its own. One that dies is started again. More of them than cores make
    nothing faster."""
    twilio: Twilio | None = None
    """Takes telephone calls."""
    limits: ServeLimits = ServeLimits()
    """How much clients may use."""
    trace: ServeTrace = ServeTrace()
    """Which sessions are recorded."""
