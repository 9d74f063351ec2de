"""A reply that is tried again: what is new in the attempt, however it is cut into tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.stages.repeats import Repeats

TEXT = st.text("aB. \n今", max_size=12)


def new(said: str, came: str, size: int, *, resumes: bool) -> str:
    repeats = Repeats(said, resumes=resumes)
    return "".join(repeats.feed(came[place : place + size]) for place in range(0, len(came), size))


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize(
    ("said", "came", "heard"),
    [
        ("The capital of France is", "The capital of France is Paris,", "The capital of France is Paris,"),
        ("The cap", "The capital.", "The capital."),
        ("A b ", "\n\nA  b c", "A b c"),
        ("Hello there.", "hello there. How are you?", "Hello there. How are you?"),
        ("今日は", "今日は晴れです", "今日は晴れです"),
        ("Hello there. The cap", "Hello there. Paris is nice.", "Hello there. The cap Paris is nice."),
        ("It costs 3.14 or", "It costs 3.50 now", "It costs 3.14 or It costs 3.50 now"),
        ("The capital of", "The capital is", "The capital of The capital is"),
        ("One. Two", "One.", "One. Two"),
    ],
)
def test_what_is_repeated_is_said_once_whoever_repeats_it(
    said: str, came: str, heard: str, size: int, resumes: bool
) -> None:
    assert said + new(said, came, size, resumes=resumes) == heard


@pytest.mark.parametrize(
    ("said", "came", "goes_on", "anew"),
    [
        ("The capital of France is", " Paris.", "The capital of France is Paris.", "The capital of France is Paris."),
        ("The cap", "ital", "The capital", "The cap ital"),
        ("The cap", "tive", "The captive", "The cap tive"),
        ("Sure. ", "Sorry.", "Sure. Sorry.", "Sure. Sorry."),
    ],
)
def test_what_differs_from_the_start_goes_on_where_it_was_asked_to(
    said: str, came: str, goes_on: str, anew: str
) -> None:
    assert said + new(said, came, 1, resumes=True) == goes_on
    assert said + new(said, came, 1, resumes=False) == anew


@given(TEXT.filter(bool), TEXT, st.integers(1, 4), st.booleans())
def test_a_whole_repetition_adds_only_what_is_new(said: str, rest: str, size: int, resumes: bool) -> None:
    assert new(said, said + rest, size, resumes=resumes) == rest


@given(TEXT.filter(bool), TEXT, st.integers(1, 4), st.booleans())
def test_how_an_attempt_is_cut_does_not_matter(said: str, came: str, size: int, resumes: bool) -> None:
    assert new(said, came, size, resumes=resumes) == new(said, came, max(1, len(came)), resumes=resumes)
