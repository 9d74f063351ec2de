"""Faults that a test or a replay puts into the answers of a provider, as they are written:

    llm: fail after 3 tokens in turn 2
    tts: slow by 200ms..600ms
    asr: drop 2 partials in turns 3, 4
    book_table: fail "all tables are taken"

In full, with brackets around what may be left out:

    STAGE or TOOL: fail ["TEXT"] [after N ITEMS | after DURATION] [in turn N]
                   stall [after N ITEMS | after DURATION] [in turn N]
                   drop [N] ITEMS [after N ITEMS] [in turn N]
                   double [N] ITEMS [after N ITEMS] [in turn N]
                   slow by LAW [in turn N]
                   say "TEXT" [in turn N]
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import exp
from statistics import NormalDist

from flowkit.config.problems import suggest
from flowkit.errors import UsageError
from flowkit.options import parse_duration

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"]+|"')
_SUBJECT = re.compile(r"\s*([^\s:]+)\s*:")
_FACTOR = re.compile(r"(\d+(?:\.\d+)?)x")
_ABOUT = 0.5
"""How much `about 300ms` varies: the standard deviation of the delay's logarithm. A delay in six is longer than 1.65 times as
much."""
_EXTREME = 0.005


class Action(StrEnum):
    """What happens to the answers."""

    FAIL = "fail"
    """The call fails; a tool's call has an error as its outcome."""
    STALL = "stall"
    """Nothing more comes, and no end either."""
    DROP = "drop"
    """Some items do not come."""
    DOUBLE = "double"
    """Some items come twice."""
    SLOW = "slow"
    """They come later."""
    SAY = "say"
    """A tool's outcome is another one."""


ITEMS = ("tokens", "transcripts", "partials", "finals", "pieces", "outcomes", "items")
"""What providers give: tokens (LLM), transcripts, which are partials or finals (ASR), pieces of audio (TTS), outcomes (tools).
`items` is any of these."""
_ONE = {items.removesuffix("s"): items for items in ITEMS}


@dataclass(frozen=True, slots=True)
class Law:
    """How much later answers come: by `low_us` to `high_us`, alike likely; or `about` so much, with a long tail; or `factor`
    times as late."""

    low_us: int = 0
    high_us: int = 0
    about: bool = False
    factor: float = 1.0

    @property
    def varies(self) -> bool:
        """Whether calls are slower by different times."""
        return self.about or self.low_us != self.high_us

    def later_us(self, share: float) -> int:
        """A delay by this law; `share` is drawn from 0 to 1."""
        if self.about:
            return round(self.low_us * exp(_ABOUT * NormalDist().inv_cdf(min(1 - _EXTREME, max(_EXTREME, share)))))
        return round(self.low_us + share * (self.high_us - self.low_us))


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault. `target` is the id of a stage, or the name of a tool."""

    target: str
    action: Action
    items: str = "items"
    """Which items are dropped or come twice, and which are counted."""
    count: int | None = None
    """How many are; None: all."""
    after: int = 0
    """How many come before it, in the same call and turn."""
    after_us: int | None = None
    """How long after the call was opened."""
    text: str = ""
    law: Law = Law()
    turns: tuple[int, ...] = ()
    """In which turns; empty: in all."""
    written: str = ""
    """The text that it was read from, for people."""


class BadFault(ValueError):
    """A text is no fault. The message names the column. `hint` says what it could be."""

    def __init__(self, column: int, what: str, hint: str = "") -> None:
        self.what, self.hint = f"column {column}: {what}", hint
        super().__init__(self.what + (f" ({hint})" if hint else ""))


def parse_fault(text: str) -> InjectedFault:
    """Read a fault. Raises BadFault."""
    subject = _SUBJECT.match(text)
    if subject is None:
        raise BadFault(1, "a fault begins with a stage or a tool and a colon", "such as 'llm: fail in turn 2'")
    return _Reader(text, subject.end()).fault(subject[1])


def faults_of(texts: Iterable[str]) -> tuple[InjectedFault, ...]:
    """The faults of ``--fault``. Raises UsageError, which shows where a text is wrong."""
    found = []
    for text in texts:
        try:
            found.append(parse_fault(text))
        except BadFault as error:
            raise UsageError(f"--fault {text!r}: {error.what}", hint=error.hint) from error
    return tuple(found)


class _Reader:
    """Reads a fault word by word."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        found = _WORD.finditer(text, start)
        self._words = [(match.start() + 1, match[0]) for match in found]
        self._words.append((len(text.rstrip()) + 1, ""))

    def fault(self, target: str) -> InjectedFault:
        action = self._action()
        items, count, law, said = "items", None, Law(), ""
        if action in (Action.DROP, Action.DOUBLE):
            count = self._number() if self._next.isdecimal() else None
            items = self._items()
        elif action is Action.SLOW:
            self._word("by", "slow by how much? such as 'slow by 300ms'")
            law = self._law()
        elif action is Action.SAY or self._next.startswith('"'):
            said = self._quoted() if action in (Action.SAY, Action.FAIL) else ""
        after, after_us = 0, None
        if action not in (Action.SLOW, Action.SAY) and self._skip("after"):
            if self._next.isdecimal():
                after, items = self._number(), self._items(items)
            elif action in (Action.FAIL, Action.STALL):
                after_us = self._duration(self._take())
            else:
                raise self._bad(f"{action} counts items", "such as 'after 3 items'")
        turns = self._turns() if self._skip("in") else ()
        if self._next:
            raise self._bad(f"did not expect {self._next!r}", f"the end, or {_MORE[action]}")
        return InjectedFault(target, action, items, count, after, after_us, said, law, turns, self._text.strip())

    @property
    def _next(self) -> str:
        return self._words[0][1]

    def _take(self) -> tuple[int, str]:
        return self._words.pop(0) if self._next else self._words[0]

    def _bad(self, what: str, hint: str) -> BadFault:
        return BadFault(self._words[0][0], what, hint)

    def _skip(self, word: str) -> bool:
        if found := self._next == word:
            self._take()
        return found

    def _word(self, word: str, hint: str) -> None:
        if not self._skip(word):
            raise self._bad(f"expected {word!r}", hint)

    def _action(self) -> Action:
        column, word = self._take()
        if word not in Action.__members__.values():
            raise BadFault(
                column, f"unknown fault {word!r}" if word else "no fault", suggest(word, map(str, Action), "faults")
            )
        return Action(word)

    def _number(self) -> int:
        column, word = self._take()
        if not word.isdecimal() or not 0 < int(word) < 1_000_000:
            raise BadFault(column, f"{word!r} is no number from 1 on", "such as 3")
        return int(word)

    def _items(self, wanted: str = "items") -> str:
        column, word = self._take()
        items = _ONE.get(word, word)
        if items not in ITEMS:
            raise BadFault(column, f"unknown items {word!r}" if word else "no items", suggest(word, ITEMS, "items"))
        if wanted not in ("items", items):
            raise BadFault(column, f"counts {items} and is about {wanted}", f"after so many {wanted}")
        return items

    def _quoted(self) -> str:
        column, word = self._take()
        if len(word) < 2 or not word.startswith('"'):
            raise BadFault(column, "expected a text in double quotes", 'such as "table 7"')
        return re.sub(r"\\(.)", r"\1", word[1:-1])

    def _duration(self, found: tuple[int, str]) -> int:
        try:
            return parse_duration(found[1])
        except ValueError as error:
            raise BadFault(found[0], f"{found[1]!r} is no delay: {error}", LAWS) from error

    def _law(self) -> Law:
        if self._skip("about"):
            middle_us = self._duration(self._take())
            return Law(middle_us, middle_us, about=True)
        column, word = self._take()
        if factor := _FACTOR.fullmatch(word):
            return Law(factor=float(factor[1]))
        first, dots, last = word.partition("..")
        low_us = self._duration((column, first))
        high_us = self._duration((column + len(first) + 2, last)) if dots else low_us
        if high_us < low_us:
            raise BadFault(column, f"{last} is less than {first}", LAWS)
        return Law(low_us, high_us)

    def _turns(self) -> tuple[int, ...]:
        if not self._skip("turn"):
            self._word("turns", "in which turns? such as 'in turn 2' or 'in turns 2, 3'")
        turns = []
        while True:
            column, word = self._take()
            for part in word.split(","):
                if part and not part.isdecimal():
                    raise BadFault(column, f"{word!r} is no number of a turn", "such as 'in turn 2'")
                turns += [int(part)] if part else []
            if not word.endswith(",") and not self._next.startswith(","):
                break
        if not turns:
            raise BadFault(column, "no number of a turn", "such as 'in turn 2'")
        return tuple(turns)


LAWS = "300ms, 200ms..600ms, 'about 300ms' or 2x"
_MORE = {
    Action.FAIL: "'after 3 items', 'after 300ms' or 'in turn 2'",
    Action.STALL: "'after 3 items', 'after 300ms' or 'in turn 2'",
    Action.DROP: "'after 3 items' or 'in turn 2'",
    Action.DOUBLE: "'after 3 items' or 'in turn 2'",
    Action.SLOW: "'in turn 2'",
    Action.SAY: "'in turn 2'",
}
