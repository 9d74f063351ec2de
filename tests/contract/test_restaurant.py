"""A table is booked once, whenever the user interrupts and whatever fails, and the model knows of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowkit.messages import ClauseStarted, Fault, Filler, Heard, Interrupt, Token, ToolCall, ToolOutcome
from flowkit.testing.emulators import ChatReply, ServerFault
from tests.contract.bistro import (
    ANSWER,
    BEFORE,
    CALL,
    GREETING,
    QUESTION,
    RESULT,
    SECOND,
    SHIPPED,
    Evening,
    evening,
)

pytest.importorskip("groq")

Messages = list[dict[str, Any]]
START: Messages = [{"role": "system", "content": "You book tables."}, {"role": "assistant", "content": GREETING}]
BOOKED = '{"booked": true, "people": 2, "time": "19:30"}'
RUNNING = "It is still running. Its outcome will follow."
CANCELLED = "cancelled: The user interrupted, so it was cancelled."
MERGED = f"{QUESTION} {SECOND}"
LAST = "Thank you."


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def agent(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def call_and(outcome: str, text: str | None = None, arguments: str = CALL.arguments) -> Messages:
    """The call as the model made it, and its outcome."""
    function = {"name": "book_table", "arguments": arguments}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    return [
        {"role": "assistant", "content": text, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": outcome},
    ]


def past(outcome: str, heard: str) -> Messages:
    """The first turn, in requests of later ones. What was heard before the call stands before it."""
    behind = heard.removeprefix(BEFORE).strip()
    return [user(QUESTION), *call_and(outcome, BEFORE), *([agent(behind)] if behind else [])]


ASKED_ABOUT_OUTCOME = [user(QUESTION), *call_and(BOOKED, BEFORE)]
INTERRUPTIONS = {
    "before the call": (
        3_300,
        {"keep": 0, "cancel": 0},
        {mode: [[user(MERGED)], [user(MERGED)]] for mode in ("keep", "cancel")},
    ),
    "during it": (
        4_700,
        {"keep": 1, "cancel": 0},
        {"keep": [past(RUNNING, BEFORE), past(BOOKED, BEFORE)], "cancel": [past(CANCELLED, BEFORE)] * 2},
    ),
    "during the filler": (
        5_250,
        {"keep": 1, "cancel": 0},
        {"keep": [past(RUNNING, BEFORE), past(BOOKED, BEFORE)], "cancel": [past(CANCELLED, BEFORE)] * 2},
    ),
    "between outcome and next token": (
        6_450,
        {"keep": 1, "cancel": 1},
        {mode: [past(BOOKED, BEFORE)] * 2 for mode in ("keep", "cancel")},
    ),
    "during the spoken result": (
        8_050,
        {"keep": 1, "cancel": 1},
        {mode: [past(BOOKED, f"{BEFORE} Your")] * 2 for mode in ("keep", "cancel")},
    ),
}
"""When the user speaks, in ms; how often a table is booked; and what the two later requests know of the first turn."""


def in_its_window(session: Evening, where: str) -> bool:
    """Whether the interrupt came where the case says."""
    cut_us = session.at_us("llm", Interrupt)
    handled = [(row.handled_us, row.stage, row.message) for row in session.rows]

    def before(stage: str, kind: type[Any], text: str = "") -> bool:
        return any(
            at < cut_us and of == stage and isinstance(m, kind) and text in getattr(m, "spoken", "")
            for at, of, m in handled
        )

    reached = [
        before("llm", Token),
        before("tools", ToolCall),
        before("speaker", ClauseStarted, "One moment"),
        before("llm", ToolOutcome),
        before("speaker", ClauseStarted, "Your table"),
    ]
    return reached == [place <= list(INTERRUPTIONS).index(where) for place in range(5)]


@pytest.mark.parametrize("mode", ["keep", "cancel"])
@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_a_barge_in_books_once_and_the_next_requests_know_it(
    where: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaks_ms, times, known = INTERRUPTIONS[where]
    session = evening(
        monkeypatch,
        tools=SHIPPED.replace("    say_after:", f"    on_interrupt: {mode}\n    say_after:", 1),
        speech_ms=(2_000, speaks_ms, 11_500),
        utterances=(QUESTION, SECOND, LAST),
    )
    assert session.outcome.reason == "input_ended"
    assert in_its_window(session, where)
    assert len(session.booked) == times[mode]
    first, *rest = [request["messages"] for request in session.requests]
    assert first == [*START, user(QUESTION)]
    if where in ("between outcome and next token", "during the spoken result"):
        assert rest.pop(0) == [*START, *ASKED_ABOUT_OUTCOME]
    second, third = known[mode]
    asked = [] if where == "before the call" else [user(SECOND)]
    assert rest == [
        [*START, *second, *asked],
        [*START, *third, *asked, agent(ANSWER), user(LAST)],
    ]
    assert all(request["tools"] == session.requests[0]["tools"] for request in session.requests)
    assert [tool["function"]["name"] for tool in session.requests[0]["tools"]] == [
        "end_call",
        "book_table",
        "free_tables",
    ]


def heard(session: Evening) -> str:
    """What the user heard after the greeting, without fillers."""
    played = [row.message.text for row in session.rows if row.stage == "gate" and isinstance(row.message, Heard)]
    return "".join(played).removeprefix(GREETING).strip()


def test_a_booking_that_takes_long_has_a_filler_that_the_model_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    session = evening(monkeypatch)
    assert session.at_us("llm", Filler) == session.at_us("tools", ToolCall) + 700_000
    assert [request["messages"] for request in session.requests] == [
        [*START, user(QUESTION)],
        [*START, *ASKED_ABOUT_OUTCOME],
    ]
    assert heard(session) == f"{BEFORE} {RESULT}"


@pytest.mark.parametrize("speaks_ms", [4_340, 4_700, 6_450, 8_050])
def test_a_noise_neither_books_again_nor_repeats_a_word(speaks_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A voice without words cuts the reply off, which then goes on."""
    session = evening(monkeypatch, speech_ms=(2_000, speaks_ms), utterances=(QUESTION, ""))
    assert session.at_us("llm", Interrupt) > session.at_us("llm", Token)
    assert len(session.booked) == 1
    assert {len(request["messages"]) for request in session.requests} == {3, 5}
    assert heard(session) == f"{BEFORE} {RESULT}"


RETRIED = "retry: {max: 1, backoff: 10ms}"
FAULTS = {
    "the first request breaks off": ((ServerFault.FIN,), 1, [0, 0, 1]),
    "it breaks off at its end": ((ServerFault.NO_DONE,), 1, [0, 0, 1]),
    "the server refuses what its model wrote": ((ServerFault.CALL_REFUSED,), 1, [0, 0, 1]),
    "the second request is refused": ((ServerFault.NONE, ServerFault.HTTP_503), 1, [0, 1, 1]),
    "the second request breaks off": ((ServerFault.NONE, ServerFault.FIN), 1, [0, 1, 1]),
    "the reply to the outcome is empty": ((ServerFault.NONE, ServerFault.EMPTY_AFTER_CALL), 1, [0, 1, 1]),
    "the call and others share an id": ((ServerFault.CALL_SAME_ID,), 1, [0, 1]),
}
"""The faults of the requests; how often a table is booked; and which of the two bodies each request has."""


@pytest.mark.parametrize("case", FAULTS)
def test_a_request_that_is_made_again_books_nothing_again(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    faults, times, order = FAULTS[case]
    session = evening(monkeypatch, faults=faults, llm=RETRIED)
    bodies = [[*START, user(QUESTION)], [*START, *ASKED_ABOUT_OUTCOME]]
    assert [request["messages"] for request in session.requests] == [bodies[n] for n in order]
    assert len(session.booked) == times
    assert heard(session) == f"{BEFORE} {RESULT}"


def test_another_provider_carries_on_from_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    other = 'failover: [{provider: openai_compatible, base_url: "{url}/v1", model: other, system: "You book tables."}]'
    session = evening(monkeypatch, faults=(ServerFault.NONE, ServerFault.HTTP_400), llm=other)
    first, refused, taken = session.requests
    assert [first["model"], refused["model"], taken["model"]] == ["any", "any", "other"]
    assert taken == refused | {"model": "other"}
    assert taken["messages"] == [*START, *ASKED_ABOUT_OUTCOME]
    assert len(session.booked) == 1
    assert heard(session) == f"{BEFORE} {RESULT}"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ServerFault.CALL_CUT, "error: The arguments are not valid JSON"),
        (ServerFault.CALL_JSON, "error: The arguments are not valid JSON"),
        (ServerFault.CALL_UNKNOWN, "error: There is no tool 'no_such_tool'. Tools: book_table, free_tables, end_call."),
    ],
)
def test_a_call_that_cannot_be_made_is_told_to_the_model(
    fault: ServerFault, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = evening(monkeypatch, faults=(fault,))
    assert session.booked == []
    *_, call, outcome = session.requests[1]["messages"]
    assert outcome["content"].startswith(told)
    sent = call["tool_calls"][0]["function"]["arguments"]
    assert sent == (CALL.arguments if fault is ServerFault.CALL_UNKNOWN else "{}")
    assert heard(session) == f"{BEFORE} {RESULT}"


@pytest.mark.parametrize("text_tools", [True, False])
def test_a_call_that_a_server_passes_on_as_text_books_where_the_file_says_so(
    monkeypatch: pytest.MonkeyPatch, text_tools: bool
) -> None:
    """Also when the first attempt breaks off in the middle of the call."""
    written = f'{BEFORE} <tool_call>{{"name": "book_table", "arguments": {CALL.arguments}}}</tool_call>'

    def reply(messages: Messages) -> ChatReply:
        return ChatReply(RESULT if messages[-1]["role"] == "tool" else written)

    seen = evening(monkeypatch, llm=f"text_tools: {json.dumps(text_tools)}", reply=reply, faults=[ServerFault.FIN])
    assert len(seen.booked) == int(text_tools)
    said = "".join(row.message.text for row in seen.rows if isinstance(row.message, ClauseStarted))
    expected = [GREETING, BEFORE, RESULT] if text_tools else [GREETING, BEFORE]
    assert said.replace(" ", "") == "".join(expected).replace(" ", "")


def test_a_server_that_refuses_the_tools_is_a_fault_and_the_agent_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a request is not made again, because it would be refused again. The next question is asked as ever."""
    seen = evening(monkeypatch, speech_ms=(2_000, 7_000), faults=[ServerFault.HTTP_400])
    (fault,) = {row.message for row in seen.rows if isinstance(row.message, Fault)}
    assert (fault.stage, "HTTP 400" in fault.what) == ("llm", True)
    assert [request["messages"][-1]["content"] for request in seen.requests] == [QUESTION, SECOND]
    assert all("tools" in request for request in seen.requests)
