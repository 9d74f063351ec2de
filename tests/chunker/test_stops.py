"""Where sentences end, language by language: one line for each rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowkit.chunker import Chunker, Rules

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
