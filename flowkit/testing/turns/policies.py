"""When turns would end with other settings: the VAD stage's own rule, run over what was heard.

Each policy is judged over all turns. An end within a pause of the turn, or while the user still speaks, cuts the turn off.
The delay is counted from the end of speech to the first end after it. What follows a cut is judged as if there had been
none, so that each pause counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from statistics import mean, median

from flowkit.clock import US_PER_S
from flowkit.messages import EndOfUtterance
from flowkit.stages.base import Emit
from flowkit.stages.endpointing import Endpointing, Silences
from flowkit.testing.turns.labels import UserTurn
from flowkit.testing.turns.listening import HeardRecording

ALONE_MS = (100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200)
_COMPLETE_MS = (100, 200, 400)
_UNSURE_MS = (120, 140, 160, 200, 250, 300, 400, 500, 600, 700, 800, 900)
"""Close together where a transcript may just come in time."""
_INCOMPLETE_MS = (700, 1000, 1200)
_LIMITS = ((0.6, 0.4), (0.7, 0.3), (0.8, 0.3), (0.9, 0.1))
_NOTICED_US = 100_000
"""A VAD notices a voice so much later at most. An end until then still belongs to the pause."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings that decide when a turn ends."""

    name: str
    end: int | Silences


@dataclass(frozen=True, slots=True)
class JudgedTurn:
    """What became of one turn: the ends that cut it off, by pause (None: not in a pause), and its true end."""

    recording: str
    turn: UserTurn
    cuts: tuple[tuple[int | None, int, EndOfUtterance], ...]
    delay_us: int | None
    """None: the turn did not end within the recording."""
    end: EndOfUtterance | None


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What a policy did to all turns."""

    policy: Policy
    turns: tuple[JudgedTurn, ...] = field(repr=False)

    @property
    def pauses(self) -> int:
        """How many pauses there are inside turns."""
        return sum(len(ending.turn.pauses) for ending in self.turns)

    @property
    def cut(self) -> int:
        """How many of them were taken for the end."""
        return sum(len({pause for pause, _, _ in ending.cuts if pause is not None}) for ending in self.turns)

    @property
    def cut_elsewhere(self) -> int:
        """How often a turn was ended while the labels say that the user speaks."""
        return sum(pause is None for ending in self.turns for pause, _, _ in ending.cuts)

    @property
    def share(self) -> float:
        """The share of pauses that were cut, 0 to 1."""
        return self.cut / self.pauses if self.pauses else 0.0

    @property
    def delays_ms(self) -> list[float]:
        """The delays of turns that ended, in milliseconds, sorted."""
        return sorted(ending.delay_us / 1000 for ending in self.turns if ending.delay_us is not None)

    @property
    def mean_ms(self) -> float:
        return mean(self.delays_ms or [0.0])

    @property
    def missed(self) -> int:
        """How many turns did not end within the recording."""
        return sum(ending.delay_us is None for ending in self.turns)

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """For each kind of pause: how many were cut, of how many."""
        counts: dict[str, tuple[int, int]] = {}
        for ending in self.turns:
            cut = {pause for pause, _, _ in ending.cuts}
            for place, kind in enumerate(ending.turn.kinds or [""] * len(ending.turn.pauses)):
                some, all_ = counts.get(kind, (0, 0))
                counts[kind] = (some + (place in cut), all_ + 1)
        return counts

    def quantile_ms(self, share: float) -> float:
        delays = self.delays_ms
        return delays[min(len(delays) - 1, int(share * len(delays)))] if delays else 0.0

    def to_json(self) -> dict[str, object]:
        """The figures, in milliseconds and shares."""
        delays = self.delays_ms
        return {
            "policy": self.policy.name,
            "pauses": self.pauses,
            "cut": self.cut,
            "cut_share": round(self.share, 4),
            "cut_elsewhere": self.cut_elsewhere,
            "turns": len(self.turns),
            "missed": self.missed,
            "mean_ms": round(self.mean_ms, 1),
            "p50_ms": round(median(delays), 1) if delays else None,
            "p90_ms": round(self.quantile_ms(0.9), 1),
            "by_kind": {kind: list(counts) for kind, counts in self.by_kind().items() if kind},
        }


def alone() -> Iterator[Policy]:
    """Silence alone."""
    yield from (Policy(name_of(ms * 1000), ms * 1000) for ms in ALONE_MS)


def grid() -> Iterator[Policy]:
    """Silences by how complete a turn seems."""
    for silences in product(_COMPLETE_MS, _UNSURE_MS, _INCOMPLETE_MS):
        if list(silences) == sorted(silences):
            yield from (_policy(*silences, *limits) for limits in _LIMITS)


def _policy(complete: int, unsure: int, incomplete: int, likely: float, unlikely: float) -> Policy:
    end = Silences.model_construct(
        complete=complete * 1000, unsure=unsure * 1000, incomplete=incomplete * 1000, likely=likely, unlikely=unlikely
    )
    return Policy(name_of(end), end)


def name_of(end: int | Silences) -> str:
    """The silences and limits in a few words."""
    if isinstance(end, int):
        return f"silence {end // 1000}ms"
    silences = "/".join(str(us // 1000) for us in (end.complete, end.unsure, end.incomplete))
    return f"{silences}ms at {end.likely:g}/{end.unlikely:g}"


def judged(policy: Policy, heard: Iterable[HeardRecording], options: Endpointing.Options) -> PolicyOutcome:
    """Run the VAD stage with the policy over all that was heard. `options`: its other settings."""
    stage_options = options.model_copy(update={"end": policy.end})
    return PolicyOutcome(policy, tuple(ending for one in heard for ending in _endings(one, stage_options)))


def _endings(heard: HeardRecording, options: Endpointing.Options) -> Iterator[JudgedTurn]:
    ends = list(_ends(heard, options))
    turns = heard.recording.turns
    for place, turn in enumerate(turns):
        until_us = _us(turns[place + 1].begins) if place + 1 < len(turns) else 1 << 62
        mine = [(us, end) for us, end in ends if _us(turn.begins) < us <= until_us]
        true = next(((us, end) for us, end in mine if us >= _us(turn.ends)), None)
        cuts = tuple((_pause(turn, us), us, end) for us, end in mine if us < _us(turn.ends))
        delay_us = None if true is None else true[0] - _us(turn.ends)
        yield JudgedTurn(heard.recording.path.name, turn, cuts, delay_us, true[1] if true else None)


def _us(at_s: float) -> int:
    return round(at_s * US_PER_S)


def _pause(turn: UserTurn, at_us: int) -> int | None:
    return next((n for n, (a, b) in enumerate(turn.pauses) if _us(a) < at_us <= _us(b) + _NOTICED_US), None)


def _ends(heard: HeardRecording, options: Endpointing.Options) -> Iterator[tuple[int, EndOfUtterance]]:
    """The ends of utterances as the stage would have declared them."""
    stage = Endpointing(options, heard.frame_us)
    state = stage.fresh()
    for at_us, message in heard.messages:
        for action in stage.step(state, message, at_us):
            if type(action) is Emit and isinstance(action.message, EndOfUtterance):
                yield at_us, action.message


def best(outcomes: Sequence[PolicyOutcome], within_ms: float) -> PolicyOutcome | None:
    """The outcome with the fewest cuts among those whose mean delay is at most `within_ms`."""
    fit = [outcome for outcome in outcomes if outcome.mean_ms <= within_ms]
    return min(fit, key=lambda outcome: (outcome.share, outcome.mean_ms), default=None)


def share_at(outcomes: Sequence[PolicyOutcome], mean_ms: float) -> float | None:
    """The share of cut pauses at a mean delay, between two outcomes of silence alone; None outside them."""
    known = sorted((outcome.mean_ms, outcome.share) for outcome in outcomes)
    for (a, p), (b, q) in pairwise(known):
        if a <= mean_ms <= b:
            return p if a == b else p + (q - p) * (mean_ms - a) / (b - a)
    return None
