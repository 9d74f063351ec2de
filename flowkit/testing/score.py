"""Scores a chunker: its cuts against gold boundaries, the protected spans that it cuts, and how soon it emits the first
chunk.

Any chunker can be scored. It is a callable `(tokens, lang) -> [(tokens seen, original text of the chunk), ...]`; chunks
of the final flush have seen all tokens. `chunk` and `chunk_sentences` are flowkit's own.

Positions are counted in non-whitespace characters, so it does not matter which chunk a space goes to. The *strict*
score counts each cut that is not a gold boundary as wrong. The *speak* score allows cuts at clause punctuation outside
protected spans, where a speaker may pause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from flowkit.chunker import Chunker, Rules

Scored = Callable[..., Sequence[tuple[int, str]]]
"""`(tokens, lang="en") -> [(tokens seen, chunk), ...]`"""


def chunk(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
    """flowkit's chunker with default rules."""
    return _run(Rules(language=lang), tokens)


def chunk_sentences(tokens: Sequence[str], lang: str = "en") -> list[tuple[int, str]]:
    """flowkit's chunker in sentence mode, with up to 80 tokens per chunk."""
    return _run(Rules(language=lang, mode="sentence", max_tokens=80), tokens)


def _run(rules: Rules, tokens: Sequence[str]) -> list[tuple[int, str]]:
    chunker = Chunker(rules)
    out = [(seen, found.text) for seen, token in enumerate(tokens, 1) for found in chunker.feed(token)]
    return out + [(len(tokens), found.text) for found in chunker.flush()]


@dataclass(frozen=True)
class GoldReply:
    """A reply with its gold chunks.

    Args:
        id: its name.
        lang: the code of its language.
        text: the reply. It equals the joined chunks of `gold`.
        gold: the chunks that a good chunker makes.
        protected: spans (from, to) that must not be cut.
        optional: indices where a cut is neither right nor wrong.
    """

    id: str
    lang: str
    text: str
    gold: tuple[str, ...]
    protected: tuple[tuple[int, int], ...] = ()
    optional: tuple[int, ...] = ()


def load(path: Path | str) -> list[GoldReply]:
    """Read the cases of a JSON lines file.

    Raises:
        ValueError: the joined gold chunks of a line are not its text.
    """
    return [_case(json.loads(line)) for line in Path(path).read_text("utf-8").splitlines() if line.strip()]


def _case(row: dict[str, Any]) -> GoldReply:
    if "".join(row["gold"]) != row["text"]:
        raise ValueError(f"case {row['id']}: the gold chunks joined are not the text")
    spans = tuple((start, end) for start, end in row.get("protected", ()))
    return GoldReply(
        row["id"], row.get("lang", "en"), row["text"], tuple(row["gold"]), spans, tuple(row.get("optional", ()))
    )


@dataclass(frozen=True)
class Score:
    """The score of a chunker over a set of cases.

    Args:
        cases: number of cases.
        strict_f1: F1 score against the gold boundaries, 0 to 1.
        speak_f1: the same, but cuts at clause punctuation do not count as wrong.
        wrong: cuts that are neither gold boundaries nor at clause punctuation.
        soft: cuts at clause punctuation that are not gold boundaries.
        missed: gold boundaries without a cut.
        protected_cut: protected spans that were cut.
        protected: number of protected spans.
        lost: non-whitespace characters that are in no chunk.
        first_tokens: mean number of tokens that the chunker had seen when it emitted the first chunk.
        invariant: cases whose chunks stay the same when the text is split into tokens in four other ways.
        failed: cases in which the chunker raised an exception.
    """

    cases: int
    strict_f1: float
    speak_f1: float
    wrong: int
    soft: int
    missed: int
    protected_cut: int
    protected: int
    lost: int
    first_tokens: float
    invariant: int
    failed: int


def score(chunker: Scored, cases: Sequence[GoldReply]) -> Score:
    """Score a chunker on cases. A case in which it raises an exception counts as a case without chunks.

    Raises:
        ValueError: `cases` is empty.
        TypeError, NameError, AttributeError, ImportError: the chunker raised it, which is a bug and not a bad score.
    """
    if not cases:
        raise ValueError("there is no case to score")
    results = [_Result(chunker, case) for case in cases]
    hit, missed = sum(result.hit for result in results), sum(result.missed for result in results)
    wrong, soft = sum(result.wrong for result in results), sum(result.soft for result in results)
    return Score(
        len(cases),
        _f1(hit, wrong + soft, missed),
        _f1(hit, wrong, missed),
        wrong,
        soft,
        missed,
        sum(result.protected_cut for result in results),
        sum(len(case.protected) for case in cases),
        sum(result.lost for result in results),
        round(mean(result.first for result in results), 3),
        sum(result.invariant for result in results),
        sum(result.failed for result in results),
    )


def _f1(hit: int, false: int, missed: int) -> float:
    return round(2 * hit / (2 * hit + false + missed), 4) if hit + false + missed else 1.0


class _Result:
    """The counts of one case."""

    def __init__(self, chunker: Scored, case: GoldReply) -> None:
        tokens = tokenize(case.text)
        out = _call(chunker, tokens, case.lang)
        self.failed = out is None
        out = out or []
        self.first = out[0][0] if out else len(tokens)
        self.invariant = not self.failed and all(_same(chunker, case, cut, out) for cut in _OTHER_CUTS)
        offsets = _offsets(case.text)
        cuts, self.lost = _cuts(case.text, [text for _, text in out])
        gold = {offsets[sum(map(len, case.gold[:number]))] for number in range(1, len(case.gold))}
        spans = [(offsets[start], offsets[end]) for start, end in case.protected]
        inside = {at for at in cuts if any(start < at < end for start, end in spans)}
        soft = {offsets[match.start()] for match in _SOFT.finditer(case.text)} | {offsets[at] for at in case.optional}
        self.hit, self.missed = len(cuts & gold), len(gold - cuts)
        self.soft = len((cuts - gold - inside) & soft)
        self.wrong = len(cuts - gold) - self.soft
        self.protected_cut = sum(any(start < at < end for at in cuts) for start, end in spans)


_MISTAKES = (TypeError, NameError, AttributeError, ImportError)


def _call(chunker: Scored, tokens: Sequence[str], lang: str) -> list[tuple[int, str]] | None:
    """The chunks that are not only white space; None if the chunker raised an exception."""
    try:
        found = list(chunker(tokens, lang=lang))
    except _MISTAKES:
        raise
    except Exception:  # counted as failed: any chunker may be scored
        return None
    return [(seen, text) for seen, text in found if text.strip()]


def _same(chunker: Scored, case: GoldReply, cut: Callable[[str], list[str]], out: list[tuple[int, str]]) -> bool:
    other = _call(chunker, cut(case.text), case.lang)
    return other is not None and [_dense(text) for _, text in other] == [_dense(text) for _, text in out]


def _dense(text: str) -> str:
    return "".join(text.split())


def _offsets(text: str) -> list[int]:
    """For each index of a text, the number of non-whitespace characters before it."""
    offsets = [0]
    for char in text:
        offsets.append(offsets[-1] + (not char.isspace()))
    return offsets


def _cuts(text: str, chunks: Iterable[str]) -> tuple[set[int], int]:
    """Where the chunks end in a text, and how many of its characters are in no chunk. A chunker may change or drop
    characters."""
    dense, at, lost, ends = _dense(text), 0, 0, []
    for piece in chunks:
        for char in _dense(piece):
            found = dense.find(char, at, at + 200)
            if found >= 0:
                lost, at = lost + found - at, found + 1
        ends.append(at)
    return {end for end in ends if 0 < end < len(dense)}, lost + len(dense) - at


_SOFT = re.compile(
    r"(?<=[,;:])(?=\s)"  # behind clause marks
    r"|(?<=\s[—–-])(?=\s)|(?<=—)(?=\S)|(?=\s[(—–])"  # around dashes, before brackets
    r"|(?<=[，、；：،؛])"
    r"|(?<=[)\]”\"])(?=\s)"  # behind what closes
    r"|(?<=\.\.\.)(?=\s)|(?<=…)(?=\s)"
)
_TOKEN = re.compile(r" ?[^\W\d_]{1,6}|[^\W\d_]{1,6}|\d{1,3}| ?[^\w\s]+\n*|\s+(?!\S)|\s|_")


def tokenize(text: str) -> list[str]:
    """Split a text much as a language model would: words with their space, long words in pieces, punctuation in
    runs."""
    return _TOKEN.findall(text)


def _random_cuts(text: str) -> list[str]:
    """Split a text into pieces of 1 to 13 characters, in a fixed, irregular order."""
    pieces, at, step = [], 0, 1
    while at < len(text):
        pieces.append(text[at : at + step])
        at, step = at + step, (step * 5 + 3) % 13 + 1
    return pieces


_OTHER_CUTS: tuple[Callable[[str], list[str]], ...] = (
    list,
    lambda text: [text],
    lambda text: re.findall(r"\s*\S+|\s+", text),
    _random_cuts,
)
