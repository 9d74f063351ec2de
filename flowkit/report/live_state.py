"""Follows what a session looks like. ``live`` draws what it observes, and ``flowkit.serve`` sends it.

The event loop changes these values and the drawing thread reads them, one attribute at a time. A picture may mix two
moments that are 20 ms apart. In exchange, no lock can delay the session.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass, field

from flowkit.clock import US_PER_S
from flowkit.config.budgets import Budgets
from flowkit.engine import Engine, Row
from flowkit.engine.observer import Observer
from flowkit.figures.cost import Prices
from flowkit.figures.layout import layout_of
from flowkit.figures.live import LiveFigures
from flowkit.figures.records import TurnRecord
from flowkit.figures.report import InterruptReport, TurnReport
from flowkit.messages import Audio, Final, Frames, Message, Partial, Play, Silence
from flowkit.plan.graph import Plan
from flowkit.report.observation import Observation, QueueLevel, ShownClause, ToolUnderWay
from flowkit.report.plain import PlainView

LOG_LINES = 200
_INTERRUPTS = 5
SILENT_DB = -60.0
_FALL_DB = 1.5
"""How much the level falls in each frame: 75 dB a second, so that the bar does not flicker between syllables."""


@dataclass(slots=True)
class LevelMeter:
    """A peak level in decibels below full scale."""

    db: float = SILENT_DB

    def hear(self, pcm: bytes) -> None:
        """Add a frame of 16-bit samples. The level rises at once and falls slowly."""
        # Without half a sample at the end, which `array` would refuse.
        samples = array("h", pcm[: len(pcm) // 2 * 2])
        peak = max(max(samples, default=0), -min(samples, default=0))
        loud = 20 * math.log10(peak / 32768) if peak else SILENT_DB
        self.db = max(SILENT_DB, loud, self.db - _FALL_DB)


class Loudness:
    """How loud the reply is over time: a peak level for every 50 ms of audio that was sent to the device."""

    def __init__(self) -> None:
        # Twenty seconds of audio. Without a bound they would pile up over a long session.
        self._peaks: deque[tuple[int, float]] = deque(maxlen=400)

    def plays(self, play: Play) -> None:
        """Add audio that is due."""
        step = play.rate_hz // 20
        for first in range(0, play.samples, step):
            level = LevelMeter()
            level.hear(play.pcm[2 * first : 2 * (first + step)])
            self._peaks.append((play.at_us + first * 1_000_000 // play.rate_hz, level.db))

    def silenced(self, at_us: int) -> None:
        """Remove what was due from `at_us` on."""
        self._peaks = deque((peak for peak in self._peaks if peak[0] < at_us), maxlen=400)

    def db(self, now_us: int) -> float:
        """The level at `now_us`, in decibels below full scale."""
        # A copy, because the event loop may add a peak meanwhile.
        return next((db for at_us, db in reversed(list(self._peaks)) if now_us - 50_000 <= at_us <= now_us), SILENT_DB)


@dataclass(slots=True)
class SpokenClause:
    """A clause of the reply, with its audio so far."""

    text: str
    rate_hz: int = 0
    samples: int = 0
    """How many samples it has as far as is known; 0 if unknown."""
    whole: bool = False
    """Whether that is its final number."""
    starts: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=64))
    """The pieces that were sent to the device: (due time, first sample, number of samples)."""

    def played(self, now_us: int) -> int:
        """How many of its samples were played by `now_us`."""
        done = 0
        for at_us, first, count in list(self.starts):  # a copy, for the same reason as in `Loudness`
            if at_us <= now_us:
                done = max(done, min(first + count, first + (now_us - at_us) * self.rate_hz // 1_000_000))
        return done

    def characters(self, now_us: int) -> int:
        """How many characters of its text were spoken by `now_us`."""
        if not self.samples:
            return 0
        return min(len(self.text), len(self.text) * self.played(now_us) // self.samples)


class LiveState(Observer):
    """An observer that keeps what the view shows. `figures` follows the turns of the session. It may begin to watch in the middle
    of a session."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.engine: Engine | None = None
        self.figures: LiveFigures | None = None
        self.microphone, self.speaker = LevelMeter(), Loudness()
        self.user, self.partial = "", ""
        self.clauses: dict[int, SpokenClause] = {}
        prices = Prices(layout_of(plan))
        self.cost = prices.of_calls(()) if prices else None
        """What the session has cost so far. None: no provider has a price."""
        self.newest: TurnReport | None = None
        """The newest turn that has sound, as it was when its sound began."""
        self.interrupts: deque[InterruptReport] = deque(maxlen=_INTERRUPTS)
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        # Without the agent's clauses, because the picture has a place of its own for them.
        self._plain = PlainView(self.log.append, voice="")
        self._number = 0
        self._before: TurnRecord | None = None
        """The turn that was the newest when rows came last."""

    def started(self, engine: Engine, figures: LiveFigures) -> None:
        """Watch the session of `engine`, from now on."""
        self.engine, self.figures = engine, figures

    def observed(self, now_us: int, log_lines: int = LOG_LINES) -> Observation:
        """The session at time `now_us`, with the newest lines of its log."""
        budgets = self.plan.settings.get("budgets")
        return Observation(
            self.plan.name,
            now_us,
            self.turn,
            self.microphone.db,
            self.speaker.db(now_us),
            self.user,
            self.partial,
            # Copies, because the event loop may add to them meanwhile.
            tuple(ShownClause(spoken.text, spoken.characters(now_us)) for spoken in list(self.clauses.values())),
            self._queues(),
            self._tools(now_us),
            self.cost,
            self.newest,
            tuple(self.interrupts),
            budgets if isinstance(budgets, Budgets) else None,
            tuple(list(self.log)[-log_lines:]),
        )

    @property
    def turn(self) -> str:
        """Whose turn it is, as one word."""
        gate = self.plan.only("gate")
        if self.engine is None or gate is None:
            return "loading"
        return str(self.engine.state(gate.id).turn.value)

    def _queues(self) -> tuple[QueueLevel, ...]:
        """Each bounded edge of the reply."""
        if self.engine is None:
            return ()
        replying = {stage.id for stage in self.plan.stages if stage.cls.replying}
        edges = [(id_, inbox) for id_, inbox in self.engine.inboxes() if id_ in replying]
        return tuple(QueueLevel(id_, len(inbox.queue), inbox.bound.max, inbox.dropped) for id_, inbox in edges)

    def _tools(self, now_us: int) -> tuple[ToolUnderWay, ...] | None:
        """The tools that run, the one that was called first before the others."""
        if self.plan.only("tools") is None:
            return None
        running = [] if self.figures is None else list(self.figures.follower.running.values())
        return tuple(ToolUnderWay(tool.name, max(0, now_us - tool.called_us)) for tool in running)

    # -- watching ---------------------------------------------------------------------------------------------------

    def rows(self, rows: list[Row]) -> None:
        self._plain.rows(rows)
        if self.cost is not None and self.figures is not None:
            self.cost = self.figures.cost
        if self.figures is not None and (turn := self.figures.follower.turn) is not None:
            # The turn before may have been interrupted by this one, among these very rows.
            for known in dict.fromkeys((self._before or turn, turn)):
                self._cut_off(known, self.figures)
            self._turn(turn, self.figures)
            self._before = turn
        for row in rows:
            if row.lane == "P" or not row.cause_stage:  # to a provider or from one
                self._message(row.message)

    def _message(self, message: Message) -> None:
        match message:
            case Frames(pcm=pcm):
                self.microphone.hear(pcm)
            case Partial(text=text):
                self.partial = text
            case Final():
                self.partial = ""
            case Audio():
                self._voice(message)
            case Play():
                self._plays(message)
            case Silence(at_us=at_us):
                self.speaker.silenced(at_us)
                for spoken in self.clauses.values():
                    spoken.starts = deque(_cut(spoken, at_us), maxlen=64)

    def _voice(self, audio: Audio) -> None:
        if (spoken := self.clauses.get(audio.clause)) is not None and not spoken.whole:
            spoken.samples = audio.total or max(spoken.samples, audio.first_sample + audio.samples)
            spoken.whole = bool(audio.total)

    def _plays(self, play: Play) -> None:
        self.speaker.plays(play)
        if (spoken := self.clauses.get(play.clause)) is not None:
            spoken.rate_hz = play.rate_hz
            spoken.starts.append((play.at_us, play.first_sample, play.samples))

    def _turn(self, turn: TurnRecord, figures: LiveFigures) -> None:
        """Show the newest turn, and its figures once its first sound is out."""
        if turn.number != self._number:
            self._number, self.user, self.partial, self.clauses = turn.number, turn.user, "", {}
        for index, of in turn.clauses.items():
            known = self.clauses.get(index)
            if of.taken_us is not None and (known is None or known.text != of.clause.text):
                self.clauses[index] = SpokenClause(of.clause.text)
        if turn.sound is not None and (self.newest is None or turn.number > self.newest.turn):
            self.newest = figures.of_turn(turn)

    def _cut_off(self, turn: TurnRecord, figures: LiveFigures) -> None:
        """Keep the turn's interrupt, instead of what was known of it before. Within a second all is known."""
        cut = turn.interrupt
        if cut is None or self._now_us() > cut.t_us + US_PER_S:
            return
        if self.interrupts and self.interrupts[-1].t_us == cut.t_us:
            self.interrupts.pop()
        self.interrupts += [interrupt for interrupt in figures.interrupts_of(turn) if interrupt.t_us == cut.t_us]

    def _now_us(self) -> int:
        return 0 if self.engine is None else self.engine.now_us

    def event(self, at_us: int, name: str, detail: str) -> None:
        self._plain.event(at_us, name, detail)


def _cut(spoken: SpokenClause, at_us: int) -> list[tuple[int, int, int]]:
    """The pieces of the clause up to `at_us`."""
    kept = []
    for begins_us, first, count in spoken.starts:
        left = (at_us - begins_us) * spoken.rate_hz // 1_000_000
        if left > 0:
            kept.append((begins_us, first, min(count, left)))
    return kept
