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
from operator import sub
from typing import Any

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
from flowkit.trace.figures import ClauseReport, InterruptReport, QueueReport, Report, TurnReport
from flowkit.trace.layout import Layout, layout_of
from flowkit.trace.passages import Passage
from flowkit.trace.queues import queue_figures
from flowkit.trace.reference import Reference
from flowkit.trace.rows import RowTuple
from flowkit.trace.sound import Sound
from flowkit.trace.steps import Ear, Run
from flowkit.trace.stretch import Stretch, rows_of

_UNSEEN = frozenset({Credit, Probability, Timer, Partial})
_TIMED = frozenset({Utterance, Interrupt})
"""Rows that are measured by the frames that had come by then, and no later ones."""
_SOUNDING = frozenset({Audio, Hold, Resume, Interrupt, EndOfReply})
_WINDOW = 256


def measure(
    rows: Iterable[RowTuple | Stretch],
    *,
    plan: Any,
    voiced: Reference | None = None,
    trace: str = "",
    level: str = "live",
    digest: str = "",
    wall_us: int = 0,
    queues: Sequence[QueueReport] | None = None,
    modelled: frozenset[str] = frozenset(),
) -> Report:
    """The figures of the session whose whole journal is `rows`, or stretches of it as a trace holds them.

    `plan` is a Plan or a Layout. Without `voiced` (no audio was kept) the pipeline's own last voiced frame counts, and the report
    says so. `queues` are the engine's own counters where there is an engine; else they follow from the rows.
    `modelled` holds the spoken texts whose voice is not recorded but modelled; what rests on them is marked.
    """
    layout = plan if isinstance(plan, Layout) else layout_of(plan)
    kept = list[RowTuple | Stretch]()
    session = _Session(layout, voiced)
    messages = 0
    for item in rows:
        if queues is None:
            kept.append(item)
        if isinstance(item, Stretch):
            messages += item.count
            session.stretch(item)
        else:
            messages += 1
            session.row(item)
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
        queues=tuple(queues) if queues is not None else queue_figures(list(rows_of(kept)), layout),
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

    def run(self, run: Run, begin: int, end: int) -> int:
        """Consecutive frames, of a run the ones from `begin` to `end`. Returns `end`."""
        if begin == end:
            return end
        first, count = run.frames[begin], end - begin
        self.frames = max(self.frames, first + count)
        due_us = range((first + 1) * self.frame_us, (first + 1 + count) * self.frame_us, self.frame_us)
        available_us = run.available_us[begin:end]
        even = type(available_us) is range and available_us.step == self.frame_us
        late_us = [available_us[0] - due_us[0]] if even else list(map(sub, available_us, due_us))
        begin, behind = 0, _WINDOW - first % _WINDOW
        while begin < count:
            self._at(first + begin, late_us[0] if even else min(late_us[begin:behind]))
            begin, behind = behind, behind + _WINDOW
        return end

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
        self._at: dict[str, Callable[[RowTuple], None]] = {
            layout.only("mic"): self._mic,
            layout.only("gate"): self._gate,
            layout.only("llm"): self._llm,
            layout.only("tts"): self._tts,
            layout.only("speaker"): self._speaker,
        }

    def stretch(self, stretch: Stretch) -> None:
        """Take the next rows into account."""
        frames, rows, done, came = stretch.run(Ear.FRAME), stretch.apart(), 0, 0
        for before, passage in (*((passage.before, passage) for passage in stretch.passages()), (len(rows), None)):
            for place in range(done, before):
                kind = type(rows[place][9])
                if kind in _TIMED and frames is not None:
                    came = self.clock.run(frames, came, stretch.frames_before(place))
                if kind not in _UNSEEN:
                    self._seen(rows[place], kind)
            if passage is not None:
                self._passage(passage, *stretch.at)
            done = before
        if frames is not None:
            self.clock.run(frames, came, len(frames.frames))

    def _passage(self, passage: Passage, epoch: int, turn: int) -> None:
        """Tokens go to the chunker, and the voice to the device."""
        of = self.turns.get(turn)
        if passage.kind is Token:
            if of is not None and of.first_token_us is None and passage.sent:
                of.first_token_us = passage.available_us[0]
            return
        if of is not None:
            for (_, _, _, _, audio), available_us in zip(passage.sent, passage.available_us, strict=True):
                of.audio_us.setdefault(audio.clause, available_us)  # type: ignore[attr-defined]
        if self.interrupts and epoch < self.interrupts[-1].epoch:
            played = (audio for _, audio, _ in passage.steps if type(audio) is Audio)
            self.interrupts[-1].stale_us += sum(map(_length_us, played))
        self._speaking.sound.pieces(passage.steps)

    def row(self, row: RowTuple) -> None:
        """Take the next row into account."""
        kind = type(row[9])
        if kind not in _UNSEEN:
            self._seen(row, kind)

    def _seen(self, row: RowTuple, kind: type[Message]) -> None:
        if row[10] in ("discarded", "stale"):
            self._discarded(row[9], row[8])
        elif kind is Interrupt and (row[2], row[3]) != self._shutdown:
            self._interrupt(row)
        at_stage = self._at.get(row[0])
        if at_stage is not None:
            at_stage(row)

    def _mic(self, row: RowTuple) -> None:
        if isinstance(row[9], Frames):
            self.clock.came(row[9], row[4])

    def _gate(self, row: RowTuple) -> None:
        message, turn = row[9], self.turns.get(row[8])
        self._listening.row(message, row[4])
        if isinstance(message, Shutdown):
            self._shutdown = (row[0], row[1])
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

    def _llm(self, row: RowTuple) -> None:
        message = row[9]
        if isinstance(message, Utterance):
            spoken_us = self._listening.released(row[4])
            self.turns[message.turn] = _Turn(message.turn, message.text, spoken_us)
        elif isinstance(message, Token) and row[10] == "" and (turn := self.turns.get(row[8])) is not None:
            turn.first_token_us = row[4] if turn.first_token_us is None else turn.first_token_us

    def _tts(self, row: RowTuple) -> None:
        message, turn = row[9], self.turns.get(row[8])
        if turn is None:
            return
        if isinstance(message, Clause):
            turn.clauses[message.index] = (message, row[4], row[5])
        elif isinstance(message, Token):
            turn.clauses[message.index] = (
                Clause(message.index, message.text, message.text, 1, "token"),
                row[4],
                row[5],
            )
        elif isinstance(message, Revoke):
            if (known := turn.clauses.pop(message.clause, None)) is not None:
                turn.revoked.append(known[0].spoken)
            turn.audio_us.pop(message.clause, None)
        elif isinstance(message, Audio) and row[10] == "":
            turn.audio_us.setdefault(message.clause, row[4])

    def _speaker(self, row: RowTuple) -> None:
        message = row[9]
        if row[10] != "" or type(message) not in _SOUNDING:
            return
        if isinstance(message, Audio) and self.interrupts and row[7] < self.interrupts[-1].epoch:
            self.interrupts[-1].stale_us += _length_us(message)
        self._speaking.row(row)
        turn = self.turns.get(row[8])
        if isinstance(message, Hold | Interrupt) and turn is not None and turn.sound is not None:
            # What was to begin with a later tick never began.
            turn.sound = None if turn.sound[1] >= self._speaking.sound.tick(row[5]) else turn.sound
        if isinstance(message, Interrupt) and self.interrupts and self.interrupts[-1].epoch == row[7]:
            barge_in, silenced = self.interrupts[-1], self._speaking.silenced
            barge_in.decided_us, barge_in.silent_us = silenced
            barge_in.discarded_us += self._speaking.sound.lost_us

    def _interrupt(self, row: RowTuple) -> None:
        """Every replying stage is told; the first one told makes the entry."""
        if self.interrupts and self.interrupts[-1].epoch == row[7]:
            return
        self.interrupts.append(_BargeIn(row[8], row[7], row[4], self._listening.began_us(), row[4]))
        if (turn := self.turns.get(row[8])) is not None:
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

    def row(self, row: RowTuple) -> None:
        """A handled row at the speaker."""
        message = row[9]
        self.sound.handle(message, row[5])
        if isinstance(message, Hold) or (isinstance(message, Interrupt) and not self._held):
            self.silenced = (row[4], self.sound.until_us)
        if isinstance(message, Hold | Resume | Interrupt):
            self._held = isinstance(message, Hold)


def _length_us(audio: Audio) -> int:
    return audio.samples * 1_000_000 // audio.rate_hz
