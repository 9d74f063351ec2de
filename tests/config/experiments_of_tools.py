"""What the keys of tools change: in a conversation with scripted tools, in what a model is told, in what a server is asked."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import trio
import trio.testing

from flowkit import trust
from flowkit.config import load
from flowkit.errors import FlowkitError
from flowkit.messages import Message, RunTools, ToolCall
from flowkit.plan import Plan
from flowkit.plan.resolve import resolve
from flowkit.runtime.clock import SessionClock
from flowkit.testing.sessions import heap_session, providers_of
from tests.config.experiments import BASE, outcome_of_tests

TOOLED = (
    BASE.replace(
        "      - {text: Well.}",
        "      - {text: Well.}\n      - {after: book_table, text: It is booked., calls: [{name: end_call}]}",
    ).replace(
        "\n      - text: ",
        """
      - text: Let me see.
        calls: [{name: book_table, arguments: '{"people": 2, "time": "19:30"}'}]
      - text: """,
        1,
    )
    + "  - {kind: tools, provider: scripted, outcomes: [{tool: book_table, after: 400ms}]}\n"
    + """tools:
  - {call: flowkit.samples.restaurant:book_table, say_after: {after: 200ms, text: One moment.}}
  - {name: end_call, builtin: end_session}
"""
)
"""The first reply calls two tools; the second utterance interrupts the answer."""


def _planned(settings: Sequence[str]) -> Plan:
    return resolve(load("tooled.yaml", text=TOOLED, overrides=settings))


def called(*settings: str) -> Any:
    """Every row of a conversation in which tools are called, and how it ended."""
    try:
        plan = _planned(settings)
    except FlowkitError as error:
        return str(error)
    engine = heap_session(plan, limit_us=30_000_000)
    return [row.plain() for row in engine.journal], engine.finished


def interrupted(*settings: str) -> Any:
    """The same, where the tool still runs when the user interrupts."""
    return called("stages.tools.outcomes.0.after=2s", "stages.mic.speech.1.at=2500ms", *settings)


tested = partial(outcome_of_tests, TOOLED)
"""The output of ``flowkit test`` for tests of a file with tools."""


def told(*settings: str) -> Any:
    """What a model is told of the tools that this process runs; or why it runs none."""

    async def main() -> Any:
        plan = _planned(("stages.tools={kind: tools}", *settings))
        async with providers_of(plan, SessionClock()) as providers:
            return list(providers["llm"].around.tools)

    try:
        return trio.run(main)
    except FlowkitError as error:
        return str(error)


async def _serve(got: list[bytes], stream: trio.SocketStream) -> None:
    read = b""
    while b"\r\n\r\n" not in read:
        read += await stream.receive_some(4096)
    head, _, body = read.partition(b"\r\n\r\n")
    wanted = next(
        (int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < wanted:
        body += await stream.receive_some(4096)
    got.append(head + b"\r\n\r\n" + body)
    if b"/breaks" not in head or len(got) > 1:
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone")
    await stream.aclose()


_KEY = re.compile(rb"idempotency-key[^\r]*")
HTTP = "{{name: look, http: {{url: 'http://127.0.0.1:{port}{path}', method: POST}}, parameters: {{city: {{type: string}}}}}}"


def requested(*settings: str, path: str = "/a") -> Any:
    """What a server is asked by an http tool, and what came of it."""

    async def main() -> Any:
        got: list[bytes] = []
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, partial(_serve, got), 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            tool = HTTP.format(port=port, path=path)
            changed = [setting.replace("$PORT", str(port)) for setting in settings]
            plan = _planned(("stages.tools={kind: tools}", f"tools=[{tool}]", *changed))
            try:
                outcomes = await _outcomes(plan, ToolCall("1", "look", '{"city": "Paris"}'))
            except FlowkitError as error:
                outcomes = [str(error).replace(str(port), "PORT")]
            nursery.cancel_scope.cancel()
        return (
            [_KEY.sub(b"", request.replace(str(port).encode(), b"PORT")) for request in got],
            [request.partition(b"\r\n\r\n")[2] for request in got],
            outcomes,
        )

    return trio.run(main)


def again(*settings: str) -> Any:
    """How often a request is made whose answer breaks off."""
    requests, _, outcomes = requested(*settings, path="/breaks")
    return len(requests), [outcome.status for outcome in outcomes]


async def _outcomes(plan: Plan, call: ToolCall) -> list[Any]:
    """The outcome of one call, run by this process."""
    outcomes: list[Message] = []
    async with providers_of(plan, SessionClock()) as providers:

        async def fed() -> Any:
            yield call

        async def emit(item: Message) -> None:
            outcomes.append(item)

        await providers["tools"].call(RunTools(), fed(), emit)
    return outcomes


SERVER = """
import json, os, sys

for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        about = {"inputSchema": {"type": "object"}, "description": os.environ.get("ORDER", "")}
        named = [{"name": name, **about} for name in ("book", "pay")]
        info = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "a", "version": "1"}}
        known = {"initialize": info, "tools/list": {"tools": named}}
        reply = {"result": known[asked["method"]]} if asked["method"] in known else {"error": {"code": -32601, "message": ""}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **reply}), flush=True)
"""


def served(*settings: str) -> Any:
    """What a model is told of the tools of an MCP server that is a program."""
    server = json.dumps([{"mcp": {"command": [sys.executable, "-c", SERVER]}}])
    trust.allow(sys.executable)
    return told(f"tools={server}", *(setting.replace("$PYTHON", sys.executable) for setting in settings))
