"""Budget arithmetic: numbers that contradict each other, or that are less than the pipeline must take."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from flowkit.config import Config, Problem
from flowkit.config.budgets import Budgets, CostBudget, Parts, Quantiles
from flowkit.config.problems import Path
from flowkit.options import format_duration
from flowkit.stages.endpointing import Endpointing, least

_QUANTILES = ("p50", "p95", "max")


def check_budgets(config: Config) -> list[Problem]:
    """A p95 below the p50, parts longer than the whole, and less time than the VAD's own silence."""
    budgets: Budgets = config.top.budgets
    problems: list[Problem] = []
    for path, quantiles in _all(budgets):
        problems += _rising(config, path, quantiles)
    problems += _parts(config, budgets)
    return [*problems, *_silence(config, budgets), *_unpriced(config, budgets)]


def _all(budgets: Budgets) -> Iterator[tuple[Path, Quantiles]]:
    for name in ("ttfa", "greeting", "decision_to_silence", "speech_to_silence"):
        yield ("budgets", name), getattr(budgets, name)
    for name in Parts.model_fields:
        yield ("budgets", "parts", name), getattr(budgets.parts, name)


def _rising(config: Config, path: Path, quantiles: Quantiles) -> Iterator[Problem]:
    given = [(name, value) for name in _QUANTILES if (value := getattr(quantiles, name)) is not None]
    for (low, less), (high, more) in itertools.pairwise(given):
        if less > more:
            where = (*path, high)
            what = f"{high} must be at least {low}, which is {format_duration(less)}"
            yield Problem("FK124", config.at(where), where, what, format_duration(more))


def _parts(config: Config, budgets: Budgets) -> Iterator[Problem]:
    for name in _QUANTILES:
        whole = getattr(budgets.ttfa, name)
        parts = {part: value for part in Parts.model_fields if (value := getattr(getattr(budgets.parts, part), name))}
        total = sum(parts.values())
        if whole is None or total <= whole:
            continue
        where: Path = ("budgets", "ttfa", name)
        what = f"the parts add up to {format_duration(total)} ({' + '.join(parts)}), more than the whole"
        yield Problem("FK124", config.at(where), where, what, format_duration(whole))


def _unpriced(config: Config, budgets: Budgets) -> Iterator[Problem]:
    """A budget for a cost that nothing adds to."""
    if any(candidate.call.price is not None for stage in config.stages for candidate in stage.candidates):
        return
    for name in CostBudget.model_fields:
        if getattr(budgets.cost, name) is not None:
            where: Path = ("budgets", "cost", name)
            help = "add one to the llm, asr or tts: price: {input: 0.59, output: 0.79}"
            yield Problem("FK124", config.at(where), where, "no provider has a price, so nothing is counted", help=help)


def _silence(config: Config, budgets: Budgets) -> Iterator[Problem]:
    """Endpointing waits for the VAD's `end` of silence before anything else can begin."""
    waits = [least(s.options.end) for s in config.stages if isinstance(s.options, Endpointing.Options)]
    gates = [getattr(s.options, "release", None) for s in config.stages if s.kind == "gate"]
    if not waits or "end_of_utterance" not in gates:
        return
    wanted: list[tuple[Path, Quantiles]] = [(("budgets", "ttfa"), budgets.ttfa)]
    wanted.append((("budgets", "parts", "endpointing"), budgets.parts.endpointing))
    for path, quantiles in wanted:
        for name in _QUANTILES:
            value = getattr(quantiles, name)
            if value is not None and value < min(waits):
                where = (*path, name)
                what = f"cannot be met: the VAD alone waits {format_duration(min(waits))} for the utterance to end"
                help = "lower the vad's end:, or raise the budget"
                yield Problem("FK124", config.at(where), where, what, format_duration(value), help)
