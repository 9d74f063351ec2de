"""Who may look inside, what they see there, and the page as the server gives it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trio

from flowkit.replay.rerun import exactly
from flowkit.serve import page
from tests.serve.support import silence, tone
from tests.serve.test_server import BEARER, LOCKED, code_of
from tests.serve.wire import Caller, Site, caller, get, in_time, site

SESSIONS, REPORT, SECRETS = "/v1/flowkit/sessions", "/v1/flowkit/report", "/v1/realtime/client_secrets"
MOST_BYTES = 200_000


def post(path: str, *headers: str) -> str:
    return get(path, *headers).replace("GET", "POST")


async def secret(it: Site, *, observe: bool) -> str:
    status, _, body = await it.ask(post(SECRETS, BEARER), json.dumps({"observe": observe}))
    assert status == 200
    value: str = json.loads(body)["value"]
    return value


async def lookers(it: Site, id: str, **headers: str) -> Caller:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    looker = Caller(it.connect(), f"/v1/flowkit/observe?session={id}", named)
    await looker.open()
    return looker


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_holds_all_it_needs_and_is_small() -> None:
    async def main() -> None:
        async with site() as it:
            status, headers, index = await it.ask(get("/"))
            assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(rb"https?://|<style|<script>|style=|onclick", index)
            size = len(index)
            # No address begins at the root, so the server may stand behind a path of another.
            named = re.findall(rb'(?:src|href)="page/([^"]*)"', index)
            for name in page.ASSETS:
                status, headers, body = await it.ask(get(f"/page/{name}"))
                assert status == 200
                assert headers["content-type"].startswith(("text/javascript", "text/css"))
                assert b"http://" not in body
                assert b"https://" not in body
                size += len(body)
                named += re.findall(rb'(?:from "\./|URL\(")([\w.]+)"', body)
                assert not re.search(rb"""["'`]/(?:page|v1|readyz)""", body)
            assert size < MOST_BYTES
            assert {name.decode() for name in named} == set(page.ASSETS)
            assert (await it.ask(get("/page/nothing.js")))[0] == 404

    in_time(main)


def test_the_page_asks_for_a_token_where_one_is_needed() -> None:
    async def main(*settings: str) -> bytes:
        async with site(*settings) as it:
            return (await it.ask(get("/")))[2]

    assert b'data-token="none"' in in_time(lambda: main())
    assert b'data-token="needed"' in in_time(lambda: main(LOCKED))


# -- who may -----------------------------------------------------------------------------------------------------------


def test_a_token_looks_inside_and_a_client_secret_only_if_it_was_made_for_that() -> None:
    async def main() -> None:
        async with site(LOCKED) as it:
            talking = await caller(it, authorization=f"Bearer {await secret(it, observe=False)}")
            id = talking.got[0]["session"]["id"]
            plain, observing = await secret(it, observe=False), await secret(it, observe=True)
            for given, status in (("", 401), ("wrong", 401), (plain, 403), (observing, 200), (BEARER.split()[-1], 200)):
                header = [f"authorization: Bearer {given}"] if given else []
                assert (await it.ask(get(SESSIONS, *header)))[0] == status
                looker = await lookers(it, id, **({"authorization": f"Bearer {given}"} if given else {}))
                assert looker.status == (101 if status == 200 else status)
                report, _, body = await it.ask(post(REPORT), urlencode({"secret": given, "recording": "x"}))
                assert report == (404 if status == 200 else status)
                assert "observe: true" in body.decode() or status != 403
            assert (await it.ask(get("/metrics", f"authorization: Bearer {observing}")))[0] == 403

    in_time(main)


@pytest.mark.parametrize("observe", ["1", '"yes"', "null"])
def test_observe_is_true_or_false(observe: str) -> None:
    async def main() -> tuple[int, dict[str, str], bytes]:
        async with site() as it:
            return await it.ask(post(SECRETS), f'{{"observe": {observe}}}')

    status, _, body = in_time(main)
    assert (status, code_of(body)) == (400, "invalid_value")


def test_there_is_no_such_session_and_not_without_a_websocket() -> None:
    async def main() -> None:
        async with site() as it:
            assert (await lookers(it, "sess_1")).status == 404
            assert (await it.ask(get("/v1/flowkit/observe")))[0] == 426

    in_time(main)


# -- what they see -----------------------------------------------------------------------------------------------------


def test_a_looker_sees_the_session_and_changes_nothing() -> None:
    async def main() -> None:
        async with site() as it:
            talking = await caller(it)
            id = talking.got[0]["session"]["id"]
            looker = await lookers(it, id)
            await looker.send("input_audio_buffer.append", audio="*")
            await looker.send_binary(b"\0")
            await talking.say(tone(600_000) + silence(600_000))
            await talking.until("response.done")
            with trio.move_on_after(2):
                await talking.until("nothing")
            await talking.stream.aclose()
            assert await looker.until_closed() == 1000
            assert looker.reason == "the session has ended"
            assert {one["type"] for one in looker.got} == {"observation"}
            assert not [event for event in talking.got if event["type"] == "error"]
            seen = looker.got
            assert {one["session"] for one in seen} == {id}
            assert {"hearing", "speaking", "listening"} <= {one["turn"] for one in seen}
            assert seen[-1]["newest"]["user"] == "How are you?"
            assert sum(seen[-1]["newest"]["parts_ms"].values()) == pytest.approx(seen[-1]["newest"]["ttfa_ms"])
            loud = [one["levels_db"]["user"] for one in seen]
            assert min(loud) == -60
            assert max(loud) > -20
            assert {"event": "session observed", "session": id} in it.logged

    in_time(main)


def test_a_looker_sees_what_the_session_has_cost() -> None:
    async def main(*settings: str) -> tuple[Any, Any]:
        async with site(*settings) as it:
            talking = await caller(it)
            looker = await lookers(it, talking.got[0]["session"]["id"])
            before = await looker.until("observation")
            await talking.write("Hello?")
            await talking.until("response.done")
            await looker.until("observation")
            return before["cost"], (await looker.until("observation"))["cost"]

    assert in_time(main) == (None, None)
    before, after = in_time(lambda: main("stages.llm.price.output=500"))
    assert (before["currency"], before["total"]) == ("USD", 0)
    assert after["total"] == after["stages"]["llm"]["cost"] > 0
    assert after["per_minute"] > after["total"]


def test_one_who_comes_later_sees_what_holds_then_and_nothing_is_followed_for_nobody() -> None:
    async def main() -> None:
        async with site() as it:
            talking = await caller(it)
            id = talking.got[0]["session"]["id"]
            session = it.server.running._by_id[id]
            await talking.say(tone(600_000) + silence(600_000))
            assert not session.followed
            looker, other = await lookers(it, id), await lookers(it, id)
            assert (await looker.until("observation"))["turn"] in ("speaking", "thinking")
            await talking.until("response.done")
            assert session.followed
            for one in (looker, other):
                await one.stream.aclose()
            await talking.say(silence(4_000_000))
            assert not session.followed
            _, _, body = await it.ask(get(SESSIONS))
            assert [one["session"] for one in json.loads(body)["running"]] == [id]

    in_time(main)


def test_an_interrupt_is_seen_even_if_the_next_turn_begins_with_it() -> None:
    async def main() -> None:
        async with site() as it:
            talking = await caller(it)
            looker = await lookers(it, talking.got[0]["session"]["id"])
            await talking.write("Hello?")
            await talking.until("response.output_audio.delta")
            await looker.until("observation")
            # In one piece, so that the session gets them at the same instant.
            talking.protocol.send_text(b'{"type": "response.cancel"}')
            await talking.write("And?")
            await talking.until("response.output_audio.delta")
            while not (seen := await looker.until("observation"))["newest"] or seen["newest"]["turn"] < 2:
                pass
            (interrupt,) = seen["interrupts"]
            assert interrupt["turn"] == 1
            assert interrupt["decision_to_silence_ms"] >= 0

    in_time(main)


def test_a_recorded_session_is_listed_and_has_its_report(tmp_path: Path) -> None:
    """In real time, because another process makes the report."""

    async def main() -> None:
        recorded = tmp_path / "talk-20260102-030405-1-1.jsonl"
        async with site(f"trace.dir={tmp_path}", trace=recorded) as it:
            talking = await caller(it)
            evil = "<script>alert(1)</script>"
            await talking.write(evil)
            await talking.until("response.done")
            listed = json.loads((await it.ask(get(SESSIONS)))[2])
            assert (len(listed["running"]), listed["recorded"]) == (1, [])
            await talking.stream.aclose()
            while it.server.host.gauges.sessions or it.server.running.described():
                await trio.sleep(0.01)
            (tmp_path / "other-20260102-030405-1-1.jsonl").write_text("of another pipeline")
            (tmp_path / "talk-mine.jsonl").write_text("not named by flowkit")
            listed = json.loads((await it.ask(get(SESSIONS)))[2])
            (one,) = listed["recorded"]
            assert (one["recording"], one["words"], one["turns"]) == (recorded.name, evil, 1)
            status, headers, body = await it.ask(post(REPORT), urlencode({"recording": recorded.name}))
            assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert headers["content-security-policy"].startswith("sandbox")
            assert recorded.name in body.decode()
            assert evil not in body.decode()
            for name in (f"../{recorded.name}", "talk-mine.jsonl", "other-20260102-030405-1-1.jsonl", ""):
                assert (await it.ask(post(REPORT), urlencode({"recording": name})))[0] == 404
            assert exactly(recorded).same
            recorded.write_text("nonsense")
            status, _, body = await it.ask(post(REPORT), urlencode({"recording": recorded.name}))
            assert (status, code_of(body)) == (500, "report_failed")
            assert str(tmp_path) not in body.decode()

    trio.run(main)
