"""Tool calls of chat completions: how flowkit and Groq's own library read the same streams, and what flowkit sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flowkit.messages import Ask, Called, Exchange, ReplyStep, ToolCall
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.providers.groq import Groq
from flowkit.providers.openai_compatible.llm import OpenAICompatible
from flowkit.testing.emulators import ChatCall, ChatReply, GroqEmulator, ServerFault, running
from flowkit.tools import ToolSpec
from tests.contract.sdks import groq_chat
from tests.contract.support import OK, Outcome, one_call

pytest.importorskip("groq")

BOOK = ToolSpec("book", "Book a table.", {"type": "object", "properties": {"n": {"type": "integer"}}})
LOOK = ToolSpec("look", "Free tables.", {"type": "object", "properties": {}})
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "book",
            "description": "Book a table.",
            "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Free tables.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]
BOTH = ChatReply("", (ChatCall("book", '{"n": 2, "at": "half past seven"}', "a"), ChatCall("look", "{}", "b")))
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture(scope="module")
def emulator() -> Iterator[GroqEmulator]:
    def reply(messages: list[dict[str, Any]]) -> str | ChatReply:
        return "Booked." if messages[-1]["role"] == "tool" else BOTH

    with running(GroqEmulator(reply=reply)) as emulator:
        yield emulator


def groq(emulator: GroqEmulator, key: str) -> tuple[type[Provider], Options]:
    return Groq, Groq.Options(api_key=key, base_url=emulator.url, system="Be brief.")  # type: ignore[arg-type]


def compatible(emulator: GroqEmulator, key: str) -> tuple[type[Provider], Options]:
    url = f"{emulator.url}/v1"
    return OpenAICompatible, OpenAICompatible.Options(api_key=key, base_url=url, model="any", system="Be brief.")  # type: ignore[arg-type]


def asked(made: tuple[type[Provider], Options], ask: Ask) -> Outcome:
    return one_call(*made, ask, tools=(BOOK, LOOK))


def body(emulator: GroqEmulator) -> dict[str, Any]:
    """The body of the last request for a completion."""
    last = [seen.body for seen in emulator.seen if seen.path.endswith("/chat/completions")][-1]
    assert isinstance(last, dict)
    return last


def known(body: dict[str, Any]) -> dict[str, Any]:
    """The part of a request that Groq's library can send."""
    return {key: value for key, value in body.items() if key != "stream_options"}


CALLS = [ToolCall(call.id, call.name, call.arguments) for call in BOTH.calls]
CASES = {
    ServerFault.NONE: ("", CALLS),
    ServerFault.TRICKLE: ("", CALLS),
    ServerFault.SPLIT_UTF8: ("", CALLS),
    ServerFault.CALL_CUT: ("", [ToolCall("a", "book", '{"n": 2, "at": "'), ToolCall("b", "look", "{")]),
    ServerFault.CALL_JSON: (
        "",
        [ToolCall("a", "book", '{"n": 2, "at": "half past seven",,'), ToolCall("b", "look", "{,,")],
    ),
    ServerFault.CALL_UNKNOWN: ("", [ToolCall(c.id, "no_such_tool", c.arguments) for c in CALLS]),
    ServerFault.CALL_SAME_ID: ("", [ToolCall("a", c.name, c.arguments) for c in CALLS]),
    ServerFault.CALL_WITH_TEXT: ("One moment.", CALLS),
}


@pytest.mark.parametrize("provider", [groq, compatible])
@pytest.mark.parametrize("fault", CASES)
def test_calls_arrive_whole_and_as_the_library_reads_them(
    emulator: GroqEmulator, fault: ServerFault, provider: Any
) -> None:
    outcome = asked(provider(emulator, f"fault:{fault}"), Ask(1, "A table."))
    assert (outcome.end, outcome.text, outcome.calls) == (OK, *CASES[fault]), outcome.error
    theirs = groq_chat(emulator.url, f"fault:{fault}", known(body(emulator)))
    assert theirs.end == "ok"
    assert [ToolCall(*call) for call in theirs.calls.values()] == outcome.calls
    assert theirs.text == outcome.text


def test_whole_calls_that_all_have_index_0_are_told_apart(emulator: GroqEmulator) -> None:
    """The library leaves that to its user: by the index, these are one call with the arguments of both."""
    outcome = asked(groq(emulator, "fault:call_same_index"), Ask(1, "A table."))
    assert outcome.calls == CALLS


@pytest.mark.parametrize(
    "fault", [ServerFault.FIN, ServerFault.RST, ServerFault.NO_DONE, ServerFault.ERROR, ServerFault.CALL_REFUSED]
)
def test_a_reply_that_breaks_off_calls_nothing(emulator: GroqEmulator, fault: ServerFault) -> None:
    outcome = asked(groq(emulator, f"fault:{fault}"), Ask(1, "A table."))
    assert outcome.end in ("network", "server")
    assert outcome.calls == []


def called(n: int, *more: str) -> Called:
    return Called(f"call_{n}", "book", '{"n": 2}', *more)


def in_request(n: int, arguments: str = '{"n": 2}', name: str = "book") -> dict[str, Any]:
    return {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def agent(text: str | None, *calls: dict[str, Any]) -> dict[str, Any]:
    return (
        {"role": "assistant", "content": text, "tool_calls": list(calls)}
        if calls
        else {"role": "assistant", "content": text}
    )


def tool(n: int, content: str) -> dict[str, str]:
    return {"role": "tool", "tool_call_id": f"call_{n}", "content": content}


BOOKED = ReplyStep("Let me see.", (called(1, "result", "ok"),))
REQUESTS = {
    "first": (Ask(1, "A table."), [user("A table.")]),
    "after an outcome": (
        Ask(1, "A table.", steps=(BOOKED,)),
        [user("A table."), agent("Let me see.", in_request(1)), tool(1, "ok")],
    ),
    "after two side by side": (
        Ask(
            1, "A table.", steps=(ReplyStep("", (called(1, "timeout", "book took long."), called(2, "error", "full"))),)
        ),
        [
            user("A table."),
            agent(None, in_request(1), in_request(2)),
            tool(1, "timeout: book took long."),
            tool(2, "error: full"),
        ],
    ),
    "after an interruption": (
        Ask(2, "Wait.", (Exchange("A table.", "Let me", (ReplyStep("", (called(1, "result", "ok"),)),)),)),
        [user("A table."), agent(None, in_request(1)), tool(1, "ok"), agent("Let me"), user("Wait.")],
    ),
    "while a tool runs": (
        Ask(2, "Wait.", (Exchange("A table.", "", (ReplyStep("", (called(1),)),)),)),
        [
            user("A table."),
            agent(None, in_request(1)),
            tool(1, "It is still running. Its outcome will follow."),
            user("Wait."),
        ],
    ),
    "calls that no server takes back": (
        Ask(
            1,
            "A table.",
            steps=(
                ReplyStep(
                    "",
                    (
                        Called("call_1", "book a table!", '{"n": ', "error", "no"),
                        Called("call_2", "", "[1]", "error", "no"),
                        Called("call_3", "x" * 70, "", "error", "no"),
                    ),
                ),
            ),
        ),
        [
            user("A table."),
            agent(None, in_request(1, "{}", "book_a_table_"), in_request(2, "{}", "_"), in_request(3, "{}", "x" * 64)),
            *(tool(n, "error: no") for n in (1, 2, 3)),
        ],
    ),
}


@pytest.mark.parametrize("made", [groq, compatible])
@pytest.mark.parametrize("case", REQUESTS)
def test_what_is_sent_is_what_servers_take_field_by_field(emulator: GroqEmulator, case: str, made: Any) -> None:
    ask, messages = REQUESTS[case]
    outcome = asked(made(emulator, "any"), ask)
    assert outcome.end == OK, outcome.error
    mine = body(emulator)
    assert mine["messages"] == [SYSTEM, *messages]
    assert mine["tools"] == TOOLS
    assert "tool_choice" not in mine
    groq_chat(emulator.url, "any", known(mine))
    assert body(emulator) == known(mine)


def test_at_the_bound_of_rounds_the_request_keeps_the_tools_and_forbids_them(emulator: GroqEmulator) -> None:
    """Servers refuse a history with calls if the request has no tools."""
    outcome = asked(groq(emulator, "any"), Ask(1, "A table.", steps=(BOOKED,), tools=False))
    assert outcome.calls == []
    mine = body(emulator)
    assert (mine["tools"], mine["tool_choice"]) == (TOOLS, "none")


def test_an_empty_reply_after_an_outcome_is_a_fault(emulator: GroqEmulator) -> None:
    key = "fault:empty_after_call"
    assert asked(groq(emulator, key), Ask(1, "A table.")).calls == CALLS
    assert asked(groq(emulator, key), Ask(1, "A table.", steps=(BOOKED,))).end == "empty"


def test_a_request_without_tools_has_no_such_keys(emulator: GroqEmulator) -> None:
    outcome = one_call(*groq(emulator, "any"), Ask(1, "A table."))
    assert (outcome.end, outcome.calls) == ("empty", []), "the emulated model calls no tool that it was not given"
    assert not {"tools", "tool_choice"} & body(emulator).keys()


@pytest.mark.parametrize(
    "messages",
    [
        [agent(None)],
        [tool(1, "ok")],
        [agent(None, in_request(1))],
        [agent(None, in_request(1)), user("Well?"), tool(1, "ok")],
        [agent(None, in_request(1)), tool(2, "ok")],
        [agent(None, in_request(1, "{")), tool(1, "ok")],
        [agent(None, in_request(1, "[1]")), tool(1, "ok")],
        [agent(None, in_request(1, name="no name")), tool(1, "ok")],
    ],
)
def test_the_emulator_refuses_what_servers_refuse(emulator: GroqEmulator, messages: list[dict[str, Any]]) -> None:
    request = {"model": "any", "stream": True, "messages": [*messages, user("And?")], "tools": TOOLS}
    assert groq_chat(emulator.url, "any", request).end == "BadRequestError"
