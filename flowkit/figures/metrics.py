"""From a journal's rows to the figures of a session: TTFA and its parts, clauses, interrupts, queues. Pure.

The one module that computes them, for `run`, `replay`, `test` and reports alike. TTFA is from the end of the user's last voiced
frame, by the fixed detector of ``reference``, to the first frame of the reply that the device popped; a typed turn counts from
its line. The milestones between are those of the first clause that was played, each taken as at least the one before, so that
what happened early by speculation costs nothing and the parts add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from flowkit.engine import Fate, Row
from flowkit.figures.layout import Layout, layout_of
from flowkit.figures.reference import Reference
from flowkit.figures.report import ClauseReport, InterruptReport, QueueReport, Report, TurnReport
from flowkit.figures.sound import Sound
from flowkit.messages import (
    Audio,
    Clause,
    Credit,
    EndOfReply,
    EndOfUtterance,
    Fault,
    Frames,
    Heard,
    Hold,
    Interrupt,
    Message,
    Partial,
    PlaybackStarted,
    Probability,
    ReplyPlayed,
    Resume,
    Revoke,
    Shutdown,
    SpeechStarted,
    Timer,
    Token,
    Typed,
    Utterance,
)

_UNSEEN = frozenset({Credit, Probability, Timer, Partial})
_SOUNDING = frozenset({Audio, Hold, Resume, Interrupt, EndOfReply})
_WINDOW = 256


def measure(
    rows: Iterable[Row],
    *,
    plan: Any,
    voiced: Reference | None = None,
    trace: str = "",
    level: str = "live",
    digest: str = "",
    wall_us: int = 0,
    queues: Sequence[QueueReport] = (),
    modelled: frozenset[str] = frozenset(),
) -> Report:
    """The figures of the session whose whole journal is `rows`.

    `plan` is a Plan or a Layout. Without `voiced` (no audio was kept) the pipeline's own last voiced frame counts, and the report
    says so. `queues` are the engine's own counters, as it has them or a trace keeps them.
    `modelled` holds the spoken texts whose voice is not recorded but modelled; what rests on them is marked.
    """
    layout = plan if isinstance(plan, Layout) else layout_of(plan)
    session, messages = _Session(layout, voiced), 0
    for row in rows:
        messages += 1
        session.row(row)
    notices = () if voiced is not None or not session.clock.frames else (_NO_RULER,)
    turns = tuple(turn.report(modelled) for turn in session.turns.values())
    clauses = [clause for turn in turns for clause in turn.clauses]
    return Report(
        trace=trace,
        level=level,
        digest=digest,
        messages=messages,
        audio_us=session.clock.frames * layout.frame_us,
        wall_us=wall_us,
        turns=turns,
        interrupts=tuple(barge_in.report(layout.frame_us) for barge_in in session.interrupts),
        queues=tuple(queues),
        modelled_share=sum(clause.modelled for clause in clauses) / len(clauses) if clauses else 0.0,
        notices=notices,
    )


_NO_RULER = "no audio levels: TTFA counts from the pipeline's own last voiced frame"


@dataclass(slots=True)
class FrameClock:
    """When frames of the input ended, on the session's clock: by the frames that came soonest, for one may come late but none
    early. A window of about five seconds, so that a device whose clock drifts does not move the ruler."""

    frame_us: int
    frames: int = 0
    soonest_us: dict[int, int] = field(default_factory=dict)

    def came(self, frames: Frames, at_us: int) -> None:
        """Frames were there at `at_us`."""
        self.frames = max(self.frames, frames.index + frames.count)
        late_us = at_us - (frames.index + frames.count) * self.frame_us
        for frame in {frames.index, frames.index + frames.count - 1}:
            self._at(frame, late_us)

    def _at(self, frame: int, late_us: int) -> None:
        window = frame // _WINDOW
        known = self.soonest_us.get(window)
        if known is None or late_us < known:
            self.soonest_us[window] = late_us

    def ended_us(self, frame: int) -> int:
        """When frame number `frame` ended."""
        return (frame + 1) * self.frame_us + self._late_us(frame)

    def ended_by(self, at_us: int) -> int:
        """How many frames had ended at `at_us`."""
        return max(0, (at_us - self._late_us(self.frames)) // self.frame_us)

    def _late_us(self, frame: int) -> int:
        window = frame // _WINDOW
        return min((self.soonest_us[w] for w in (window - 1, window) if w in self.soonest_us), default=0)


@dataclass(slots=True)
class _Turn:
    """One turn as it goes. `spoken_us`: milestones up to its release; `sound`: (clause, time) of its first sound."""

    number: int
    user: str
    spoken_us: tuple[int, int, int]
    first_token_us: int | None = None
    clauses: dict[int, tuple[Clause, int, int]] = field(default_factory=dict)
    audio_us: dict[int, int] = field(default_factory=dict)
    sound: tuple[int, int] | None = None
    heard: list[str] = field(default_factory=list)
    end_reason: str = ""
    revoked: list[str] = field(default_factory=list)

    def report(self, modelled: frozenset[str]) -> TurnReport:
        """Its figures."""
        parts = self._parts()
        clauses = tuple(
            ClauseReport(clause.text, clause.tokens, clause.reason, sent_us, clause.spoken.strip() in modelled)
            for clause, sent_us, _ in self.clauses.values()
        )
        return TurnReport(
            turn=self.number,
            user=self.user,
            agent="".join(clause.text for clause in clauses).strip(),
            heard="".join(self.heard).strip(),
            end_reason=self.end_reason or "session_closed",
            started_us=self.spoken_us[0],
            ttfa_us=None if parts is None else sum(parts),
            parts_us=parts,
            clauses=clauses,
            modelled=any(clause.modelled for clause in clauses),
            revoked=len(self.revoked),
            revoked_chars=sum(map(len, self.revoked)),
        )

    def _parts(self) -> tuple[int, ...] | None:
        if self.sound is None:
            return None
        played, sounded_us = self.sound
        _, cut_us, taken_us = self.clauses.get(played, (None, None, None))
        milestones = [*self.spoken_us, self.first_token_us, cut_us, taken_us, self.audio_us.get(played), sounded_us]
        reached = [self.spoken_us[0]]
        for at_us in milestones[1:]:
            reached.append(reached[-1] if at_us is None else max(at_us, reached[-1]))
        return tuple(after - before for before, after in pairwise(reached))


@dataclass(slots=True)
class _BargeIn:
    """One interrupt as it goes. `speech_us`: when the user began; `silent_us`: when the last frame popped had sounded."""

    turn: int
    epoch: int
    t_us: int
    speech_us: int | None
    decided_us: int
    silent_us: int | None = None
    stale_us: int = 0
    discarded_us: int = 0
    counts: dict[type[Message], int] = field(default_factory=dict)

    def report(self, frame_us: int) -> InterruptReport:
        """Its figures."""
        silent_us = self.decided_us if self.silent_us is None else self.silent_us
        sounding = self.speech_us is not None and silent_us > self.speech_us
        return InterruptReport(
            turn=self.turn,
            t_us=self.t_us,
            speech_to_silence_us=silent_us - self.speech_us if sounding and self.speech_us is not None else None,
            decision_to_silence_us=max(0, silent_us - self.decided_us),
            stale_frames=-(-self.stale_us // frame_us),
            tokens=self.counts.get(Token, 0),
            clauses=self.counts.get(Clause, 0),
            frames=-(-self.discarded_us // frame_us),
        )


class _Session:
    """Follows the rows. Knows nothing of what is to come, so the live view may use it too."""

    def __init__(self, layout: Layout, voiced: Reference | None) -> None:
        self.layout = layout
        self.clock = FrameClock(layout.frame_us)
        self.turns: dict[int, _Turn] = {}
        self.interrupts: list[_BargeIn] = []
        self._listening = _Listening(self.clock, voiced)
        self._speaking = _Speaking(layout.frame_us)
        self._shutdown: tuple[str, int] = ("", 0)
        self._at: dict[str, Callable[[Row], None]] = {
            layout.only("mic"): self._mic,
            layout.only("gate"): self._gate,
            layout.only("llm"): self._llm,
            layout.only("tts"): self._tts,
            layout.only("speaker"): self._speaker,
        }

    def row(self, row: Row) -> None:
        """Take the next row into account."""
        kind = type(row.message)
        if kind not in _UNSEEN:
            self._seen(row, kind)

    def _seen(self, row: Row, kind: type[Message]) -> None:
        if row.fate in (Fate.DISCARDED, Fate.STALE):
            self._discarded(row.message, row.turn)
        elif kind is Interrupt and (row.cause_stage, row.cause_n) != self._shutdown:
            self._interrupt(row)
        at_stage = self._at.get(row.stage)
        if at_stage is not None:
            at_stage(row)

    def _mic(self, row: Row) -> None:
        if isinstance(row.message, Frames):
            self.clock.came(row.message, row.sent_us)

    def _gate(self, row: Row) -> None:
        message, turn = row.message, self.turns.get(row.turn)
        self._listening.row(message, row.sent_us)
        if isinstance(message, Shutdown):
            self._shutdown = (row.stage, row.n)
        if turn is None:
            return
        if isinstance(message, PlaybackStarted):
            turn.sound = turn.sound or (message.clause, message.at_us)
        elif isinstance(message, Heard):
            turn.heard.append(message.text)
        elif isinstance(message, ReplyPlayed):
            turn.end_reason = turn.end_reason or "completed"
        elif isinstance(message, Fault):
            turn.end_reason = turn.end_reason or "error"

    def _llm(self, row: Row) -> None:
        message = row.message
        if isinstance(message, Utterance):
            spoken_us = self._listening.released(row.sent_us)
            self.turns[message.turn] = _Turn(message.turn, message.text, spoken_us)
        elif isinstance(message, Token) and row.fate is Fate.HANDLED and (turn := self.turns.get(row.turn)) is not None:
            turn.first_token_us = row.sent_us if turn.first_token_us is None else turn.first_token_us

    def _tts(self, row: Row) -> None:
        message, turn = row.message, self.turns.get(row.turn)
        if turn is None:
            return
        if isinstance(message, Clause):
            turn.clauses[message.index] = (message, row.sent_us, row.handled_us)
        elif isinstance(message, Token):
            turn.clauses[message.index] = (
                Clause(message.index, message.text, message.text, 1, "token"),
                row.sent_us,
                row.handled_us,
            )
        elif isinstance(message, Revoke):
            if (known := turn.clauses.pop(message.clause, None)) is not None:
                turn.revoked.append(known[0].spoken)
            turn.audio_us.pop(message.clause, None)
        elif isinstance(message, Audio) and row.fate is Fate.HANDLED:
            turn.audio_us.setdefault(message.clause, row.sent_us)

    def _speaker(self, row: Row) -> None:
        message = row.message
        if row.fate is not Fate.HANDLED or type(message) not in _SOUNDING:
            return
        if isinstance(message, Audio) and self.interrupts and row.epoch < self.interrupts[-1].epoch:
            self.interrupts[-1].stale_us += _length_us(message)
        self._speaking.row(row)
        turn = self.turns.get(row.turn)
        if isinstance(message, Hold | Interrupt) and turn is not None and turn.sound is not None:
            # What was to begin with a later tick never began.
            turn.sound = None if turn.sound[1] >= self._speaking.sound.tick(row.handled_us) else turn.sound
        if isinstance(message, Interrupt) and self.interrupts and self.interrupts[-1].epoch == row.epoch:
            barge_in, silenced = self.interrupts[-1], self._speaking.silenced
            barge_in.decided_us, barge_in.silent_us = silenced
            barge_in.discarded_us += self._speaking.sound.lost_us

    def _interrupt(self, row: Row) -> None:
        """Every replying stage is told; the first one told makes the entry."""
        if self.interrupts and self.interrupts[-1].epoch == row.epoch:
            return
        self.interrupts.append(_BargeIn(row.turn, row.epoch, row.sent_us, self._listening.began_us(), row.sent_us))
        if (turn := self.turns.get(row.turn)) is not None:
            turn.end_reason = turn.end_reason or "interrupted"

    def _discarded(self, message: Message, turn: int) -> None:
        """Of the interrupted reply; what is stale for another reason is nobody's loss."""
        if not self.interrupts or self.interrupts[-1].turn != turn:
            return
        barge_in = self.interrupts[-1]
        if isinstance(message, Audio):
            barge_in.discarded_us += _length_us(message)
        barge_in.counts[type(message)] = barge_in.counts.get(type(message), 0) + 1


@dataclass(slots=True)
class _Listening:
    """What the gate was told of the user since the last release. `since`: the first frame that may belong to the next turn."""

    clock: FrameClock
    voiced: Reference | None
    since: int = 0
    ended: tuple[EndOfUtterance, int] | None = None
    typed_us: int | None = None
    speech: int | None = None

    def row(self, message: Message, sent_us: int) -> None:
        """A row at the gate."""
        if isinstance(message, EndOfUtterance):
            self.ended = (message, sent_us)
        elif isinstance(message, Typed):
            self.typed_us = sent_us
        elif isinstance(message, SpeechStarted):
            self.speech = message.frame

    def began_us(self) -> int | None:
        """When the newest speech began, by the reference."""
        if self.speech is None:
            return None
        frame = None if self.voiced is None else self.voiced.onset(self.speech)
        return self.clock.ended_us(self.speech if frame is None else frame) - self.clock.frame_us

    def released(self, at_us: int) -> tuple[int, int, int]:
        """When the user's last voiced frame ended, when that was decided, when the utterance was released."""
        ended, typed_us = self.ended, self.typed_us
        self.ended = self.typed_us = self.speech = None
        if typed_us is not None:
            return typed_us, typed_us, at_us
        ended_us = at_us if ended is None else ended[1]
        until = self.clock.ended_by(ended_us)
        frame = None if self.voiced is None else self.voiced.last_voiced(self.since, until)
        self.since = until
        if frame is None and ended is not None:
            frame = ended[0].last_voiced
        return ended_us if frame is None else min(ended_us, self.clock.ended_us(frame)), ended_us, at_us


class _Speaking:
    """The speaker's sound, and the row that silenced it last."""

    def __init__(self, frame_us: int) -> None:
        self.sound = Sound(frame_us)
        self.silenced: tuple[int, int] = (0, 0)
        self._held = False

    def row(self, row: Row) -> None:
        """A handled row at the speaker."""
        message = row.message
        self.sound.handle(message, row.handled_us)
        if isinstance(message, Hold) or (isinstance(message, Interrupt) and not self._held):
            self.silenced = (row.sent_us, self.sound.until_us)
        if isinstance(message, Hold | Resume | Interrupt):
            self._held = isinstance(message, Hold)


def _length_us(audio: Audio) -> int:
    return audio.samples * 1_000_000 // audio.rate_hz
