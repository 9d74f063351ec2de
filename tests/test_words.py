"""Words in every script are counted, compared, and found again in word times."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.words import Phrases, count, folded, sounded, speaking_s, spoken_until, words

SCRIPTS = [
    ("Latin", "The capital of France is Paris, and it is old.", 10, 10),
    ("Cyrillic", "Столица Франции это Париж, и он стар.", 7, 7),
    ("Greek", "Η πρωτεύουσα της Γαλλίας είναι το Παρίσι.", 7, 7),
    ("Arabic", "عاصمة فرنسا هي باريس وهي مدينة قديمة.", 7, 7),
    ("Persian", "پایتخت فرانسه پاریس است و من آن را می\u200cخواهم.", 9, 9),
    ("Hebrew", "בירת צרפת היא פריז והיא עיר עתיקה.", 7, 7),
    ("Devanagari", "फ़्रांस की राजधानी पेरिस है और वह पुरानी है।", 9, 9),
    ("Bengali", "ফ্রান্সের রাজধানী প্যারিস এবং এটি পুরানো।", 6, 6),
    ("Tamil", "பிரான்சின் தலைநகரம் பாரிஸ் அது பழமையானது.", 5, 5),
    ("Hangul", "프랑스의 수도는 파리이고 아주 오래된 곳입니다.", 6, 6),
    ("Amharic", "የፈረንሳይ ዋና ከተማ ፓሪስ ናት።", 5, 5),
    ("Georgian", "საფრანგეთის დედაქალაქი არის პარიზი.", 4, 4),
    ("Chinese", "法国的首都是巴黎，它是一座古老的城市。", 7, 12),
    ("Japanese", "今日の天気は晴れです。", 4, 7),
    ("Katakana", "コンピューターネットワーク", 2, 5),
    ("Thai", "เมืองหลวงของฝรั่งเศสคือปารีส", 5, 9),
    ("Lao", "ນະຄອນຫຼວງຂອງຝຣັ່ງແມ່ນປາຣີ", 5, 8),
    ("Khmer", "រដ្ឋធានីរបស់ប្រទេសបារាំងគឺប៉ារីស", 4, 9),
    ("Burmese", "ပြင်သစ်နိုင်ငံ၏မြို့တော်မှာပါရီဖြစ်သည်။", 4, 10),
]
ANY = st.text(
    st.sampled_from("ab' -.,’é今日のคำเข ة्हाँ가👍🇩🇪\u200d3") | st.characters(exclude_categories=["Cs"]), max_size=30
)


@pytest.mark.parametrize(("script", "text", "least", "most"), SCRIPTS, ids=[row[0] for row in SCRIPTS])
def test_words_are_counted_in_every_script(script: str, text: str, least: int, most: int) -> None:
    assert least <= count(words(text)) <= most
    assert count(words(unicodedata.normalize("NFD", text))) in range(least, most + 2)


@pytest.mark.parametrize(("script", "text"), [row[:2] for row in SCRIPTS], ids=[row[0] for row in SCRIPTS])
def test_of_a_third_that_sounded_about_a_third_was_heard(script: str, text: str) -> None:
    longest = max(word.past - word.start for word in words(text)) + 1
    heard = sounded(text, 1 / 3)
    assert len(text) / 3 - longest - 2 <= heard <= len(text) / 3 + 2
    assert 0 < sounded(text, 2 / 3) < len(text)
    assert sounded(text, 1) == len(text)


@pytest.mark.parametrize(
    ("text", "share", "heard"),
    [
        ("今日の天気は晴れです。", 1 / 3, "今日の"),
        ("我们今天去北京，好吗？", 0.5, "我们今天去"),
        ("我们今天去北京，好吗？", 0.66, "我们今天去北京，"),
        ("「はい」「いいえ」どちらですか。", 0.2, "「はい」"),
        ("สวัสดีครับวันนี้อากาศดีมาก", 0.4, "สวัสดีครับ"),
        ("コンピューターです", 0.6, "コンピュー"),
        ("Bitte 打开 Settings 页面", 0.45, "Bitte 打开"),
        ("Hello, world", 0.45, "Hello,"),
        ("Say (yes) or no", 0.3, "Say"),
        ("It is 3.14 now", 0.6, "It is"),
        ("...", 0.9, ""),
    ],
)
def test_what_sounded_ends_with_a_word_and_the_marks_behind_it(text: str, share: float, heard: str) -> None:
    assert text[: sounded(text, share)] == heard


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("got it", "Got it."),
        ("uh-huh", "Uh huh"),
        ("uh huh", "uh‑huh!"),
        ("uh-huh", "Uhhuh."),
        ("mm-hmm", "Mmhmm, mm-hmm"),
        ("that's right", "That’s right"),
        ("that’s right", "thatʼs RIGHT"),
        ("haan हाँ", "haan, हाँ!"),
        ("हाँ", "हाँ"),
        ("schön", unicodedata.normalize("NFD", "Schön")),
        (unicodedata.normalize("NFD", "schön"), "SCHÖN"),
        ("straße", "STRASSE"),
        ("ok", "ＯＫ"),
        ("好的", "好的，好的。"),
        ("はい", "はい、はい"),
        ("ครับ", "ครับ"),
        ("네", "네."),
        ("نعم", "نَعَم"),
        ("متشکرم", "متشکرم"),
        ("می‌خواهم", "میخواهم"),
        ("İyi", "iyi"),
        ("ναι", "ΝΑΙ"),
    ],
)
def test_a_phrase_is_found_however_it_is_written(phrase: str, said: str) -> None:
    assert Phrases([phrase]).without(words(said)) == []


def test_only_whole_phrases_are_found_the_longest_first() -> None:
    phrases = Phrases(["got it", "got it now", "okay", "...", ""])
    assert [word.key for word in phrases.without(words("Okay, got it now got, it okays"))] == ["okays"]
    assert [word.key for word in phrases.without(words("I got two"))] == ["i", "got", "two"]


@pytest.mark.parametrize(
    ("text", "said", "until"),
    [
        ("It costs 3.14 dollars, or so.", ["It", "costs", "3.14"], "It costs 3.14"),
        ("It costs 3.14 dollars, or so.", ["It", "costs", "three", "fourteen", "dollars"], "It costs 3.14 dollars,"),
        ("Dr. Smith is here.", ["Doctor", "Smith"], "Dr. Smith"),
        ("today, tomorrow", ["TODAY,"], "today,"),
        ("well-known facts", ["well-known"], "well-known"),
        ("今日の天気は", ["今日", "の"], "今日の"),
        ("1 2 3", ["one", "two"], "1 2"),
        ("a b", ["x", "y", "z"], "a b"),
        ("one two", [], ""),
        ("one two", ["-", ""], ""),
        ("one two one two", ["one", "two", "one"], "one two one"),
    ],
)
def test_the_words_a_voice_has_said_are_found_in_its_text(text: str, said: list[str], until: str) -> None:
    assert text[: spoken_until(text, said)] == until


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("a" * 15, 1), ("天" * 5, 1), ("か" * 15, 2), ("가" * 6, 1), ("ก" * 25, 2), ("م" * 12, 1), ("", 0)],
)
def test_how_long_a_text_takes_depends_on_its_script(text: str, seconds: float) -> None:
    assert speaking_s(text) == pytest.approx(seconds)


@given(ANY)
def test_words_stand_in_order_and_hold_every_letter(text: str) -> None:
    found = words(text)
    ends = [0, *(word.end for word in found)]
    assert all(end <= word.start < word.end <= word.past for end, word in zip(ends, found, strict=False))
    assert all(word.past <= after.start for word, after in pairwise(found))
    inside = {at for word in found for at in range(word.start, word.end)}
    assert all(at in inside for at, char in enumerate(text) if char.isalnum() and unicodedata.category(char)[0] in "LN")
    assert all(word.size > 0 for word in found)


@given(ANY, st.floats(0, 1), st.floats(0, 1))
def test_more_time_is_never_less_heard(text: str, one: float, other: float) -> None:
    assert sounded(text, min(one, other)) <= sounded(text, max(one, other)) <= len(text)


@given(ANY)
def test_a_text_is_found_in_itself_however_it_is_composed(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert Phrases([text]).without(words(unicodedata.normalize(form, text))) == []
    assert folded(folded(text)) == folded(text)


@given(ANY)
def test_a_voice_that_says_a_text_word_by_word_has_said_it_all(text: str) -> None:
    found = words(text)
    said = [text[word.start : word.end] for word in found]
    assert spoken_until(text, said) == (found[-1].past if found else 0)


def test_the_beginning_of_a_phrase_does_not_count_while_it_goes_on() -> None:
    phrases = Phrases(["got it", "uh-huh"])
    assert phrases.without(words("Got"), incomplete=True) == []
    assert phrases.without(words("Uh"), incomplete=True) == []
    assert [word.key for word in phrases.without(words("Got"))] == ["got"]
    assert [word.key for word in phrases.without(words("Got it, got that"), incomplete=True)] == ["got", "that"]
