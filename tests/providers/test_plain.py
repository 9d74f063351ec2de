"""A TTS's own markup is spoken as text, or is a mark without sound, and no word is lost."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.providers.base import Surroundings
from flowkit.providers.cartesia.tts import Cartesia, without_markup
from flowkit.providers.piper.tts import without_phonemes
from flowkit.providers.plain import plain, without_tags
from flowkit.words import words

ESCAPES: dict[str, Callable[[str], str]] = {
    "piper": lambda text: without_phonemes(plain(text)),
    "nanotts": lambda text: without_tags(plain(text), " less than "),
    "cartesia": lambda text: without_markup(plain(text)),
}
OWN_MARKUP = {
    "piper": re.compile(r"\[\[.*\]\]", re.DOTALL),
    "nanotts": re.compile("<"),
    "cartesia": re.compile(r"<[\s/]*[^\W\d_][^<>]*>|<<|\[[^\[\]]*\]"),
}


@pytest.mark.parametrize(
    ("voice", "text", "said"),
    [
        ("piper", "The answer is [[42]].", "The answer is [ [42]]."),
        ("piper", "[[[42]]]", "[ [ [42]]]"),
        ("piper", "A NUL\0 here", "A NUL  here"),
        ("piper", "\x01200S fast", " 200S fast"),
        ("piper", "half \ud83d a face", "half   a face"),
        ("nanotts", "<spell>Hello</spell>", " spell>Hello /spell>"),
        ("nanotts", "< genfile file='x.wav'>Hi", "  genfile file='x.wav'>Hi"),
        ("nanotts", "1 < 2", "1  less than  2"),
        ("nanotts", "a<b and c", "a less than b and c"),
        ("cartesia", '<break time="1s"/>Hi', ' break time="1s"/>Hi'),
        ("cartesia", "[laughter] Hi [1]", "(laughter) Hi (1)"),
        ("cartesia", "<<h|ai>> there", " h|ai  there"),
        ("cartesia", "1 < 2 > 1", "1 < 2 > 1"),
    ],
)
def test_what_a_voice_is_given(voice: str, text: str, said: str) -> None:
    assert ESCAPES[voice](text) == said


@pytest.mark.parametrize("voice", ESCAPES)
@given(text=st.text(st.sampled_from("[]<>/!?| ab1'=\0\x01\x1b\ud800\n") | st.characters(), max_size=40))
def test_no_markup_reaches_a_voice_and_no_word_is_lost(voice: str, text: str) -> None:
    given_to_it = ESCAPES[voice](text)
    assert not OWN_MARKUP[voice].search(given_to_it)
    assert not re.search("[\0-\x1f\x7f-\x9f\ud800-\udfff]", given_to_it)
    given_to_it.encode()
    letters = [char for char in text if char.isalnum()]
    kept = iter(given_to_it)
    assert all(letter in kept for letter in letters)


@pytest.mark.parametrize(("markup", "said"), [(False, "(laughter) Hi  break/>"), (True, "[laughter] Hi <break/>")])
def test_a_service_gets_its_markup_where_that_is_meant(markup: bool, said: str) -> None:
    voice = Cartesia(Cartesia.Options(voice="x", markup=markup), Surroundings(16_000, 20_000, lambda: 0, print))
    assert voice.said("[laughter] Hi <break/>") == said
    assert words(voice.said("\0")) == []
