"""Test outcomes as GitHub's workflow commands: an annotation on the line that caused a failure."""

from __future__ import annotations

from collections.abc import Iterable

from flowkit.printable import printable
from flowkit.report.outcome import Outcome

MOST = 10
"""GitHub shows ten annotations of a kind a step."""


def commands(outcomes: Iterable[Outcome]) -> list[str]:
    """A command for each place that caused a failure, once, with every test that it failed."""
    places: dict[tuple[str, int, int], list[str]] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            place = (finding.file, finding.line, finding.column)
            places.setdefault(place, []).append(f"{outcome.name}: {finding.what}")
    return [
        f"::error file={_property(file)},line={line},col={column},title=flowkit test::{_data(chr(10).join(what))}"
        for (file, line, column), what in list(places.items())[:MOST]
    ]


def _data(text: str) -> str:
    return printable(text.replace("\r\n", "\n")).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
