from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowkit.config.budgets import PARTS, Budgets
from flowkit.figures.report import InterruptReport, Report, TurnReport
from flowkit.report.budgets import judge, over


def turn(number: int, ttfa_us: int | None) -> TurnReport:
    parts_us = None if ttfa_us is None else (ttfa_us, *[0] * (len(PARTS) - 1))
    return TurnReport(number, "", "", "", "completed", 0, ttfa_us, parts_us)


def report(*ttfas_us: int | None, interrupts: Sequence[InterruptReport] = ()) -> Report:
    turns = tuple(turn(i + 1, us) for i, us in enumerate(ttfas_us))
    return Report("", "live", "", 0, 0, 0, turns, tuple(interrupts), ())


def settings(**blocks: Any) -> dict[str, Any]:
    return {"budgets": Budgets.model_validate(blocks)}


def test_each_quantile_is_judged_over_the_turns_that_spoke() -> None:
    verdicts = judge(report(500_000, None, 700_000), settings(ttfa={"p50": "600ms", "max": "650ms"}))
    assert [(v.name, v.value_us, v.count, v.kept) for v in verdicts] == [
        ("ttfa.p50", 600_000, 2, True),
        ("ttfa.max", 700_000, 2, False),
    ]
    assert str(verdicts[0]) == "budget ttfa.p50: 600 ms, within the budget of 600 ms (2 turns)"
    assert str(verdicts[1]) == "budget ttfa.max: 700 ms, over the budget of 650 ms (2 turns)"
    (one,) = judge(report(500_000), settings(ttfa={"p50": "600ms"}))
    assert str(one).endswith("(1 turn)")


def test_nothing_measured_is_nothing_judged() -> None:
    assert judge(report(None), settings(ttfa={"p50": "1ms"}, decision_to_silence={"max": "1ms"})) == []
    assert judge(report(5), {}) == []


def test_parts_and_silences_are_judged_too() -> None:
    stopped = InterruptReport(1, 0, 250_000, 30_000, 0, 0, 0, 0)
    quiet = InterruptReport(2, 0, None, 0, 0, 0, 0, 0)
    blocks = settings(
        parts={"endpointing": {"max": "400ms"}}, decision_to_silence={"max": "40ms"}, speech_to_silence={"p95": "200ms"}
    )
    verdicts = judge(report(500_000, interrupts=(stopped, quiet)), blocks)
    assert [(v.name, v.count, v.kept) for v in verdicts] == [
        ("parts.endpointing.max", 1, False),
        ("decision_to_silence.max", 2, True),
        ("speech_to_silence.p95", 1, False),
    ]


def test_a_turn_is_held_against_the_widest_bound() -> None:
    assert over(turn(1, 650_000), settings(ttfa={"p50": "600ms", "p95": "700ms"})) == []
    assert over(turn(1, 750_000), settings(ttfa={"p50": "600ms", "p95": "700ms"})) == ["ttfa 750 ms > 700ms"]
    assert over(turn(1, None), settings(ttfa={"max": "1ms"})) == []


@given(st.lists(st.integers(0, 10_000_000), min_size=1), st.integers(1, 10_000))
def test_a_maximum_is_kept_just_when_every_turn_keeps_it(ttfas_us: list[int], bound_ms: int) -> None:
    blocks = settings(ttfa={"max": f"{bound_ms}ms"})
    told = report(*ttfas_us)
    (verdict,) = judge(told, blocks)
    assert verdict.kept == (max(ttfas_us) <= bound_ms * 1000)
    assert verdict.kept == (not any(over(one, blocks) for one in told.turns))
