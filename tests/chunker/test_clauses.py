"""Where a clause may be cut, and what stays together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowkit.chunker import FirstRules, Rules

EAGER = {"first": FirstRules(1), "comma_after": 1, "semicolon_after": 1, "colon_after": 1, "dash_after": 1}


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "en",
            "One, two; three: four – five — six—seven... eight",
            "One,|two;|three:|four –|five —|six—|seven...|eight",
        ),
        ("en", "On Jan. 5, 2026, we met", "On Jan. 5, 2026,|we met"),
        ("en", "On Monday, March 3, we met", "On Monday, March 3,|we met"),
        ("en", "He is in Portland, OR 97201 now", "He is in Portland, OR 97201 now"),
        ("en", "He is in Washington, D.C. now", "He is in Washington, D.C. now"),
        ("en", "We asked Acme, Inc. and Bob, Jr. there", "We asked Acme, Inc. and Bob, Jr. there"),
        ("en", "We ask, incidentally, you", "We ask,|incidentally,|you"),
        ("en", "at 12 Ter., Apt. 3, here", "at 12 Ter., Apt. 3, here"),
        ("en", "from 9 a.m. – 5 p.m. or 10 – 12 here", "from 9 a.m. – 5 p.m. or 10 – 12 here"),
        ("en", "the odds are 3: 1 and 1, 2, 3 or 4,5", "the odds are 3: 1 and 1, 2, 3 or 4,5"),
        ("en", "a list (of a, b, and c) ends, yes", "a list (of a, b, and c) ends,|yes"),
        ("en", '"No," he said', '"No,"|he said'),
        ("en", "see Art. 5, para. 2, here", "see Art. 5, para. 2, here"),
        ("en", 'say {"a": 1, "b": 2}, please', 'say {"a": 1, "b": 2},|please'),
        ("en", "call `f(a, b)`, then [x, y](u, v), then", "call `f(a, b)`,|then [x, y](u, v),|then"),
        ("en", "- one - two", "- one -|two"),
        ("en", "; 5 and 7", ";|5 and 7"),
        ("en", "say :smile: now", "say :smile: now"),
        ("zh", "你好，我是小明、你呢；很好：对", "你好，|我是小明、|你呢；|很好：|对"),
        ("zh", "一共3，4个", "一共3，4个"),
        ("ar", "نعم، لا؛ ربما", "نعم،|لا؛|ربما"),
    ],
)
def test_where_clauses_end(language: str, text: str, expected: str, texts: Callable[..., list[str]]) -> None:
    rules = Rules(language=language, **EAGER)  # type: ignore[arg-type]
    assert texts(text, rules) == expected.split("|")
    assert texts(list(text), rules) == expected.split("|")


@pytest.mark.parametrize(
    ("least", "expected"),
    [(7, ["one two three four five six,", "seven, eight"]), (8, ["one two three four five six, seven,", "eight"])],
)
def test_the_first_chunk_counts_its_mark(least: int, expected: list[str], texts: Callable[..., list[str]]) -> None:
    assert texts("one two three four five six, seven, eight", Rules(language="en", first=FirstRules(least))) == expected


def test_each_mark_has_its_own_threshold_behind_the_first_chunk(texts: Callable[..., list[str]]) -> None:
    rules = Rules(language="en", comma_after=9, semicolon_after=2, colon_after=3, dash_after=4)
    assert texts("Yes. a; b c: d e f – g, h i j k l m n, o", rules) == [
        "Yes.",
        "a;",
        "b c:",
        "d e f –",
        "g, h i j k l m n,",
        "o",
    ]
