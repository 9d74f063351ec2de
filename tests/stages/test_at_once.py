"""Stages that go through many steps as one do to their state what the steps do one by one, and say what those say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowkit.messages import Audio, Clause, Done, EndOfReply, Message, Timer, Token, Utterance
from flowkit.stages.base import NEVER, Actions, Emit, Stage, one_step
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
@example(texts=["Hello"] * 3, lags_us=[0, 0, 700_000], options={}, wakes={2})
def test_tokens_are_taken_as_they_are_one_by_one(
    texts: list[str], lags_us: list[int], options: dict[str, Any], wakes: set[int]
) -> None:
    stage = Chunking(Chunking.Options.model_validate({"flush_after": "300ms", **options}))
    at_once, one_by_one = stage.fresh(), stage.fresh()
    now_us, steps = 0, list[tuple[int, Message, int]]()
    for place, (text, lag_us) in enumerate(zip(texts, lags_us, strict=False)):
        now_us += lag_us
        steps.append((now_us, Timer(stage.deadline) if place in wakes else Token(place, text), now_us))
    # Some wake-ups are by the deadline.
    trial, due_us = stage.fresh(), NEVER
    for place, (at_us, message, sent_us) in enumerate(steps):
        if type(message) is Timer and due_us != NEVER and place % 2:
            sent_us = due_us
            steps[place] = (max(at_us, due_us), message, due_us)
        due_us, _ = one_step(stage, trial, message, steps[place][0], due_us)
    begin, due_us = 0, NEVER
    while begin < len(steps):
        taken, then_us, late, said = stage.takes(at_once, steps[begin:], due_us)
        missed, asked = [], []
        for place, (at_us, message, sent_us) in enumerate(steps[begin : begin + taken]):
            missed += [(due_us, at_us)] if due_us < at_us else []
            assert type(message) is not Timer or sent_us == due_us
            due_us, actions = one_step(stage, one_by_one, message, at_us, due_us)
            asked += [(place, actions)] if actions else []
        assert (then_us, late, said) == (due_us, missed, asked)
        begin += taken
        if begin < len(steps):
            # A wake-up that is not by the deadline.
            at_us, message, sent_us = steps[begin]
            assert type(message) is Timer
            assert sent_us != due_us
            due_us, _ = one_step(stage, one_by_one, message, at_us, due_us)
            assert one_step(stage, at_once, message, at_us, then_us)[0] == due_us
            begin += 1
    assert stage.step(at_once, EndOfReply(), now_us) == stage.step(one_by_one, EndOfReply(), now_us)
    for wake, sent_us in ((Timer("other"), due_us), (Timer(stage.deadline), NEVER)):
        assert stage.takes(at_once, [(now_us, wake, sent_us)], NEVER) == (0, NEVER, [], [])


def test_a_step_alone_says_what_else_than_its_deadline_is_asked_for() -> None:
    stage = Chunking(Chunking.Options())
    state = stage.fresh()
    due_us, actions = one_step(stage, state, Token(0, "Well, hello there. And"), 5, NEVER)
    assert due_us == 600_005
    assert [type(action) for action in actions] == [Emit] * len(actions)
    assert actions
    assert one_step(stage, state, EndOfReply(), 6, due_us)[0] == NEVER
