"""What ``words`` says about a turn's last words: kinds of endings in several languages, not sentences of any recording."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit import phrases
from flowkit.messages import Predict, Prediction, TurnSoFar
from flowkit.providers.turn_words import TurnWords, likelihood
from flowkit.stages.endpointing import Completeness, Silences
from flowkit.stages.preempting import Preempt
from flowkit.words import words

DEFAULT = Silences()


def judged(said: str, asked: str = "", language: str = "en") -> Completeness:
    p = likelihood(said, asked, language)
    assert p is not None
    return DEFAULT.judged(p)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Is it far from here?", ""),
        ("Yes.", "Shall I book it?"),
        ("no thanks", "Anything else?"),
        ("Seven.", "How many people?"),
        ("Anna Berg", "And your name, please? What are you called?"),
        ("I would take the blue one if you still have it.", ""),
    ],
)
def test_complete(said: str, asked: str) -> None:
    assert judged(said, asked) is Completeness.COMPLETE


@pytest.mark.parametrize(
    "said",
    [
        "I would like to come, but",
        "We were late because.",
        "He lives in the",
        "My postcode is.",
        "Well, um",
        "Let me see.",
        "The blue one,",
        "It is 4 7 1",
        "It's spelled K L",
        "My code is nine two",
    ],
)
def test_incomplete(said: str) -> None:
    assert judged(said) is Completeness.INCOMPLETE


@pytest.mark.parametrize(
    "said",
    ["I saw the house", "It is 040 123 45 67", "I would take it.", "I would take the blue one if you still have it"],
)
def test_unsure(said: str) -> None:
    assert judged(said) is Completeness.UNSURE


def test_a_full_stop_tells_more_the_more_was_said() -> None:
    """An ASR puts one behind any part of a sentence. The end of a long one is rarely a part."""
    short, long = (likelihood(said) or 0 for said in ("It is late.", "It is late, and the last bus has already left."))
    bare = likelihood("It is late, and the last bus has already left") or 0
    assert (likelihood("It is late") or 0) < short == bare < long


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        # Misheard words behind a number that goes on.
        ("Seven two four late", "What is your phone number?"),
        ("It's B", "Could you spell that for me?"),
    ],
)
def test_a_number_that_the_agent_has_asked_for_is_awaited(said: str, asked: str) -> None:
    assert judged(said, asked) is Completeness.INCOMPLETE


def test_yes_is_no_number_and_no_name() -> None:
    assert judged("Yes.", "Could you spell your name for me?") is Completeness.UNSURE
    assert judged("I don't have a phone.", "What is your phone number?") is Completeness.UNSURE


@pytest.mark.parametrize(
    ("language", "asked", "answer", "open_end"),
    [
        ("de", "Wann möchten Sie kommen? Soll ich das buchen?", "Ja, gerne.", "Ich komme, weil"),
        ("es", "¿Cuándo quiere venir? ¿Lo reservo para usted?", "Sí, por favor.", "Quiero ir, pero"),
        ("fr", "Quand voulez-vous venir ? Je réserve pour vous ?", "Oui, merci.", "Je viens parce que"),
        ("it", "Quando vuole venire? Prenoto il tavolo per lei?", "Sì, grazie.", "Vengo perché"),
        ("pt", "Quando você quer vir? Posso reservar para você?", "Sim, por favor.", "Eu venho porque"),
        ("nl", "Wanneer wilt u komen? Zal ik het voor u boeken?", "Ja, graag.", "Ik kom omdat"),
        ("pl", "Kiedy chce pan przyjść? Czy mam rezerwować?", "Tak, proszę.", "Przyjdę, ale"),
        ("ru", "Забронировать?", "Да, пожалуйста.", "Я приду, потому что"),
        ("ja", "予約しますか？", "はい。", "行きたいですけど"),
    ],
)
def test_every_language(language: str, asked: str, answer: str, open_end: str) -> None:
    assert judged(answer, asked, language) is Completeness.COMPLETE
    assert judged(open_end, asked, language) is Completeness.INCOMPLETE
    call = TurnWords(TurnWords.Options(), None).open(Predict())  # type: ignore[arg-type]
    [(delay_us, found)] = call.fed(TurnSoFar(open_end, asked, 7))
    assert isinstance(found, Prediction)
    assert (delay_us, found.until, found.by) == (0, 7, "words")
    assert DEFAULT.judged(found.p) is Completeness.INCOMPLETE, "the language is found out"


def test_a_whole_question_is_answered_early_by_default() -> None:
    p = likelihood("Is it far from here?", "", "en")
    assert p is not None
    assert p >= Preempt().at == DEFAULT.likely


def test_nothing_said_tells_nothing() -> None:
    assert likelihood("") is None
    assert likelihood("… !") is None


def test_a_language_without_a_table_has_its_punctuation() -> None:
    assert judged("Hvad er det?", language="da") is Completeness.COMPLETE
    assert judged("Det er,", language="da") is Completeness.INCOMPLETE


@pytest.mark.parametrize("code", phrases.languages())
def test_every_phrase_of_a_table_consists_of_words(code: str) -> None:
    table = phrases.load(code)
    lists = {name: [p.strip() for p in getattr(table, name).split(",")] for name in table.__slots__}
    for name, listed in lists.items():
        assert listed, name
        assert all(words(phrase) for phrase in listed), name
        assert len(set(listed)) == len(listed), f"{name}: a phrase stands twice"


def test_there_are_ten_languages() -> None:
    assert set(phrases.languages()) == {"de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru"}


@given(
    said=st.text(max_size=400), asked=st.text(max_size=400), language=st.sampled_from(["", "en", "ja", "xx", "../en"])
)
def test_any_text_has_a_probability(said: str, asked: str, language: str) -> None:
    p = likelihood(said, asked, language)
    assert p is None or 0 <= p <= 1
