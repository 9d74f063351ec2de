"""Where sentences end, language by language: one line for each rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowkit.chunker import Chunker, Rules

Texts = Callable[..., list[str]]

LINES = """
en|He met Prof. Lee. | They spoke.
en|It costs approx. 5 dollars. | Fine.
en|Is that so? | No. | Never.
en|Take No. 7 to town. | Go.
en|It is in Vol. 3. | Look.
en|It ends in Dec. | You can wait.
en|Call Acme Inc. of Boston. | Now.
en|We sell pens etc. | Bring cash.
en|We sell pens etc. and ink.
en|It ends at 9 p.m. | Doors close then.
en|It ends at 9 p.m. Pacific time.
en|It ends at 9 p.m. EST. | Good.
en|It is 5 km. | Turn left.
en|It is 5 in. wide. | Good.
en|Come in. | Sit down.
en|I saw J. R. Ewing. | He left.
en|Choose option B. | Tom did.
en|It is legal in the U.S. | It is not here.
en|The U.S. Army is here.
en|He has a Ph.D. | She has none.
en|Louis XIV. reigned. | Then he died.
en|It was 1999. | 2000 came.
en|The score was 3:1. | Next game.
en|One pkg. of it.
en|Hmm. | ok then.
en|Use a.b.Then or c.D here.
en|Yahoo! Finance is up.
en|Wow! | great.
en|"Stop!" he said. | "Why?" | She left.
en|He left (sadly.) and cried.
en|He left. (Sadly.) | She stayed. : He left. | (Sadly.) | She stayed.
en|Wait... what? | Yes.
en|I see... | Then go.
en|A . . . b. | Well . . . . | Now.
en|1. One thing 2. Two things : 1. One thing | 2. Two things
en|Nice 😊 | We go.
en|I ❤️ Rome today.
en|Nice :) | We go.
en|It is true.[1] | See below.
en|<b>Yes.</b> | No.
en|! | Then we go.
en|**Yes.** | No.
en|Not done | \\nThen done.
de|Am 3. Oktober ist frei. | Gut.
de|Es ist Zimmer 5. | Müller wartet.
de|Er wurde 3. | Das ist gut.
de|Wilhelm II. dankte ab. | Dann nicht.
de|Die Hauptstr. 5 ist zu. | Ja.
de|Nach 20 Min. Fußweg sind wir da.
de|Das gilt z. B. für uns. | Gut.
de|»Komm!« | Er kam.
fr|M. Le Goff est là. | Oui.
fr|Il a dit : « Oui. Non. » | Puis rien.
fr|Vous venez ? | Bien !
es|Vive en EE. UU. desde ayer. | Sí.
es|¿Sí? ¡No! : ¿Sí? | ¡No!
es|¿Vienes? —preguntó ella. | No.
es|¿Quién llama? —iPhone de Ana. | Bien.
it|L'avv. Conti parla. | Bene.
pl|Dnia 3. maja gramy. | Sala nr 3. | Nowak czeka.
ru|«Да.» — сказал он. | Ушёл.
ru|«Да.» | —  сказал он. | Ушёл.
hi|डॉ. राम आए। | ठीक है।
ar|نعم. | هل تريد؟ | لا.
zh|好。 | “走吧。”他说。 | 完了！
zh|.好的。 | 再见。
ja|「行く。」と言った。 | はい！ | ではOK.次へ。 : 「行く。」と言った。 | はい！ | ではOK. | 次へ。
ko|"네."라고 했다. | 네. | 가요.
el|Τι κάνεις; | Καλά.
ur|جی ہاں۔ | شکریہ۔
xx|Dr. Foo spoke. | Yes.
auto|Ihr Termin ist am 3. Oktober um neun. | Gut.
auto|Τι κάνεις; | Καλά.
auto|Ή; | Ναι.
auto|Okay.Да, конечно. | Хорошо.
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_where_sentences_end(line: str, texts: Callable[..., list[str]]) -> None:
    language, _, marked = line.partition("|")
    told = marked.rpartition(" : ")[2] if marked.count(" : ") and language in ("en", "es", "ja") else marked
    expected = [part.strip() for part in told.replace("\\n", "\n").split(" | ")]
    written = marked.partition(" : ")[0] if told != marked else marked
    join = "" if language in ("zh", "ja") else " "
    text = written.replace("\\n", "\n").replace(" | ", join)
    rules = Rules(language=language, mode="sentence")
    assert texts(text, rules) == [part for part in expected if part]
    assert texts(list(text), rules) == texts(text, rules)
    certain = Chunker(rules).feed(text + join + "and so on and on")
    assert [chunk.text.strip() for chunk in certain][: len(expected) - 1] == [part for part in expected if part][:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("圆周率是３．１４。好。", ["圆周率是３．１４。", "好。"]),
        ("値は３．１４です。次。", ["値は３．１４です。", "次。"]),
        ("価格は￥１，２９９．００です。", ["価格は￥１，２９９．００です。"]),
        ("合計は１２．５％。", ["合計は１２．５％。"]),
        ("ｖ１．２．３を使う。", ["ｖ１．２．３を使う。"]),
        ("ｗｗｗ．ｅｘａｍｐｌｅ．ｃｏｍを見る。", ["ｗｗｗ．ｅｘａｍｐｌｅ．ｃｏｍを見る。"]),
        ("Ｎｏ．５です。", ["Ｎｏ．５です。"]),
        ("１．りんご\n２．みかん", ["１．りんご", "２．みかん"]),
        ("行きます．次です．", ["行きます．", "次です．"]),
        ("値は３．次です。", ["値は３．", "次です。"]),
        ("３．１４ is pi. Yes.", ["３．１４ is pi.", "Yes."]),
        ("قيمة ٣.١٤ هنا. نعم.", ["قيمة ٣.١٤ هنا.", "نعم."]),
        ("मूल्य ३.१४ है। ठीक।", ["मूल्य ३.१४ है।", "ठीक।"]),
    ],
)
def test_numbers_stay_whole_in_every_width_and_script(texts: Texts, text: str, expected: list[str]) -> None:
    for language in ("auto", "ja", "en"):
        assert texts(text, Rules(language=language, mode="sentence")) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Am 3. Oktober habe ich Zeit.",
        "Hallo! Am 3. Oktober geht es.",
        "Gern. Okay. Am 24. Dezember.",
        "Vom 3. Oktober bis zum 5. November.",
        "Zum 1. Januar!",
        "Im 2. Stock.",
        "Bis 12. März!",
        "Ab 1. Mai.",
        "Seit 9. November.",
        "Der 3. Versuch klappt.",
        "Den 3. oktober kommer jeg.",
        "Dne 3. října přijdu.",
    ],
)
def test_a_date_is_whole_before_the_language_is_known(texts: Texts, text: str) -> None:
    assert not any(chunk.rstrip(".").endswith(tuple("0123456789")) for chunk in texts(text, Rules()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We won 3. Everyone cheered.", ["We won 3.", "Everyone cheered."]),
        ("I'm in room 3. October is fine.", ["I'm in room 3.", "October is fine."]),
        ("Chapter 3. October was cold.", ["Chapter 3.", "October was cold."]),
        ("I was there in 1999. October was cold.", ["I was there in 1999.", "October was cold."]),
    ],
)
def test_other_numbers_end_sentences_all_the_same(texts: Texts, text: str, expected: list[str]) -> None:
    assert texts(text, Rules()) == expected


def test_a_german_date_behind_to_is_whole(texts: Texts) -> None:
    assert texts("Er bleibt bis zum 5. Oktober.", language="de") == ["Er bleibt bis zum 5. Oktober."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Go to 12 St. James St. Then call.", ["Go to 12 St. James St.", "Then call."]),
        ("12 St. James St. is near.", ["12 St. James St. is near."]),
        ("See 5 St. Mark's Pl. and 42 St. Andrews Rd. today.", ["See 5 St. Mark's Pl. and 42 St. Andrews Rd. today."]),
        ("Dept. of Com. & Adm. offices.", ["Dept. of Com. & Adm. offices."]),
        ("Fin. & Econ. is upstairs. Yes.", ["Fin. & Econ. is upstairs.", "Yes."]),
        ("Res. & Dev. Ltd. They know.", ["Res. & Dev. Ltd.", "They know."]),
        ("Smith Bros. & Co. open at 9.", ["Smith Bros. & Co. open at 9."]),
    ],
)
def test_abbreviations_around_an_ampersand_and_saints_in_addresses(
    texts: Texts, text: str, expected: list[str]
) -> None:
    for language in ("en", "auto"):
        assert texts(text, Rules(language=language, mode="sentence")) == expected
