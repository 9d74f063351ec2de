"""Who may connect, what each limit answers, and how the server ends. A neighbour never notices."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from flowkit.errors import FlowkitError, UsageError
from flowkit.serve import auth, server
from flowkit.serve.listening import Endpoint
from flowkit.serve.server import checked, serve
from tests.serve.support import TALK, silence, tone
from tests.serve.wire import TOKEN, Caller, Site, caller, get, in_time, site

LOCKED = f"serve.tokens=[{TOKEN}]"
BEARER = f"authorization: Bearer {TOKEN}"


def asked(*requests: str, settings: tuple[str, ...] = (), body: str = "") -> list[tuple[int, dict[str, str], bytes]]:
    async def main() -> Any:
        async with site(*settings) as it:
            return [await it.ask(request, body) for request in requests]

    answers: list[tuple[int, dict[str, str], bytes]] = in_time(main)
    return answers


def code_of(body: bytes) -> str:
    code: str = json.loads(body)["error"]["code"]
    return code


# -- HTTP --------------------------------------------------------------------------------------------------------------


def test_for_those_who_run_it() -> None:
    health, ready, metrics, nothing, post = asked(
        get("/healthz"), get("/readyz"), get("/metrics"), get("/nothing"), get("/healthz").replace("GET", "POST")
    )
    assert (health[0], ready[0], nothing[0], post[0]) == (200, 200, 404, 405)
    assert b"flowkit_sessions 0.0" in metrics[2]
    assert post[1]["allow"] == "get"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET / HTTP/1.1", 400),
        ("nonsense", 400),
        (get("/healthz", "x: " + "y" * 20_000), 431),
        (get("/healthz").replace("localhost:8080", "evil.example"), 421),
        (get("/healthz", "origin: https://evil.example"), 403),
        (get("/healthz", "origin: http://localhost:8080"), 200),
        (get("/v1/realtime"), 426),
    ],
)
def test_what_is_refused_at_once(request_: str, status: int) -> None:
    assert asked(request_)[0][0] == status


def test_a_body_that_is_too_large() -> None:
    assert asked(get("/v1/realtime/client_secrets").replace("GET", "POST"), body="x" * 70_000)[0][0] == 413


def test_pages_that_may_connect() -> None:
    page = get("/healthz", "origin: https://good.example")
    assert asked(page)[0][0] == 403
    assert asked(page, settings=("serve.origins=[https://good.example]",))[0][0] == 200


def test_half_a_handshake_is_answered_when_its_time_is_over() -> None:
    async def main() -> bytes:
        async with site("serve.limits.handshake=3s") as it:
            stream = it.connect()
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: loc")
            began_s = trio.current_time()
            answer: bytes = await stream.receive_some()
            assert trio.current_time() - began_s == pytest.approx(3)
            return answer

    assert in_time(main).startswith(b"HTTP/1.1 408")


def test_connections_beyond_the_most_are_closed_and_those_inside_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
        async with site("serve.limits.handshake=3s") as it:
            client = await caller(it)
            silent = [it.connect() for _ in range(2)]
            await trio.testing.wait_all_tasks_blocked()
            assert await it.connect().receive_some() == b""
            await client.write("Hello?")
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            # Those that said nothing have had their time, and there is room again.
            assert [await one.receive_some() for one in silent] != [b"", b""]
            assert (await it.ask(get("/healthz")))[0] == 200

    in_time(main)


# -- tokens ------------------------------------------------------------------------------------------------------------


def upgraded(it: Site, path: str = "/v1/realtime", **headers: str) -> Caller:
    return Caller(it.connect(), path, {name.replace("_", "-"): value for name, value in headers.items()})


def test_a_token_opens_and_a_wrong_one_does_not() -> None:
    async def main() -> None:
        async with site(LOCKED) as it:
            for headers, status in (
                ({}, 401),
                ({"authorization": "Bearer wrong"}, 401),
                ({"authorization": f"Basic {TOKEN}"}, 401),
                ({"authorization": f"Bearer {TOKEN}"}, 101),
                ({"authorization": f"bearer {TOKEN}", "origin": "https://evil.example"}, 403),
            ):
                client = upgraded(it, **headers)
                await client.open()
                assert client.status == status
            assert TOKEN not in str(it.logged)

    in_time(main)


def test_a_client_secret_opens_sessions_with_its_settings_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with site(LOCKED, "serve.client_may_set=[]") as it:
            make = get("/v1/realtime/client_secrets", BEARER).replace("GET", "POST")
            session = {"type": "realtime", "instructions": "Be kind."}
            status, _, body = await it.ask(make, json.dumps({"session": session, "expires_after": {"seconds": 60}}))
            assert status == 200
            made = json.loads(body)
            assert made["session"]["instructions"] == "Be kind."
            secret = made["value"]
            client = Caller(it.connect(), subprotocols=("realtime", f"openai-insecure-api-key.{secret}"))
            assert await client.open()
            assert (await client.until("session.created"))["session"]["instructions"] == "Be kind."
            assert (await it.ask(get("/metrics", f"authorization: Bearer {secret}")))[0] == 403
            tampered = upgraded(it, authorization=f"Bearer {secret[:-3]}abc")
            await tampered.open()
            assert tampered.status == 401
            monkeypatch.setattr(auth, "wall_us", lambda: 10**18)
            late = upgraded(it, authorization=f"Bearer {secret}")
            await late.open()
            assert late.status == 401

    in_time(main)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ('{"expires_after": {"seconds": 5}}', "invalid_value"),
        ('{"expires_after": {"seconds": "x"}}', "invalid_value"),
        ('{"session": {"type": "transcription"}}', "invalid_value"),
    ],
)
def test_a_request_for_a_secret_that_makes_no_sense(body: str, code: str) -> None:
    status, _, answer = asked(get("/v1/realtime/client_secrets").replace("GET", "POST"), body=body)[0]
    assert (status, code_of(answer)) == (400, code)


def test_an_address_that_others_reach_needs_a_token() -> None:
    from flowkit.config import load

    async def main() -> None:
        await serve(load("talk.yaml", text=TALK), Endpoint("0.0.0.0"), notice=lambda line: None)

    with pytest.raises(UsageError, match="no token"):
        trio.run(main)


@pytest.mark.parametrize(
    ("token", "wrong"), [("'***'", "masked"), ("too-short", "at least 16 characters"), ("''", "at least")]
)
def test_a_token_that_anyone_could_guess(token: str, wrong: str) -> None:
    from flowkit.config import load

    async def main() -> None:
        config = load("talk.yaml", text=TALK, overrides=[f"serve.tokens=[{token}]"])
        await serve(config, Endpoint(), notice=lambda line: None)

    with pytest.raises(FlowkitError, match=wrong):
        trio.run(main)


@pytest.mark.parametrize(
    ("token", "wrong"), [("'***'", "masked"), ("too-short", "at least 16 characters"), ("''", "at least")]
)
def test_an_auth_token_with_which_anyone_could_sign(token: str, wrong: str) -> None:
    from flowkit.config import load

    with pytest.raises(FlowkitError, match=wrong):
        checked(load("talk.yaml", text=TALK, overrides=[f"serve.twilio.auth_token={token}"]), Endpoint())


def test_what_the_address_asks_for_and_is_not_there() -> None:
    async def main() -> None:
        async with site() as it:
            client = upgraded(it, "/v1/realtime?intent=transcription")
            await client.open()
            assert client.status == 400

    in_time(main)


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_conversation_over_the_wire() -> None:
    async def main() -> None:
        async with site() as it:
            client = await caller(it)
            await client.say(tone(600_000) + silence(600_000))
            done = await client.until("response.done")
            assert done["response"]["status"] == "completed"
            await client.stream.aclose()
            while it.server.host.gauges.sessions:
                await trio.sleep(0.1)
            metrics = (await it.ask(get("/metrics")))[2]
            assert b"flowkit_ttfa_seconds_count 1.0" in metrics
            assert it.logged[-1]["event"] == "session ended"

    in_time(main)


def test_each_limit_has_its_answer_and_a_neighbour_does_not_notice() -> None:
    async def main() -> None:
        async with site("serve.limits.message=100KB", "serve.limits.unsent=20KB", "serve.limits.idle=5s") as it:
            neighbour = await caller(it, peer="10.0.0.2")
            large = await caller(it)
            await large.send_text('{"type": "' + "x" * 1_000_000 + '"}')
            assert await large.until_closed() == 1009
            binary = await caller(it)
            await binary.send_binary(b"\0\1")
            assert (await binary.until("error"))["error"]["code"] == "invalid_message"
            malformed = await caller(it)
            await malformed.send("input_audio_buffer.append", audio="*")
            assert (await malformed.until("error"))["error"]["code"] == "invalid_audio"
            await neighbour.write("Hello?")
            assert (await neighbour.until("response.done"))["response"]["status"] == "completed"
            silent = await caller(it)
            assert await silent.until_closed() == 1008
            assert "limits.idle" in silent.reason

    in_time(main)


def test_a_client_that_reads_slowly_is_dropped_with_its_reason() -> None:
    async def main() -> None:
        async with site("serve.limits.unsent=20KB") as it:
            neighbour = await caller(it)
            slow = Caller(it.connect(unread=True))
            assert await slow.open()
            await slow.until("session.created")
            await slow.write("Hello?")
            sent = it.server.metrics.drops.labels("the client reads too slowly")
            with trio.fail_after(60):
                while not sent._value.get():
                    await trio.sleep(0.5)
            assert any("too slowly" in event.get("how", "") for event in it.logged)
            await neighbour.write("Hello?")
            assert (await neighbour.until("response.done"))["response"]["status"] == "completed"
            assert it.server.host.gauges.sessions == 1

    in_time(main)


def test_more_sessions_than_may_be_are_refused() -> None:
    async def main() -> None:
        async with site("serve.limits.sessions=2", "serve.limits.per_peer=1") as it:
            first = await caller(it, peer="10.0.0.1")
            again = Caller(it.connect("10.0.0.1"))
            await again.open()
            assert again.status == 429
            await caller(it, peer="10.0.0.2")
            third = Caller(it.connect("10.0.0.3"))
            await third.open()
            assert third.status == 503
            assert (await it.ask(get("/readyz")))[0] == 503
            await first.stream.aclose()
            with trio.fail_after(10):
                while it.server.host.gauges.sessions > 1:
                    await trio.sleep(0.1)
            await caller(it, peer="10.0.0.1")

    in_time(main)


def test_a_client_that_vanishes_takes_its_session_with_it() -> None:
    async def main() -> None:
        async with site() as it:
            client = await caller(it)
            await client.write("Hello?")
            await client.until("response.output_audio.delta")
            client.stream.send_stream.close()
            client.stream.receive_stream.close()
            with trio.fail_after(10):
                while it.server.host.gauges.sessions:
                    await trio.sleep(0.1)
            assert it.server.host.gauges.failed == 0

    in_time(main)


# -- draining ----------------------------------------------------------------------------------------------------------


def test_draining_ends_replies_and_refuses_sessions() -> None:
    async def main() -> None:
        async with site() as it, trio.open_nursery() as nursery:
            idle, busy = await caller(it), await caller(it)
            await busy.write("Hello?")
            await busy.until("response.output_audio.delta")
            nursery.start_soon(it.server.drained)
            assert await idle.until_closed() == 1001
            assert (await it.ask(get("/readyz")))[0] == 503
            late = Caller(it.connect())
            await late.open()
            assert late.status == 503
            assert (await busy.until("response.done"))["response"]["status"] == "completed"
            assert await busy.until_closed() == 1001
            assert it.server.host.gauges.sessions == 0

    in_time(main)


def test_the_agent_says_goodbye_before_the_server_ends() -> None:
    async def main() -> None:
        async with site("serve.goodbye=We close now. Bye.") as it, trio.open_nursery() as nursery:
            idle, busy, speaking = await caller(it), await caller(it), await caller(it)
            await busy.write("Hello?")
            await busy.until("response.output_audio.delta")
            nursery.start_soon(speaking.say, tone(1_000_000) + silence(600_000))
            await trio.sleep(0.5)
            nursery.start_soon(it.server.drained)
            for client, responses in ((idle, 1), (busy, 2), (speaking, 1)):
                assert await client.until_closed() == 1001
                done = [event["response"] for event in client.got if event["type"] == "response.done"]
                assert [response["status"] for response in done] == ["completed"] * responses
                assert done[-1]["output"][0]["content"][0]["transcript"] == "We close now. Bye."
            assert it.server.host.gauges.failed == 0

    in_time(main)


def test_a_goodbye_does_not_last_longer_than_the_drain() -> None:
    async def main() -> None:
        async with site("serve.goodbye=We close now. Bye.", "serve.drain=1s") as it, trio.open_nursery() as nursery:
            client = await caller(it)
            nursery.start_soon(client.say, tone(3_000_000))
            await trio.sleep(0.5)
            began_s = trio.current_time()
            await it.server.drained()
            assert trio.current_time() - began_s < 2
            nursery.cancel_scope.cancel()

    in_time(main)


def test_what_does_not_end_within_the_time_is_closed() -> None:
    async def main() -> None:
        async with site("serve.drain=1s") as it, trio.open_nursery() as nursery:
            busy = await caller(it)
            await busy.write("Hello?")
            await busy.until("response.output_audio.delta")
            began_s = trio.current_time()
            nursery.start_soon(it.server.drained)
            assert await busy.until_closed() == 1001
            assert trio.current_time() - began_s < 2

    in_time(main)
