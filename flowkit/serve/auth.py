"""Who may connect: the name by which the server is called, the page that calls it, and a token or a client secret.

A client secret is for browsers, which must not have a token. It is signed with a key that follows from the tokens, so
every process with the same tokens accepts it, and none keeps a list. It expires, and carries the settings of the sessions
that begin with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flowkit.clock import US_PER_S, wall_us
from flowkit.config.serve import Serve
from flowkit.secrets import learn
from flowkit.serve.http import HttpAnswer, HttpRequest, refusal

PREFIX = "ek_"
SECRET_S = 600
"""How long a client secret is valid by default, in seconds. OpenAI's are as long."""
SHORTEST_S, LONGEST_S = 10, 7200
_BEARER = "bearer "
_PROTOCOL = "openai-insecure-api-key."
"""A browser cannot set headers of a WebSocket. So its secret comes as the name of a subprotocol with this prefix."""
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has connected. `token`: with a token, not a client secret. `session`: the settings that its client secret carries.
    `observes`: whether it may look inside sessions."""

    token: bool
    session: Mapping[str, Any]
    observes: bool = True


NOBODY = Caller(False, {})
"""Someone without a token, whom something else lets in."""


class Doorkeeper:
    """Decides who may connect. `host` is the address that the server listens on. `key` signs client secrets if there are no tokens;
    without it only this process accepts them."""

    def __init__(self, options: Serve, host: str, key: bytes = b"") -> None:
        self._tokens = tuple(token.get_secret_value() for token in options.tokens)
        learn(*self._tokens)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in options.origins)
        self._names = _LOCAL_NAMES | {host.lower()}
        # The tokens first: with them, servers on other machines accept the secrets too.
        key = "\n".join(sorted(self._tokens)).encode() or key or secrets.token_bytes(32)
        self._key = hmac.new(key, b"flowkit client secret", hashlib.sha256).digest()

    @property
    def open(self) -> bool:
        """Whether no token is needed."""
        return not self._tokens

    def stranger(self, request: HttpRequest) -> HttpAnswer | None:
        """Why the request is refused before anything else is looked at; None if it is not."""
        name = _name_of(request.headers.get("host", ""))
        # Without a token, a page could reach the server under a name of its own that leads to this machine.
        if self.open and name not in self._names:
            return refusal(421, f"This server is not called {name[:80]!r}.", "unknown_host")
        origin = request.headers.get("origin")
        if origin is None or origin.lower() in self._origins or _same(origin, request.headers.get("host", "")):
            return None
        what = f"The page {origin[:80]!r} may not connect. serve.origins lists those that may."
        return refusal(403, what, "origin_not_allowed")

    def caller(self, request: HttpRequest) -> Caller | HttpAnswer:
        """Who sends the request, or why it is refused."""
        given = self._given(request)
        if given.startswith(PREFIX):
            return self._of_secret(given)
        # Compared as bytes, since compare_digest refuses text that is not ASCII.
        known = [hmac.compare_digest(given.encode(), token.encode()) for token in self._tokens]
        if self.open or any(known):
            return Caller(True, {})
        message = "The token is wrong." if given else "Send a token: Authorization: Bearer TOKEN."
        code = "invalid_api_key" if given else "missing_api_key"
        return refusal(401, message, code, www_authenticate="Bearer")

    def secret(self, session: Mapping[str, Any], seconds: int, *, observes: bool = False) -> tuple[str, int]:
        """A new client secret, and the time at which it expires, in seconds since 1970."""
        expires_at = wall_us() // US_PER_S + seconds
        content = {"exp": expires_at, "session": session, "id": secrets.token_hex(8), "observe": observes}
        body = _packed(json.dumps(content, separators=(",", ":")).encode())
        value = f"{PREFIX}{body}.{self._signature(body)}"
        return value, expires_at

    def _of_secret(self, value: str) -> Caller | HttpAnswer:
        body, _, signature = value.removeprefix(PREFIX).partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(body).encode()):
            return refusal(401, "The client secret is not one of this server's.", "invalid_api_key")
        content = json.loads(_unpacked(body))
        if content["exp"] <= wall_us() // US_PER_S:
            return refusal(401, "The client secret has expired.", "expired_api_key")
        return Caller(False, content["session"], content["observe"])

    def _signature(self, body: str) -> str:
        return _packed(hmac.new(self._key, body.encode(), hashlib.sha256).digest())

    def _given(self, request: HttpRequest) -> str:
        """The token or client secret of a request; empty without one."""
        header = request.headers.get("authorization", "")
        if header.lower().startswith(_BEARER):
            return header[len(_BEARER) :].strip()
        found = [name.removeprefix(_PROTOCOL) for name in protocols(request) if name.startswith(_PROTOCOL)]
        return next(iter(found), "")


def protocols(request: HttpRequest) -> Sequence[str]:
    """The subprotocols that a client offers."""
    return [name.strip() for name in request.headers.get("sec-websocket-protocol", "").split(",")]


def is_local(host: str) -> bool:
    """Whether only this machine can reach the address `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _same(origin: str, host: str) -> bool:
    """Whether a page comes from this very server."""
    return urlsplit(origin).netloc.lower() == host.lower() != ""


def _name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
