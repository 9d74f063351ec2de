"""Chunker tests in a pipeline file's ``tests:``. They run with the rules of that pipeline."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from flowkit.chunker import Chunker, Rules


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of a chunker test. `expected` and `got` are clauses without leading and trailing white space.

    `reasons` says why each clause of `got` was cut.
    """

    name: str
    expected: tuple[str, ...]
    got: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.expected == self.got

    def diff(self) -> list[str]:
        """The comparison as lines for people: clauses as expected, missing (-) or unexpected (+), with the reason for
        each cut."""
        why = dict(zip(self.got, self.reasons, strict=True))
        lines = difflib.ndiff([*self.expected], [*self.got])
        return [
            f"{line[:2]}{line[2:]!r}" + (f"   ({why[line[2:]]})" if line[0] in "+ " and line[2:] in why else "")
            for line in lines
            if line[0] != "?"
        ]


def chunker_case(name: str, feed: Sequence[str], expect: Sequence[str], rules: Rules) -> CaseResult:
    """Feed the pieces of `feed` to a new chunker with `rules`, end the reply, and compare its clauses with `expect`."""
    chunker = Chunker(rules)
    chunks = [chunk for piece in feed for chunk in chunker.feed(piece)] + chunker.flush()
    expected = tuple(text.strip() for text in expect)
    got = tuple(chunk.text.strip() for chunk in chunks)
    return CaseResult(name, expected, got, tuple(chunk.reason.value for chunk in chunks))
