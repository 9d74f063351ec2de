"""Tools of a server that the official SDK runs, over its pipes and over HTTP, and what becomes of a call when it dies."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import thread_time
from typing import Any

import pytest
import trio

from flowkit import trust
from flowkit.config import load
from flowkit.messages import CancelTool, Clause, Message, RunTools, ToolCall, ToolOutcome
from flowkit.plan import require
from flowkit.providers.models import Models, open_models, opened
from flowkit.providers.tools.local import LocalTools
from flowkit.runtime.host import run_alone
from flowkit.testing.provider import FakeSession
from flowkit.testing.sessions import Kept
from flowkit.tools import Tools, ToolSpec

pytest.importorskip("mcp")
# The SDK drops the generators by which it reads a stream of events. Under Trio that is a warning, which Python does not show.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2:ResourceWarning")

ORDERS = [sys.executable, str(Path(__file__).parent / "orders.py")]
Server = Callable[[], Any]


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_allowed", {sys.executable})


@asynccontextmanager
async def by_pipes() -> AsyncIterator[dict[str, Any]]:
    """A server that flowkit starts."""
    yield {"command": ORDERS, "env": {"ORDERS_KEY": "abc"}}


@asynccontextmanager
async def by_http() -> AsyncIterator[dict[str, Any]]:
    """A server on a socket that outlives it, as under a process manager: whoever connects waits for the next one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()

        async def serve() -> None:
            while True:
                await trio.run_process(
                    [*ORDERS, str(number)],
                    pass_fds=[number],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield {"url": f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"}
            nursery.cancel_scope.cancel()


BOTH = pytest.mark.parametrize("server", [by_pipes, by_http])


class Session:
    """A session's provider of tools."""

    def __init__(self, provider: LocalTools) -> None:
        self._provider = provider
        self.specs: list[ToolSpec] = provider.around.tools

    async def call(self, name: str, arguments: str = "{}", *, cancel_after_s: float | None = None) -> tuple[str, str]:
        """Status and content of a call's outcome; both empty for one that was cancelled."""
        found: list[Message] = []

        async def fed() -> AsyncIterator[Message]:
            yield ToolCall("call_1", name, arguments)
            if cancel_after_s is not None:
                await trio.sleep(cancel_after_s)
                yield CancelTool("call_1")

        async def emit(item: Message) -> None:
            found.append(item)

        await self._provider.call(RunTools(), fed(), emit)
        return next(((out.status, out.content) for out in found if isinstance(out, ToolOutcome)), ("", ""))


@asynccontextmanager
async def session(tools: list[dict[str, Any]], models: Models | None = None) -> AsyncIterator[Session]:
    around = replace(FakeSession().around(), session="s")
    async with opened(LocalTools, Tools.model_validate({"tools": tools}), around, models) as provider:
        yield Session(provider)


@BOTH
def test_a_servers_tools_are_called_like_any_other(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-none-of-its-business")

    async def main() -> None:
        only = ["search_orders", "env.list", "fail", "much", "hang"]
        async with server() as where, session([{"mcp": where, "only": only}]) as tools:
            assert [spec.name for spec in tools.specs] == ["search_orders", "env_list", "fail", "much", "hang"]
            assert tools.specs[0].description == "Look up a customer's orders."
            assert tools.specs[0].parameters["properties"] == {"name": {"title": "Name", "type": "string"}}

            status, found = await tools.call("search_orders", '{"name": "Ann"}')
            assert (status, found.partition(", says ")[0]) == ("result", "Ann has 2 orders")
            assert found.endswith("for s-call_1")
            status, environment = await tools.call("env_list")
            assert status == "result"
            if server is by_pipes:
                assert "ORDERS_KEY=abc" in environment
                assert "gsk-none-of-its-business" not in environment
            status, told = await tools.call("search_orders", '{"nom": "Ann"}')
            assert status == "error"
            assert "name\n  Field required" in told
            assert await tools.call("fail") == ("error", "Error executing tool fail")
            status, told = await tools.call("much")
            assert status == "error"
            assert told.endswith(("the answer has more than 256 kB", "exceeded the 262144 byte limit."))
            assert await tools.call("hang", cancel_after_s=0.1) == ("", "")
            assert (await tools.call("search_orders", '{"name": "Ann"}'))[1] == found, "the same process answers"
            assert (await tools.call("die")) == ("error", "There is no tool 'die'.")

    trio.run(main)


REPLIES = """
      - calls: [{name: die}]
      - {after: die, text: The orders are out of reach., calls: [{name: search_orders, arguments: '{"name": "Ann"}'}]}
      - {after: search_orders, text: I have found them now.}
"""
TALK = """
flowkit: 1
tools: [{mcp: %s, timeout: 1min}]
stages:
  - {kind: mic, provider: scripted, speech: [{at: 0ms, lasts: 100ms}], length: 400ms}
  - {kind: vad, provider: scripted, end: 100ms}
  - {kind: asr, provider: scripted, utterances: ["My orders."]}
  - {kind: gate}
  - kind: llm
    provider: scripted
    replies:%s
  - {kind: chunker}
  - {kind: tts, provider: scripted, per_char: 1ms}
  - {kind: speaker, provider: memory}
"""


@BOTH
def test_a_server_that_dies_in_a_call_is_an_error_outcome_and_comes_back_for_the_next(server: Server) -> None:
    kept = Kept()

    async def main() -> str:
        async with server() as where:
            plan = require(load("talk.yaml", text=TALK % (where, REPLIES), environ={}))
            return (await run_alone(plan, notice=lambda line: None, observers=(kept,))).reason

    assert trio.run(main) == "input_ended"
    outcomes = [row.message for row in kept.all if row.stage == "llm" and isinstance(row.message, ToolOutcome)]
    dead, found = outcomes
    assert dead.status == "error"
    if server is by_pipes:
        assert dead.content.endswith("ended with exit code 3 (out of order)")
    assert (found.status, found.content.partition(",")[0]) == ("result", "Ann has 2 orders")
    said = [row.message.text.strip() for row in kept.all if row.stage == "tts" and isinstance(row.message, Clause)]
    assert said == ["The orders are out of reach.", "I have found them now."]


def test_the_sessions_of_a_host_share_a_server_and_the_last_one_ends_it() -> None:
    async def main() -> None:
        async with open_models(lambda line: None) as models:
            processes = set()
            for _ in range(2):
                async with by_pipes() as where, session([{"mcp": where}], models) as one:
                    async with session([{"mcp": where}], models) as other:
                        answers = {(await tools.call("search_orders", '{"name": "Ann"}'))[1] for tools in (one, other)}
                    assert len(answers) == 1
                    assert (await one.call("search_orders", '{"name": "Ann"}'))[1] in answers
                    processes |= answers
            assert len(processes) == 2

    trio.run(main)


def test_a_result_of_10_mb_holds_up_nobody() -> None:
    """Parsed whole, it would take 400 ms."""
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            began_s = thread_time()  # of this thread alone, so that a busy machine makes no difference
            await trio.sleep(0)
            longest_s = max(longest_s, thread_time() - began_s)

    async def main() -> None:
        async with by_pipes() as where, session([{"mcp": where}]) as tools, trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await tools.call("much")
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert longest_s < 0.05
