"""The values of `{{name}}` in a served session: from the command line, the address, or a client secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowkit.errors import UsageError
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
