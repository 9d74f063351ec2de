"""The figures of a session: TTFA and its parts, clauses, interrupts. Pure.

The one module that computes them, for `run`, `replay`, `test`, the live view and reports alike.

TTFA is from the end of the user's last voiced frame, by the fixed detector of ``reference``, to the first frame of the reply that
the device popped; a typed turn counts from its line. The milestones between are those of the first clause that was played, each
taken as at least the one before, so that what happened early by speculation costs nothing and the parts add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from flowkit.engine import Row
from flowkit.figures.follower import Follower
from flowkit.figures.frames import VoiceEnd
from flowkit.figures.layout import Layout, layout_of
from flowkit.figures.records import Ended, InterruptRecord, TurnRecord
from flowkit.figures.reference import Reference
from flowkit.figures.report import ClauseReport, InterruptReport, QueueReport, Report, TurnReport
from flowkit.messages import Clause, Token
from flowkit.plan.graph import Plan

_NO_RULER = "no audio levels: TTFA counts from the pipeline's own last voiced frame"


def measure(
    rows: Iterable[Row],
    *,
    plan: Plan | Layout,
    voiced: Reference | None = None,
    trace: str = "",
    level: str = "live",
    digest: str = "",
    wall_us: int = 0,
    queues: Sequence[QueueReport] = (),
    modelled: frozenset[str] = frozenset(),
    events: Iterable[tuple[int, str, str]] = (),
) -> Report:
    """The figures of the session whose whole journal is `rows`.

    Without `voiced` (no audio was kept) the pipeline's own last voiced frame counts, and the report says so. `queues` are the
    engine's own counters, as it has them or a trace keeps them. `modelled` holds the spoken texts whose voice is not recorded but
    modelled; what rests on them is marked. With `events` (time, name, detail) the device's own times count.
    """
    figures = Figures(plan if isinstance(plan, Layout) else layout_of(plan), voiced, modelled)
    for event in events:
        figures.event(*event)
    figures.rows(rows)
    return replace(figures.report(), trace=trace, level=level, digest=digest, wall_us=wall_us, queues=tuple(queues))


class Figures:
    """A session's figures, kept as its rows come. Of what is over nothing else is kept."""

    def __init__(self, layout: Layout, voiced: Reference | None = None, modelled: frozenset[str] = frozenset()) -> None:
        self.follower = Follower(layout)
        self._voiced = voiced
        self._frame_us = layout.frame_us
        self._modelled = modelled
        self._messages = 0
        self._turns: list[_Turn] = []

    def rows(self, rows: Iterable[Row]) -> None:
        """Take the next rows."""
        follow = self.follower.row
        for row in rows:
            self._messages += 1
            if over := follow(row):
                self._keep(over)

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Something that is no message happened: what a device tells of its sound counts."""
        self.follower.event(at_us, name, detail)

    def reference(self) -> Reference | None:
        """The ruler over what was heard so far; None if there is none."""
        return self._voiced

    def of_turn(self, turn: TurnRecord) -> TurnReport:
        """The figures of a turn as far as it went, by the ruler as far as it has heard."""
        return _measured(turn, self._modelled).report(self.reference())

    def report(self) -> Report:
        """The figures of the whole session. There will be no more rows."""
        self._keep(self.follower.finish())
        clock, voiced = self.follower.clock, self.reference()
        turns = tuple(turn.report(voiced) for turn in self._turns)
        clauses = [clause for turn in turns for clause in turn.clauses]
        return Report(
            messages=self._messages,
            audio_us=clock.frames * self._frame_us,
            turns=turns,
            interrupts=tuple(told for turn in self._turns for told in turn.interrupts(voiced, self._frame_us)),
            modelled_share=sum(clause.modelled for clause in clauses) / len(clauses) if clauses else 0.0,
            notices=(_NO_RULER,) if voiced is None and clock.frames else (),
        )

    def _keep(self, over: Iterable[Ended]) -> None:
        self._turns += [_measured(turn, self._modelled) for turn in over if isinstance(turn, TurnRecord)]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A turn's figures but for those that hang on the user's voice, which the ruler knows only later. `milestones` are the others,
    None if nothing sounded; `late_us`: how much later than planned the device popped the last."""

    told: TurnReport
    voice: VoiceEnd
    milestones: tuple[int | None, ...] | None
    late_us: int
    interrupted: tuple[InterruptRecord, ...]

    def report(self, voiced: Reference | None) -> TurnReport:
        """All of them."""
        started_us = self.voice.at_us(voiced)
        if self.milestones is None:
            return replace(self.told, started_us=started_us)
        reached = [started_us]
        for at_us in self.milestones:
            reached.append(reached[-1] if at_us is None else max(at_us, reached[-1]))
        *parts_us, last_us = (after - before for before, after in pairwise(reached))
        parts = (*parts_us, max(0, last_us + self.late_us))
        return replace(self.told, started_us=started_us, ttfa_us=sum(parts), parts_us=parts)

    def interrupts(self, voiced: Reference | None, frame_us: int) -> Iterator[InterruptReport]:
        """Those that cut its replies off."""
        for told in self.interrupted:
            speech_us = None if told.speech is None else told.speech.at_us(voiced)
            sounding = speech_us is not None and told.silent_us > speech_us
            silent_us = told.silent_us if told.popped_us is None else told.popped_us
            yield InterruptReport(
                turn=self.told.turn,
                t_us=told.t_us,
                speech_to_silence_us=silent_us - speech_us if sounding and speech_us is not None else None,
                decision_to_silence_us=max(0, silent_us - told.decided_us),
                stale_frames=-(-told.stale_us // frame_us),
                tokens=told.counts.get(Token, 0),
                clauses=told.counts.get(Clause, 0),
                frames=-(-told.discarded_us // frame_us),
            )


def _measured(turn: TurnRecord, modelled: frozenset[str]) -> _Turn:
    replies = turn.replies()
    clauses = tuple(
        ClauseReport(
            of.clause.text, of.clause.tokens, of.clause.reason, of.cut_us, of.clause.spoken.strip() in modelled
        )
        for reply in replies
        for of in reply.clauses.values()
    )
    told = TurnReport(
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
    )
    sounded = next((reply for reply in replies if reply.sound is not None), turn)
    interrupted = tuple(reply.interrupt for reply in replies if reply.interrupt is not None)
    return _Turn(told, replies[0].voice, _milestones(replies[0], sounded), sounded.late_us, interrupted)


def _milestones(asked: TurnRecord, sounded: TurnRecord) -> tuple[int | None, ...] | None:
    """From the decision that the utterance has ended to the first sound, which may be a later reply's."""
    if sounded.sound is None:
        return None
    played, sounded_us = sounded.sound
    known = sounded.clauses.get(played)
    of_clause = (None, None, None) if known is None else (known.cut_us, known.taken_us, known.first_audio_us)
    return asked.voice.decided_us, asked.released_us, sounded.first_token_us, *of_clause, sounded_us
