"""Who calls: the signature of Twilio's requests, the TwiML that sends a call to the WebSocket, and the ticket between them.

Twilio signs each request with the account's auth token: HMAC-SHA1 over its URL, followed by each form field's name and value
in the order of the names, as Base64. Whether the URL names a default port differs among its systems, so both count.
https://www.twilio.com/docs/usage/webhooks/webhooks-security

The WebSocket is opened by a request without the fields of the call. So the TwiML gives the stream a ticket, which is signed,
valid for one call and for a minute.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from xml.sax.saxutils import quoteattr

from flowkit.clock import US_PER_S, wall_us
from flowkit.config.serve import Twilio
from flowkit.secrets import learn
from flowkit.serve.http import HttpAnswer, HttpRequest, refusal
from flowkit.serve.variables import PREFIX, asked_for

VOICE, STREAM = "/twilio/voice", "/twilio"
TICKET_S = 60
"""How long a ticket is valid. Twilio opens the stream as soon as it has read the TwiML."""
TICKET = "ticket"
_SIGNATURE = "x-twilio-signature"
_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
_NETLOC = re.compile(r"(.*?)(?::(\d+))?", re.DOTALL)
_XML = '<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>'


class Switchboard:
    """Checks Twilio's requests. `secure`: the port itself speaks TLS, which tells the URL where the file does not."""

    def __init__(self, options: Twilio, *, secure: bool) -> None:
        token = options.auth_token.get_secret_value()
        learn(token)
        self._token = token.encode()
        # A key of its own, so that a ticket is never taken for a signature.
        self._key = hmac.new(self._token, b"flowkit twilio ticket", hashlib.sha256).digest()
        self._base = (options.url or "").rstrip("/")
        self._secure = secure

    def voice(self, request: HttpRequest, *, accepting: bool) -> HttpAnswer:
        """Answer the request for a call: to the stream, or busy."""
        fields = parse_qsl(request.body.decode("latin-1"), keep_blank_values=True)
        if not self.signed(request, fields):
            # The address shows what is wrong with `url`.
            what = f"The request is not signed with this server's auth token, for {self._url(request, request.target)[:200]}."
            return refusal(403, what, "invalid_signature")
        # A call that is rejected before it is answered costs nothing, and its caller hears that the line is busy.
        if not accepting:
            return _twiml('<Reject reason="busy" />')
        call = next((value for name, value in fields if name == "CallSid"), "")
        url = quoteattr(self._url(request, STREAM).replace("http", "ws", 1))
        # The address is signed, so its values are those of the account's owner.
        given = {
            TICKET: self.ticket(call),
            **{f"{PREFIX}{name}": value for name, value in asked_for(request.query).items()},
        }
        parameters = "".join(
            f"<Parameter name={quoteattr(name)} value={quoteattr(value)} />" for name, value in given.items()
        )
        return _twiml(f"<Connect><Stream url={url}>{parameters}</Stream></Connect>")

    def signed(self, request: HttpRequest, fields: Iterable[tuple[str, str]] = ()) -> bool:
        """Whether Twilio has signed the request, with these form fields."""
        given = request.headers.get(_SIGNATURE, "").encode()
        url = self._url(request, request.target)
        urls = {url, url.replace("http", "ws", 1)} if request.upgrades else {url}
        known = [self.signature(form, fields) for url in urls for form in _with_and_without_port(url)]
        return any(hmac.compare_digest(given, one.encode()) for one in known)

    def signature(self, url: str, fields: Iterable[tuple[str, str]]) -> str:
        """What Twilio sends in `X-Twilio-Signature`. A value that a field has twice counts once."""
        text = url + "".join(name + value for name, value in sorted(set(fields)))
        return base64.b64encode(hmac.new(self._token, text.encode(), hashlib.sha1).digest()).decode()

    def ticket(self, call: str) -> str:
        """A ticket for the stream of call `call`, its CallSid."""
        expires_at = wall_us() // US_PER_S + TICKET_S
        return f"{expires_at}.{self._mark(call, str(expires_at))}"

    def admits(self, call: str, ticket: str) -> bool:
        """Whether `ticket` is valid for the stream of this call, now."""
        expires_at, _, mark = ticket.partition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(call, expires_at).encode()):
            return False
        return int(expires_at) > wall_us() // US_PER_S

    def _mark(self, call: str, expires_at: str) -> str:
        return hmac.new(self._key, f"{expires_at} {call}".encode(), hashlib.sha256).hexdigest()

    def _url(self, request: HttpRequest, target: str) -> str:
        """The URL as Twilio calls it."""
        scheme = "https" if self._secure else "http"
        return (self._base or f"{scheme}://{request.headers.get('host', '')}") + target


def _with_and_without_port(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    named = _NETLOC.fullmatch(parts.netloc)
    assert named is not None
    numbered = f"{named[1]}:{named[2] or _PORTS[parts.scheme]}"
    return urlunsplit(parts._replace(netloc=named[1])), urlunsplit(parts._replace(netloc=numbered))


def _twiml(verbs: str) -> HttpAnswer:
    return HttpAnswer(200, _XML.format(verbs).encode(), "text/xml")
