"""The scorer, with chunkers whose score is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from flowkit.testing.score import GoldReply, load, score, tokenize

CASE = GoldReply("a", "en", "Dr. Lee, hello. Go on.", ("Dr. Lee, hello.", " Go on."), protected=((0, 7),))


def cut_at(*places: int) -> object:
    def chunker(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
        text = "".join(tokens)
        edges = [0, *places, len(text)]
        return [(len(tokens), text[start:end]) for start, end in pairwise(edges)]

    return chunker


@pytest.mark.parametrize(
    ("places", "strict", "speak", "wrong", "soft", "missed", "protected"),
    [
        ((15,), 1.0, 1.0, 0, 0, 0, 0),
        ((), 0.0, 0.0, 0, 0, 1, 0),
        ((8, 15), 0.6667, 1.0, 0, 1, 0, 0),
        ((3, 15), 0.6667, 0.6667, 1, 0, 0, 1),
        ((19,), 0.0, 0.0, 1, 0, 1, 0),
    ],
)
def test_cuts_are_weighed(
    places: tuple[int, ...], strict: float, speak: float, wrong: int, soft: int, missed: int, protected: int
) -> None:
    result = score(cut_at(*places), [CASE])  # type: ignore[arg-type]
    assert (result.strict_f1, result.speak_f1, result.wrong, result.soft, result.missed) == (
        strict,
        speak,
        wrong,
        soft,
        missed,
    )
    assert (result.protected_cut, result.protected, result.lost, result.failed) == (protected, 1, 0, 0)


def test_what_is_lost_or_fails_or_depends_on_the_stream_is_counted() -> None:
    def forgets(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
        return [(1, "Lee, hello. Go on.")]

    def fails(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
        raise RuntimeError("no")

    def echoes(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
        return list(enumerate(tokens, 1))

    assert score(forgets, [CASE]).lost == 3
    assert (score(fails, [CASE]).failed, score(fails, [CASE]).invariant) == (1, 0)
    assert (score(echoes, [CASE]).invariant, score(echoes, [CASE]).first_tokens) == (0, 1)


def test_tokens_joined_are_the_text() -> None:
    for text in ("Hello, world! 1234 naïve_x  \n\n", "こんにちは。", "नमस्ते", "a\u0301", ""):
        assert "".join(tokenize(text)) == text
    assert tokenize("Hello extraordinary 12345!") == ["Hello", " extrao", "rdinar", "y", " ", "123", "45", "!"]


def test_a_case_whose_gold_is_not_its_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": "q", "text": "a b", "gold": ["a"]}\n', "utf-8")
    with pytest.raises(ValueError, match="case q"):
        load(tmp_path / "x.jsonl")


def takes_no_language(tokens: Sequence[str]) -> list[tuple[int, str]]:
    return [(1, "x")]


def gives_texts_alone(tokens: Sequence[str], lang: str = "en") -> list[str]:
    return ["Dr. Lee, hello."]


def gives_nothing(tokens: Sequence[str], lang: str = "en") -> None:
    return None


def misspells(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
    return [(1, tokens.joined())]  # type: ignore[attr-defined]


@pytest.mark.parametrize("chunker", [takes_no_language, gives_texts_alone, gives_nothing, misspells])
def test_a_chunker_that_is_called_or_written_wrongly_has_no_score(chunker: object) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        score(chunker, [CASE])  # type: ignore[arg-type]


def test_no_cases_are_no_score() -> None:
    with pytest.raises(ValueError, match="no case"):
        score(cut_at(15), [])  # type: ignore[arg-type]
