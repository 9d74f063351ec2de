"""Checks assertions on the figures of a session. There are five: within, at_most, equals, contains, absent. Others are on
the calls of a tool.

- {turn: 1, what: ttfa, within: 900ms}
- {turn: 2, what: agent, contains: Madrid}
- {what: interrupts, equals: 1}
- {what: cost.per_minute, at_most: 0.05}
- {tool: book_table, called: once, arguments: {people: 2}}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flowkit.config.budgets import PARTS
from flowkit.config.tests import WORDS, Assertion
from flowkit.figures.cost import Cost, rounded
from flowkit.figures.report import Report, ToolReport, TurnReport, summary
from flowkit.options import parse_duration

_UNITS = ("ttfa", "answer", "parts.", "speech_to_silence", "decision_to_silence", "wall", "blocked")


class Missing(LookupError):
    """The turn or the queue of an assertion does not exist."""


def broken(assertion: Assertion, report: Report) -> str:
    """Check one assertion. Returns how the report breaks it, or an empty string if it holds. Raises Missing."""
    place = f"turn {assertion.turn}: " if assertion.turn else ""
    if assertion.tool is not None:
        said = _of_tool(assertion, assertion.tool, report)
        return f"{place}{said}" if said else ""
    assert assertion.what is not None
    value = figure(report, assertion.turn, assertion.what)
    word = next(word for word in WORDS if getattr(assertion, word) is not None)
    said = _JUDGES[word](value, getattr(assertion, word), _unit(assertion.what, report))
    if said and value is None and assertion.what.startswith("cost"):
        said = "is not there: no provider has a price"
    return f"{place}{assertion.what} {said}" if said else ""


def _unit(what: str, report: Report) -> str:
    if what.startswith("cost"):
        return "" if report.cost is None else f" {report.cost.currency}"
    return " ms" if any(part in what for part in _UNITS) else ""


def judged(expect: Sequence[Assertion], report: Report) -> Iterator[tuple[int, str]]:
    """Check all assertions. Yields the index of each broken one, and how the report breaks it."""
    for index, assertion in enumerate(expect):
        try:
            what = broken(assertion, report)
        except Missing as missing:
            what = str(missing)
        if what:
            yield index, what


def figure(report: Report, turn: int | None, what: str) -> Any:
    """A figure of a report: a number (durations in milliseconds), a text, a list of texts, or None. Raises Missing."""
    if what.startswith("cost"):
        return _of_cost(report, report.cost if turn is None else _turn(report, turn).cost, what)
    if turn is not None:
        return _of_turn(report, _turn(report, turn), what)
    if what.startswith("queues."):
        return _of_queue(report, *what.split(".")[1:])
    if what.startswith("ttfa."):
        return summary([t.ttfa_us for t in report.turns])[what.removeprefix("ttfa.")]
    if what in ("speech_to_silence", "decision_to_silence"):
        values = [getattr(i, f"{what}_us") for i in report.interrupts]
        return max((us / 1000 for us in values if us is not None), default=None)
    if what == "tools":
        return [call.name for call in report.tools]
    if what == "stale_frames":
        return sum(i.stale_frames for i in report.interrupts)
    if what == "wall":
        return report.wall_us / 1000
    found = getattr(report, what)
    return len(found) if isinstance(found, tuple) else found


def _turn(report: Report, number: int) -> TurnReport:
    for turn in report.turns:
        if turn.turn == number:
            return turn
    raise Missing(f"turn {number} does not exist: the session has {len(report.turns)}")


def _of_turn(report: Report, turn: TurnReport, what: str) -> Any:
    if what in ("ttfa", "answer"):
        us: int | None = getattr(turn, f"{what}_us")
        return None if us is None else us / 1000
    if what == "tools":
        return [call.name for call in report.tools if call.turn == turn.turn]
    if what.startswith("parts."):
        return None if turn.parts_us is None else turn.parts_us[PARTS.index(what.removeprefix("parts."))] / 1000
    if what in ("clauses", "reasons"):
        return [c.text.strip() if what == "clauses" else c.reason for c in turn.clauses]
    if what == "spoken":
        return " ".join(spoken for c in turn.clauses if (spoken := c.spoken.strip()))
    if what == "interrupts":
        return sum(1 for i in report.interrupts if i.turn == turn.turn)
    return getattr(turn, what)


def _of_cost(report: Report, cost: Cost | None, what: str) -> float | None:
    if cost is None:
        return None
    whole = cost.whole
    amounts = {"speculation": whole.speculation, "retries": whole.retries, "per_minute": report.cost_a_minute}
    amount = amounts[what.removeprefix("cost.")] if "." in what else whole.amount
    # As exact as reports are, so that one can be copied from there.
    return None if amount is None else rounded(amount)


def _of_queue(report: Report, stage: str, what: str) -> Any:
    for queue in report.queues:
        if queue.stage == stage:
            return queue.blocked_us / 1000 if what == "blocked" else getattr(queue, what)
    raise Missing(f"there is no queue before {stage!r}: {', '.join(q.stage for q in report.queues)}")


# -- tools -------------------------------------------------------------------------------------------------------------


def _of_tool(assertion: Assertion, name: str, report: Report) -> str:
    """How the calls of a tool break an assertion, or an empty string. Raises Missing."""
    if assertion.turn is not None:
        _turn(report, assertion.turn)
    calls = [call for call in report.tools if call.name == name and assertion.turn in (None, call.turn)]
    meant = [call for call in calls if _meant(assertion, call)]
    if _often(assertion.called, len(meant)):
        return ""
    conditions = [] if assertion.arguments is None else [json.dumps(assertion.arguments, ensure_ascii=False)]
    conditions += [] if assertion.outcome is None else [f"the outcome {assertion.outcome}"]
    like = f" with {' and '.join(conditions)}" if conditions else ""
    wanted = "at least once" if assertion.called is None else _times(assertion.called)
    there = "; ".join(f"{call.arguments} gave {call.status} {call.content}".strip() for call in calls)
    often = f"called {_times(len(meant))}" if meant else "never called"
    return f"{name} was {often}{like}, not {wanted}" + (f" (its calls: {there})" if there else "")


def _meant(assertion: Assertion, call: ToolReport) -> bool:
    if assertion.outcome is not None and call.status != assertion.outcome:
        return False
    try:
        given = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        given = None
    wanted: Mapping[str, Any] = assertion.arguments or {}
    return not wanted or (isinstance(given, dict) and all(k in given and given[k] == v for k, v in wanted.items()))


def _often(wanted: str | int | None, times: int) -> bool:
    return times > 0 if wanted is None else times == {"once": 1, "never": 0}.get(str(wanted), wanted)


def _times(number: str | int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times") if isinstance(number, int) else number


# -- the assertions: each returns what is wrong, or an empty string ----------------------------------------------------


def _shown(value: Any, unit: str) -> str:
    if value is None:
        return "is not there"
    return f"is {value:g}{unit}" if isinstance(value, int | float) else f"is {value!r}"


def _number(bound: Any) -> float:
    return parse_duration(bound) / 1000 if isinstance(bound, str) else float(bound)


def _within(value: Any, bound: Any, unit: str) -> str:
    fine = isinstance(value, int | float) and value <= bound / 1000
    return "" if fine else f"{_shown(value, unit)}, not within {bound / 1000:g} ms"


def _at_most(value: Any, bound: Any, unit: str) -> str:
    limit = _number(bound)
    fine = isinstance(value, int | float) and value <= limit
    return "" if fine else f"{_shown(value, unit)}, more than {limit:g}{unit}"


def _equals(value: Any, wanted: Any, unit: str) -> str:
    if unit == " ms" and isinstance(wanted, str):
        wanted = _number(wanted)
    if isinstance(wanted, tuple):
        wanted = list(wanted)
    if isinstance(value, str) and isinstance(wanted, str):
        value, wanted = value.strip(), wanted.strip()
    return "" if value == wanted else f"{_shown(value, unit)}, not {wanted!r}{unit}"


def _contains(value: Any, wanted: Any, unit: str) -> str:
    texts: Sequence[str] = value if isinstance(value, list) else [value or ""]
    lacking = [w for w in ([wanted] if isinstance(wanted, str) else wanted) if not any(w in text for text in texts)]
    return f"{_shown(value, unit)}, without {lacking[0]!r}" if lacking else ""


def _absent(value: Any, unwanted: Any, unit: str) -> str:
    if unwanted is True:
        return "" if value in (None, "", [], 0) else f"{_shown(value, unit)}, and should not be there"
    texts = value if isinstance(value, list) else [value or ""]
    return f"holds {unwanted!r}" if any(unwanted in text for text in texts) else ""


_JUDGES: dict[str, Callable[[Any, Any, str], str]] = {
    "within": _within,
    "at_most": _at_most,
    "equals": _equals,
    "contains": _contains,
    "absent": _absent,
}
