"""The figures of a session, as `run`, `replay`, `test` and every report show them.

Times are integer microseconds here and milliseconds in JSON. None means that there is no such figure; it is never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowkit.clock import ms
from flowkit.config.budgets import PARTS
from flowkit.figures.cost import Cost, a_minute, session_json
from flowkit.figures.outlook import Outlook, TurnOdds
from flowkit.figures.records import TurnEnding


def _ms(us: int | None) -> float | None:
    return None if us is None else ms(us)


def spoken_note(text: str, spoken: str) -> str:
    """How a clause is spoken, if that differs from its text by more than white space; else an empty string."""
    if text.split() == spoken.split():
        return ""
    return f"spoken: {' '.join(spoken.split())}" if spoken.strip() else "not spoken"


@dataclass(frozen=True, slots=True)
class ClauseReport:
    """A clause that the chunker cut at `t_us`. `modelled`: its audio is modelled and not recorded."""

    text: str
    """What the model wrote."""
    spoken: str
    """What TTS was given for it. Empty: nothing."""
    tokens: int
    reason: str
    t_us: int
    modelled: bool = False

    @property
    def note(self) -> str:
        """How the clause is spoken, if not as it is written."""
        return spoken_note(self.text, self.spoken)

    def to_json(self) -> dict[str, Any]:
        """The clause in a report's JSON."""
        known = {"text": self.text, "tokens": self.tokens, "reason": self.reason, "t_ms": ms(self.t_us)}
        if self.note:
            known["spoken"] = self.spoken
        return {**known, "modelled": True} if self.modelled else known


@dataclass(frozen=True, slots=True)
class EarlyReport:
    """What it brought and cost that a turn was answered before it was over."""

    tries: int
    """How many answers were begun early."""
    saved_us: int
    """How much later the first sound would have come without. 0: none of them was the answer."""
    tokens: int
    """Tokens of those that were given up."""
    characters: int
    """Characters of their texts that the voice was given."""

    def to_json(self) -> dict[str, Any]:
        """The ledger in a report's JSON."""
        return {
            "tries": self.tries,
            "saved_ms": ms(self.saved_us),
            "tokens": self.tokens,
            "characters": self.characters,
        }


@dataclass(frozen=True, slots=True)
class TurnReport:
    """The figures of one turn."""

    turn: int
    """Its number, from 1."""
    user: str
    """The text of the utterance."""
    agent: str
    """The reply that was generated."""
    heard: str
    """The part of it that was played."""
    end_reason: str
    """``completed``, ``interrupted``, ``error`` or ``session_closed``."""
    started_us: int
    """When the user's voice ended, or the line was typed."""
    ttfa_us: int | None
    """Time to first audio. None: nothing sounded."""
    parts_us: tuple[int, ...] | None
    """A time for each of PARTS. Their sum is `ttfa_us`. None: nothing sounded."""
    clauses: tuple[ClauseReport, ...] = ()
    """What TTS was given, in order."""
    modelled: bool = False
    """Whether a figure of the turn depends on a modelled answer."""
    assumed: bool = False
    """Whether the turn is that of an injected fault, or comes after it, so that no recording holds it."""
    answer_us: int | None = None
    """From the end of the user's voice to the first words about a tool's outcome. None: there were none."""
    revoked: int = 0
    """How many provisional clauses were sent to TTS and revoked."""
    revoked_chars: int = 0
    """Length of their spoken texts."""
    ending: TurnEnding | None = None
    """Why the user's turn was taken to be over, if a predictor or its length had a part in that."""
    cost: Cost | None = None
    """What it costs. None: no provider has a price."""
    odds: TurnOdds | None = None
    """How likely the turn is, if it is predicted and might be otherwise."""
    spoken: tuple[tuple[int, int], ...] = ()
    """The first and last voiced frame of each piece of speech that it answers. Empty: nobody asked for it."""

    @property
    def marks(self) -> str:
        """What a reader must know about the figures, in brackets behind them; empty if they are certain."""
        known = [*(["modelled"] if self.modelled else []), *(["after a fault"] if self.assumed else [])]
        known += [str(self.odds)] if self.odds else []
        return f" ({'; '.join(known)})" if known else ""

    early: EarlyReport | None = None
    """What came of answers that were begun before it was over. None: there were none."""

    def to_json(self) -> dict[str, Any]:
        """The turn in a report's JSON."""
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
        if self.answer_us is not None:
            known["answer_ms"] = ms(self.answer_us)
        if self.ending is not None:
            known["user_turn_ended"] = self.ending._asdict()
        if self.cost is not None:
            known["cost"] = self.cost.to_json()
        if self.odds is not None:
            known["odds"] = self.odds.to_json()
        if self.early is not None:
            known["preempt"] = self.early.to_json()
        if self.revoked:
            known["revoked"] = {"clauses": self.revoked, "characters": self.revoked_chars}
        if self.assumed:
            known["assumed"] = True
        return {**known, "modelled": True} if self.modelled else known


@dataclass(frozen=True, slots=True)
class ToolReport:
    """One tool call of turn `turn`, made at `t_us`."""

    turn: int
    t_us: int
    id: str
    name: str
    arguments: str
    """As the model wrote them."""
    status: str
    """A ToolStatus; ``running`` if the session ended first."""
    content: str
    """The outcome, as the model reads it."""
    took_us: int | None
    """From the call to its outcome."""
    interrupted: bool = False
    """Whether the reply was interrupted while it ran."""

    def to_json(self) -> dict[str, Any]:
        """The call in a report's JSON."""
        return {
            "turn": self.turn,
            "t_ms": ms(self.t_us),
            "id": self.id,
            "name": self.name,
            "arguments": self.arguments,
            "status": self.status,
            "content": self.content,
            "took_ms": _ms(self.took_us),
            "interrupted": self.interrupted,
        }


@dataclass(frozen=True, slots=True)
class InterruptReport:
    """The figures of one interrupt."""

    turn: int
    t_us: int
    """When the gate sent it."""
    speech_to_silence_us: int | None
    """From the begin of the user's speech. None: nothing sounded then."""
    decision_to_silence_us: int
    stale_frames: int
    """Frames of audio that reached the speaker's stage after the interrupt and were not played."""
    tokens: int
    """How many tokens were discarded, as for `clauses` and `frames` of audio."""
    clauses: int
    frames: int

    def to_json(self) -> dict[str, Any]:
        """The interrupt in a report's JSON."""
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
    """The figures of the queue before a stage. A stage may have several bounded edges."""

    stage: str
    max: int
    when_full: str
    high_water: int
    """The highest level of any of its edges."""
    dropped: int
    """How many messages its edges dropped together."""
    blocked_us: int
    """How long its senders had to wait together."""

    def to_json(self) -> dict[str, Any]:
        """The queue in a report's JSON."""
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
    """The figures of a whole session."""

    trace: str = ""
    """Name of the trace; empty for a session that is not recorded."""
    level: str = "live"
    """``live``, ``exact``, ``simulated`` or ``what_if``."""
    digest: str = ""
    """Digest of the journal; empty for a session that is not recorded."""
    messages: int = 0
    """How many rows the journal has."""
    audio_us: int = 0
    """Length of the input."""
    wall_us: int = 0
    """How long the replay took."""
    turns: tuple[TurnReport, ...] = ()
    interrupts: tuple[InterruptReport, ...] = ()
    tools: tuple[ToolReport, ...] = ()
    queues: tuple[QueueReport, ...] = ()
    modelled_share: float = 0.0
    """Share of the clauses whose audio is modelled, 0 to 1."""
    notices: tuple[str, ...] = ()
    """What a reader should know about these figures."""
    injected: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The injected faults, as they are written, and the turns in which each has done something."""
    outlook: Outlook | None = None
    """How sure a prediction is. None: the figures are not predicted."""
    lasted_us: int = 0
    """From the session's start to its last message."""
    cost: Cost | None = None
    """What it costs. None: no provider has a price."""

    @property
    def cost_a_minute(self) -> float | None:
        """In the currency of `cost`. None: no provider has a price, or nothing happened."""
        return None if self.cost is None else a_minute(self.cost, self.lasted_us)

    @property
    def greeting_us(self) -> int | None:
        """From the session's begin to the first audio of its greeting. None: it had none."""
        first = next(iter(self.turns), None)
        return None if first is None or first.user or first.started_us else first.ttfa_us

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
            **({"tools": [tool.to_json() for tool in self.tools]} if self.tools else {}),
            "queues": [queue.to_json() for queue in self.queues],
            "summary": {"ttfa_ms": summary([turn.ttfa_us for turn in self.turns])},
        }
        if self.cost is not None:
            known["cost"] = session_json(self.cost, self.lasted_us)
        if self.injected:
            known["injected"] = [{"fault": written, "turns": list(hit)} for written, hit in self.injected.items()]
        if self.outlook is not None:
            known["outlook"] = self.outlook.to_json()
        return {**known, "notices": list(self.notices)} if self.notices else known


def summary(values_us: Sequence[int | None]) -> dict[str, float | None]:
    """p50, p95 and maximum of `values_us` in milliseconds, without the Nones. All None if there are no values."""
    known = sorted(us for us in values_us if us is not None)
    if not known:
        return {"p50": None, "p95": None, "max": None}
    return {"p50": ms(quantile(known, 0.5)), "p95": ms(quantile(known, 0.95)), "max": ms(known[-1])}


def quantile(ordered: Sequence[int], share: float) -> int:
    """The quantile `share` (0 to 1) of a sorted, non-empty sequence, interpolated linearly."""
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (ordered[above] - ordered[below]) * (at - below))
