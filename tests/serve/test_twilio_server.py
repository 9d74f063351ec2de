"""Twilio's requests to the server, signed by Twilio's own package: the webhook, the TwiML, the stream behind it."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trio

from flowkit.serve.http import HttpRequest
from flowkit.serve.twilio import webhook
from flowkit.serve.twilio.webhook import TICKET_S, Switchboard
from tests.serve.phone import AUTH, CALL, MULAW, PHONE, QUIET, STREAM_SID, VOICE
from tests.serve.support import TALK
from tests.serve.wire import Caller, Site, get, in_time, site

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "twilio==9.13.0"
FIELDS = {"CallSid": CALL, "From": "+491234", "To": "+499876", "Empty": "", "Caller Name": "Ann Über"}
URL = "https://voice.example.com"
PUBLIC = (*PHONE, f"serve.twilio.url={URL}/")


@pytest.fixture(scope="module")
def official() -> Iterator[Any]:
    """Twilio's package, without what its REST client needs."""
    folder = ROOT / "out" / "clients" / "twilio"
    try:
        if not (folder / "ready").exists():
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), PACKAGE]
            subprocess.run(install, check=True, capture_output=True, timeout=300)
            (folder / "ready").touch()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{PACKAGE} cannot be installed: {type(error).__name__}")
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))


def sign(official: Any, url: str, fields: dict[str, str], token: str = AUTH) -> str:
    validator = official("twilio.request_validator").RequestValidator(token)
    signature: str = validator.compute_signature(url, fields)
    return signature


async def call(it: Site, signature: str, path: str = "/twilio/voice") -> tuple[int, dict[str, str], str]:
    """Twilio's request for a call."""
    request = get(path, f"x-twilio-signature: {signature}", "content-type: application/x-www-form-urlencoded")
    status, headers, body = await it.ask(request.replace("GET", "POST"), urlencode(FIELDS))
    return status, headers, body.decode()


def ticket_of(twiml: str) -> str:
    found = re.search(r'value="([^"]+)"', twiml)
    assert found is not None
    return found[1]


async def called(site: Any, official: Any) -> Stream:
    """A call that was admitted by the webhook, and whose stream has begun."""
    _, _, twiml = await call(site, sign(official, f"{URL}/twilio/voice", FIELDS))
    stream = Stream(connect(site))
    assert await stream.caller.open()
    await stream.start(ticket_of(twiml))
    return stream


def connect(it: Site, **headers: str) -> Caller:
    return Caller(it.connect(), "/twilio", {name.replace("_", "-"): value for name, value in headers.items()})


class Stream:
    """Twilio's side of the WebSocket."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.number = 0

    async def send(self, event: str, content: Any = None) -> None:
        self.number += event != "connected"
        message = {"event": event, "sequenceNumber": str(self.number), "streamSid": STREAM_SID, event: content or {}}
        await self.caller.send_text(json.dumps(message))

    async def start(self, ticket: str | None, call: str = CALL) -> None:
        await self.send("connected")
        parameters = {} if ticket is None else {"ticket": ticket}
        known = {"streamSid": STREAM_SID, "callSid": call, "mediaFormat": MULAW, "customParameters": parameters}
        await self.send("start", known)

    async def say(self, sound: bytes) -> None:
        import base64

        for first in range(0, len(sound), 160):
            await self.send(
                "media", {"track": "inbound", "payload": base64.b64encode(sound[first : first + 160]).decode()}
            )
            await trio.sleep(0.02)

    async def until(self, event: str) -> dict[str, Any]:
        """Read until a message of this kind."""
        seen = len(self.caller.got)
        while True:
            for got in self.caller.got[seen:]:
                if got["event"] == event:
                    return got
            seen = len(self.caller.got)
            assert await self.caller.read(), f"closed before {event}: {self.caller.code} {self.caller.reason}"

    async def return_marks(self) -> None:
        """Read to the end, and return each mark at once."""
        seen = 0
        while await self.caller.read():
            for got in self.caller.got[seen:]:
                if got["event"] == "mark":
                    await self.send("mark", got["mark"])
            seen = len(self.caller.got)


@pytest.mark.parametrize(
    ("host", "tail", "signed"),
    [
        (URL, "", URL),
        (URL, "?a=1&b=%20x", URL),
        (URL, "", f"{URL}:443"),
        (f"{URL}:8443", "", f"{URL}:8443"),
        (f"{URL}:8443", "", URL),
        ("http://127.0.0.1", "", "http://127.0.0.1:80"),
        (f"{URL}/behind/a/proxy", "?a", f"{URL}/behind/a/proxy"),
    ],
)
def test_the_signature_is_that_of_twilios_package(official: Any, host: str, tail: str, signed: str) -> None:
    options = webhook.Twilio(auth_token=AUTH, url=host)
    board = Switchboard(options, secure=False)
    target = f"/twilio/voice{tail}"
    given = sign(official, signed + target, FIELDS)
    request = HttpRequest("POST", "/twilio/voice", {}, {"x-twilio-signature": given}, target=target)
    assert board.signed(request, FIELDS.items())
    assert not board.signed(request, {**FIELDS, "From": "+490000"}.items())
    official_says = official("twilio.request_validator").RequestValidator(AUTH).validate(host + target, FIELDS, given)
    assert official_says is True


def test_a_call_is_answered_with_the_twiml_that_twilios_package_writes(official: Any) -> None:
    async def main() -> None:
        async with site(*PUBLIC) as it:
            status, headers, twiml = await call(it, sign(official, f"{URL}/twilio/voice", FIELDS))
            assert (status, headers["content-type"]) == (200, "text/xml")
            voice = official("twilio.twiml.voice_response")
            connect, stream = voice.Connect(), voice.Stream(url="wss://voice.example.com/twilio")
            stream.parameter(name="ticket", value=ticket_of(twiml))
            connect.append(stream)
            response = voice.VoiceResponse()
            response.append(connect)
            assert twiml == str(response)

    in_time(main)


def test_who_has_not_signed_gets_no_twiml(official: Any) -> None:
    async def main() -> None:
        async with site(*PUBLIC) as it:
            for signature in ("", "x", sign(official, f"{URL}/twilio/voice", FIELDS, "another-auth-token-x")):
                assert (await call(it, signature))[0] == 403
            assert (await call(it, sign(official, f"{URL}/elsewhere", FIELDS)))[0] == 403
            # The public name is no way to what needs a token or this machine.
            assert (await it.ask(get("/metrics").replace("localhost:8080", "voice.example.com")))[0] == 421
            assert AUTH not in str(it.logged)
        async with site() as it:
            assert (await call(it, "x"))[0] == 404
            client = connect(it)
            await client.open()
            assert client.status == 404

    in_time(main)


def test_a_busy_server_rejects_calls_before_they_cost_anything(official: Any) -> None:
    async def main() -> None:
        async with site(*PUBLIC, "serve.limits.sessions=1") as it:
            first = Stream(connect(it))
            assert await first.caller.open()
            answer = await call(it, sign(official, f"{URL}/twilio/voice", FIELDS))
            assert answer[2].endswith('<Response><Reject reason="busy" /></Response>')

    in_time(main)


def test_a_call_from_the_webhook_to_the_goodbye(official: Any) -> None:
    ends = TALK.replace(
        "calls: [{name: look, arguments: '{\"at\": 1}'}]", "calls: [{name: end_session, arguments: '{}'}]"
    )
    text = ends.replace(
        "  - {kind: chunker}", "  - {kind: tools, tools: [{builtin: end_session}]}\n  - {kind: chunker}"
    )

    async def main() -> None:
        settings = ("greeting.text=Hello.", "stages.asr.utterances=[Where is it?]")
        async with site(*PUBLIC, *settings, text=text) as it:
            _, _, twiml = await call(it, sign(official, f"{URL}/twilio/voice", FIELDS))
            stream = Stream(connect(it))
            assert await stream.caller.open()
            began_s = trio.current_time()
            await stream.start(ticket_of(twiml))
            await stream.until("media")
            assert trio.current_time() - began_s < 0.5
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.return_marks)
                await trio.sleep(2)
                await stream.say(VOICE + QUIET)
            # The agent has hung up, once its last words were heard.
            assert (stream.caller.code, stream.caller.reason) == (1000, "agent_ended")
            metrics = (await it.ask(get("/metrics")))[2]
            assert b"flowkit_greeting_seconds_count 1.0" in metrics

    in_time(main)


def test_hanging_up_ends_the_session_in_order(official: Any) -> None:
    async def main() -> None:
        async with site(*PUBLIC) as it:
            stream = await called(it, official)
            await stream.say(VOICE + QUIET)
            await stream.until("media")
            await stream.send("stop")
            assert await stream.caller.until_closed() == 1000
            assert stream.caller.reason == "hung_up"
            assert it.server.host.gauges.sessions == it.server.host.gauges.failed == 0

    in_time(main)


def test_a_stream_without_a_ticket_or_a_signature_is_refused(official: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with site(*PUBLIC, "serve.limits.handshake=3s") as it:
            _, _, twiml = await call(it, sign(official, f"{URL}/twilio/voice", FIELDS))
            ticket = ticket_of(twiml)

            async def closed(ticket: str | None, call: str = CALL, **headers: str) -> str:
                stream = Stream(connect(it, **headers))
                assert await stream.caller.open()
                await stream.start(ticket, call)
                assert await stream.caller.until_closed() == 1008
                return stream.caller.reason

            for bad in (None, "", "x.y", f"9{ticket}", ticket[:-1]):
                assert "no valid ticket" in await closed(bad)
            assert "no valid ticket" in await closed(ticket, "CA9999")
            assert "no valid ticket" in await closed(None, x_twilio_signature="x")
            silent = connect(it)
            assert await silent.open()
            assert await silent.until_closed() == 1008
            assert "in time" in silent.reason
            assert it.server.host.gauges.begun == 0
            signed = Stream(connect(it, x_twilio_signature=sign(official, "wss://voice.example.com/twilio", {})))
            assert await signed.caller.open()
            await signed.start(None)
            await signed.say(VOICE + QUIET)
            await signed.until("media")
            late = webhook.wall_us() + (TICKET_S + 1) * 1_000_000
            monkeypatch.setattr(webhook, "wall_us", lambda: late)
            assert "no valid ticket" in await closed(ticket)

    in_time(main)


def test_what_breaks_the_protocol_closes_the_connection_with_its_reason(official: Any) -> None:
    async def main() -> None:
        async with site(*PUBLIC) as it:
            stream = await called(it, official)
            await stream.send("media", {"payload": "A"})
            assert await stream.caller.until_closed() == 1008
            assert "not Base64" in stream.caller.reason
            assert it.logged[-2]["event"] == "client refused"

    in_time(main)
