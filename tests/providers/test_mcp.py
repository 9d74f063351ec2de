"""MCP servers that do not behave: written here by hand, because the official one behaves. And how much of them is read."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h11
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowkit import trust
from flowkit.config.load import read
from flowkit.errors import ConfigError, ProviderError, ProviderMissing
from flowkit.plan import vet
from flowkit.providers.models import opened
from flowkit.providers.tools.functions import ToolContext
from flowkit.providers.tools.local import LocalTools
from flowkit.providers.tools.mcp import connection, server
from flowkit.providers.tools.mcp.bounds import LONGEST, Lines, MessageLine
from flowkit.testing.provider import FakeSession
from flowkit.tools import Mcp, Tools, ToolSpec
from tests.providers.http_server import Server as HttpServer
from tests.providers.http_server import served

pytest.importorskip("mcp")
# The SDK drops the generators by which it reads a stream of events. Under Trio that is a warning, which Python does not show.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2:ResourceWarning")

PROGRAM = """
import json, os, sys

def answer(id, result):
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)

print("Starting up...", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    match asked.get("method"), asked.get("params", {}).get("name"):
        case "initialize", _:
            info = {"name": "by hand", "version": "1"}
            answer(asked["id"], {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info})
        case "server/discover", _:
            error = {"code": -32601, "message": "unknown method"}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
        case "tools/list", _:
            names = TOOLS
            answer(asked["id"], {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]})
        case "tools/call", "picture":
            parts = [{"type": "text", "text": "See"}, {"type": "image", "data": "AA==", "mimeType": "image/png"}]
            answer(asked["id"], {"content": parts})
        case "tools/call", "data":
            answer(asked["id"], {"content": [], "structuredContent": {"n": 1}})
        case "tools/call", "last_id":
            text = json.dumps({"result": {"content": [{"type": "text", "text": "x" * 9_000_000}]}, "jsonrpc": "2.0"})
            print(text[:-1] + ', "id": %d}' % asked["id"], flush=True)
        case "tools/call", "no_id":
            print("x" * 9_000_000, flush=True)
        case "tools/call", "garbage":
            print("not JSON", flush=True)
            answer(asked["id"], {"content": [{"type": "text", "text": "still there"}]})
        case "tools/call", "closes":
            os.close(1)
"""
NAMES = ["picture", "data", "last_id", "no_id", "garbage", "closes", "a.b/c", "end_call"]


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_allowed", {sys.executable})


def by_hand(names: list[str]) -> dict[str, Any]:
    return {"command": [sys.executable, "-c", PROGRAM.replace("TOOLS", repr(names))]}


def called(*names: str) -> list[tuple[str, str]]:
    """What becomes of these calls, one after another."""

    async def main() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        async with trio.open_nursery() as nursery:
            one = server.Server(Mcp.model_validate(by_hand(NAMES)), nursery)
            for name in names:
                try:
                    found.append(("result", await one.call(name, "", ToolContext("s", "call_1"))))
                except ProviderError as error:
                    found.append(("error", str(error)))
            one.close()
        return found

    return trio.run(main)


def test_results_are_text_for_the_model_and_noise_is_left_out() -> None:
    assert called("picture", "data", "garbage") == [
        ("result", "See\n(image)"),
        ("result", '{"n": 1}'),
        ("result", "still there"),
    ]


def test_an_answer_that_is_too_long_is_the_error_of_its_call_if_it_shows_which() -> None:
    too_long = "the answer has more than 256 kB"
    title = f"mcp server {sys.executable}"
    assert called("last_id", "data", "no_id", "data") == [
        ("error", too_long),
        ("result", '{"n": 1}'),
        ("error", f"{title}: {too_long}"),
        ("result", '{"n": 1}'),
    ]


def test_a_server_that_closes_its_output_is_gone() -> None:
    gone, again = called("closes", "data")
    assert gone == ("error", f"mcp server {sys.executable}: it has closed its output")
    assert again == ("result", '{"n": 1}')


# -- by HTTP -------------------------------------------------------------------------------------------------------------

JSON, EVENTS = [("content-type", "application/json")], [("content-type", "text/event-stream")]
Answer = tuple[int, list[tuple[str, str]], bytes]


def replied(asked: dict[str, Any], result: dict[str, Any], headers: list[tuple[str, str]]) -> Answer:
    text = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result})
    return 200, headers, (f"event: message\r\ndata: {text}\r\n\r\n" if headers is EVENTS else text).encode()


def web(call: Callable[[dict[str, Any]], Answer]) -> tuple[list[str], list[str], list[dict[str, str]]]:
    """Two calls at a server with the older protocol, which knows its clients by a session's id. `call` answers calls.

    Returns the results or errors, the methods that were asked, and the headers of each request.
    """
    asked_for: list[str] = []

    def respond(head: h11.Request, body: bytes) -> Answer:
        asked = json.loads(body) if head.method == b"POST" else {}
        asked_for.append(asked.get("method", head.method.decode()))
        match asked.get("method"):
            case "initialize":
                info = {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {},
                    "serverInfo": {"name": "a", "version": "1"},
                }
                return replied(asked, info, [*JSON, ("mcp-session-id", f"s-{asked_for.count('initialize')}")])
            case "tools/list":
                return replied(asked, {"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}, JSON)
            case "tools/call":
                return call(asked)
            case "notifications/initialized":
                return 202, [], b""
        return 405, [], b""

    found: list[str] = []

    async def calls(http: HttpServer) -> None:
        async with trio.open_nursery() as nursery:
            where = Mcp(url=f"{http.url}/mcp", headers={"authorization": "Bearer abc"})
            one = server.Server(where, nursery)
            for _ in range(2):
                try:
                    found.append(await one.call("look", "", ToolContext("s", "call_1")))
                except ProviderError as error:
                    found.append(str(error))
            one.close()

    (http,) = served(respond, call=calls)
    return found, asked_for, [headers for _, headers, _ in http.seen]


def text(asked: dict[str, Any], content: str, headers: list[tuple[str, str]]) -> Answer:
    return replied(asked, {"content": [{"type": "text", "text": content}]}, headers)


@pytest.mark.parametrize("headers", [JSON, EVENTS])
def test_an_answer_by_http_is_bounded_and_the_connection_stays(headers: list[tuple[str, str]]) -> None:
    contents = iter(["x" * 1_000_000, "x" * 200_000])
    (first, second), asked, seen = web(lambda asked: text(asked, next(contents), headers))
    assert first.endswith(("the answer has more than 256 kB", "exceeded the 262144 byte limit."))
    assert second == "x" * 200_000
    assert asked.count("initialize") == 1
    assert {request["authorization"] for request in seen} == {"Bearer abc"}


def test_many_events_together_may_be_longer_than_one_may_be() -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 100_000}}
    noise = b"".join(f"event: message\ndata: {json.dumps(note)}\n\n".encode() for _ in range(9))

    def call(asked: dict[str, Any]) -> Answer:
        status, headers, answer = text(asked, "found", EVENTS)
        return status, headers, noise + answer

    assert web(call)[0] == ["found", "found"]


def test_a_server_that_has_forgotten_its_client_is_asked_again_at_once() -> None:
    def call(asked: dict[str, Any]) -> Answer:
        nonlocal calls
        calls += 1
        return (404, [], b"") if calls == 2 else text(asked, f"call {calls}", JSON)

    calls = 0
    found, asked, seen = web(call)
    assert found == ["call 1", "call 3"]
    assert [method for method in asked if method in ("initialize", "tools/call")] == [
        "initialize",
        "tools/call",
        "tools/call",
        "initialize",
        "tools/call",
    ]
    assert [request.get("mcp-session-id") for request in seen][-2:] == ["s-2", "s-2"]


def test_a_server_that_forgets_at_once_is_an_error() -> None:
    first, _ = web(lambda asked: (404, [], b""))[0]
    assert first.endswith("Session terminated")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((401, [], b""), "the server answers with HTTP 401"),
        ((200, [*JSON, ("content-encoding", "gzip")], b"x"), "the server answers with a compressed answer"),
        ((0, [], b""), "RemoteProtocolError"),
        ((200, JSON, b"not JSON"), "Failed to parse JSON response"),
        ((500, [], b""), "Server returned an error response"),
    ],
)
def test_what_goes_wrong_by_http_is_told(answer: Answer, told: str) -> None:
    first, _ = web(lambda asked: answer)[0]
    assert told in first


# -- at the start --------------------------------------------------------------------------------------------------------


def specs(*tools: dict[str, Any]) -> list[ToolSpec]:
    """The tools as a model gets them."""

    async def main() -> list[ToolSpec]:
        around = replace(FakeSession().around(), session="s")
        async with opened(LocalTools, Tools.model_validate({"tools": tools}), around) as provider:
            return list(provider.around.tools)

    return trio.run(main)


def test_names_are_such_as_models_may_have() -> None:
    assert [spec.name for spec in specs({"mcp": by_hand(["a.b/c", "x" * 70])})] == ["a_b_c", "x" * 64]


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        (["look"], {"name": "look", "http": {"url": "http://a"}}, "there are two tools with the name 'look'"),
        (["end_call"], {"name": "end_call", "builtin": "end_session"}, "there are two tools with the name 'end_call'"),
        (["a.b", "a/b"], {"builtin": "end_session"}, "there are two tools with the name 'a_b'"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_two_tools_of_one_name_are_an_error(names: list[str], more: dict[str, Any], told: str, first: bool) -> None:
    tools = [{"mcp": by_hand(names)}, more]
    with pytest.raises(ConfigError, match=told) as error:
        specs(*tools if first else reversed(tools))
    assert error.value.hint == "choose the server's tools with `only`"


def test_a_tool_that_the_server_lacks_is_an_error_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match="has no tool 'pay'") as error:
        specs({"mcp": by_hand(["look", "book"]), "only": ["pay"]})
    assert error.value.hint == "its tools: look, book"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys; sys.exit('no key')", "it ended with exit code 1 (no key)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "it was ended by signal 15"),
        ("print('{}')", "it ended with exit code 0"),
    ],
)
def test_a_server_that_does_not_start_is_an_error_with_its_last_words(code: str, told: str) -> None:
    with pytest.raises(ProviderError) as error:
        specs({"mcp": {"command": [sys.executable, "-c", code]}})
    assert str(error.value) == f"mcp server {sys.executable}: {told}"


def test_a_server_that_says_nothing_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "START_S", 0.3)
    with pytest.raises(ProviderError, match="it was not ready within 0 s"):
        specs({"mcp": {"command": [sys.executable, "-c", "import time; time.sleep(60)"]}})


def test_what_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(ProviderError, match=r"mcp server http://127.0.0.1:1/mcp: ConnectError"):
        specs({"mcp": {"url": "http://127.0.0.1:1/mcp?key=abc"}})


def test_nothing_of_a_server_is_left_behind(tmp_path: Path) -> None:
    """Neither a program that ignores that its input was closed, nor one that it has started."""
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    # Both hold the pipe open, and its end tells that both are gone.
    starts = (
        f"import os, subprocess, time; subprocess.Popen(['sleep', '60'], stdout=os.open({str(held)!r}, os.O_WRONLY))"
    )
    program = f"{starts}\n{PROGRAM.replace('TOOLS', '[]')}\ntime.sleep(60)"
    assert specs({"mcp": {"command": [sys.executable, "-c", program]}}) == []
    assert select.select([reader], [], [], 10)[0] == [reader]
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        ({"mcp": {}}, "either a command or a url"),
        ({"mcp": {"command": ["a"], "url": "http://a"}}, "either a command or a url"),
        ({"mcp": {"command": ["a"], "headers": {"x": "y"}}}, "headers belong to a url"),
        ({"mcp": {"url": "http://a", "env": {"x": "y"}}}, "env belongs to a command"),
        ({"mcp": {"url": "http://a"}, "name": "look"}, "tools with a name of their own"),
        ({"mcp": {"url": "http://a"}, "parameters": {"a": {}}}, "tools with a parameters of their own"),
        ({"call": "a:b", "only": ["x"]}, "only chooses among the tools of an mcp server"),
        ({"call": "a:b", "mcp": {"url": "http://a"}}, "here is call and mcp"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(tool: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Tools.model_validate({"tools": [tool]})


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ([{"mcp": {"url": "http://a"}}, {"mcp": {"url": "http://b"}}], "only one mcp server can have all its tools"),
        ([{"mcp": {"url": "http://a"}, "only": ["b"]}, {"call": "a:b"}], "two tools with the name 'b'"),
        ([{"mcp": {"url": "http://a"}, "only": ["b.c", "b/c"]}], "two tools with the name 'b_c'"),
    ],
)
def test_declarations_that_exclude_each_other_are_refused(tools: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Tools.model_validate({"tools": tools})


FILE = (
    "flowkit: 1\ntools:\n  - {mcp: {command: [%s]}}\nstages: [{kind: gate}, {kind: llm, provider: canned, text: Hi.}]\n"
)


def test_a_program_starts_only_if_it_is_allowed_as_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_allowed", {"./bin", "python3"})
    monkeypatch.chdir(tmp_path)
    for program in ("./bin.sh", "python3.11", "/usr/bin/python3"):
        (problem,) = (p for p in vet(read("a.yaml", text=FILE % program)).problems if p.path[:1] == ("tools",))
        assert (problem.code, problem.mark.line, problem.severity.value) == ("FK130", 3, "notice")
        assert f'[tool.flowkit] tools = ["{program}"];' in problem.help
        with pytest.raises(ConfigError, match="may not be started"):
            specs({"mcp": {"command": [program]}})
    (tmp_path / "pyproject.toml").write_text('[tool.flowkit]\ntools = ["my-mcp-server"]\n')
    assert trust.starts("my-mcp-server")


def test_without_the_sdk_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(ProviderMissing) as error:
        specs({"mcp": {"url": "http://127.0.0.1:1"}})
    assert error.value.hint == "pip install 'flowkit-voice[mcp]'"
    (problem,) = vet(read("a.yaml", text=FILE % "x")).problems
    assert (problem.code, problem.mark.line) == ("FK105", 3)


# -- how much is read ----------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30)))
def test_lines_do_not_depend_on_how_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    splitter, found, at = Lines(), [], 0
    for cut in (*cuts, len(data)):
        found += [line.text for line in splitter.feed(data[at : at + cut])]
        at += cut
    assert found == data.split(b"\n")[:-1]


@pytest.mark.parametrize("size", [LONGEST, LONGEST + 1, 10_000_000])
def test_of_a_long_line_only_the_ends_are_kept(size: int) -> None:
    text = b'{"jsonrpc":"2.0","id":7,' + b"x" * size
    lines = Lines()
    found = [line for at in range(0, size, 65_536) for line in lines.feed(text[:size][at : at + 65_536])]
    assert found == []
    (line,) = lines.feed(b"\n")
    assert (line.whole, line.id) == (size == LONGEST, 7)
    assert len(line.text) == (size if line.whole else 512)


@pytest.mark.parametrize(
    ("text", "id"),
    [
        (b'{"jsonrpc":"2.0","id":3,"result":{}}', 3),
        (b'{ "id": 3, "result": {}}', 3),
        (b'{"result":{"id":4},"id":3}', 3),
        (b'{"result":{},"id":3,"jsonrpc":"2.0"}\r', 3),
        (b'{"result":{"id":4}}', None),
        (b'{"method":"x","params":{"id":4}}', None),
    ],
)
def test_the_id_of_a_message_is_never_one_in_its_content(text: bytes, id: int | None) -> None:
    assert MessageLine(text, whole=False).id == id
