"""Tools as they really run: functions in tasks and threads, and HTTP requests. Whatever a tool does, it has one outcome."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any

import h11
import pytest
import trio
from pydantic import BaseModel, Field, ValidationError
from trio.testing import MockClock, wait_all_tasks_blocked

from flowkit import trust
from flowkit.config import load
from flowkit.engine import Fate, Row
from flowkit.engine.observer import Observer
from flowkit.errors import ConfigError
from flowkit.messages import CancelTool, Message, RunTools, ToolCall, ToolOutcome
from flowkit.plan import require
from flowkit.providers.models import opened
from flowkit.providers.tools import local
from flowkit.providers.tools.functions import ToolContext
from flowkit.providers.tools.http import LONGEST
from flowkit.providers.tools.local import LocalTools
from flowkit.runtime.host import run_alone
from flowkit.testing.provider import FakeSession, PacedItems
from flowkit.testing.sessions import Kept
from flowkit.tools import Tools, ToolSpec
from tests.providers.http_server import Server, served

Tool = dict[str, Any]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """An empty module of tools that may be imported."""
    made = types.ModuleType("bistro_of_tests")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr(trust, "_allowed", {made.__name__})
    return made


def add(module: types.ModuleType, function: Callable[..., Any]) -> Tool:
    """The declaration of `function`, which is put into the module."""
    setattr(module, function.__name__, function)
    return {"call": f"{module.__name__}:{function.__name__}"}


def outcomes(
    tools: Iterable[Tool], fed: Iterable[Message], *, count: int = 1, jumps: bool = False
) -> tuple[list[ToolOutcome], list[ToolSpec]]:
    """Feed messages. Returns the first `count` outcomes, and the tools as the model gets them."""
    found: list[ToolOutcome] = []
    specs: list[ToolSpec] = []

    async def main() -> None:
        around = replace(FakeSession().around(), session="s")
        async with opened(LocalTools, Tools.model_validate({"tools": list(tools)}), around) as provider:
            specs.extend(around.tools)
            with trio.move_on_after(30) as scope:

                async def emit(item: Message) -> None:
                    assert isinstance(item, ToolOutcome)
                    found.append(item)
                    if len(found) == count:
                        scope.cancel()

                await provider.call(RunTools(), PacedItems([*fed]), emit)

    trio.run(main, clock=MockClock(autojump_threshold=0) if jumps else None)
    return found, specs


def outcome(tool: Tool, arguments: str = "{}") -> tuple[str, str]:
    """Status and content of one call."""
    (found,), _ = outcomes(
        [tool], [ToolCall("call_1", Tools.model_validate({"tools": [tool]}).tools[0].title, arguments)]
    )
    assert found.id == "call_1"
    return found.status, found.content


# -- functions ---------------------------------------------------------------------------------------------------------


class Seat(BaseModel):
    row: int


@pytest.mark.parametrize(
    ("returns", "content"),
    [
        ("Two seats.", "Two seats."),
        ({"n": 1, "ü": None}, '{"n": 1, "ü": null}'),
        (None, "null"),
        (Seat(row=3), '{"row": 3}'),
        ("half \ud83d a face", "half ? a face"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_what_a_function_returns_is_text_for_the_model(
    module: types.ModuleType, returns: Any, content: str, is_async: bool
) -> None:
    async def slowly() -> Any:
        await trio.lowlevel.checkpoint()
        return returns

    def at_once() -> Any:
        return returns

    found = outcome(add(module, slowly if is_async else at_once))
    assert found == ("result", content)
    found[1].encode()


def test_a_coroutine_that_a_plain_function_returns_is_awaited(module: types.ModuleType) -> None:
    """Many decorators make such functions."""

    async def slowly(seats: int) -> str:
        await trio.lowlevel.checkpoint()
        return f"{seats} seats"

    def look(seats: int) -> Any:
        return slowly(seats)

    assert outcome(add(module, look), '{"seats": 2}') == ("result", "2 seats")


def test_a_result_of_10_mb_is_cut(module: types.ModuleType) -> None:
    def much() -> list[str]:
        return ["x" * 1000] * 10_000

    status, content = outcome(add(module, much))
    assert status == "result"
    assert len(content) < local.LONGEST + 100
    assert content.endswith("... (cut: 10040000 characters)")


@pytest.mark.parametrize("result", [object(), {1, 2}, b"x", lambda: 1])
def test_what_is_no_json_is_an_error(module: types.ModuleType, result: Any) -> None:
    def look() -> Any:
        return result

    status, content = outcome(add(module, look))
    assert status == "error"
    assert "the tool returned what is no JSON" in content


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("only 3 seats are free"), "only 3 seats are free"),
        (KeyError("table"), "KeyError: 'table'"),
        (RecursionError("deep"), "RecursionError: deep"),
        (SystemExit(1), "SystemExit: 1"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_what_a_function_raises_is_an_error_outcome(
    module: types.ModuleType, error: BaseException, told: str, is_async: bool
) -> None:
    async def slowly() -> None:
        raise error

    def at_once() -> None:
        raise error

    assert outcome(add(module, slowly if is_async else at_once)) == ("error", told)


def test_the_model_gets_signature_and_docstring(module: types.ModuleType) -> None:
    def book(people: Annotated[int, Field(ge=1)], context: ToolContext, time: str = "20:00") -> str:
        """Book a table
        for people.

        Args:
            people: how many.
        """
        return f"{people} {time} {context.key}"

    tool = add(module, book)
    (found,), (spec,) = outcomes([tool], [ToolCall("call_7", "book", '{"people": 2}')])
    assert found.content == "2 20:00 s-call_7"
    assert spec == ToolSpec(
        "book",
        "Book a table for people.",
        {
            "additionalProperties": False,
            "properties": {
                "people": {"description": "how many.", "minimum": 1, "title": "People", "type": "integer"},
                "time": {"default": "20:00", "title": "Time", "type": "string"},
            },
            "required": ["people"],
            "type": "object",
        },
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("{}", "people: Field required"),
        ('{"people": 0}', "people: Input should be greater than or equal to 1"),
        ('{"people": "many"}', "people: Input should be a valid integer"),
        ('{"people": 2, "day": 1}', "day: Extra inputs are not permitted"),
        ('{"people": 2, "context": {}}', "context: Extra inputs are not permitted"),
        ("[]", "the arguments: Input should be an object"),
    ],
)
def test_arguments_that_do_not_fit_are_told(module: types.ModuleType, arguments: str, told: str) -> None:
    def book(people: Annotated[int, Field(ge=1)], context: ToolContext) -> None:
        raise AssertionError("it must not be called")

    status, content = outcome(add(module, book), arguments)
    assert status == "error"
    assert content.startswith("The arguments do not fit: ")
    assert told in content


def without_annotation(people) -> None:  # type: ignore[no-untyped-def]
    """Book."""


def with_any_number(*people: int) -> None:
    """Book."""


def positional(people: int, /) -> None:
    """Book."""


def of_a_kind_without_schema(lock: threading.Event) -> None:
    """Book."""


def with_a_private_name(_people: int) -> None:
    """Book."""


def of_an_unknown_type(people: Nobody) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Book."""


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (without_annotation, "parameter 'people' has no annotation"),
        (with_any_number, "parameter 'people' cannot be given by name"),
        (positional, "parameter 'people' cannot be given by name"),
        (of_a_kind_without_schema, "cannot be described to a model"),
        (with_a_private_name, "cannot be described to a model"),
        (of_an_unknown_type, "its annotations cannot be read"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_at_start(
    module: types.ModuleType, function: Callable[..., Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        outcomes([add(module, function)], [])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("os:getcwd", "the module 'os' may not be imported"),
        ("bistro_of_tests.more:book", "cannot be imported"),
        ("bistro_of_tests:book", "cannot be imported"),
        ("bistro_of_tests:SEATS", "is no function but a int"),
    ],
)
def test_only_functions_of_allowed_modules_are_tools(module: types.ModuleType, call: str, told: str) -> None:
    module.SEATS = 12  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=told):
        outcomes([{"call": call}], [])


def test_a_module_that_fails_while_it_is_imported_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_bistro.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(trust, "_allowed", {"broken_bistro"})
    with pytest.raises(ConfigError, match="'broken_bistro:book' cannot be imported: ZeroDivisionError"):
        outcomes([{"call": "broken_bistro:book"}], [])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two tools with the name 'book'"):
        Tools.model_validate({"tools": [{"call": "a:book"}, {"name": "book", "call": "b:reserve"}]})


def test_an_address_has_only_arguments_that_are_declared() -> None:
    tool = {"name": "weather", "http": {"url": "https://a.example/{city}/{day}"}, "parameters": CITY}
    with pytest.raises(ValidationError, match=r"url has \{day\}, which is not in parameters"):
        Tools.model_validate({"tools": [tool]})


def test_calls_run_side_by_side(module: types.ModuleType) -> None:
    async def wait(seconds: int) -> int:
        await trio.sleep(seconds)
        return seconds

    fed = [ToolCall(f"call_{n}", "wait", f'{{"seconds": {n}}}') for n in (3, 1, 2)]
    found, _ = outcomes([add(module, wait)], fed, count=3, jumps=True)
    assert [out.id for out in found] == ["call_1", "call_2", "call_3"]


@pytest.mark.parametrize("pause_s", [0.0, 1.0])
def test_a_cancelled_coroutine_stops_and_has_no_outcome(module: types.ModuleType, pause_s: float) -> None:
    """With its call in one instant too, before it has begun."""
    finished: list[str] = []

    async def book() -> None:
        await trio.sleep(5)
        finished.append("booked")

    async def main() -> None:
        tools = Tools.model_validate({"tools": [add(module, book)]})
        async with opened(LocalTools, tools, FakeSession().around()) as provider:

            async def emit(item: Message) -> None:
                finished.append(str(item))

            fed = [ToolCall("call_1", "book", "{}"), CancelTool("call_1")]
            await provider.call(RunTools(), PacedItems(fed, pause_s), emit)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert finished == []


# -- a session ---------------------------------------------------------------------------------------------------------

TALK = """
flowkit: 1
tools: [{{call: "bistro_of_tests:{function}", timeout: 1s}}]
stages:
  - {{kind: mic, provider: scripted, speech: [{{at: 0ms, lasts: 300ms}}], length: 8s}}
  - {{kind: vad, provider: scripted}}
  - {{kind: asr, provider: scripted, utterances: ["A table."]}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, replies: [{{calls: [{{name: {function}}}]}}, {{after: {function}, text: "Sorry."}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, per_char: 10ms}}
  - {{kind: speaker, provider: memory}}
"""


def session(function: Callable[..., Any], *observers: Observer) -> list[Row]:
    """The rows of a session in which the model calls `function`, which is in the module."""
    kept = Kept()
    plan = require(load("talk.yaml", text=TALK.format(function=function.__name__), environ={}))

    async def main() -> None:
        await run_alone(plan, notice=lambda line: None, observers=(kept, *observers), settled=wait_all_tasks_blocked)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return kept.all


def told(rows: list[Row]) -> list[tuple[str, Fate]]:
    """Each outcome that came to the stages, by its status, and what was done with it."""
    return [(f"{row.stage} {row.message.status}", row.fate) for row in rows if isinstance(row.message, ToolOutcome)]


def test_a_coroutine_that_hangs_is_timed_out_and_cancelled(module: types.ModuleType) -> None:
    ends: list[str] = []

    async def hang() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ends.append("cancelled")

    add(module, hang)
    assert told(session(hang)) == [("llm timeout", Fate.HANDLED)]
    assert ends == ["cancelled"]


class Releases(Observer):
    """Lets a thread go on when its call was timed out, and waits until it is done."""

    def __init__(self) -> None:
        self.late, self.done = threading.Event(), threading.Event()

    def rows(self, rows: list[Row]) -> None:
        if any(isinstance(row.message, ToolOutcome) for row in rows) and not self.late.is_set():
            self.late.set()
            assert self.done.wait(10)


def test_the_late_result_of_a_thread_is_stale(module: types.ModuleType) -> None:
    thread = Releases()

    def hang() -> str:
        assert thread.late.wait(10)
        thread.done.set()
        return "late"

    add(module, hang)
    assert told(session(hang, thread)) == [("llm timeout", Fate.HANDLED), ("tools result", Fate.STALE)]


# -- HTTP --------------------------------------------------------------------------------------------------------------

CITY = {"city": {"type": "string", "description": "City"}}


async def requested(tool: Tool, arguments: str = '{"city": "Köln"}') -> ToolOutcome:
    """The outcome of one call of an http tool, inside of Trio."""
    tool = {"name": "weather", "parameters": CITY, **tool}
    around = replace(FakeSession().around(), session="s")
    found: list[Message] = []
    async with opened(LocalTools, Tools.model_validate({"tools": [tool]}), around) as provider:

        async def emit(item: Message) -> None:
            found.append(item)

        await provider.call(RunTools(), PacedItems([ToolCall("call_1", "weather", arguments)]), emit)
    (outcome,) = found
    assert isinstance(outcome, ToolOutcome)
    return outcome


def ok(head: h11.Request, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    return 200, [("content-type", "text/plain; charset=no-such")], "Sun, 20 °C".encode()


@pytest.mark.parametrize(
    ("city", "target"),
    [
        ("Köln", "/w?city=K%C3%B6ln&unit=c"),
        ("a&key=b#c/../d?e=%20", "/w?city=a%26key%3Db%23c%2F..%2Fd%3Fe%3D%2520&unit=c"),
        ("\r\nx: y", "/w?city=%0D%0Ax%3A%20y&unit=c"),
    ],
)
def test_arguments_are_percent_encoded(city: str, target: str) -> None:
    async def call(server: Server) -> None:
        tool = {"http": {"url": f"{server.url}/w?city={{city}}&unit=c"}}
        found = await requested(tool, ToolArguments(city=city).model_dump_json())
        assert (found.status, found.content) == ("result", "Sun, 20 °C")

    (server,) = served(ok, call=call)
    assert [seen[0] for seen in server.seen] == [target]


class ToolArguments(BaseModel):
    city: str


@pytest.mark.parametrize("city", [".", "..", "../x", "a/../.."])
def test_no_argument_leads_to_another_path(city: str) -> None:
    async def call(server: Server) -> None:
        tool = {"http": {"method": "DELETE", "url": f"{server.url}/orders/{{city}}/seats"}}
        found = await requested(tool, ToolArguments(city=city).model_dump_json())
        assert found.status == ("error" if city in (".", "..") else "result")

    (server,) = served(ok, call=call)
    assert all(seen[0].startswith("/orders/") and seen[0].endswith("/seats") for seen in server.seen)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("GET", "/w?unit=c&city=K%C3%B6ln", b""), ("POST", "/w?unit=c", '{"city":"Köln"}'.encode())],
)
def test_other_arguments_are_in_the_query_or_the_body(method: str, target: str, body: bytes) -> None:
    async def call(server: Server) -> None:
        await requested({"http": {"method": method, "url": f"{server.url}/w?unit=c", "headers": {"x-key": "k"}}})

    (server,) = served(ok, call=call)
    ((seen, headers, sent),) = server.seen
    assert (seen, sent) == (target, body)
    assert (headers["x-key"], headers["idempotency-key"]) == ("k", "s-call_1")


def test_no_header_of_the_file_follows_a_redirect_to_another_server() -> None:
    async def call(first: Server, other: Server) -> None:
        first.respond = lambda head, body: (302, [("location", f"{other.url}/moved")], b"")
        tool = {"http": {"url": f"{first.url}/w", "headers": {"authorization": "Bearer k", "X-Key": "k"}}}
        assert (await requested(tool)).status == "result"

    first, other = served(ok, ok, call=call)
    assert {"authorization", "x-key"} <= first.seen[0][1].keys()
    ((target, headers, _),) = other.seen
    assert target == "/moved"
    assert not {"authorization", "x-key"} & headers.keys()


def test_a_redirect_to_the_same_server_keeps_the_headers() -> None:
    def moved(head: h11.Request, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        return ok(head, body) if head.target == b"/moved" else (302, [("location", "/moved")], b"")

    async def call(server: Server) -> None:
        tool = {"http": {"url": f"{server.url}/w", "headers": {"X-Key": "k"}}}
        assert (await requested(tool)).status == "result"

    (server,) = served(moved, call=call)
    assert [seen[1]["x-key"] for seen in server.seen] == ["k", "k"]


def test_redirects_end() -> None:
    async def call(server: Server) -> None:
        found = await requested({"http": {"url": f"{server.url}/w"}})
        assert (found.status, found.content) == ("error", "more than 5 redirects")

    served(lambda head, body: (302, [("location", "/w")], b""), call=call)


def test_a_long_answer_is_read_only_so_far() -> None:
    async def call(server: Server) -> None:
        found = await requested({"http": {"url": f"{server.url}/w"}})
        assert found.content.endswith(f"... (cut: {LONGEST} characters)")

    served(lambda head, body: (200, [], b"x" * 10_000_000), call=call)


def test_an_http_error_is_an_error_outcome() -> None:
    async def call(server: Server) -> None:
        found = await requested({"http": {"url": f"{server.url}/w"}})
        assert (found.status, found.content) == ("error", "HTTP 503: full")

    served(lambda head, body: (503, [], b"full"), call=call)


@pytest.mark.parametrize(("effects", "requests"), [("once", 1), ("none", 2)])
def test_only_a_request_without_effects_is_made_again(effects: str, requests: int) -> None:
    async def call(server: Server) -> None:
        found = await requested({"http": {"url": f"{server.url}/w"}, "effects": effects})
        assert found.status == "error"
        assert found.content.startswith("no answer: RemoteProtocolError")

    (server,) = served(lambda head, body: (0, [], b""), call=call)
    assert len(server.seen) == requests
    assert {seen[1]["idempotency-key"] for seen in server.seen} == {"s-call_1"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("{}", "city is missing"),
        ('{"city": 3}', "city is no string"),
        ('{"city": "x", "day": 1}', "there is no day"),
    ],
)
def test_arguments_that_do_not_fit_make_no_request(arguments: str, told: str) -> None:
    async def call(server: Server) -> None:
        found = await requested({"http": {"url": f"{server.url}/w"}}, arguments)
        assert (found.status, found.content) == ("error", f"The arguments do not fit: {told}")

    (server,) = served(ok, call=call)
    assert server.seen == []
