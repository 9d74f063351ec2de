"""What a reader sees as one character is never split: flags, compound emoji, letters with combining marks."""

from __future__ import annotations

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from flowkit.chunker import Rules
from flowkit.chunker.text import measure
from tests.chunker.conftest import run_chunker

CHARACTERS = [
    "👍",
    "👍🏽",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇩🇪",
    "🇫🇷",
    "🙂‍↔️",
    "1️⃣",
    "❤️",
    "☺",
    "é",
    "e\u0301",
    "क्षि",
    "त्र्यं",
    "ที่",
    "น้ำ",
    "\u1112\u1161\u11ab",  # 한 in three letters
    "か\u3099",
    "ပြု",
    "\u0600١",
    "。\ufe00",
    "、\u3099",
    "!\u20e3",
    "\r\n",
    "각",
    "字",
    "が",
    "a",
    " ",
    "! ",
]
TEXTS = st.lists(st.sampled_from(CHARACTERS), min_size=1, max_size=30).map("".join)


def parted(text: str, rules: Rules) -> list[int]:
    """The positions at which a character of `text` was split."""
    whole = {0, *(cluster.end() for cluster in regex.finditer(r"\X", text))}
    cuts, at = [], 0
    for chunk in run_chunker(text, rules):
        at += len(chunk.text)
        cuts.append(at)
    return [cut for cut in cuts if cut not in whole]


@given(text=TEXTS, most=st.integers(1, 12))
@example(text="🇩🇪" * 9, most=1)
@example(text="👩‍👩‍👧‍👦" * 9, most=1)
@example(text="Great! 🙂‍↔️ Yes.", most=30)
@example(text="क्षि" * 9, most=1)
@example(text="\u1112\u1161\u11ab" * 9, most=2)
@example(text="नमस्ते, मैं ठीक हूँ।", most=1)
def test_no_character_is_cut_apart(text: str, most: int) -> None:
    assert parted(text, Rules(max_tokens=most)) == []


@given(text=TEXTS, most=st.integers(1, 12))
def test_no_chunk_is_larger_for_it(text: str, most: int) -> None:
    assert all(chunk.tokens <= most for chunk in run_chunker(text, Rules(max_tokens=most)))


@given(text=TEXTS, most=st.integers(1, 12))
def test_the_chunks_do_not_depend_on_the_fragmentation(text: str, most: int) -> None:
    rules = Rules(max_tokens=most)
    assert [c.text for c in run_chunker(list(text), rules)] == [c.text for c in run_chunker(text, rules)]


@pytest.mark.parametrize(("text", "tokens"), [("👍🏽", 1), ("👩‍👩‍👧‍👦🇩🇪", 2), ("🇩🇪🇫🇷🇮🇹", 3), ("1️⃣", 1)])
def test_a_character_is_one_token(text: str, tokens: int) -> None:
    assert measure(text) == tokens


def test_a_character_of_more_marks_than_any_script_has_is_cut() -> None:
    text = "a" + "\u0301" * 100 + " b"
    chunks = run_chunker(text, Rules(max_tokens=1))
    assert "".join(chunk.text for chunk in chunks) == text
    assert max(len(chunk.text) for chunk in chunks) <= 32


@pytest.mark.parametrize("emoji", ["👍🏽", "🙂‍↔️", "🏳️‍🌈", "🇩🇪"])
def test_no_part_of_an_emoji_is_spoken(emoji: str) -> None:
    assert [chunk.spoken for chunk in run_chunker(f"Great! {emoji} Yes {emoji}.", Rules())] == ["Great!", "Yes ."]
