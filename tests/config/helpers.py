"""Reading short texts in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowkit.config import Outside, Problem, Reading, Unset, read
from flowkit.plan import vet
from tests.config.fakes import FAKE

BASE = """\
flowkit: 1
stages:
  - {kind: gate}
  - {kind: llm, provider: canned, text: hi}
  - {kind: chunker}
  - {kind: tts, provider: print}
"""
"""A sound pipeline; texts below are lines behind it."""


def reading(text: str, overrides: Sequence[str] = (), **outside: object) -> Reading:
    """The text as a file ``x.yaml``; `outside` are fields of Outside."""
    return read("x.yaml", text=text, overrides=overrides, outside=Outside(**outside), catalog=FAKE)  # type: ignore[arg-type]


def problems(text: str, overrides: Sequence[str] = (), **outside: object) -> list[Problem]:
    """All problems of the text, including those of the graph."""
    return list(vet(reading(text, overrides, **outside)).problems)


def lines(text: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = ()) -> list[str]:
    """The problems' lines, without help."""
    return [problem.concise() for problem in problems(text, overrides, environ=environ or {})]


def codes(text: str, **outside: object) -> list[str]:
    """The problems' codes."""
    return [problem.code for problem in problems(text, **outside)]


__all__ = ["BASE", "Unset", "codes", "lines", "problems", "reading"]
