"""Judges whether a session kept the budgets of its pipeline file (``budgets:``).

A quantile is judged over all turns (or interrupts) that have the figure. A turn without sound has none. Each turn is
also judged by itself, against the widest bound of the budget, to show which turn was slow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.clock import whole_ms
from flowkit.config.budgets import PARTS, Budgets, Parts, Quantiles
from flowkit.figures.cost import money
from flowkit.figures.report import Report, TurnReport, quantile
from flowkit.options import format_duration
from flowkit.plural import counted

_SHARES = {"p50": 0.5, "p95": 0.95, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one budget."""

    name: str
    """Such as ``ttfa.p95``."""
    bound_us: int
    value_us: int
    count: int
    """How many figures the value was computed from."""
    one: str
    """What each of them belongs to, such as ``turn``."""

    @property
    def kept(self) -> bool:
        """Whether the value is within the bound."""
        return self.value_us <= self.bound_us

    def __str__(self) -> str:
        value, bound = f"{whole_ms(self.value_us)} ms", f"{whole_ms(self.bound_us)} ms"
        return f"{_told(self.name, value, bound, kept=self.kept)} ({counted(self.count, self.one)})"


@dataclass(frozen=True, slots=True)
class CostVerdict:
    """The result for one budget of money."""

    name: str
    """Such as ``cost.per_minute``."""
    bound: float
    value: float
    currency: str

    @property
    def kept(self) -> bool:
        """Whether the value is within the bound."""
        return self.value <= self.bound

    def __str__(self) -> str:
        value, bound = money(self.value, self.currency), money(self.bound, self.currency)
        return _told(self.name, value, bound, kept=self.kept)


def _told(name: str, value: str, bound: str, *, kept: bool) -> str:
    return f"budget {name}: {value}, {'within' if kept else 'over'} the budget of {bound}"


def judge(report: Report, settings: Mapping[str, Any]) -> list[Verdict | CostVerdict]:
    """A verdict for each budget that there are figures for. `settings` are those of a plan."""
    budgets = settings.get("budgets")
    if not isinstance(budgets, Budgets):
        return []
    verdicts: list[Verdict | CostVerdict] = []
    for name, one, quantiles, values_us in _figures(report, budgets):
        ordered = sorted(values_us)
        for short, share in _SHARES.items():
            bound_us = getattr(quantiles, short)
            if bound_us is not None and ordered:
                verdicts.append(Verdict(f"{name}.{short}", bound_us, quantile(ordered, share), len(ordered), one))
    return [*verdicts, *_costs(report, budgets)]


def _costs(report: Report, budgets: Budgets) -> Iterator[CostVerdict]:
    if report.cost is None:
        return
    turns = [turn.cost.whole.amount for turn in report.turns if turn.cost is not None]
    values = {"per_minute": report.cost_a_minute, "per_turn": max(turns, default=None)}
    for name, value in values.items():
        bound = getattr(budgets.cost, name)
        if bound is not None and value is not None:
            yield CostVerdict(f"cost.{name}", bound, value, report.cost.currency)


def over(turn: TurnReport, settings: Mapping[str, Any]) -> list[str]:
    """The figures of `turn` that are over their budget, as texts such as ``ttfa 912 ms > 900ms``."""
    budgets = settings.get("budgets")
    if not isinstance(budgets, Budgets):
        return []
    return [*_slow(turn, budgets), *_dear(turn, budgets)]


def _slow(turn: TurnReport, budgets: Budgets) -> Iterator[str]:
    if turn.ttfa_us is None or turn.parts_us is None:
        return
    figures = [("ttfa", budgets.ttfa, turn.ttfa_us)]
    figures += [(part, getattr(budgets.parts, part), us) for part, us in zip(PARTS, turn.parts_us, strict=True)]
    for name, quantiles, us in figures:
        bound_us = widest(quantiles)
        if bound_us is not None and us > bound_us:
            yield f"{name} {whole_ms(us)} ms > {format_duration(bound_us)}"


def _dear(turn: TurnReport, budgets: Budgets) -> Iterator[str]:
    bound = budgets.cost.per_turn
    if bound is not None and turn.cost is not None and turn.cost.whole.amount > bound:
        yield f"cost {money(turn.cost.whole.amount, turn.cost.currency)} > {bound:g}"


def widest(quantiles: Quantiles) -> int | None:
    """The bound that each single turn must keep: the maximum, else p95, else p50. None if there is no bound."""
    return next((us for us in (quantiles.max, quantiles.p95, quantiles.p50) if us is not None), None)


def _figures(report: Report, budgets: Budgets) -> Iterator[tuple[str, str, Quantiles, Sequence[int]]]:
    """(name, what has such a figure, bounds, values) for each budget."""
    yield "ttfa", "turn", budgets.ttfa, [turn.ttfa_us for turn in report.turns if turn.ttfa_us is not None]
    for index, part in enumerate(PARTS):
        values_us = [turn.parts_us[index] for turn in report.turns if turn.parts_us is not None]
        assert part in Parts.model_fields
        yield f"parts.{part}", "turn", getattr(budgets.parts, part), values_us
    yield "greeting", "greeting", budgets.greeting, [us for us in (report.greeting_us,) if us is not None]
    interrupts = report.interrupts
    yield (
        "decision_to_silence",
        "interrupt",
        budgets.decision_to_silence,
        [i.decision_to_silence_us for i in interrupts],
    )
    spoken = [i.speech_to_silence_us for i in interrupts if i.speech_to_silence_us is not None]
    yield "speech_to_silence", "interrupt", budgets.speech_to_silence, spoken
