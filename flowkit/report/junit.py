"""Test outcomes as JUnit XML, which CI servers read."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from flowkit.printable import printable
from flowkit.report.outcome import Outcome, Status, counts


def junit(outcomes: Sequence[Outcome]) -> str:
    """The text of a JUnit file, with one suite per file and one case per test.

    The text of a failure lists the findings and the command that runs the test again.
    """
    root = Element("testsuites", {"name": "flowkit", **_sums(outcomes)})
    for file in dict.fromkeys(outcome.file for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.file == file]
        suite = SubElement(root, "testsuite", {"name": _clean(file), **_sums(mine)})
        for outcome in mine:
            _case(suite, outcome)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, outcome: Outcome) -> None:
    case = SubElement(
        suite,
        "testcase",
        classname=_clean(outcome.file),
        name=_clean(outcome.name),
        file=_clean(outcome.file),
        line=str(outcome.line),
        time=f"{outcome.wall_us / 1e6:.3f}",
    )
    if outcome.status is Status.PASSED:
        return
    kind = "failure" if outcome.status is Status.FAILED else "error"
    first = outcome.findings[0].what if outcome.findings else str(outcome.status)
    lines = [*map(str, outcome.findings), *map(str, outcome.changes), *outcome.notices, f"again: {outcome.again}"]
    SubElement(case, kind, message=_clean(first)).text = _clean("\n".join(lines))


def _sums(outcomes: Sequence[Outcome]) -> dict[str, str]:
    known = counts(outcomes)
    return {
        "tests": str(len(outcomes)),
        "failures": str(known[Status.FAILED]),
        "errors": str(known[Status.ERROR]),
        "time": f"{sum(outcome.wall_us for outcome in outcomes) / 1e6:.3f}",
    }


def _clean(text: str) -> str:
    """`text` with characters that XML cannot hold as visible escapes."""
    return printable(text)
