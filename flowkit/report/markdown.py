"""Test outcomes as Markdown, for the summary of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from flowkit.plural import counted
from flowkit.printable import one_line
from flowkit.report.outcome import ChangeVerdict, Outcome, Status, summary, verdicts

_MOST_CHANGES = 200


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as Markdown.

    A headline, and for each test that did not pass its findings, a table of what changed, and the command that runs it
    again.
    """
    lines = [f"## flowkit test: {summary(outcomes)}", "", *_corpus(outcomes)]
    for outcome in outcomes:
        if outcome.status is not Status.PASSED:
            lines += _section(outcome)
    return "\n".join(lines).rstrip() + "\n"


def _corpus(outcomes: Sequence[Outcome]) -> list[str]:
    """What has changed in the calls of a corpus, whether that is good or bad."""
    calls = [outcome for outcome in outcomes if outcome.corpus]
    rows = [(outcome, found) for outcome in calls if any((found := verdicts(outcome)).values())]
    if not calls:
        return []
    lines = [f"{counted(len(calls), 'call')}, {len(calls) - len(rows)} as approved", ""]
    if rows:
        lines += [f"| call | {' | '.join(ChangeVerdict)} |", "|---|--:|--:|--:|--:|"]
        lines += [
            f"| {_text(one.name)} | {' | '.join(map(str, found.values()))} |" for one, found in rows[:_MOST_CHANGES]
        ]
        lines.append("")
    return lines


def _section(outcome: Outcome) -> list[str]:
    lines = [f"### {outcome.status}: {_text(outcome.name)} ({_code(outcome.place)})", ""]
    lines += [f"- {_code(f'{finding.file}:{finding.line}')} {_text(finding.what)}" for finding in outcome.findings]
    lines += [f"- {_text(notice)}" for notice in outcome.notices]
    if outcome.changes:
        lines += ["", "| turn | what | approved | now | change |", "|--:|---|---|---|--:|"]
        for change in outcome.changes[:_MOST_CHANGES]:
            delta = "" if change.delta_ms is None else f"{change.delta_ms:+g} ms"
            cells = (
                str(change.turn or ""),
                change.what,
                change.before,
                change.now,
                (delta + change.marks).removeprefix(", "),
            )
            lines.append("| " + " | ".join(_text(cell) for cell in cells) + " |")
        if len(outcome.changes) > _MOST_CHANGES:
            lines.append(f"| | {len(outcome.changes) - _MOST_CHANGES} more | | | |")
    return [*lines, "", f"Again: {_code(outcome.again)}", ""]


def _text(text: str) -> str:
    """`text` escaped so that it stays text in a table's cell."""
    text = one_line(text)
    # The backslash comes first, because all others are escaped with it.
    for sign in "\\|<>`*_[]":
        text = text.replace(sign, "\\" + sign)
    return text


def _code(text: str) -> str:
    """`text` as inline code. It may contain backticks."""
    text = one_line(text)
    return f"`` {text} ``" if "`" in text else f"`{text}`"
