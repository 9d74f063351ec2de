"""The figures of a session: TTFA and its parts, clauses, interrupts. No I/O.

`run`, `replay`, `test`, the live view and the reports all get their figures from here.

TTFA counts from the end of the user's last voiced frame, found by the fixed detector of ``reference``, to the first
frame of the reply that the device popped. A typed turn counts from the release of its line. The milestones between are
those of the first clause that was played (``milestones``). Each is taken as no earlier than the one before it. So work
that was done early by speculation costs nothing, and the parts add up to TTFA.

A filler is sound that the user hears, so TTFA may end with it. How long the user waited for what came of the tools is a
figure of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from flowkit.config.budgets import PARTS
from flowkit.engine import Row
from flowkit.figures.cost import Cost, Prices
from flowkit.figures.follower import Follower
from flowkit.figures.frames import VoiceEnd
from flowkit.figures.layout import Layout, layout_of
from flowkit.figures.milestones import Milestone, answer_us_of, milestones_of
from flowkit.figures.records import Ended, InterruptRecord, ToolRecord, TurnRecord
from flowkit.figures.reference import Reference
from flowkit.figures.report import (
    ClauseReport,
    EarlyReport,
    InterruptReport,
    QueueReport,
    Report,
    ToolReport,
    TurnReport,
)
from flowkit.figures.waits import with_waits
from flowkit.messages import Clause, Token
from flowkit.plan.graph import Plan

_NO_LEVELS = "no audio levels: TTFA counts from the pipeline's own last voiced frame"


def measure(
    rows: Iterable[Row],
    *,
    plan: Plan | Layout,
    voiced: Reference | None = None,
    trace: str = "",
    level: str = "live",
    digest: str = "",
    queues: Sequence[QueueReport] = (),
    modelled: frozenset[str] = frozenset(),
    events: Iterable[tuple[int, str, str]] = (),
) -> Report:
    """The figures of a whole session.

    Args:
        rows: its whole journal.
        plan: its plan, or its layout.
        voiced: the reference detector over the input. Without it the pipeline's own last voiced frame counts, and the
            report says so.
        trace, level, digest: copied into the report.
        queues: the queue figures, from the engine or from the trace.
        modelled: spoken texts whose audio is modelled and not recorded. Figures that depend on them are marked.
        events: (time, name, detail). With these, the device's own times count.
    """
    figures = Figures(plan if isinstance(plan, Layout) else layout_of(plan), voiced, modelled)
    for event in events:
        figures.event(*event)
    figures.rows(rows)
    return replace(figures.report(), trace=trace, level=level, digest=digest, queues=tuple(queues))


class Figures:
    """Computes a session's figures while its rows arrive. Of a turn that is over it keeps only the figures."""

    def __init__(self, layout: Layout, voiced: Reference | None = None, modelled: frozenset[str] = frozenset()) -> None:
        self.follower = Follower(layout)
        self._voiced = voiced
        self._frame_us = layout.frame_us
        self._modelled = modelled
        self._prices = Prices(layout)
        self._messages = 0
        self._turns: list[_Turn] = []
        self._spent = self._prices.of_calls(())
        """What those turns have cost."""
        self._tools: list[ToolReport] = []

    def rows(self, rows: Iterable[Row]) -> None:
        """Handle the next rows."""
        for row in rows:
            self.row(row)

    def row(self, row: Row) -> None:
        """Handle the next row."""
        self._messages += 1
        if ended := self.follower.row(row):
            self._keep(ended)

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Handle an event of a device."""
        self.follower.event(at_us, name, detail)

    def reference(self) -> Reference | None:
        """The reference detector over the input, or None if there is none."""
        return self._voiced

    def of_turn(self, turn: TurnRecord) -> TurnReport:
        """The figures of a turn so far."""
        return self._measured(turn).report(self.reference())

    def interrupts_of(self, turn: TurnRecord) -> list[InterruptReport]:
        """The interrupts of a turn so far."""
        return list(self._measured(turn).interrupts(self.reference(), self._frame_us))

    @property
    def cost(self) -> Cost | None:
        """What the session has cost so far: its turns, and what belongs to none yet. None: no provider has a price."""
        if not self._prices:
            return None
        turns, calls, listened = self.follower.open
        more = [*map(self._prices.of_turn, turns), self._prices.of_calls(calls), self._prices.of_listening(listened)]
        return sum(more, self._spent)

    def report(self) -> Report:
        """The figures of the whole session. Call it once, after the last row."""
        self._keep(self.follower.finish())
        clock, voiced = self.follower.clock, self.reference()
        turns = tuple(turn.report(voiced) for turn in self._turns)
        clauses = [clause for turn in turns for clause in turn.clauses]
        return Report(
            messages=self._messages,
            audio_us=clock.frames * self._frame_us,
            turns=turns,
            interrupts=tuple(
                interrupt for turn in self._turns for interrupt in turn.interrupts(voiced, self._frame_us)
            ),
            # In the order of the calls, and at one instant by their numbers: call_2 comes before call_10.
            tools=tuple(sorted(self._tools, key=lambda tool: (tool.t_us, len(tool.id), tool.id))),
            modelled_share=sum(clause.modelled for clause in clauses) / len(clauses) if clauses else 0.0,
            notices=(_NO_LEVELS,) if voiced is None and clock.frames else (),
            lasted_us=self.follower.now_us,
            cost=self.cost,
        )

    def _measured(self, turn: TurnRecord) -> _Turn:
        return _measured(turn, self._modelled, self._prices.of_turn(turn) if self._prices else None)

    def _keep(self, ended: Iterable[Ended]) -> None:
        for record in ended:
            if isinstance(record, TurnRecord):
                self._turns.append(turn := self._measured(record))
                self._spent += turn.known.cost or self._prices.of_calls(())
            elif isinstance(record, ToolRecord):
                self._tools.append(_called(record))


@dataclass(frozen=True, slots=True)
class _Turn:
    """The figures of a turn, without those that depend on when the user's voice ended: the reference detector only
    knows that later."""

    known: TurnReport
    """What does not depend on the end of the voice."""
    voice: VoiceEnd
    milestones: tuple[Milestone, ...] | None
    """From the end of the voice to the first sound. None: nothing sounded."""
    late_us: int
    """How much later than planned the device popped the first sound."""
    interrupted: tuple[InterruptRecord, ...]
    answer_us: int | None
    """When the first words about a tool's outcome sounded."""

    def report(self, voiced: Reference | None) -> TurnReport:
        """All figures of the turn."""
        started_us = reached_us = self.voice.at_us(voiced)
        if self.milestones is None:
            return replace(self.known, started_us=started_us)
        parts = dict.fromkeys(PARTS, 0)
        for part, at_us in self.milestones:
            # A milestone that is missing, or earlier than the one before, takes no time.
            before_us, reached_us = reached_us, reached_us if at_us is None else max(at_us, reached_us)
            parts[part] += reached_us - before_us
        parts["playback_start"] = max(0, parts["playback_start"] + self.late_us)
        answer_us = None if self.answer_us is None else max(0, self.answer_us - started_us)
        ttfa_us = sum(parts.values())
        return replace(
            self.known, started_us=started_us, ttfa_us=ttfa_us, parts_us=tuple(parts.values()), answer_us=answer_us
        )

    def interrupts(self, voiced: Reference | None, frame_us: int) -> Iterator[InterruptReport]:
        """The interrupts of the turn's replies."""
        for record in self.interrupted:
            speech_us = None if record.speech is None else record.speech.at_us(voiced)
            sounding = speech_us is not None and record.silent_us > speech_us
            silent_us = record.silent_us if record.popped_us is None else record.popped_us
            yield InterruptReport(
                turn=self.known.turn,
                t_us=record.t_us,
                speech_to_silence_us=silent_us - speech_us if sounding and speech_us is not None else None,
                decision_to_silence_us=max(0, silent_us - record.decided_us),
                # Rounded up, so that even a part of a stale frame shows.
                stale_frames=-(-record.stale_us // frame_us),
                tokens=record.counts.get(Token, 0),
                clauses=record.counts.get(Clause, 0),
                frames=-(-record.discarded_us // frame_us),
            )


def _measured(turn: TurnRecord, modelled: frozenset[str], cost: Cost | None) -> _Turn:
    """The figures of a turn."""
    replies = turn.replies()
    clauses = tuple(
        ClauseReport(
            of.clause.text,
            of.clause.spoken,
            of.clause.tokens,
            of.clause.reason,
            of.cut_us,
            of.clause.spoken.strip() in modelled,
        )
        for reply in replies
        for of in reply.clauses.values()
    )
    known = TurnReport(
        turn=turn.number,
        user=turn.user,
        agent="".join(clause.text for clause in clauses).strip(),
        heard=" ".join(text for reply in replies if (text := "".join(reply.heard).strip())),
        end_reason=turn.end.value,
        started_us=0,
        ttfa_us=None,
        parts_us=None,
        clauses=clauses,
        modelled=any(clause.modelled for clause in clauses),
        revoked=sum(len(reply.revoked) for reply in replies),
        revoked_chars=sum(len(text) for reply in replies for text in reply.revoked),
        ending=next((speech.ending for speech in reversed(replies[0].speech) if speech.end is not None), None),
        cost=cost,
        early=_early(replies[0]),
        spoken=turn.spoken,
    )
    sounded = next((reply for reply in replies if reply.sound is not None), turn)
    interrupted = tuple(reply.interrupt for reply in replies if reply.interrupt is not None)
    # From the first reply on, because the user has waited since then, whichever reply sounded.
    answers = [us for reply in replies if (us := answer_us_of(reply)) is not None]
    milestones = milestones_of(replies, sounded)
    if milestones is not None:
        milestones = tuple(with_waits(milestones, [wait for reply in replies for wait in reply.waits]))
    return _Turn(known, replies[0].voice, milestones, sounded.late_us, interrupted, min(answers, default=None))


def _early(reply: TurnRecord) -> EarlyReport | None:
    """What was saved: without it, all that happened until the first sound was there would have begun at the release."""
    early = reply.early
    if early is None:
        return None
    saved_us = 0
    of = None if reply.sound is None else reply.clauses.get(reply.sound[0])
    if (
        of is not None
        and of.first_audio_us is not None
        and early.asked_us is not None
        and early.released_us is not None
    ):
        there_us = of.first_audio_us
        saved_us = there_us + early.released_us - early.asked_us - max(there_us, early.released_us)
    return EarlyReport(early.tries, saved_us, early.tokens, early.characters)


def _called(tool: ToolRecord) -> ToolReport:
    """The figures of a tool call."""
    took_us = None if tool.ended_us is None else tool.ended_us - tool.called_us
    return ToolReport(
        tool.turn,
        tool.called_us,
        tool.id,
        tool.name,
        tool.arguments,
        tool.status,
        tool.content,
        took_us,
        tool.interrupted,
    )
