"""Chunking as a stage: numbers, stalls, ends; the cutting itself is tested with the chunker."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Clause, EndOfReply, Message, Timer, Token
from flowkit.stages.base import Emit, SetTimer
from flowkit.stages.chunking import Chunking

TEXTS = st.lists(
    st.sampled_from(["Hello", " world", ".", " Next", ", and", " so on", " Mr.", " 3", ".5", "\n", "東京", "。"]),
    max_size=40,
)


def clauses(texts: list[str], end: bool = True, **options: Any) -> list[Clause]:
    stage = Chunking(Chunking.Options.model_validate(options))
    state, found = stage.fresh(), list[Clause]()
    messages: list[Message] = [Token(i, text) for i, text in enumerate(texts)]
    for message in [*messages, *([EndOfReply()] if end else [])]:
        actions = stage.step(state, message, 0)
        found += [a.message for a in actions if isinstance(a, Emit) and isinstance(a.message, Clause)]
    return found


@given(texts=TEXTS, mode=st.sampled_from(["clause", "sentence", "reply"]), most=st.integers(1, 30))
def test_clauses_are_numbered_and_lose_nothing(texts: list[str], mode: str, most: int) -> None:
    found = clauses(texts, mode=mode, max_tokens=most)
    assert [clause.index for clause in found] == list(range(len(found)))
    assert "".join("".join(c.text for c in found).split()) == "".join("".join(texts).split())
    assert mode == "reply" or all(clause.tokens <= most for clause in found)
    assert mode != "reply" or len(found) <= 1


def test_the_end_stands_behind_the_last_clause() -> None:
    stage = Chunking(Chunking.Options())
    state = stage.fresh()
    stage.step(state, Token(0, "No full stop"), 0)
    emitted = [a.message for a in stage.step(state, EndOfReply(), 0) if isinstance(a, Emit)]
    assert [type(message) for message in emitted] == [Clause, EndOfReply]


def test_the_next_reply_counts_from_zero() -> None:
    stage = Chunking(Chunking.Options())
    state = stage.fresh()
    for _ in range(2):
        stage.step(state, Token(0, "One. Two"), 0)
        emitted = [a.message for a in stage.step(state, EndOfReply(), 0) if isinstance(a, Emit)]
        assert isinstance(emitted[0], Clause)
        assert emitted[0].index <= 1


def test_a_stall_lets_out_what_can_be_spoken() -> None:
    stage = Chunking(Chunking.Options.model_validate({"flush_after": "600ms"}))
    state = stage.fresh()
    assert SetTimer(650_000, "flush_after") in stage.step(state, Token(0, "The answer is easy and"), 50_000)
    (emit,) = stage.step(state, Timer("flush_after"), 650_000)
    assert isinstance(emit, Emit)
    assert isinstance(emit.message, Clause)
    assert emit.message.reason == "stall"
    assert "The answer".startswith(emit.message.text[:10])


def test_nothing_to_say_sets_no_timer() -> None:
    stage = Chunking(Chunking.Options())
    assert SetTimer(None, "flush_after") in stage.step(stage.fresh(), Token(0, "  "), 0)
