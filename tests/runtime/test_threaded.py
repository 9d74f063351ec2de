"""A host in a thread, and the Python of docs/embedding.md."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
import trio

import flowkit
from flowkit.errors import ConfigError, Refused, SessionOver

PAGE = Path(__file__).resolve().parents[2] / "docs" / "embedding.md"
AGENT = """flowkit: 1
stages:
  - {kind: mic, provider: scripted, speech: [{at: 0ms, lasts: 100ms}], length: 60s}
  - {kind: vad, provider: scripted, end: 100ms, start: 20ms}
  - {kind: asr, provider: scripted, final_after: 0ms, utterances: [Hello.]}
  - {kind: gate}
  - {kind: llm, provider: canned, text: "Good day."}
  - {kind: chunker}
  - {kind: tts, provider: scripted, first_audio: 10ms, per_char: 5ms}
  - {kind: speaker, provider: memory}
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page defines, in a folder with its pipeline."""
    monkeypatch.chdir(tmp_path)
    Path("agent.yaml").write_text(AGENT)
    defined: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), defined)
    return defined


def silent(page: dict[str, Any]) -> None:
    """Nobody speaks in the pipeline of this folder."""
    Path("agent.yaml").write_text(AGENT.replace("{at: 0ms, lasts: 100ms}", ""))
    page["config"] = flowkit.load("agent.yaml")


def test_in_trio(page: dict[str, Any]) -> None:
    assert trio.run(page["converse"]) == "closed"


def test_a_session_that_is_typed_to(page: dict[str, Any]) -> None:
    silent(page)
    assert trio.run(page["typed"], ["Hello?", "And now?"]) == ["Good day.", "Good day."]


def test_in_a_notebook(page: dict[str, Any]) -> None:
    silent(page)
    assert page["cells"]() == "Good day."


def test_a_replay_before_and_after(page: dict[str, Any], tmp_path: Path) -> None:
    before, after = trio.run(page["before_and_after"], tmp_path / "a.jsonl")
    assert after > before


def test_sound_of_one_s_own(page: dict[str, Any]) -> None:
    async def main() -> bytes:
        async with flowkit.open_host("agent.yaml") as host:
            heard = await page["one_call"](host, page["caller"])
            assert isinstance(heard, bytes)
            return heard

    assert len(trio.run(main)) == 2 * 16_000 * 5 * len("Good day.") // 1000


def test_a_session_under_the_programs_control(page: dict[str, Any]) -> None:
    async def main() -> object:
        async with flowkit.open_host("agent.yaml") as host:
            return await page["push_to_talk"](host)

    assert trio.run(main) == ("Hello.", "Good day.")


def test_in_asyncio(page: dict[str, Any]) -> None:
    assert asyncio.run(page["from_asyncio"]()) == ["closed"] * 3
    silent(page)
    with flowkit.open_host_in_thread("agent.yaml") as host:
        assert asyncio.run(page["asked_in_asyncio"](host, "Hello?")) == "Good day."


def test_cancelling_the_future_ends_the_session(page: dict[str, Any]) -> None:
    with flowkit.open_host_in_thread("agent.yaml") as host:
        future = host.run_session()
        while not host.gauges().sessions:
            pass
        assert future.cancel()
        host.drain()
        assert host.gauges().sessions == 0
        with pytest.raises(CancelledError):
            future.result()
        with pytest.raises(Refused):
            host.run_session().result()


def test_sessions_that_run_when_the_body_ends_are_closed(page: dict[str, Any]) -> None:
    with flowkit.open_host_in_thread("agent.yaml") as host:
        future = host.run_session()
        while not host.gauges().sessions:
            pass
    assert future.result(0).reason == "closed"


def test_what_opening_raises_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), flowkit.open_host_in_thread(tmp_path / "none.yaml"):
        raise AssertionError("it is open")


def test_a_session_in_a_thread_is_typed_to(page: dict[str, Any]) -> None:
    silent(page)
    with flowkit.open_host_in_thread("agent.yaml") as host:
        with host.session() as session:
            session.type("Hello?")
            assert session.reply().result(60).agent == "Good day."
            session.type("And now?")
            session.stop()
            assert session.reply().result(60).end_reason == "interrupted"
            session.close("enough")
            assert session.outcome().result(60).reason == "enough"
            with pytest.raises(SessionOver, match="enough"):
                session.reply().result(60)
        assert host.gauges().sessions == 0
    session.type("Nobody hears this.")


def test_sessions_in_asyncio_are_typed_to_at_the_same_time(page: dict[str, Any]) -> None:
    silent(page)

    async def one(host: flowkit.HostThread, line: str) -> tuple[str, str]:
        async with host.session() as session:
            session.type(line)
            turn = await asyncio.wrap_future(session.reply())
        return turn.user, (await asyncio.wrap_future(session.outcome())).reason

    async def main() -> list[tuple[str, str]]:
        with flowkit.open_host_in_thread("agent.yaml") as host:
            return await asyncio.gather(one(host, "One."), one(host, "Two."))

    assert asyncio.run(main()) == [("One.", "closed"), ("Two.", "closed")]


def test_a_task_that_is_cancelled_leaves_no_session(page: dict[str, Any]) -> None:
    silent(page)

    async def main() -> None:
        with flowkit.open_host_in_thread("agent.yaml") as host:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), host.session() as session:
                    await asyncio.wrap_future(session.reply())  # nobody has said anything
            while host.gauges().sessions:
                pass

    asyncio.run(main())


def test_what_a_session_raises_before_it_begins_is_raised_where_it_is_entered(page: dict[str, Any]) -> None:
    silent(page)

    async def entered(host: flowkit.HostThread) -> None:
        async with host.session():
            raise AssertionError("it has begun")

    with flowkit.open_host_in_thread("agent.yaml", max_sessions=1) as host, host.session():
        with pytest.raises(Refused), host.session():
            raise AssertionError("it has begun")
        with pytest.raises(Refused):
            asyncio.run(entered(host))
