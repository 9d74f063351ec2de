"""Where sentences end: at which full stops, exclamation and question marks, ellipses and emoji.

A full stop has classes. After a title it never ends a sentence. After a possible abbreviation only a word that begins
sentences decides, so the whole next word is awaited. After anything else the next character decides. Each function only
reads the text and changes nothing.
"""

from __future__ import annotations

from itertools import pairwise

from .languages import Stop
from .tails import closing
from .text import DIGIT, DOTS, GHOST, IDEOGRAPH, KIND, LETTER, STOPS, WIDE_STOPS
from .view import LINE_END, LOOK, NO, OPENERS, WAIT, View, past

_WORD = (LETTER, DIGIT, IDEOGRAPH, GHOST)
_OUTRIGHT = "¿¡"
"""Marks that only begin sentences."""
_VOWELS = frozenset("aeiouyäöüàáâãåæèéêëìíîïòóôõøœùúûýıαεηιουωάέήίόύώаеёиоуыэюяієї")
_ROMAN = frozenset("IVXLC")
_CLOSING = "\"'”’“‘»«›‹」』）】〉》)]"
_LABEL_WORDS = """option plan vitamin vitamine vitamina gate grade type typ tipo group gruppe groupe grupo gruppo class
    klasse classe clase terminal section part exhibit appendix team hall halle porte puerta porta platform building block
    bloc blocco bloque row seat line linie ligne línea linea point punkt punto variant variante hepatitis model modell
    letter zimmer platz gleis nummer seite kapitel haus bus absatz artikel version teil stufe um"""
_LABELS = tuple(f" {label} " for label in _LABEL_WORDS.split())
_DATE_WORDS = "am vom zum beim im bis ab seit der den dem wurde wird"
_DATED = tuple(f" {word} " for word in _DATE_WORDS.split())
_OPENED = dict.fromkeys(map(ord, OPENERS), " ")
_BOTH = ". & "
"""Between two abbreviations: Res. & Dev."""
_JOINED = ("°", "/", "+", "=", "&")
_DASHES = "—–"
_CONTRACTED = frozenset(("t", "s", "re", "ll", "ve", "m", "d"))
_SAYS = "说說问問道喊答叫"
_CHEERS = ((0x1F44A, 0x1F450), (0x1F600, 0x1F64F), (0x1F910, 0x1F93F), (0x1F970, 0x1F97A), (0x1F389, 0x1F38A))
"""Faces, hands and confetti end what was said. Other emoji may stand for a word."""


def sentence_end(view: View, at: int) -> int:
    """Whether a sentence ends with the mark at `at`: the index to cut at, NO or WAIT."""
    text = view.text
    if text[at] == "." and (end := _usual(view, at)) is not None:
        return end
    run = past(text, at, STOPS)
    if run == at:
        run += 1  # a mark that ends sentences in this language only
    if text[at:run] == "." and text[run : run + 2] == " .":
        run = _spaced_dots(view, run)
    if run == WAIT:
        return WAIT
    end = closing(view, run)
    if end == WAIT or view.ends(end):
        return WAIT
    if view.held(run, end) or end == len(text):
        return NO
    marks, quoted = text[at:run], end > run and any(char in _CLOSING for char in text[run:end])
    if marks == ".":
        return _full_stop(view, at, end, quoted)
    if all(mark in DOTS for mark in marks.replace(" ", "")):
        return _ellipsis(view, end)
    if any(mark in WIDE_STOPS for mark in marks):
        return NO if _wide_dot(view, at, end) else _wide(view, end, quoted)
    return _exclamation(view, at, end, quoted)


def _usual(view: View, at: int) -> int | None:
    """A fast path for the usual full stops: `3.14` and `a.b` continue, `word. Word` ends; None for all others."""
    behind = view.text[at + 1 : at + 3]
    if "0" <= behind[:1] <= "9" or "a" <= behind[:1] <= "z":
        return NO
    word, first = view.text[view.word : at], behind[1:]
    begins = behind[:1] == " " and first.isupper() and first.isalpha()  # some emoji are upper case
    if not begins or view.holds or not word.isalpha() or view.text.endswith(_BOTH, view.start, view.word):
        return None
    return at + 1 if _ordinary(word, view) else None


def _spaced_dots(view: View, run: int) -> int:
    """The end of an ellipsis written with spaces (. . .). A number or name that begins with a dot is not part of it."""
    limit = run + LOOK
    while view.text[run : run + 2] == " ." and run < limit:
        if view.ends(run + 2):
            return WAIT
        if view.char(run + 2).isalnum():
            break
        run += 2
    return run


def emoji_end(view: View, at: int, emoji: int) -> int:
    """Whether a sentence without a mark ends with the emoji or smiley from `at` to `emoji`: index, NO or WAIT."""
    end = closing(view, emoji)
    if end == WAIT or view.ends(end):
        return WAIT
    if view.held(at, end) or not any(KIND[char] in _WORD for char in view.text[view.start : at]):
        return NO  # a bullet, or still inside a bracket
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    first = view.text[following]
    # Ideographs have no upper case that could decide, and these marks need none.
    if KIND[first] == IDEOGRAPH or first in _OUTRIGHT:
        return end
    if following == end or not (view.upper(following) or _caseless(first)):
        return NO
    code = ord(view.text[at])
    # What is written in ASCII is a smiley, which is a face too.
    if code < 0x80 or any(low <= code <= high for low, high in _CHEERS):
        return end
    return _if_starter(view, following, end)


def _ellipsis(view: View, end: int) -> int:
    """An ellipsis ends a sentence only before upper case. Elsewhere the speaker only hesitates."""
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    letter = view.opened(following)
    if letter == WAIT:
        return WAIT
    if following == end:
        return _if_starter(view, end, end) if view.upper(end) else NO
    return end if view.upper(letter) else NO


def _wide(view: View, end: int, quoted: bool) -> int:
    """Full-width and Indic marks end a sentence, unless a particle or a verb of speaking follows the closing mark."""
    if not quoted:
        return end
    if "\u3041" <= view.char(end) <= "\u309f":
        return NO
    for at in range(end, end + 4):
        if view.ends(at):
            return WAIT
        if KIND[view.char(at) or " "] != IDEOGRAPH:
            return end
        if view.text[at] in _SAYS:
            return NO
    return end


def _wide_dot(view: View, at: int, end: int) -> bool:
    """Whether the full-width dot at `at` does not end a sentence: in ３．１４, in ｗｗｗ．ｅ, after the number of an item."""
    if view.text[at:end] not in ("．", "｡") or at == view.start or KIND[view.text[at - 1]] not in (LETTER, DIGIT):
        return False
    word = view.text[view.word : at]
    return KIND[view.char(end) or " "] in (LETTER, DIGIT) or _is_marker(view, view.word, word)


def _exclamation(view: View, at: int, end: int, quoted: bool) -> int:
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    if following == end:
        return _tight(view, at, end)
    if quoted and view.text[following].islower():
        return NO
    if view.text[following] in _DASHES:
        return _narrated(view, following, end, quoted)
    # The mark is part of a name such as Yahoo!, so only the next word tells whether a sentence ends.
    if view.language.stop(view.text[view.word : at]) is Stop.NAME:
        return _open(view, following, end, Stop.OPEN)
    return end


def _narrated(view: View, following: int, end: int, quoted: bool) -> int:
    """A dash may come between what was said and who said it: —¿Vienes? —preguntó ella; «Да.» — сказал он."""
    if view.ends(following + 2):
        return WAIT
    behind = view.text[following + 1 : following + 3]
    return NO if (behind.lstrip() if quoted else behind)[:1].islower() else end


def _full_stop(view: View, at: int, end: int, quoted: bool) -> int:
    following = view.following(end)
    if following in (WAIT, LINE_END):
        return WAIT if following == WAIT else NO
    if following == end:
        return _tight(view, at, end)
    first = view.text[following]
    if first == "&":
        return NO  # Com. & Adm.
    if at > view.start and KIND[view.text[at - 1]] in _WORD:
        word = _before(view.text[view.word : at])
        if view.text.endswith(_BOTH, view.start, at - len(word)):
            return _open(view, following, end, Stop.OPEN)  # Res. & Dev. Ltd.
        if first.isupper() and _ordinary(word, view):
            return end
        if _is_marker(view, at - len(word), word):
            return NO
        # Before the number, because a marker never stands alone: it belongs to the item that follows.
        if _is_next_item(view, word):
            return view.word
        stop = _class(view, at, word)
        # A title belongs to its name, and `No.` to its number.
        if stop is Stop.TITLE or (stop is Stop.WORD and first.isdigit()):
            return NO
        if stop is Stop.OPEN or stop is Stop.LAST:
            return _open(view, following, end, stop)
        # A sentence does not begin in lower case, so the numeral is an ordinal.
        if first.islower() and (_is_roman(word) or (view.language.ordinals and _is_ordinal(word))):
            return NO
        if (first.islower() or first.isdigit()) and _clipped(view, word):
            return NO
    if quoted and first in _DASHES:
        return _narrated(view, following, end, quoted)
    # After a quotation, lower case goes on with the sentence around it.
    return NO if quoted and first.islower() else end


def _ordinary(word: str, view: View) -> bool:
    """Whether a full stop after `word` can only be an end."""
    # A shorter word may be an abbreviation that no list has.
    return len(word) > 2 and word[0].isalpha() and word[1:].islower() and view.language.stop(word) is None


def _class(view: View, at: int, word: str) -> Stop | None:
    """What the full stop at `at` after `word` means; OPEN also for initials, initialisms and ordinals."""
    language, bare = view.language, word
    stop = language.stop(word)
    if stop is None and not word.isalpha():
        bare = word.lstrip("0123456789.,")
        stop = language.stop(bare) or language.stop(word.rpartition("-")[2])
    if stop in (Stop.UNIT, Stop.WORD):
        counted = bare != word or view.text[view.start : at - len(word)].rstrip(" /\u00a0\u202f")[-1:].isdigit()
        # In a language with capitalised nouns, a unit may be followed by one: 20 Min. Fußweg.
        if counted:
            return Stop.OPEN if language.ordinals == "all" else Stop.LAST
    if stop not in (None, Stop.UNIT):
        return stop
    # Alone, the `m` would count as a unit or an initial.
    if word == "m" and view.text[at - 4 : at - 1] in ("a. ", "p. "):
        return Stop.LAST
    # `option B.` may end a sentence, because there the letter is a name and not an initial.
    if _is_initial(word):
        return (
            None
            if _labelled(view, at - len(word)) or view.text[at - len(word) - 1 : at - len(word)] in _JOINED
            else Stop.OPEN
        )
    if _is_initialism(word) or _may_count(view, at - len(word), word):
        return None if word.isdigit() and _labelled(view, at - len(word)) else Stop.OPEN
    return None


def _may_count(view: View, start: int, word: str) -> bool:
    """Whether a full stop may make the number `word`, which begins at `start`, an ordinal before upper case."""
    if view.language.ordinals == "dates":
        return word.isdigit() and len(word) <= 2 and _behind(view, start, _DATED)
    return view.language.ordinals == "all" and _is_ordinal(word)


def _labelled(view: View, start: int) -> bool:
    """Whether the letter or number that begins at `start` is a name: option B, vitamin C, Zimmer 5."""
    return _behind(view, start, _LABELS)


def _behind(view: View, start: int, words: tuple[str, ...]) -> bool:
    """Whether one of `words`, each between blanks, is directly before `start`."""
    before = " " + view.text[max(view.start, start - LOOK) : start].lower()
    return before.translate(_OPENED).endswith(words)


def _open(view: View, following: int, end: int, stop: Stop) -> int:
    """After a possible abbreviation, only a word or a mark that begins sentences decides.

    After the end of a list or a time, upper case decides, unless it names a time zone or a day.
    """
    if view.text[following] in _OUTRIGHT:
        return end
    letter = view.opened(following)
    if letter == WAIT:
        return WAIT
    if view.text[following] in "([" or not (view.upper(letter) or _caseless(view.char(letter))):
        return NO
    if stop is not Stop.LAST or not view.upper(letter):
        return _if_starter(view, letter, end)
    word = view.next_word(letter)
    if word is None:
        return WAIT
    zone = (
        (len(word) > 1 and word.isupper())
        or word.lower() in view.language.zones
        or word.lower() in view.language.leading
    )
    return NO if zone and not view.language.starts(word) else end


def _if_starter(view: View, letter: int, end: int) -> int:
    starter = view.starter(letter)
    return starter if starter in (WAIT, NO) else end


def _tight(view: View, at: int, end: int) -> int:
    """No space after the mark: an address or a number, unless a plain word is before it and a starter after it."""
    first, before = view.text[end], view.text[at - 1] if at > view.start else ""
    if "가" <= first <= "힣" and end > at + 1:
        return NO  # Korean particles follow a quotation directly
    word = view.text[view.word : at]
    written = before.strip() and KIND[first] == IDEOGRAPH and KIND[before] != DIGIT
    if first in _OUTRIGHT or (written and (not before.isascii() or _class(view, at, _before(word)) is None)):
        return end
    plain = len(word) > 1 and word.isalpha() and word[1:].islower() and view.language.stop(word) is None
    return _if_starter(view, end, end) if plain and view.upper(end) else NO


def _before(token: str) -> str:
    """The word before a full stop, without what opens before it: brackets, quotes, emphasis, "l'"."""
    if token.isalpha():
        return token
    for at in range(len(token) - 1, -1, -1):
        if KIND[token[at]] not in _WORD and token[at] not in ".-":
            part = token[at + 1 :]
            # "aren't" and "Mary's" do not end in an abbreviation; "l'avv" does
            return token if token[at] in "'’" and part.lower() in _CONTRACTED else part
    return token


def _is_marker(view: View, start: int, word: str) -> bool:
    """Whether `1.` or `b.` numbers an item: at the beginning of a chunk, or after a colon."""
    if len(word) > 2 or not (word.isdigit() or (len(word) == 1 and KIND[word] == LETTER)):
        return False
    if view.text[view.word : start].strip(OPENERS):
        return False  # the end of something longer: 3:1, 2+2=4
    before = view.text[view.start : view.word].rstrip()
    return before.endswith((":", ";")) or not any(KIND[char] in _WORD for char in before)


def _is_next_item(view: View, word: str) -> bool:
    """Whether `2.` occurs within an item that `1.` began (or `b.` within `a.`): it belongs to the next item."""
    if len(word) > 2 or not (word.isdigit() or len(word) == 1) or view.text[view.word : view.word + len(word)] != word:
        return False
    before = str(int(word) - 1) if word.isdecimal() else chr(ord(word) - 1)
    return bool(before) and view.text[view.start : view.word].lstrip().startswith(before + ".")


def _is_initial(word: str) -> bool:
    return len(word) <= 4 and sum(KIND[char] == LETTER for char in word) == 1 and not any(map(str.isdigit, word))


def _is_initialism(word: str) -> bool:
    parts = word.split(".") if "." in word else ()
    return len(parts) > 1 and all(part.isalpha() and len(part) <= 2 for part in parts)


def _is_ordinal(word: str) -> bool:
    return (word.isdigit() and len(word) <= 3) or _is_roman(word)


def _is_roman(word: str) -> bool:
    return 1 < len(word) <= 6 and _ROMAN.issuperset(word)


def _clipped(view: View, word: str) -> bool:
    """Whether a short word is an abbreviation that no list has: it has no vowel, or its language is strict with
    capitals.

    With a doubled letter it is a sound: hmm, shh.
    """
    lower = word.lower()
    if not word.isalpha() or len(word) < 2 or word.isupper() or view.language.starts(word):
        return False
    # Without a vowel it cannot be a word, but `hm` is a sound that people write.
    if lower.isascii() and len(word) <= 5 and word != "hm" and _VOWELS.isdisjoint(lower):
        return all(one != other for one, other in pairwise(lower))
    return len(word) <= view.language.clipped and not _caseless(word[0])


def _caseless(char: str) -> bool:
    return char.isalpha() and not char.isupper() and not char.islower()
