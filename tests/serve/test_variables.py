"""The values of `{{name}}` in a served session: from the command line, the address, or a client secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flowkit.config.serve import Twilio
from flowkit.errors import UsageError
from flowkit.messages import Utterance
from flowkit.serve.twilio.webhook import Switchboard
from flowkit.trace.reader import read_trace
from tests.serve.phone import AUTH, CALL, MULAW, PHONE, STREAM_SID
from tests.serve.support import TALK
from tests.serve.wire import TOKEN, Caller, Site, get, in_time, site

GREETS = TALK.replace("stages:", "greeting: {text: 'Good day {{name}}, this is {{place}}.'}\nstages:", 1)
BEARER = {"authorization": f"Bearer {TOKEN}"}


def served(try_: Any, *settings: str, **variables: str) -> None:
    async def main() -> None:
        async with site(f"serve.tokens=[{TOKEN}]", *settings, text=GREETS, **variables) as it:
            await try_(it)

    in_time(main)


async def greeted(client: Caller) -> str:
    assert await client.open(), client.status
    done = await client.until("response.output_audio_transcript.done")
    return str(done["transcript"])


async def status(it: Site, path: str, **headers: str) -> int:
    client = Caller(it.connect(), path, headers)
    await client.open()
    return client.status


async def secret(it: Site, session: Any) -> dict[str, str]:
    make = get("/v1/realtime/client_secrets", f"authorization: Bearer {TOKEN}").replace("GET", "POST")
    _, _, body = await it.ask(make, json.dumps({"session": session}))
    return {"authorization": f"Bearer {json.loads(body)['value']}"}


def test_the_address_adds_to_the_command_line() -> None:
    async def try_(it: Site) -> None:
        client = Caller(it.connect(), "/v1/realtime?var.name=Ann%20Lee", BEARER)
        assert await greeted(client) == "Good day Ann Lee, this is the bistro."

    served(try_, place="the bistro")


def test_a_client_secret_carries_values() -> None:
    async def try_(it: Site) -> None:
        session = {"type": "realtime", "prompt": {"variables": {"name": "Ann", "place": "the bar"}}}
        client = Caller(it.connect(), "/v1/realtime", await secret(it, session))
        assert await greeted(client) == "Good day Ann, this is the bar."
        assert not [event for event in client.got if event["type"] == "error"]

    served(try_)


@pytest.mark.parametrize(
    ("query", "expected"), [("var.name=Ann", 400), ("var.name=A&var.place=B&var.nam=C", 400), ("", 400)]
)
def test_missing_and_unknown_values_are_refused(query: str, expected: int) -> None:
    async def try_(it: Site) -> None:
        assert await status(it, f"/v1/realtime?{query}", **BEARER) == expected

    served(try_)


def test_a_browser_cannot_choose_values() -> None:
    async def try_(it: Site) -> None:
        headers = await secret(it, {"type": "realtime"})
        assert await status(it, "/v1/realtime?var.name=Ann&var.place=B", **headers) == 403
        numbers = await secret(it, {"type": "realtime", "prompt": {"variables": {"name": 1, "place": "B"}}})
        assert await status(it, "/v1/realtime", **numbers) == 400

    served(try_)


def test_values_do_not_change_during_a_session() -> None:
    async def try_(it: Site) -> None:
        client = Caller(it.connect(), "/v1/realtime?var.name=Ann&var.place=B", BEARER)
        await greeted(client)
        await client.send("session.update", session={"type": "realtime", "prompt": {"variables": {"name": "Bob"}}})
        assert (await client.until("error"))["error"]["param"] == "session.prompt"

    served(try_)


def test_a_value_that_the_pipeline_has_no_place_for_is_told_at_the_start() -> None:
    async def try_(it: Site) -> None: ...

    with pytest.raises(UsageError, match=r"the pipeline has no \{\{nam\}\}"):
        served(try_, nam="Ann")


# -- calls -------------------------------------------------------------------------------------------------------------


async def stream(it: Site, parameters: dict[str, Any], *, signed: bool = True) -> Caller:
    """A stream that TwiML has opened, signed by Twilio or not, after its `start`."""
    headers = {"x-twilio-signature": SWITCHBOARD.signature("wss://localhost:8080/twilio", ())} if signed else {}
    client = Caller(it.connect(), "/twilio", headers)
    assert await client.open(), client.status
    started = {"streamSid": STREAM_SID, "callSid": CALL, "mediaFormat": MULAW, "customParameters": parameters}
    await client.send_text(json.dumps({"event": "connected"}))
    await client.send_text(json.dumps({"event": "start", "sequenceNumber": "1", "start": started}))
    return client


PHONED = (*PHONE, "serve.twilio.url=https://localhost:8080")
SWITCHBOARD = Switchboard(Twilio(auth_token=AUTH), secure=True)


def test_a_call_has_the_values_of_its_twiml(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(*PHONED, text=GREETS, trace=tmp_path / "call.jsonl", place="the bistro") as it:
            client = await stream(it, {"var.name": "Ann Lee", "other": "1"})
            while not any(event["event"] == "media" for event in client.got):
                assert await client.read()
            await client.send_text(json.dumps({"event": "stop", "sequenceNumber": "2"}))
            await client.until_closed()

    in_time(main)
    rows = read_trace(tmp_path / "call.jsonl").rows()
    assert "Good day Ann Lee, this is the bistro." in {
        row.message.say for row in rows if isinstance(row.message, Utterance)
    }


@pytest.mark.parametrize(
    ("parameters", "signed", "why"),
    [
        ({"name": "Ann"}, True, "needs a value for name"),
        ({"var.name": "Ann", "var.nam": "x"}, True, "has no {{nam}}"),
        ({"var.name": 1}, True, "must be a string"),
        ({"var.name": "Ann"}, False, "no valid ticket"),
    ],
)
def test_a_call_without_its_values_or_with_others_is_refused(
    parameters: dict[str, Any], signed: bool, why: str
) -> None:
    async def main() -> None:
        async with site(*PHONED, text=GREETS, place="the bistro") as it:
            client = await stream(it, parameters, signed=signed)
            assert await client.until_closed() == 1008
            assert why in client.reason

    in_time(main)


def test_the_address_of_the_webhook_gives_values_only_if_it_is_signed() -> None:
    async def main() -> None:
        async with site(*PHONED, text=GREETS, place="the bistro") as it:
            path = "/twilio/voice?var.name=Ann%20%22Lee%22&other=1"
            signature = SWITCHBOARD.signature(f"https://localhost:8080{path}", ())
            request = get(path, f"x-twilio-signature: {signature}").replace("GET", "POST")
            status, _, body = await it.ask(request)
            assert status == 200
            given = {one.get("name"): one.get("value") for one in ElementTree.fromstring(body).iter("Parameter")}
            assert given == {"ticket": given["ticket"], "var.name": 'Ann "Lee"'}
            assert (await it.ask(request.replace("Ann", "Bob")))[0] == 403
            client = await stream(it, {**given, "var.name": "Ann"}, signed=False)
            assert await client.until_closed() == 1008, "the ticket is of a call without a number"

    in_time(main)
