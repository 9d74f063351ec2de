"""Strategies for chunkers: replies with protected spans, markdown, token streams, and rules.

A property test of your own chunker has five lines:

    @given(data=st.data(), reply=replies())
    def test_nothing_is_lost(data: st.DataObject, reply: Reply) -> None:
        tokens = data.draw(token_streams(reply.text))
        chunks = my_chunker(tokens)
        assert "".join(chunks).split() == reply.text.split()
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from flowkit.chunker import FirstRules, Rules, SpeakRules

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "hi", "ar", "zh", "ja")
"""The languages of `replies`."""


@dataclass(frozen=True)
class Reply:
    """A reply and its protected spans.

    Args:
        text: the reply. language: the code of its language. protected: spans (from, to) of `text` that must not be cut,
        unless a span alone is longer than the largest chunk.
    """

    text: str
    language: str
    protected: tuple[tuple[int, int], ...]


_OPENERS = {
    "en": "Sure! |Of course. |Well, let me see. |Good question: |Hmm... ",
    "de": "Gerne! |Natürlich. |Also, ich sehe nach. |Gute Frage: |Hm... ",
    "fr": "Bien sûr ! |D'accord. |Alors, voyons. |Bonne question : |Euh... ",
    "es": "¡Claro! |Por supuesto. |Bueno, veamos. |Buena pregunta: |Eh... ",
    "it": "Certo! |Va bene. |Allora, vediamo. |Buona domanda: |Ehm... ",
    "pt": "Claro! |Com certeza. |Bem, vejamos. |Boa pergunta: |Hum... ",
    "hi": "ज़रूर! |ठीक है। |अच्छा, देखते हैं। |सुनिए, ",
    "ar": "بالتأكيد! |حسنًا. |طيب، لنرَ. |نعم، ",
    "zh": "当然！|好的。|嗯，让我看看。|请注意：",
    "ja": "もちろんです！|承知しました。|ええと、確認します。|なるほど、",
}
_FRAMES = {
    "en": "the meeting about {} is confirmed|you should know that {} still counts, as far as I can tell|please look at {} first",
    "de": "der Termin wegen {} ist bestätigt|Sie sollten wissen, dass {} weiterhin gilt|bitte sehen Sie sich {} zuerst an",
    "fr": "le rendez-vous pour {} est confirmé|sachez que {} compte toujours, à ma connaissance|regardez {} avant tout",
    "es": "la cita sobre {} está confirmada|debe saber que {} sigue contando, que yo sepa|mire {} primero, por favor",
    "it": "l'incontro per {} è confermato|sappia che {} conta ancora, per quanto ne so|guardi {} prima di tutto",
    "pt": "a reunião sobre {} está confirmada|saiba que {} ainda conta, pelo que sei|veja {} primeiro, por favor",
    "hi": "{} वाली बैठक पक्की है|आप जान लें कि {} अब भी मान्य है, ऐसा मुझे लगता है",
    "ar": "الموعد بخصوص {} مؤكد|يجب أن تعلم أن {} ما زال صالحًا، حسب علمي",
    "zh": "关于 {} 的会议已确认|您要知道，{} 仍然有效，据我所知",
    "ja": "{} についての会議は確定しました|念のため、{} はまだ有効です",
}
_SPANS = (
    "3.14|14:30|9:05|https://example.com/a?b=c&d=1.5|www.example.org|jane.doe@mail.example.com|v2.0.1|config.yaml|1,299.50|"
    "+1 212 555 0187|555-0142|2024-11-05|#42|`a.b(c)`|$4.99|192.168.0.1|3-2|12.5%"
)
_LOCAL_SPANS = {
    "en": "Dr. Smith|5 p.m. Eastern|No. 7|Fig. 3|Jan. 5, 2026|J. K. Rowling|Acme Inc. of Boston|e.g. Visa|3.5 million|Mt. Hood",
    "de": "Dr. Müller|3. Oktober|z. B. Kinder|Nr. 7|§ 5 Abs. 2|1.299,00 €|14:15 Uhr|ca. 20 Minuten|Hauptstr. 12",
    "fr": "M. Dupont|Mme Leroy|1 249,99 €|p. 12|9 h 30|3,5 %|Dr. Petit|chap. 3",
    "es": "Sr. Gómez|EE. UU.|pág. 34|1.250.000|2,5 %|Dra. Ruiz|núm. 5",
    "it": "sig. Rossi|dott. Bianchi|pag. 7|art. 12|1.250,00 €|ore 18.45",
    "pt": "Sr. Silva|R$ 1.299,90|pág. 3|Dra. Costa|art. 7|2,5 %",
    "hi": "डॉ. शर्मा|₹1,499.50|32.5",
    "ar": "د. أحمد|1,250.75|35.5",
    "zh": "3,450.80|22.5",
    "ja": "12,800|22.5",
}
_ENDS = {"hi": "।|?|!", "ar": ".|؟|!", "zh": "。|？|！", "ja": "。|？|！", "fr": ".| ?| !"}
_SPACELESS = ("zh", "ja")


def _choice(listed: str) -> st.SearchStrategy[str]:
    return st.sampled_from(listed.split("|"))


@st.composite
def _sentences(draw: st.DrawFn, language: str) -> tuple[str, tuple[int, int] | None]:
    """A sentence and its protected span (from, to)."""
    span = draw(_choice(_SPANS + "|" + _LOCAL_SPANS[language]))
    before, after = draw(_choice(_FRAMES[language])).split("{}")
    opener = draw(st.one_of(st.just(""), _choice(_OPENERS[language])))
    if not opener or opener.rstrip()[-1] in ".!":
        before = before[:1].upper() + before[1:]
    start = len(opener) + len(before)
    return opener + before + span + after + draw(_choice(_ENDS.get(language, ".|?|!"))), (start, start + len(span))


@st.composite
def replies(draw: st.DrawFn, languages: tuple[str, ...] = LANGUAGES, max_sentences: int = 4) -> Reply:
    """Replies of complete sentences in one of `languages`. Each sentence has one protected span.

    Spans are times, dates, amounts of money, numbers, phone numbers, addresses, versions, code, titles with names,
    abbreviations and references, in the notation of the language.
    """
    language = draw(st.sampled_from(languages))
    text, protected = "", []
    for sentence, span in draw(st.lists(_sentences(language), min_size=1, max_size=max_sentences)):
        text += "" if not text or language in _SPACELESS else draw(st.sampled_from((" ", " ", " ", "\n\n")))
        if span:
            protected.append((len(text) + span[0], len(text) + span[1]))
        text += sentence
    return Reply(text, language, tuple(protected))


_PHRASES = (
    "Open the menu|Low **cost** plans|It takes 5 min. or less.|See [the guide](https://example.com/a.b).|"
    "Use `x.y()` now.|Done ✅"
)
_BLOCKS = st.one_of(
    st.builds("{} {}\n\n".format, st.sampled_from(("#", "##", "###")), _choice(_PHRASES)),
    st.lists(st.builds("- {}\n".format, _choice(_PHRASES)), min_size=1, max_size=3).map("".join),
    st.lists(_choice(_PHRASES), min_size=1, max_size=3).map(
        lambda items: "".join(f"{number}. {item}\n" for number, item in enumerate(items, 1))
    ),
    st.builds(
        "```{}\n{}\n```\n".format,
        st.sampled_from(("", "py", "yaml")),
        _choice("x = 1.5. y\nprint(x)|a: b. C|ls && cd .."),
    ),
    st.builds("| {} | {} |\n|---|---|\n| $1.99 | b. c |\n\n".format, _choice(_PHRASES), _choice(_PHRASES)),
    st.builds("> {}\n\n".format, _choice(_PHRASES)),
    st.builds("{} {}\n\n".format, _choice(_PHRASES), _choice(_PHRASES)),
    st.just("---\n\n"),
)


def markdown_documents(max_blocks: int = 5) -> st.SearchStrategy[str]:
    """Markdown documents with headings, lists, tables, quotes, rules, code blocks, inline code, links, bold text and
    emoji."""
    return st.lists(_BLOCKS, min_size=1, max_size=max_blocks).map("".join)


_NASTY = (
    "\x00", "\ud800", "\udfff", "\u200f", "\u200d", "\ufe0f", "\u0301", "👨‍👩‍👧‍👦", "🇩🇪", "👍🏽",
    "```", "`", "**", "<b>", "</b>", "<", "[", "](", "(", ")",
    "{", "}", "«", "»", "「", "」", "\n", "\r\n", "\n\n",
    " ", "   ", "\u00a0", "...", "…", "?!", "!", ". ", ".", ",", ", ", ";", ": ", " — ", "–",
    "1.", "3", "Dr. ", "p.m. ", "http://", "a", "I ", "The ", "word ", "é",
    "字", "あ", "한", "ا", "ह", "|", "# ", "- ", "1) ", "~~~", ":)", "<3",
)  # fmt: skip


def any_text(max_size: int = 60) -> st.SearchStrategy[str]:
    """Arbitrary text: marks that matter to a chunker in any order, with arbitrary characters between.

    It may contain unpaired surrogates, NUL, direction marks, combining marks, joiners, and unclosed fences, tags and
    brackets.
    """
    anything = st.text(st.characters(exclude_categories=()), max_size=8)
    return st.lists(st.one_of(st.sampled_from(_NASTY), anything), max_size=max_size).map("".join)


@st.composite
def token_streams(draw: st.DrawFn, text: str) -> list[str]:
    """`text` split into tokens: into characters, into words, at arbitrary places, or not at all. Tokens may be
    empty."""
    if not text:
        return draw(st.sampled_from(([], [""], ["", ""])))
    style = draw(st.sampled_from(("characters", "whole", "words", "anywhere")))
    if style == "characters":
        return list(text)
    if style == "whole":
        return [text]
    if style == "words":
        cuts = {at for at in range(1, len(text)) if text[at].isspace()}
    else:
        cuts = set(draw(st.lists(st.integers(0, len(text)), max_size=30)))
    places = [0, *sorted(cuts), len(text)]
    tokens = [text[start:end] for start, end in pairwise(places)]
    return tokens + [""] * draw(st.integers(0, 1))


@st.composite
def chunker_rules(draw: st.DrawFn, language: str | None = None) -> Rules:
    """Chunker rules of every kind, also ones that contradict each other."""
    ways = st.sampled_from(("plain", "verbatim", "skip"))
    speak = draw(
        st.one_of(st.just(SpeakRules()), st.builds(SpeakRules, **dict.fromkeys(SpeakRules.__match_args__, ways)))
    )
    sizes = st.integers(1, 40)
    return Rules(
        language=language or draw(st.sampled_from((*LANGUAGES, "auto", "base", "xx"))),
        mode=draw(st.sampled_from(("clause", "clause", "sentence"))),
        first=FirstRules(draw(sizes)),
        comma_after=draw(sizes),
        semicolon_after=draw(sizes),
        colon_after=draw(sizes),
        dash_after=draw(sizes),
        max_tokens=draw(sizes),
        never_split=tuple(draw(st.lists(st.sampled_from(("Acme Inc.", "Yahoo!", "the menu", "a.b")), max_size=2))),
        speak=speak,
    )
