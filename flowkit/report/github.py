"""Test outcomes as GitHub workflow commands: annotations on the lines that caused failures."""

from __future__ import annotations

from collections.abc import Iterable

from flowkit.printable import printable
from flowkit.report.outcome import Outcome

MOST = 10
"""GitHub shows at most ten annotations of a kind for each step."""


def commands(outcomes: Iterable[Outcome]) -> list[str]:
    """One command for each line that caused a failure. It lists every test that failed because of that line."""
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
    """`text` with control characters and the characters that end a command escaped."""
    return printable(text.replace("\r\n", "\n")).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """`text` escaped as the value of a command's property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
