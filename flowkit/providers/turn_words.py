"""``words``: how likely a turn has ended, judged by what was said. Rules over a small table for each language.

The first rule that fits decides, in the order of ``_judged``. An open end ("because", "my number is") counts before the
punctuation, because an ASR puts a full stop behind any part of a sentence.

    {kind: turn, provider: words, language: auto}
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from pydantic import Field

from flowkit import options as opt
from flowkit import phrases
from flowkit.chunker.languages import guess
from flowkit.messages import Message, Prediction, TurnSoFar
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.words import count, script_of, words

_TAIL, _DENSE_TAIL = 40, 14
"""How many characters of a transcript are looked at, from its end; the second in scripts without spaces. More would take longer,
and tell no more."""
_ASKED = 200
"""The same for what the agent said last."""
_WHOLE_NUMBER = 7
"""A number that is read in groups has at least so many digits."""
_FEW = 4
"""An answer of at most so many words is a short one."""

_MARKS = ("?", "？", "؟")
_STOPS = (".", "!", "。", "！", "।")
_UNFINISHED = (",", ";", ":", "-", "–", "—", "…", "...", "、", "，")

_ENDED, _LONG, _ANSWERED, _NAMED, _QUESTION, _STATED = 0.95, 0.9, 0.85, 0.8, 0.75, 0.65
_OPEN, _FILLED, _LISTED, _LOOSE, _GROUPED, _LONG_NUMBER, _BARE = 0.1, 0.05, 0.2, 0.4, 0.2, 0.6, 0.45
_UNKNOWN = 0.5
"""The probabilities, by rule."""


class _Tables:
    """The phrases of one language, as words to compare."""

    def __init__(self, code: str) -> None:
        table = phrases.load(code)
        self.opens, self.fillers, self.questions = map(_keys, (table.opens, table.fillers, table.questions))
        self.loose = _keys(table.loose)
        self.answers, self.numbers = _keys(table.answers), _keys(table.numbers)
        self.asks_number, self.asks_name = _keys(table.asks_number), _keys(table.asks_name)


def _keys(listed: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(word.key for word in words(phrase)) for phrase in listed.split(",") if phrase.strip())


@lru_cache(maxsize=32)
def _tables(code: str) -> _Tables:
    return _Tables(code)


class _Said(NamedTuple):
    """The end of what was said, or the `whole` of it: the text, its words to compare, and how many they are."""

    text: str
    keys: tuple[str, ...]
    words: int
    whole: bool


class _Wish:
    """What the agent's last words ask for."""

    def __init__(self, text: str, known: _Tables) -> None:
        keys = tuple(word.key for word in words(text))
        self.anything = text.endswith(_MARKS) or _begins(keys, known.questions)
        self.number = _holds(keys, known.asks_number)
        self.name = _holds(keys, known.asks_name)


@lru_cache(maxsize=32)
def _wish(asked: str, code: str) -> _Wish:
    # It stays the same for all partial transcripts of a turn.
    return _Wish(asked.strip(), _tables(code))


def likelihood(said: str, asked: str = "", language: str = "en") -> float | None:
    """How likely a turn with the words `said` has ended, 0 to 1; None if nothing was said.

    Args:
        said: the transcript so far.
        asked: what the agent said last.
        language: a code such as `en`.
    """
    text = said.rstrip()
    most = _DENSE_TAIL if script_of(text[-2:-1] or " ").per_word else _TAIL
    tail = text if len(text) <= most else text[-most:].partition(" ")[2] or text[-most:]
    pieces = [_piece(piece) for piece in tail.split()]
    keys = tuple(key for known, _ in pieces for key in known)
    last = _Said(tail, keys, sum(size for _, size in pieces), whole=len(text) <= most)
    return _judged(last, _tables(language), _wish(asked[-_ASKED:], language)) if keys else None


@lru_cache(maxsize=2_000)
def _piece(text: str) -> tuple[tuple[str, ...], int]:
    """The words between two spaces, and how many they are. Kept, because each partial transcript repeats those before it."""
    found = words(text)
    return tuple(word.key for word in found), count(found)


class TurnWords(InlineProvider):
    """Answers each TurnSoFar at once."""

    kind = "turn"
    name = "words"

    class Options(opt.Options):
        language: str = Field("auto", pattern=r"^(auto|[a-z]{2}(-[A-Za-z]{2,4})?)$")
        """The language of the tables: a code such as `en` or `de-AT`, or `auto`: found out from what both have said. A language
        without a table is judged by punctuation and digits alone."""

    options: Options

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if not isinstance(item, TurnSoFar):
            return ()
        code = self.options.language
        if code == "auto":
            # Both together, because a question and the begin of an answer are each too short to be sure.
            code = guess(f"{item.asked[-_ASKED:]} {item.said[-_ASKED:]}", "en") or "en"
        p = likelihood(item.said, item.asked, code)
        return (Answer(0, Prediction(_UNKNOWN if p is None else p, self.name, item.until)),)


def _judged(said: _Said, known: _Tables, wish: _Wish) -> float:
    text, keys, whole = said.text, said.keys, said.whole
    if _ends(keys, known.fillers):
        return _FILLED
    answer = whole and keys in known.answers
    # "Yes" does not answer "Could you spell your name?"
    if answer and (wish.number or wish.name):
        return _BARE
    if answer and wish.anything:
        return _ENDED
    if _ends(keys, known.opens) and not answer:
        # "Turn it on." ends with one too, but only with a full stop behind it.
        return _LOOSE if keys[-1:] in known.loose and text.endswith(_STOPS) and said.words > 3 else _OPEN
    if text.endswith(_UNFINISHED):
        return _LISTED
    parts, digits = _number(keys, known)
    # What the ASR has misheard may stand behind a number that goes on.
    if wish.number:
        digits = max(digits, sum(_size(key, known) for key in keys if len(key) > 1 or key.isdigit()))
    if digits and (parts > 1 or digits > 2 or wish.number):
        return _GROUPED if max(digits, _digits(text)) < _WHOLE_NUMBER else _LONG_NUMBER
    short = whole and said.words <= _FEW and wish.anything
    if short and (parts or wish.name):
        return _ANSWERED
    closed = text.endswith((*_MARKS, *_STOPS))
    if not whole:
        return _LONG if closed else _STATED
    if answer or (short and closed and _begins(keys, known.answers)):
        return _NAMED
    if text.endswith(_MARKS):
        return _QUESTION
    return _STATED if closed else _BARE


def _ends(keys: tuple[str, ...], listed: frozenset[tuple[str, ...]]) -> bool:
    return any(keys[-size:] in listed for size in range(1, min(len(keys), 6) + 1))


def _begins(keys: tuple[str, ...], listed: frozenset[tuple[str, ...]]) -> bool:
    return any(keys[:size] in listed for size in range(1, min(len(keys), 4) + 1))


def _holds(keys: tuple[str, ...], listed: frozenset[tuple[str, ...]]) -> bool:
    return any(keys[at : at + size] in listed for at in range(len(keys)) for size in (1, 2))


def _digits(text: str) -> int:
    """How many digits there are. An ASR writes some words of a long number as other words."""
    return sum(map(str.isdigit, text))


def _number(keys: tuple[str, ...], known: _Tables) -> tuple[int, int]:
    """How many words of a number or of a spelling the text ends with, and how many digits or letters they are."""
    parts = digits = 0
    for key in reversed(keys):
        if not (size := _size(key, known)):
            break
        parts, digits = parts + 1, digits + size
    return parts, digits


def _size(key: str, known: _Tables) -> int:
    """How many digits or letters a word is; 0 for any other word."""
    if key.isdigit():
        return len(key)
    return int(len(key) == 1 or (key,) in known.numbers)
