"""How replies that were cut off go on: like other replies of the recording, but with unknown words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from math import exp
from statistics import median

from flowkit.messages import Done, Message, Token
from flowkit.replay.chance import Chance
from flowkit.replay.material import RecordedCall

_LETTER = re.compile(r"[^\W_]")
_FEWEST = 4
"""A reply that was longer than all others goes on for so many tokens at least."""

_HOW_LONG = "how a reply goes on that was cut off"

_Answers = list[tuple[int, Message]]


class Unfinished:
    """The usual length, form and pace of a recording's replies. `calls` are those of its LLM."""

    def __init__(self, calls: Iterable[RecordedCall], chance: Chance | None = None) -> None:
        self._chance = chance or Chance()
        self._whole: list[list[str]] = []
        gaps, firsts = [], []
        for call in calls:
            tokens = [(at_us, item.text) for at_us, _, item in call.items if isinstance(item, Token)]
            gaps += [b - a for (a, _), (b, _) in pairwise(tokens)]
            firsts += [tokens[0][0] - call.opened_us] if tokens else []
            if tokens and not call.cancelled:
                self._whole.append([text for _, text in tokens])
        self._gap_us = round(median(gaps)) if gaps else 0
        self._first_us = round(median(firsts)) if firsts else 0
        # From the shortest to the longest, so that the middle one of those that are longer than a cut one is its likely end.
        self._whole.sort(key=len)

    def after(self, items: _Answers, cut_us: int, name: object = "") -> _Answers:
        """The rest of a reply that was cut off `cut_us` after its request, when it had given `items`. `name` is its own."""
        tokens = [at_us for at_us, item in items if isinstance(item, Token)]
        at_us = tokens[-1] + self._gap_us if tokens else self._first_us
        # What had come before it was cancelled would be in the recording.
        at_us = max(at_us, cut_us + 1)
        rest: _Answers = []
        for text in self._rest(len(tokens), name):
            rest.append((at_us, Token(len(tokens) + len(rest), _LETTER.sub("x", text))))
            at_us += self._gap_us
        return [*rest, (at_us, Done())]

    def _rest(self, given: int, name: object) -> list[str]:
        """The tokens from number `given` on of a likely reply."""
        longer = [texts for texts in self._whole if len(texts) > given]
        if longer:
            return longer[self._chance.index(len(longer), len(longer) // 2, _HOW_LONG, name)][given:]
        fewest = round(_FEWEST * exp(self._chance.normal(_HOW_LONG, name)))
        return self._whole[-1][-fewest:] if self._whole else []
