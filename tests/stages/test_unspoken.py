"""Reasoning and tool calls are not spoken, however their marks are split into tokens, and nothing else is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Done, EndOfReply, Failed, Fault, Token, Utterance
from flowkit.stages.base import Emit
from flowkit.stages.llm import LlmTurn
from flowkit.stages.unspoken import FORMS, LONGEST, FirstWord, SpokenText

PIECES = st.lists(st.text(max_size=9), max_size=20)
MARKISH = st.text("<>/[]thinkTHINK◁▷| \n`a", max_size=40)
FENCED = st.lists(
    st.sampled_from(
        ("`", "```", "json", "\n", "{", '"name"', ":", '"look"', ",", '"arguments"', "}", "[", " ", "Well.", "<think>")
    )
).map("".join)


def spoken(text: str, size: int) -> str:
    reply = SpokenText()
    return "".join(reply.feed(text[place : place + size]) for place in range(0, len(text), size)) + reply.end()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 200])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>Hidden plan.</think>Hello.", "Hello."),
        ("Well. <think>Hidden.</think>Hello.", "Well. Hello."),
        ("<think>a<think>b</think>c</think>Hello.", "Hello."),
        ("<think>a<thinking>b</thinking>c</think>Hello.", "Hello."),
        ("<think>It never ends.", ""),
        ("<think>", ""),
        ("<think>a</think><think>b</think>Hello.", "Hello."),
        ("<think></think>\n\nHello.", "\n\nHello."),
        ("<think/>Hello.", "Hello."),
        ("<THINK >a</Think\n>Hello.", "Hello."),
        ("<think time='3'>a</think>Hello.", "Hello."),
        ("</think>Hello.", "Hello."),
        ("[THINK]a[/THINK]Hello.", "Hello."),
        ("◁think▷a◁/think▷Hello.", "Hello."),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Hello.", "Hello."),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Hello.<|END_RESPONSE|>", "Hello."),
        ("<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>Hello.<|end_of_solution|>", "Hello."),
        ('I look. <tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>', "I look. "),
        ("<function=look>{}</function>Hello.", "Hello."),
        ("<tool_call><function=look><parameter=city>Rome</parameter></function></tool_call>Hello.", "Hello."),
        ('[TOOL_CALLS][{"name": "look", "arguments": {}}]', ""),
        ("<function=look>{", ""),
        ('I look.\n```json\n{"name": "look", "arguments": {"a": "`"}}\n```\nFound.', "I look.\n\nFound."),
        ('```\n[ {\n  "tool" : "look" , "parameters": {}}]\n``` Found.', " Found."),
        ('```{"name": "look", "arguments"``` {"name": "look", "arguments"', ' {"name": "look", "arguments"'),
        ('```tool_call\n{"name": "look", "arguments": {', ""),
        ('```json\n{"name": "Ann", "age": 3}\n```', '```json\n{"name": "Ann", "age": 3}\n```'),
        ("```python\nprint(1)\n``` and `x`", "```python\nprint(1)\n``` and `x`"),
        ('It is ```json\n{"name": "lo', 'It is ```json\n{"name": "lo'),
        ("A <functional> tool_call function", "A <functional> tool_call function"),
        ("<thinkers> 2 < 3, [thinking](x) and a<b", "<thinkers> 2 < 3, [thinking](x) and a<b"),
        ("It ends with <thin", "It ends with <thin"),
        ("Write `<think>` before it.", "Write `<think>` before it."),
    ],
)
def test_what_of_a_reply_is_spoken(text: str, said: str, size: int) -> None:
    assert spoken(text, size) == said


@given(MARKISH, st.integers(1, 7))
def test_how_a_reply_is_cut_does_not_matter(text: str, size: int) -> None:
    assert spoken(text, size) == spoken(text, len(text) or 1)


@given(FENCED, st.integers(1, 7))
def test_how_a_code_block_is_cut_does_not_matter(text: str, size: int) -> None:
    assert spoken(text, size) == spoken(text, len(text) or 1)


@given(st.text(st.characters(exclude_characters="<[◁`")), st.integers(1, 7))
def test_text_without_marks_passes_at_once(text: str, size: int) -> None:
    reply = SpokenText()
    for place in range(0, len(text), size):
        assert reply.feed(text[place : place + size]) == text[place : place + size]


@given(PIECES, st.sampled_from(FORMS), st.integers(1, 7))
def test_no_form_of_thought_is_spoken(thoughts: list[str], form: tuple[str, str, str], size: int) -> None:
    opens, closes, ends = form
    thought = "".join(thoughts).translate(dict.fromkeys(map(ord, "<[◁")))
    assert spoken(f"Before. {opens}{ends}{thought}{closes}{ends} Behind.", size) == "Before.  Behind."


@given(st.text("<thinkTHINK[◁ =", max_size=300))
def test_no_more_than_a_mark_is_held_back(text: str) -> None:
    reply = SpokenText()
    passed = sum(len(reply.feed(char)) for char in text)
    assert passed >= len(text) - LONGEST


def test_the_stage_passes_on_what_is_spoken_and_numbers_it() -> None:
    stage = LlmTurn(LlmTurn.Options())
    state = stage.fresh()
    said = []
    for message in (
        Utterance(1, "Hi?", ""),
        Token(0, "<thi"),
        Token(1, "nk>Plan.</think"),
        Token(2, ">Hello"),
        Token(3, " <"),
    ):
        said = [*said, *stage.step(state, message, 0)]
    assert said[1:] == [Emit("tokens", Token(0, "Hello")), Emit("tokens", Token(1, " "))]
    assert stage.step(state, Done(), 0) == (Emit("tokens", Token(2, "<")), Emit("tokens", EndOfReply()))


@pytest.mark.parametrize("thought", ["<think>Plan.", "<think"])
def test_a_reply_that_fails_in_a_thought_ends_it(thought: str) -> None:
    stage = LlmTurn(LlmTurn.Options())
    state = stage.fresh()
    stage.step(state, Utterance(1, "Hi?", ""), 0)
    stage.step(state, Token(0, thought), 0)
    failed = list(stage.step(state, Failed("error", "broke"), 0))
    assert failed[-2:] == [Emit("faults", Fault("llm", "broke")), Emit("tokens", EndOfReply())]
    stage.step(state, Utterance(2, "Hi again?", ""), 0)
    assert stage.step(state, Token(0, "Hello."), 0) == (Emit("tokens", Token(0, "Hello.")),)


@pytest.mark.parametrize("size", [1, 2, 3, 200])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("...!", False),
        ("\N{EM DASH}", False),
        ("***", False),
        ("\N{IDEOGRAPHIC FULL STOP}\N{KATAKANA MIDDLE DOT}", False),
        ("\N{PARTY POPPER} :)", False),
        ("<br>", False),
        ("<break time='1s'/>!", False),
        ("![](https://a.example/b.png)", False),
        ("<b>5</b>", True),
        ("[the guide](https://a.example)", True),
        ("1 < 2", True),
        ("[sic]", True),
        ("<br", True),
        ("\N{HIRAGANA LETTER A}", True),
        ("4" + "!" * 2000, True),
    ],
)
def test_what_of_a_reply_is_a_word(text: str, found: bool, size: int) -> None:
    reply = FirstWord()
    for place in range(0, len(text), size):
        reply.feed(text[place : place + size])
    assert reply.end() is found
