"""Stages that go through many steps as one do to their state what the steps do one by one, and stop where more is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowkit.messages import Audio, Clause, Done, EndOfReply, Message, Timer, Token, Utterance
from flowkit.stages.base import NEVER, NOTHING, Actions, Emit, SetTimer, Stage
from flowkit.stages.chunking import Chunking
from flowkit.stages.llm import LlmTurn
from flowkit.stages.narration import Narration
from flowkit.stages.tts import TtsOrder

TEXTS = st.sampled_from(
    ["Hello", " world", ". ", "Next", ", and", " so on", " Mr.", " 3", ".5", "\n", "東京", "。", "", " "]
)


def stepped(stage: Stage[Any], state: Any, *messages: Message) -> list[Actions]:
    return [stage.step(state, message, 0) for message in messages]


@given(
    before=st.lists(st.sampled_from([Utterance(1, "?", ""), Token(0, "a"), Token(9, "b"), Done()]), max_size=5),
    indexes=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    begin=st.integers(0, 2),
)
@example(before=[], indexes=[0, 1, 2, 3], begin=0)
def test_tokens_are_handed_on_as_far_as_they_keep_their_numbers(
    before: list[Message], indexes: list[int], begin: int
) -> None:
    stage = LlmTurn(LlmTurn.Options())
    at_once, one_by_one = stage.fresh(), stage.fresh()
    for state in (at_once, one_by_one):
        stepped(stage, state, *before)
    tokens = [Token(index, f"{place}") for place, index in enumerate(indexes)]
    begin = min(begin, len(tokens) - 1)
    taken = stage.hands_on(at_once, tokens, begin)
    for token in tokens[begin : begin + taken]:
        assert list(stage.step(one_by_one, token, 0)) == [Emit(stage.handing, token)]
    assert at_once == one_by_one
    if begin + taken < len(tokens):
        token = tokens[begin + taken]
        assert list(stage.step(one_by_one, token, 0)) != [Emit(stage.handing, token)]


@pytest.mark.parametrize("stage", [TtsOrder(TtsOrder.Options()), Narration(Narration.Options())])
@given(
    before=st.lists(
        st.sampled_from(
            [
                Clause(0, "Hello.", "Hello.", 1, "sentence"),
                Clause(1, "Well,", "Well,", 1, "pause", (), True),
                Audio(0, 0, 100, 16_000),
                Done(),
            ]
        ),
        max_size=5,
    ),
    count=st.integers(1, 4),
    begin=st.integers(0, 2),
)
def test_sound_is_handed_on_whole_where_no_mark_goes_before_it(
    stage: TtsOrder | Narration, before: list[Message], count: int, begin: int
) -> None:
    at_once, one_by_one = stage.fresh(), stage.fresh()
    for state in (at_once, one_by_one):
        stepped(stage, state, *before)
    pieces = [Audio(0, 100 + 160 * place, 160, 16_000) for place in range(count)]
    begin = min(begin, count - 1)
    taken = stage.hands_on(at_once, pieces, begin)  # type: ignore[arg-type]
    for piece in pieces[begin : begin + taken]:
        assert list(stage.step(one_by_one, piece, 0)) == [Emit(stage.handing, piece)]  # type: ignore[arg-type]
    assert at_once == one_by_one
    if not taken:
        assert len(stage.step(one_by_one, pieces[begin], 0)) > 1  # type: ignore[arg-type]


@given(
    texts=st.lists(TEXTS, min_size=1, max_size=30),
    lags_us=st.lists(st.sampled_from([0, 20_000, 700_000]), min_size=30, max_size=30),
    options=st.sampled_from([{}, {"mode": "sentence"}, {"mode": "reply"}, {"speculate_end": True}, {"max_tokens": 3}]),
    wakes=st.sets(st.integers(0, 29), max_size=2),
)
def test_tokens_are_taken_as_they_are_one_by_one(
    texts: list[str], lags_us: list[int], options: dict[str, Any], wakes: set[int]
) -> None:
    stage = Chunking(Chunking.Options.model_validate({"flush_after": "300ms", **options}))
    at_once, one_by_one = stage.fresh(), stage.fresh()
    now_us, steps = 0, list[tuple[int, Message, int]]()
    for place, (text, lag_us) in enumerate(zip(texts, lags_us, strict=False)):
        now_us += lag_us
        steps.append((now_us, Timer("stall") if place in wakes else Token(place, text), now_us))
    place, due_us = 0, NEVER
    while place < len(steps):
        taken, then_us, late, more = stage.takes(at_once, steps, place, due_us)
        assert taken or (then_us, late, more) == (due_us, [], NOTHING)
        missed = []
        for number, (at_us, token, _) in enumerate(steps[place : place + taken], 1):
            missed += [(due_us, at_us)] if due_us < at_us else []
            *others, timer = stage.step(one_by_one, token, at_us)
            assert isinstance(timer, SetTimer)
            assert timer.tag == stage.deadline
            due_us = NEVER if timer.at_us is None else timer.at_us
            assert others == list(more if number == taken else NOTHING)
        assert (then_us, late) == (due_us, missed)
        if not taken or (place + taken < len(steps) and not more):
            # What it does not take is a step of its own.
            now_us, message, _ = steps[place + taken]
            assert options in ({"mode": "reply"}, {"speculate_end": True}) or isinstance(message, Timer)
            assert stage.step(at_once, message, now_us) == stage.step(one_by_one, message, now_us)
            taken += 1
        place += taken
    assert stage.step(at_once, EndOfReply(), now_us) == stage.step(one_by_one, EndOfReply(), now_us)
