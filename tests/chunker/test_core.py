"""The chunker's core: what it emits, when and why, and that nothing stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowkit.chunker import Chunker, FirstRules, Reason, Rules, SpeakRules
from flowkit.chunker.text import (
    DIGIT,
    DUE,
    EMOJI,
    GHOST,
    IDEOGRAPH,
    KIND,
    LETTER,
    LINE,
    SHARE,
    SIGN,
    SPACE,
    measure,
    speakable,
)
from tests.chunker.conftest import run_chunker

Texts = Callable[..., list[str]]


def reasons(text: str, rules: Rules) -> list[tuple[str, str]]:
    return [(chunk.text.strip(), chunk.reason.value) for chunk in run_chunker(text, rules)]


def test_the_first_chunk_comes_as_soon_as_the_next_word_begins() -> None:
    chunker = Chunker(Rules(language="en"))
    assert chunker.feed("Sure!") == []
    assert chunker.feed(" ") == []
    assert [chunk.text for chunk in chunker.feed("Y")] == ["Sure!"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sure! Yes. I can help you with that today.", ["Sure!", "Yes.", "I can help you with that today."]),
        ("The price is 3.14 dollars. Next.", ["The price is 3.14 dollars.", "Next."]),
        ("ok cool. i'll do that. bye", ["ok cool.", "i'll do that.", "bye"]),
        ("Wait... what?! Yes.", ["Wait... what?!", "Yes."]),
        ("It is at 5 p.m. Eastern time.", ["It is at 5 p.m. Eastern time."]),
        ("Dr. No. 7", ["Dr. No. 7"]),
        ("Great! 🎉 Bye.", ["Great! 🎉", "Bye."]),
        ("1. Open it.\n2. Close it.", ["1. Open it.", "2. Close it."]),
        ("1.\nOpen it.", ["1.\nOpen it."]),
        ("Go to https://a.example/b.c?d=e.f&g, then stop.", ["Go to https://a.example/b.c?d=e.f&g,", "then stop."]),
    ],
)
def test_what_the_chunker_was_built_for(texts: Texts, text: str, expected: list[str]) -> None:
    assert texts(text) == expected
    assert texts(list(text)) == expected


def test_text_with_commas_only_is_cut() -> None:
    text = (
        "we have apples and pears, grapes and plums, figs and dates, nuts and seeds, bread and butter, milk and honey"
    )
    assert len(run_chunker(text, Rules(language="en"))) > 2


def test_every_reason_is_told() -> None:
    rules = Rules(language="en", first=FirstRules(3), comma_after=3, max_tokens=10)
    assert reasons(
        "Yes. Look at this, there it is: one two three four five six seven eight nine ten eleven twelve", rules
    ) == [
        ("Yes.", "sentence"),
        ("Look at this,", "comma"),
        ("there it is:", "max_tokens"),
        ("one two three four five six seven eight nine", "max_tokens"),
        ("ten eleven twelve", "end"),
    ]


def test_the_maximum_cuts_at_the_last_clause_mark_then_at_the_last_space_then_anywhere(texts: Texts) -> None:
    rules = Rules(language="en", first=FirstRules(50), max_tokens=8)
    assert texts("one two three, four five six seven eight nine", rules)[0] == "one two three,"
    assert texts("one two three four five six seven eight nine", rules)[0] == "one two three four five six seven"
    assert texts("one two three four five six seven, eight nine", rules)[0] == "one two three four five six seven,"
    assert texts("\u3000" + "x" * 50, rules) == ["x" * 48, "x" * 2]
    assert texts("x" * 100, rules) == ["x" * 48, "x" * 48, "x" * 4]


def test_a_clause_mark_in_the_first_third_is_no_better_than_a_space(texts: Texts) -> None:
    rules = Rules(language="en", first=FirstRules(50), max_tokens=12)
    behind = " four five six seven eight nine ten eleven twelve thirteen"
    assert texts("one two, three" + behind, rules)[0] == "one two, three four five six seven eight nine ten"
    assert texts("one two three," + behind, rules)[0] == "one two three,"


def test_how_large_a_chunk_is_that_was_forced() -> None:
    found = run_chunker("one two three four five six seven eight nine", Rules(language="en", max_tokens=8))
    assert [chunk.tokens for chunk in found] == [7, 2]
    assert [chunk.tokens for chunk in run_chunker("one two", Rules(language="en", max_tokens=1))] == [1, 1]


def test_a_span_larger_than_the_maximum_is_plain_text(texts: Texts) -> None:
    assert texts("`one two three four five`", Rules(language="en", max_tokens=4)) == ["`one two", "three four five`"]


def test_a_forced_cut_keeps_numbers_and_names_together(texts: Texts) -> None:
    rules = Rules(language="en", first=FirstRules(50), max_tokens=8)
    assert texts("we saw a man called Dr. Smith there", rules)[0] == "we saw a man called"
    assert texts("we ask the people for 20 dollars now", rules)[0] in ("we ask the people for", "we ask the people")


def test_a_forced_cut_does_not_fall_behind_two_dots(texts: Texts) -> None:
    rules = Rules(language="en", first=FirstRules(50), max_tokens=8)
    assert texts("we look at yahoo!.. now and then", rules)[0] == "we look at"


def test_sentence_mode_cuts_only_sentences(texts: Texts) -> None:
    text = "Well, if you like, and if you have time, we could go there; it is near: very near. Shall we?"
    assert texts(text, Rules(language="en", mode="sentence")) == text.replace(". S", ".|S").split("|")


def test_a_term_that_is_never_split(texts: Texts) -> None:
    rules = Rules(language="en", never_split=("Wow! Cafe", "Zed Co."))
    assert texts("The Wow! Cafe is new. Ask Zed Co. They know.", rules) == [
        "The Wow! Cafe is new.",
        "Ask Zed Co. They know.",
    ]
    assert texts(list("The Wow! Cafe is new."), rules) == ["The Wow! Cafe is new."]


@pytest.mark.parametrize(
    ("term", "text", "expected"),
    [
        ("Zed Co.", "Zed Co. They know", ["Zed Co. They know"]),  # at the very beginning
        ("o!", "Hallo! They know.", ["Hallo!", "They know."]),  # a term that begins with a letter begins a word
        (".NET!", "ASP.NET! They know.", ["ASP.NET! They know."]),  # one that begins with a mark need not
        ("Zed? Lot", "Is it Zed? They know.", ["Is it Zed?", "They know."]),  # nearly the term
        ("Zed, Lot", "We ask you all, Zed, Lot now.", ["We ask you all,", "Zed, Lot now."]),
        ("Zed, Lot", "We ask you of Zed, the man.", ["We ask you of Zed,", "the man."]),
    ],
)
def test_where_a_term_is_found(texts: Texts, term: str, text: str, expected: list[str]) -> None:
    rules = Rules(language="en", never_split=(term,))
    assert texts(text, rules) == expected
    assert texts(list(text), rules) == expected


def test_a_term_delays_nothing_but_what_may_become_it() -> None:
    chunker = Chunker(Rules(language="en", never_split=("Wow! Cafe", "Zed, Lot")))
    assert [chunk.text for chunk in chunker.feed("Hey! N")] == ["Hey!"]
    assert [chunk.text for chunk in chunker.feed("ow Wow! Cafe is new. N")] == [" Now Wow! Cafe is new."]
    assert [chunk.text for chunk in chunker.feed("ow Zed, Lot is new. N")] == [" Now Zed, Lot is new."]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("abcdef", 1),
        ("abcdefg", 2),
        ("123", 1),
        ("1234", 2),
        ("字字", 2),
        ("%%", 2),
        ("🎉🎉", 2),
        (" " * 15, 0),
        (" " * 16, 1),
        ("\n" * 15, 0),
        ("\u0301" * 16, 1),
    ],
)
def test_how_large_characters_are(text: str, tokens: int) -> None:
    assert measure(text) == tokens


NO_EMOJI = st.characters().filter(lambda char: KIND[char] != EMOJI)


@given(st.text(st.sampled_from("aé жñ 字1.\u0301\u0483\u0482  \n\u00a0ǆ") | NO_EMOJI, max_size=60))
@example("а\u0483" * 8)
@example("a" * 49)
@example("a" * 24 + "  b")
def test_words_taken_as_one_are_as_large_as_letter_by_letter(text: str) -> None:
    size, run, before = 0, 0, SIGN
    for kind in map(KIND.__getitem__, text):
        run = run + 1 if kind == before else 0
        size += run % SHARE[kind] == DUE[kind]
        before = kind
    assert measure(text) == size


@pytest.mark.parametrize(
    ("chars", "kind"),
    [
        ("ᄀᇿ々〇あヿㄱㇰㇿ㐀一가힣\uf900ｦ\uff9f𠀀", IDEOGRAPH),
        ("☀➿⬅⭕🀀🎉🫶", EMOJI),
        ("aßжሀꀀ\ud7b0\ufb00\uffa0²", LETTER),
        ("5٣५", DIGIT),
        ("\u0301\u200d\ufe0f\u200f\u093e", GHOST),
        ("㆐㈀䷀⟀⭖🬀%", SIGN),
        (" \t\r\u00a0\u3000", SPACE),
        ("\n\u2028\u2029", LINE),
    ],
)
def test_what_a_character_is(chars: str, kind: int) -> None:
    assert {char: KIND[char] for char in chars} == dict.fromkeys(chars, kind)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hi", 1),
        ("Hi. Then", 2),
        ("-\nOpen it. Then", 5),
        ("1.\nOpen it. Then", 6),
        ("Go\nThen", 1),
        ("1234 letters", 4),
        ("Try ```\nx\n```", 1),
    ],
)
def test_how_large_a_chunk_is(text: str, tokens: int) -> None:
    assert run_chunker(text, Rules(language="en"))[0].tokens == tokens


@pytest.mark.parametrize(
    "text",
    [
        "Yes. Now one two three, four five six seven eight nine",  # a clause to come back to
        "Yes. (One two) [three four](five. six) seven eight nine ten",  # a span
        "Yes. One (two three. Four) five. Six seven eight",  # a bracket
        "\n\nYes.\n\n\n1.\nOne two. Three",  # blank lines
    ],
)
def test_what_is_set_aside_between_two_pieces_keeps_its_place(texts: Texts, text: str) -> None:
    rules = Rules(language="en", first=FirstRules(50), comma_after=50, max_tokens=8)
    for at in range(len(text)):
        assert texts([text[:at], text[at:]], rules) == texts(text, rules)


def test_a_code_block_is_one_chunk_and_weighs_what_is_said_for_it() -> None:
    block = "```py\n" + "value = compute(other, 1.5). \n" * 40 + "```\n"
    chunks = run_chunker(f"Try this:\n{block}Done.", Rules(language="en"))
    assert [chunk.text for chunk in chunks] == ["Try this:\n", block, "Done."]
    assert (chunks[1].spoken, chunks[1].tokens) == ("code example", 3)


def test_a_code_block_begins_a_chunk_behind_a_single_character(texts: Texts) -> None:
    assert texts("是```\nx = 1\n```\n好。") == ["是", "```\nx = 1\n```", "好。"]


def test_a_code_block_fits_into_the_room_that_is_left() -> None:
    (chunk,) = run_chunker("- ```\nx = 1\n```\n", Rules(language="en", max_tokens=3))
    assert (chunk.spoken, chunk.tokens) == ("code example", 3)


def test_a_code_block_that_is_read_out_is_cut_at_the_maximum() -> None:
    block = "```py\n" + "value = compute(other, 1.5)\n" * 10 + "```\n"
    chunks = run_chunker(block, Rules(language="en", speak=SpeakRules(fence="verbatim")))
    assert len(chunks) > 5
    assert "".join(chunk.text for chunk in chunks).strip() == block.strip()


def test_a_stall_lets_go_up_to_the_last_word_that_is_complete() -> None:
    chunker = Chunker(Rules(language="en"))
    chunker.feed("I think that the")
    (chunk,) = chunker.stall()
    assert (chunk.text, chunk.reason) == ("I think that", Reason.STALL)
    assert chunker.stall() == []
    assert chunker.pending() == 3
    assert [left.text for left in chunker.feed("re is one. N")] == [" there is one."]


def test_a_stall_decides_nothing_about_what_it_leaves() -> None:
    chunker = Chunker(Rules(language="en"))
    chunker.feed("I know Acme Inc. ")
    assert [chunk.text for chunk in chunker.stall()] == ["I know Acme"]
    assert [chunk.text for chunk in chunker.feed("He left. N")] == [" Inc.", " He left."]


@pytest.mark.parametrize("text", ["a\n\n\nb.\n", "1.\n\n2.", "---\n\n1. a", "\n\n- \n\nx. y"])
def test_blank_lines_before_a_marker_do_not_depend_on_the_fragmentation(text: str) -> None:
    assert run_chunker(list(text), Rules(language="en")) == run_chunker(text, Rules(language="en"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there.", "Hello there."),
        ("It costs 3.", "It costs"),
        ("Ask Dr. ", "Ask"),
        ("Okay", None),
        ("   ", None),
        ("use `a b", "use"),
        ("We met (in the", "We met"),
        ("Ask Dr. Smi", "Ask"),
        ("I have 3 app", "I have"),
        ("I am at A3 the", "I am at"),
        ("It is not the", "It is not"),
    ],
)
def test_a_stall_waits_for_what_may_lead_on(text: str, expected: str | None) -> None:
    chunker = Chunker(Rules(language="en"))
    assert chunker.feed(text) == []
    assert [chunk.text for chunk in chunker.stall()] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("text", "likely"),
    [
        ("Sure!", True),
        ("Sure! ", True),
        ("Yes, of course.", True),
        ("It is 3.", False),
        ("I met Dr.", False),
        ("J.", False),
        ("a. One thing b.", False),  # that may number the next
        ("Sure", False),
    ],
)
def test_a_likely_end_is_told_before_it_is_certain(text: str, likely: bool) -> None:
    chunker = Chunker(Rules(language="en"))
    chunker.feed(text)
    found = chunker.likely()
    assert (found is not None) is likely
    if found is not None:
        assert chunker.feed(" And") == [found] or chunker.feed("And") == [found]


def test_a_likely_end_fits_into_the_maximum() -> None:
    for text, likely in (("One two.", True), ("One two three.", False)):
        chunker = Chunker(Rules(language="en", max_tokens=3))
        chunker.feed(text)
        assert (chunker.likely() is not None) is likely


def test_a_likely_end_is_revoked_by_the_next_character() -> None:
    chunker = Chunker(Rules(language="en"))
    chunker.feed("See example.")
    assert chunker.likely() is not None
    assert chunker.feed("com for more") == []
    assert chunker.likely() is None


def test_nothing_speakable_is_pending_in_marks_and_space() -> None:
    chunker = Chunker(Rules(language="en"))
    for text, pending in (("  \n", 0), ("- ", 0), ("1. ", 0), ("Hi", 7)):
        chunker.feed(text)
        assert chunker.pending() == pending
    chunker.reset()
    assert chunker.pending() == 0


def test_the_first_chunk_has_rules_of_its_own_for_every_reply(texts: Texts) -> None:
    rules = Rules(language="en", first=FirstRules(2), comma_after=30)
    chunker = Chunker(rules)
    for _ in range(2):
        chunks = chunker.feed("Well then, we go there now, as you said. ") + chunker.flush()
        assert [chunk.text.strip() for chunk in chunks] == ["Well then,", "we go there now, as you said."]


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        ["", "", ""],
        ["\x00.\x00 A"],
        ["\ud800. \udfff! Yes"],
        ["a" * 100_000],
        [" " * 100_000, "x"],
        ["." * 10_000],
        ["(" * 10_000, "a. B"],
        ["\u0301" * 10_000],
        ["---" + "\n" * 10_000 + "x"],
        ["\n" * 10_000 + "x"],
        ["Hi.\u200f Next.\u200e"],
        ["e", "\u0301", ". ", "A"],
        ["Hi 👨", "\u200d", "👩", "\u200d", "👧", " there"],
        ["Look:\n```py\nx = 1"],
        ["Say <b>this"],
        ["See [this](http://exa"],
        ["Use `that"],
        ['{"a": [1, 2'],
        ["🇩", "🇪 ok"],
        ["a\r\nb\r\n"],
    ],
    ids=lambda tokens: ascii("".join(tokens)[:12]),
)
def test_bad_input_raises_nothing_and_loses_nothing(tokens: list[str]) -> None:
    for rules in (Rules(), Rules(max_tokens=1), Rules(language="en", max_tokens=3, first=FirstRules(20))):
        chunks = run_chunker(tokens, rules)
        text, joined = "".join(tokens), "".join(chunk.text for chunk in chunks)
        assert text.startswith(joined)
        assert not text[len(joined) :].strip()
        assert all(chunk.tokens <= rules.max_tokens for chunk in chunks)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a", True),
        ("1", True),
        ("字", True),
        ("12.", False),  # a list marker
        ("(ab)", False),
        ("abc.", False),
        ("abcd.", True),
        ("- 1)\n", False),
        ("1.\n2.", True),
        ("**\n", False),
        ("%", False),
    ],
)
def test_what_has_something_to_say(text: str, says: bool) -> None:
    assert speakable(text) is says


def test_a_megabyte_without_a_space_or_of_spaces_only() -> None:
    for text in ("a" * 1_000_000, " " * 1_000_000 + "a"):
        assert "".join(chunk.text for chunk in run_chunker(text, Rules(language="en"))) == text


@pytest.mark.parametrize("token", [" ", "\n", "Yes. ", "Yes. And so we go on, and on. "])
def test_what_was_handed_out_is_let_go(token: str) -> None:
    chunker = Chunker(Rules(language="en"))
    for _ in range(100):
        chunker.feed(token)
    assert len(chunker._text) <= 2 * len(token)


def test_a_family_of_emoji_and_an_accent_are_not_parted() -> None:
    for chunk in run_chunker("ab\u0301" * 200 + "и\u0306" * 200 + "👨‍👩‍👧‍👦" * 40, Rules(max_tokens=4)):
        assert chunk.text[0] not in "\u0301\u0306\u200d"
        assert chunk.text[-1] != "\u200d"


def calls(action: Callable[[], Any]) -> int:
    """The number of Python calls of an action: a measure of work that does not depend on the machine's load."""
    made = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return made


@pytest.mark.parametrize(
    "tokens",
    [
        [" and", " word"] * 1000,
        ["x"] * 2000,
        [" Dr", "."] * 1000,
        [" `"] * 2000,
        [" (a", ","] * 1000,
        ["."] * 2000,
        ["```\n", *["x\n"] * 1999],
        ["字"] * 2000,
        ["---", *["\n"] * 1999],
        ["\n"] * 2000,
        ["{"] * 2000,
    ],
    ids=lambda tokens: ascii("".join(tokens[:4])),
)
def test_the_work_per_token_does_not_grow(tokens: list[str]) -> None:
    rules = Rules(language="en")
    run_chunker(tokens, rules)
    short = calls(lambda: run_chunker(tokens[:500], rules))
    assert calls(lambda: run_chunker(tokens, rules)) < 4.6 * short
    assert short / 500 < 150


@pytest.mark.parametrize("piece", ["\n", "a\n", "👍", "🇩🇪", "{", "`", "(a,", "x ", "。", "word. "])
@pytest.mark.parametrize("cut", [str, list])
def test_the_work_grows_with_the_text_in_one_token_or_many(piece: str, cut: Callable[[str], Any]) -> None:
    rules = Rules(language="en")
    run_chunker(cut(piece * 500), rules)
    short = calls(lambda: run_chunker(cut(piece * 500), rules))
    assert calls(lambda: run_chunker(cut(piece * 2000), rules)) < 4.6 * short


MARKS = [
    "...!",
    "\N{EM DASH}",
    "***",
    "?!",
    "\N{HORIZONTAL ELLIPSIS}",
    "$$$",
    "\N{IDEOGRAPHIC FULL STOP}",
    "\N{PARTY POPPER}",
    "<br>",
    "." * 99,
]


@pytest.mark.parametrize("marks", MARKS)
def test_marks_are_not_spoken_before_the_first_word(marks: str) -> None:
    silent = run_chunker(list(marks), Rules(max_tokens=4))
    assert "".join(chunk.text for chunk in silent) == marks
    assert [chunk.spoken for chunk in silent] == [""] * len(silent)
    assert all(chunk.heard(share / 4) == "" for chunk in silent for share in range(4))
    words = run_chunker(f"{marks}\nWell yes.", Rules())
    assert words[-1].spoken.endswith("Well yes.")


def test_marks_do_not_count_as_the_first_chunk() -> None:
    rules = Rules(language="en", first=FirstRules(2), comma_after=12)
    assert [chunk.spoken for chunk in run_chunker("?! Of course, here it is.", rules)] == [
        "",
        "Of course,",
        "here it is.",
    ]


def test_marks_behind_words_are_spoken_with_them() -> None:
    assert [chunk.spoken for chunk in run_chunker("Really ...?! Yes.", Rules())] == ["Really ...?!", "Yes."]
