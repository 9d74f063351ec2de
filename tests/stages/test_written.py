"""Tool calls that a model writes as text are called where the file says so, however they come in tokens."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Called, Done, EndOfReply, EndOfStep, Token, ToolCall, Utterance
from flowkit.stages.base import Emit
from flowkit.stages.llm import LlmState, LlmTurn
from flowkit.stages.unspoken import SpokenText
from flowkit.stages.written import written_calls

ROME = '{"city": "Rome"}'
FORMS = {
    "tag": ('<tool_call>\n{"name": "look", "arguments": {"city": "Rome"}}\n</tool_call>', [("look", ROME)]),
    "parameters": ('<tool_call>{"tool": "look", "parameters": {"city": "Rome"}}</tool_call>', [("look", ROME)]),
    "without an end": ('<tool_call>{"name": "look", "arguments": {"city": "Rome"}}', [("look", ROME)]),
    "two tags": ('<tool_call>{"name": "a"}</tool_call> and <tool_call>{"name": "b"}</tool_call>', [("a", "{}"), ("b", "{}")]),
    "two in one": ('<tool_calls>{"name": "a"}\n{"name": "b"}</tool_calls>', [("a", "{}"), ("b", "{}")]),
    "a list": ('[TOOL_CALLS] [{"name": "look", "arguments": {"city": "Rome"}}]', [("look", ROME)]),
    "as sent to servers": ('<tool_call>{"function": {"name": "look", "arguments": "{}"}}</tool_call>', [("look", "{}")]),
    "function": (f"<function=look>{ROME}</function>", [("look", ROME)]),
    "function without end": (f"<function=look>{ROME}", [("look", ROME)]),
    "functions": (f"<function=a>{{}}</function><function=b>{ROME}</function>", [("a", "{}"), ("b", ROME)]),
    "nested": (
        "<tool_call>\n<function=look>\n<parameter=city>\nRome\n</parameter>\n<parameter=n>\n2\n</parameter>\n</function>\n</tool_call>",
        [("look", '{"city": "Rome", "n": 2}')],
    ),
    "fenced": ('```json\n{"name": "look", "arguments": {"city": "Rome"}}\n```', [("look", ROME)]),
    "malformed": ('<tool_call>{"name": "look", "arguments": {"a": B}}</tool_call>', [("look", '{"a": B}}</tool_call>')]),
    "no call": ("<tool_call>look it up</tool_call>", []),
    "in a thought": ('<think>Maybe <tool_call>{"name": "look"}</tool_call>?</think>', []),
    "quoted": ('Write `<tool_call>{"name": "look"}`.', []),
    "other code": ('```json\n{"name": "Ann", "age": 3}\n```', []),
}  # fmt: skip
TEXTS = pytest.mark.parametrize(("text", "calls"), FORMS.values(), ids=FORMS)


def calls_of(text: str, size: int) -> list[tuple[str, str]]:
    reply = SpokenText()
    for place in range(0, len(text), size):
        reply.feed(text[place : place + size])
    reply.end()
    return [(call.name, call.arguments) for call in written_calls(reply.calls)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 500])
@pytest.mark.parametrize(("before", "behind"), [("", ""), ("I look. ", " Well."), ("<think>Plan.</think>", "")])
@TEXTS
def test_each_form_is_a_call(text: str, calls: list[tuple[str, str]], before: str, behind: str, size: int) -> None:
    if "without" in text or (behind and not text.endswith((">", "`", "."))):
        behind = ""
    assert calls_of(before + text + behind, size) == calls


@given(st.text('<>/`[]{}":,=tool_callfunctionname ', max_size=80), st.integers(1, 9))
def test_how_it_is_cut_does_not_matter_and_nothing_fails(text: str, size: int) -> None:
    assert calls_of(text, size) == calls_of(text, len(text) or 1)


NAMES = st.sampled_from(("name", "function", "arguments", "parameters", "x"))


@given(
    st.recursive(
        st.none() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=8
    )
)
def test_any_json_is_read(value: object) -> None:
    assert all(isinstance(call, ToolCall) for call in written_calls([f"<tool_call>{json.dumps(value)}</tool_call>"]))


def test_json_without_an_end_of_nesting_is_no_call() -> None:
    assert written_calls(["<tool_call>" + "[" * 100_000 + "</tool_call>"]) == ()


# -- the stage ---------------------------------------------------------------------------------------------------------


def after(text: str, *calls: ToolCall, text_tools: bool = True) -> tuple[list[object], LlmState]:
    """What the stage does when the model has written this text, and what it then knows."""
    stage = LlmTurn(LlmTurn.Options(text_tools=text_tools))
    state = stage.fresh()
    stage.step(state, Utterance(1, "Where?", ""), 0)
    for message in (Token(0, text), *calls):
        stage.step(state, message, 0)
    return list(stage.step(state, Done(), 0)), state


CALL = f"Let me see. {FORMS['tag'][0]}"


def test_what_is_written_is_called_and_its_step_is_remembered() -> None:
    actions, state = after(CALL)
    assert actions == [Emit("tokens", EndOfStep()), Emit("calls", ToolCall("call_1", "look", ROME))]
    assert state.asked is not None
    assert state.asked.steps == ((("Let me see.", (Called("call_1", "look", ROME),))),)


def test_unless_the_file_says_so_nothing_written_is_called() -> None:
    actions, _ = after(CALL, text_tools=False)
    assert actions == [Emit("tokens", EndOfReply())]


def test_a_call_that_the_server_has_read_is_not_called_twice() -> None:
    actions, _ = after(CALL, ToolCall("a", "look", ROME))
    assert actions == [Emit("tokens", EndOfStep()), Emit("calls", ToolCall("call_1", "look", ROME))]
