"""The result of a bench, as lines and as JSON: silence alone, the policies of the grid, the settings in use, and the floor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.clock import whole_ms
from flowkit.errors import UsageError
from flowkit.plan.graph import Plan
from flowkit.plural import counted
from flowkit.stages.endpointing import Endpointing
from flowkit.testing.turns.floor import FloorOutcome, FloorResult
from flowkit.testing.turns.listening import HeardRecording
from flowkit.testing.turns.policies import (
    JudgedTurn,
    Policy,
    PolicyOutcome,
    alone,
    best,
    grid,
    judged,
    name_of,
    share_at,
)

WITHIN_MS = (300, 400, 500, 600, 700, 800, 900, 1000)
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Harm:
    """Where a predictor made it worse than the silence `unsure` alone: a pause that it cut, or a turn that waited longer."""

    recording: str
    what: str
    by: str
    p: float
    said: str

    def __str__(self) -> str:
        return f"{self.recording}: {self.what} by {self.by} {self.p:.2f}: {self.said[-60:]!r}"


@dataclass(frozen=True, slots=True)
class Result:
    """What one pipeline does on the recordings."""

    title: str
    alone: tuple[PolicyOutcome, ...]
    grid: tuple[PolicyOutcome, ...]
    """Empty if the pipeline has no predictor."""
    in_use: PolicyOutcome
    harms: tuple[Harm, ...]
    floor: FloorResult | None = None
    """None if no interruption is labelled."""

    def lines(self) -> Iterator[str]:
        """The tables, for people."""
        use = self.in_use
        yield f"{self.title}: {counted(len(use.turns), 'turn')}, {counted(use.pauses, 'pause')} inside them"
        if use.turns:
            yield from self._turns()
        if self.floor is not None:
            yield from self.floor.lines()

    def _turns(self) -> Iterator[str]:
        use = self.in_use
        yield _head("silence alone")
        yield from map(_line, self.alone)
        if self.grid:
            yield f"{_head('fewest cuts within a mean delay')}  silence alone"
            yield from self._within()
        yield "in use"
        yield self._line_beside(use)
        kinds = [f"{kind} {cut} of {all_}" for kind, (cut, all_) in use.by_kind().items() if kind]
        if kinds:
            yield f"  pauses cut, by kind: {', '.join(kinds)}"
        if self.harms:
            yield f"  worse than {whole_ms(unsure_of(use.policy))} ms of silence alone: {len(self.harms)}"
            yield from (f"    {harm}" for harm in self.harms[:_SHOWN])

    def _within(self) -> Iterator[str]:
        for within_ms in WITHIN_MS:
            if (found := best((*self.grid, *self.alone), within_ms)) is not None:
                yield self._line_beside(found)

    def _line_beside(self, outcome: PolicyOutcome) -> str:
        share = share_at(self.alone, outcome.mean_ms)
        return f"{_line(outcome)}  {'' if share is None else f'{share:.1%}'}"

    def to_json(self) -> dict[str, Any]:
        """All outcomes. `alone_share`: what silence alone cuts at the same mean delay."""
        within = {str(ms): self._beside(found) for ms in WITHIN_MS if (found := best((*self.grid, *self.alone), ms))}
        return {
            "title": self.title,
            "alone": [outcome.to_json() for outcome in self.alone],
            "grid": [outcome.to_json() for outcome in self.grid],
            "within": within,
            "in_use": self._beside(self.in_use),
            "harms": [
                {"recording": h.recording, "what": h.what, "by": h.by, "p": h.p, "said": h.said} for h in self.harms
            ],
            "floor": self.floor.to_json() if self.floor is not None else None,
        }

    def _beside(self, outcome: PolicyOutcome) -> dict[str, Any]:
        share = share_at(self.alone, outcome.mean_ms)
        return outcome.to_json() | {"alone_share": None if share is None else round(share, 4)}


def _head(title: str) -> str:
    return f"{title:<36}{'cut':>14}{'mean ms':>9}{'p50':>6}{'p90':>6}{'missed':>8}"


def _line(outcome: PolicyOutcome) -> str:
    cut = f"{outcome.cut} of {outcome.pauses} {outcome.share:.1%}"
    times = f"{outcome.mean_ms:>9.0f}{outcome.quantile_ms(0.5):>6.0f}{outcome.quantile_ms(0.9):>6.0f}"
    return f"  {outcome.policy.name:<34}{cut:>14}{times}{outcome.missed:>8}"


def measured(
    title: str, plan: Plan, heard: Sequence[HeardRecording], interrupted: Sequence[FloorOutcome] = ()
) -> Result:
    """Judge silence alone, the grid and the plan's own settings. Raises UsageError if the plan has no VAD."""
    vad = plan.only("vad")
    if vad is None or not isinstance(vad.options, Endpointing.Options):
        raise UsageError(f"{plan.name} has no VAD")
    options, predicts = vad.options, any(stage.kind == "turn" for stage in plan.stages)
    in_use = judged(Policy(name_of(options.end), options.end), heard, options)
    return Result(
        title,
        tuple(judged(policy, heard, options) for policy in alone()),
        tuple(judged(policy, heard, options) for policy in grid()) if predicts else (),
        in_use,
        tuple(_harms(in_use, judged(Policy("", unsure_of(in_use.policy)), heard, options), heard)) if predicts else (),
        FloorResult(tuple(interrupted)) if interrupted else None,
    )


def unsure_of(policy: Policy) -> int:
    """The silence of a policy where nothing is known."""
    return policy.end if isinstance(policy.end, int) else policy.end.unsure


def _harms(used: PolicyOutcome, unsure: PolicyOutcome, heard: Iterable[HeardRecording]) -> Iterator[Harm]:
    texts = {one.recording.path.name: one for one in heard}
    for mine, plain in zip(used.turns, unsure.turns, strict=True):
        spared = {pause for pause, _, _ in plain.cuts}
        for pause, at_us, end in mine.cuts:
            if pause not in spared:
                yield Harm(mine.recording, "pause cut", end.by, end.p, texts[mine.recording].said_at(at_us))
        if _longer(mine, plain) and mine.end is not None and mine.delay_us is not None and plain.delay_us is not None:
            at_us = round(mine.turn.ends * 1_000_000) + mine.delay_us
            more = f"waited {whole_ms(mine.delay_us - plain.delay_us)} ms more"
            yield Harm(mine.recording, more, mine.end.by, mine.end.p, texts[mine.recording].said_at(at_us))


def _longer(mine: JudgedTurn, plain: JudgedTurn) -> bool:
    return mine.delay_us is not None and plain.delay_us is not None and mine.delay_us > plain.delay_us
