"""The figures of a session, as `run`, `replay`, `test` and every report show them. Times are integer microseconds here and
milliseconds in JSON; None is "there was none", never 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.clock import ms
from flowkit.config.budgets import PARTS


def _ms(us: int | None) -> float | None:
    return None if us is None else ms(us)


@dataclass(frozen=True, slots=True)
class ClauseReport:
    """A clause as the chunker cut it, at `t_us`. `modelled`: its audio was not recorded but modelled."""

    text: str
    tokens: int
    reason: str
    t_us: int
    modelled: bool = False

    def to_json(self) -> dict[str, Any]:
        known = {"text": self.text, "tokens": self.tokens, "reason": self.reason, "t_ms": ms(self.t_us)}
        return {**known, "modelled": True} if self.modelled else known


@dataclass(frozen=True, slots=True)
class TurnReport:
    """One turn. `parts_us` has a value for each of PARTS, which add up to `ttfa_us`; both are None if nothing sounded.
    `agent` is what was generated, `heard` what was played of it. `modelled`: a figure of it rests on modelled answers.
    `revoked`: clauses that the voice was given on a guess and in vain, and `revoked_chars`, how much it was to say."""

    turn: int
    user: str
    agent: str
    heard: str
    end_reason: str
    started_us: int
    ttfa_us: int | None
    parts_us: tuple[int, ...] | None
    clauses: tuple[ClauseReport, ...] = ()
    modelled: bool = False
    revoked: int = 0
    revoked_chars: int = 0

    def to_json(self) -> dict[str, Any]:
        parts = None if self.parts_us is None else {name: ms(us) for name, us in zip(PARTS, self.parts_us, strict=True)}
        known = {
            "turn": self.turn,
            "user": self.user,
            "agent": self.agent,
            "heard": self.heard,
            "end_reason": self.end_reason,
            "ttfa_ms": _ms(self.ttfa_us),
            "parts_ms": parts,
            "clauses": [clause.to_json() for clause in self.clauses],
        }
        if self.revoked:
            known["revoked"] = {"clauses": self.revoked, "characters": self.revoked_chars}
        return {**known, "modelled": True} if self.modelled else known


@dataclass(frozen=True, slots=True)
class InterruptReport:
    """One interrupt, decided at `t_us`. `speech_to_silence_us` is None if nothing sounded when the user began."""

    turn: int
    t_us: int
    speech_to_silence_us: int | None
    decision_to_silence_us: int
    stale_frames: int
    tokens: int
    clauses: int
    frames: int

    def to_json(self) -> dict[str, Any]:
        return {
            "turn": self.turn,
            "t_ms": ms(self.t_us),
            "speech_to_silence_ms": _ms(self.speech_to_silence_us),
            "decision_to_silence_ms": ms(self.decision_to_silence_us),
            "stale_frames": self.stale_frames,
            "discarded": {"tokens": self.tokens, "clauses": self.clauses, "frames": self.frames},
        }


@dataclass(frozen=True, slots=True)
class QueueReport:
    """The queue before a stage: the fullest of its edges, what all of them dropped, how long their senders were held."""

    stage: str
    max: int
    when_full: str
    high_water: int
    dropped: int
    blocked_us: int

    def to_json(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "max": self.max,
            "when_full": self.when_full,
            "high_water": self.high_water,
            "dropped": self.dropped,
            "blocked_ms": ms(self.blocked_us),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A whole session. `level`: live, exact, simulated or what_if. `notices`: what a reader must know of these figures."""

    trace: str = ""
    level: str = "live"
    digest: str = ""
    messages: int = 0
    audio_us: int = 0
    wall_us: int = 0
    turns: tuple[TurnReport, ...] = ()
    interrupts: tuple[InterruptReport, ...] = ()
    queues: tuple[QueueReport, ...] = ()
    modelled_share: float = 0.0
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object that ``--format json`` prints."""
        known = {
            "flowkit": 1,
            "trace": self.trace,
            "level": self.level,
            "digest": self.digest,
            "messages": self.messages,
            "audio_s": round(self.audio_us / 1e6, 3),
            "wall_s": round(self.wall_us / 1e6, 6),
            "modelled_share": round(self.modelled_share, 4),
            "turns": [turn.to_json() for turn in self.turns],
            "interrupts": [interrupt.to_json() for interrupt in self.interrupts],
            "queues": [queue.to_json() for queue in self.queues],
            "summary": {"ttfa_ms": summary([turn.ttfa_us for turn in self.turns])},
        }
        return {**known, "notices": list(self.notices)} if self.notices else known


def summary(values_us: Sequence[int | None]) -> dict[str, float | None]:
    """p50, p95 and max in milliseconds of those that are there; all None if none is."""
    known = sorted(us for us in values_us if us is not None)
    if not known:
        return {"p50": None, "p95": None, "max": None}
    return {"p50": ms(quantile(known, 0.5)), "p95": ms(quantile(known, 0.95)), "max": ms(known[-1])}


def quantile(ordered: Sequence[int], share: float) -> int:
    """The value at `share` of an ordered, non-empty sequence, between neighbours in proportion."""
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (ordered[above] - ordered[below]) * (at - below))
