"""What a session costs: what each provider call has used, at the prices of the pipeline file. No I/O.

This is the one place where money is computed. What a call has used is what its provider reports (``Usage``). A provider that
reports nothing is counted by the journal: the size of the request and its tokens, the characters of the clauses, the audio that
was heard. Such a count is an estimate, and so is what the reply of an interrupted call has cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from flowkit.clock import US_PER_S
from flowkit.figures.layout import Layout, StagePrice
from flowkit.figures.records import CallEnd, CallRecord, TurnRecord
from flowkit.history import size_of
from flowkit.messages import Ask, Usage

_MILLION = 1_000_000
_HOUR_US = 3_600 * US_PER_S


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage has used and what that costs."""

    used: Usage = field(default_factory=Usage)
    amount: float = 0.0
    speculation: float = 0.0
    """The part of `amount` for answers that were begun early, and clauses that were spoken ahead, and were given up."""
    retries: float = 0.0
    """The part of `amount` for attempts that failed."""

    def __add__(self, other: StageCost) -> StageCost:
        return StageCost(
            self.used + other.used,
            self.amount + other.amount,
            self.speculation + other.speculation,
            self.retries + other.retries,
        )

    def to_json(self) -> dict[str, Any]:
        """The stage's cost in a report's JSON, with the counts that are not 0."""
        counted: dict[str, float] = {name: count for name, count in self.used.counts.items() if count}
        if audio_us := counted.pop("audio_us", 0):
            counted["audio_s"] = round(audio_us / US_PER_S, 3)
        return {"cost": rounded(self.amount), **counted}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a turn or a session costs, by stage."""

    currency: str
    stages: dict[str, StageCost]

    @property
    def whole(self) -> StageCost:
        """All stages together."""
        return sum(self.stages.values(), StageCost())

    def __add__(self, other: Cost) -> Cost:
        ids = dict.fromkeys([*self.stages, *other.stages])
        none = StageCost()
        return Cost(self.currency, {id_: self.stages.get(id_, none) + other.stages.get(id_, none) for id_ in ids})

    def to_json(self) -> dict[str, Any]:
        """The cost in a report's JSON."""
        whole = self.whole
        return {
            "currency": self.currency,
            "total": rounded(whole.amount),
            "speculation": rounded(whole.speculation),
            "retries": rounded(whole.retries),
            "estimated": whole.used.estimated,
            "stages": {id_: stage.to_json() for id_, stage in self.stages.items()},
        }


def a_minute(cost: Cost, lasted_us: int) -> float | None:
    """What a minute costs, on average. None: no time has passed."""
    return cost.whole.amount * 60 * US_PER_S / lasted_us if lasted_us else None


def session_json(cost: Cost, lasted_us: int) -> dict[str, Any]:
    """The cost of a session in JSON."""
    minute = a_minute(cost, lasted_us)
    return {**cost.to_json(), "per_minute": None if minute is None else rounded(minute)}


def money(amount: float, currency: str = "") -> str:
    """An amount for people, such as ``0.0421 USD``."""
    digits = 2 if amount >= 10 else 4 if amount >= 0.01 else 6
    return f"{amount:.{digits}f} {currency}".rstrip()


class Prices:
    """Computes costs at the prices of a layout."""

    def __init__(self, layout: Layout) -> None:
        self._prices = {(rate.stage, rate.place): rate for rate in layout.prices}
        self._currency = layout.currency
        self._asr = layout.only("asr")

    def __bool__(self) -> bool:
        return bool(self._prices)

    def of_turn(self, turn: TurnRecord) -> Cost:
        """What a turn costs: its provider calls, and the audio that was heard for it."""
        cost = self.of_listening(turn.listened)
        for reply in turn.replies():
            cost += self.of_calls((*reply.calls.values(), *(reply.early.calls if reply.early else ())))
        return cost

    def of_calls(self, calls: Iterable[CallRecord]) -> Cost:
        """What provider calls cost."""
        return sum((Cost(self._currency, {call.stage: self._call(call)}) for call in calls), Cost(self._currency, {}))

    def of_listening(self, used: Iterable[Usage]) -> Cost:
        """What transcribing costs."""
        stages = {self._asr: sum((self._priced(self._asr, one) for one in used), StageCost())} if self._asr else {}
        return Cost(self._currency, stages)

    def _call(self, call: CallRecord) -> StageCost:
        attempts = [self._priced(call.stage, used) for used in used_by(call)]
        retries = sum(cost.amount for cost in attempts[:-1])
        whole = sum(attempts, StageCost(retries=retries))
        return replace(whole, speculation=whole.amount) if call.revoked else whole

    def _priced(self, stage: str, used: Usage) -> StageCost:
        rate = self._prices.get((stage, used.place))
        # What costs nothing is known exactly, however it was counted.
        return StageCost(used, _amount(rate, used)) if rate else StageCost(replace(used, estimated=False))


def used_by(call: CallRecord) -> list[Usage]:
    """What each attempt at the call has used, the last one last."""
    reported = list(call.reported.values())
    if not reported:
        return [_counted(call)]
    # Of the audio that they make, providers say nothing. What came is known, however they count.
    reported[-1] = replace(reported[-1], audio_us=reported[-1].audio_us or call.unreported_audio_us)
    # The provider could not report the reply of a call that was cancelled or broke off.
    if call.end is not CallEnd.DONE and call.unreported_tokens:
        whole = reported[-1].output_tokens + call.unreported_tokens
        reported[-1] = replace(reported[-1], output_tokens=whole, estimated=True)
    return reported


def _counted(call: CallRecord) -> Usage:
    if isinstance(call.request, Ask):
        return Usage(input_tokens=size_of(call.request), output_tokens=len(call.tokens), estimated=True)
    characters = sum(len(speak.text) for speak in call.fed)
    return Usage(characters=characters, audio_us=call.unreported_audio_us, estimated=True)


def _amount(rate: StagePrice, used: Usage) -> float:
    fresh = used.input_tokens - used.cached_tokens
    millions = fresh * rate.input + used.cached_tokens * rate.cached + used.output_tokens * rate.output
    return (millions + used.characters * rate.characters) / _MILLION + used.audio_us * rate.hour / _HOUR_US


def rounded(amount: float) -> float:
    """An amount as reports have it: to a billionth."""
    return round(amount, 9)


class Listened:
    """Counts what an ASR has used, between one release and the next."""

    def __init__(self) -> None:
        self._reported: dict[tuple[int, int], Usage] = {}
        self._before: dict[int, Usage] = {}
        """What was counted already, by the provider's place."""

    def used(self, call: int, used: Usage) -> None:
        """What the provider of this call reports."""
        self._reported[call, used.attempt] = used

    def since(self, heard_us: int) -> list[Usage]:
        """What was used since the last time this was asked. `heard_us`: length of the input so far."""
        found = self.unasked(heard_us)
        for used in found:
            self._before[used.place] = self._before.get(used.place, Usage()) + used
        return found

    def unasked(self, heard_us: int) -> list[Usage]:
        """The same, and the next ``since`` has it too."""
        now: dict[int, Usage] = {}
        for used in self._reported.values():
            now[used.place] = now.get(used.place, Usage()) + used
        if not now:
            now[0] = Usage(audio_us=heard_us, estimated=True)
        more = [replace(used - self._before.get(place, Usage()), place=place) for place, used in now.items()]
        return [used for used in more if any(used.counts.values())]
