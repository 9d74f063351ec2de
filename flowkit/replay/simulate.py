"""Simulated replay: runs the engine over the recorded stimuli at their recorded delays. Computing takes no session
time.

The same trace with the same configuration gives the same journal on every run. A changed configuration makes it a
what-if. Then the user's speech is anchored to what the agent was doing when it began, clauses that were never spoken
get a modelled voice, and figures that depend on one are marked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from flowkit.clock import monotonic_us
from flowkit.config.faults import InjectedFault
from flowkit.engine import Row, Stimulus
from flowkit.errors import UsageError
from flowkit.figures.layout import Layout, layout_of
from flowkit.figures.metrics import Figures, measure
from flowkit.figures.queues import queue_reports
from flowkit.figures.report import Report, TurnReport
from flowkit.messages import ReplyPlayed
from flowkit.plan.graph import Plan
from flowkit.providers.inline import Script
from flowkit.replay.chance import Chance
from flowkit.replay.changes import Spans, other_turns, spans_of
from flowkit.replay.collector import without_collector
from flowkit.replay.faults import FaultyProviders, after_faults, moved
from flowkit.replay.fewer import Fewer, spoken_turns
from flowkit.replay.heap import HeapPump
from flowkit.replay.hearing import Hearing
from flowkit.replay.material import Material, RecordedCall, gather
from flowkit.replay.predicted import RecordedSound, RecordedWords, computed
from flowkit.replay.recorded import (
    BLOCK,
    InOrder,
    RecordedAsr,
    RecordedLlm,
    RecordedSource,
    RecordedTools,
    RecordedVad,
)
from flowkit.replay.settings import alike, changed_plan, lost_greeting, recorded_plan
from flowkit.replay.transcripts import Finals
from flowkit.replay.user import User, user_of
from flowkit.replay.voice import RecordedVoice
from flowkit.replay.warp import Warp
from flowkit.replay.warped import WarpedAsr, WarpedSource, WarpedVad
from flowkit.stages.endpointing import Endpointing
from flowkit.stages.predicting import PredictingBySound
from flowkit.trace.chunks import journal_digest
from flowkit.trace.reader import Trace, read_trace

MISSED = "its turn, its items or its tool never come"
"""Why an injected fault may have done nothing."""
_LONGEST_US = 600_000_000
_PLAYED_OUT_US = 5_000_000
"""How much later than then a reply may end that the recording has played to its end."""
"""How much longer than the recording a replay may last."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay: its figures, its journal, and the plan that ran."""

    report: Report
    rows: list[Row]
    plan: Plan
    spans: Spans
    """The speech that each of its turns answers, in recorded frames; empty if nothing was changed."""
    levels: bytes = b""
    """The levels of its input, for the reference detector."""
    missed: tuple[str, ...] = ()
    """The injected faults that have done nothing, for people."""


class Cast:
    """The scripts that replace a trace's providers.

    Args:
        material: what was recorded.
        trace: the trace that it is from.
        plan: the plan to replay with.
        user: the recorded user. None: the user speaks at the recorded times.
        block: how many microphone frames may come as one message.
        chance: the dice, for what the recording does not hold.
    """

    def __init__(
        self,
        material: Material,
        trace: Trace,
        plan: Plan,
        user: User | None,
        block: int = BLOCK,
        chance: Chance | None = None,
    ) -> None:
        self._chance = chance or Chance()
        self.scripts: dict[str, Script] = {}
        self.voice: RecordedVoice | None = None
        self.llm: RecordedLlm | None = None
        self.tools: RecordedTools | None = None
        self.warp = None if user is None else Warp(material, user, plan.frame_us)
        self._material, self._trace = material, trace
        self._computed: list[str] = []
        self._block = block
        self.finals = Finals(self._calls("asr", plan), material, plan.frame_us, self._chance)
        for stage in plan.stages:
            self.scripts[stage.id] = self._script(stage.kind, stage.id, plan)

    def assumed(self) -> list[str]:
        """Where the scripts had to guess an answer, for people."""
        others = (self.llm, self.tools)
        return [*self.finals.assumed, *self._computed, *(line for other in others if other for line in other.assumed)]

    def _calls(self, kind: str, plan: Plan) -> list[RecordedCall]:
        stage = plan.only(kind)
        return self._material.calls.get(stage.id, []) if stage else []

    def _predictor(self, id_: str, plan: Plan) -> Script:
        """What an end-of-turn predictor said, or what another one says."""
        warp, stage = self.warp, plan.stage(id_)
        recorded = warp.recorded if warp else lambda frame: frame
        if (then := recorded_plan(self._trace).stage(id_)).provider == stage.provider:
            calls = self._material.calls.get(id_, [])
            heard = stage.cls is PredictingBySound
            return RecordedSound(calls, self._material.input.arrivals, recorded) if heard else RecordedWords(calls)
        assert stage.provider is not None, "a predictor is never pure"
        self._computed.append(
            f"{id_}: {stage.provider.name} computed by the replay instead of {then.provider and then.provider.name}"
        )
        return computed(stage.provider, plan, self._trace, warp.frames.__getitem__ if warp else lambda frame: frame)

    def _script(self, kind: str, stage: str, plan: Plan) -> Script:
        calls, heard = self._material.calls.get(stage, []), self._material.input
        match kind:
            case "mic":
                return WarpedSource(self.warp, calls) if self.warp else RecordedSource(calls, heard, self._block)
            case "vad":
                return WarpedVad(self.warp, self._chance) if self.warp else RecordedVad(calls, heard)
            case "asr" if self.warp:
                return WarpedAsr(self.warp, calls, self.finals)
            case "asr":
                return RecordedAsr(calls, self.finals)
            case "turn":
                return self._predictor(stage, plan)
            case "llm":
                self.llm = RecordedLlm(calls, self._chance)
                return self.llm
            case "tts":
                self.voice = RecordedVoice(calls, self._chance, silent=plan.silent)
                return self.voice
            case "tools":
                self.tools = RecordedTools(calls, self._material.tools)
                return self.tools
        return InOrder(calls)


@without_collector()
def simulate(
    trace: Trace | Path | str,
    *,
    pipeline: str | None = None,
    overrides: tuple[str, ...] = (),
    frame_by_frame: bool = False,
    pump_cls: type[HeapPump] = HeapPump,
    tools: Script | None = None,
    faults: tuple[InjectedFault, ...] = (),
) -> Replayed:
    """Replay a trace, with its own pipeline or a changed one.

    Args:
        trace: the trace or its path.
        pipeline: the path of another pipeline file, or None.
        overrides: ``KEY=VALUE`` settings.
        frame_by_frame: deliver every microphone frame as a message of its own.
        pump_cls: the pump to use.
        tools: what answers tool calls instead of the recording; see ``live_tools``.
        faults: what goes wrong with the providers' answers; see ``flowkit.config.faults``.

    Raises:
        TraceError: the trace cannot be replayed.
        UsageError: a change needs answers that no recording holds, or a fault does nothing.
    """
    prepared = prepare(trace, pipeline=pipeline, overrides=overrides, faults=faults, changed=tools is not None)
    return all_hit(prepared.run(frame_by_frame=frame_by_frame, pump_cls=pump_cls, tools=tools))


def all_hit(replayed: Replayed) -> Replayed:
    """The same. Raises UsageError if an injected fault has done nothing, because then the replay shows nothing of it."""
    if replayed.missed:
        raise UsageError(
            replayed.missed[0], hint="its turn, its items or its count never come: look at the replay without it"
        )
    return replayed


@dataclass(frozen=True, slots=True)
class Prepared:
    """A trace that was read for replays with one plan. Each ``run`` is a replay of its own."""

    trace: Trace
    plan: Plan
    material: Material
    user: User | None
    """None: nothing was changed. Then the agent does what it did, and the user speaks at the recorded times."""
    then: tuple[TurnReport, ...]
    """The recorded turns; empty if nothing was changed."""
    hearing: Hearing
    recorded: Plan
    faults: tuple[InjectedFault, ...] = ()

    def with_settings(self, overrides: tuple[str, ...], pipeline: str | None = None) -> Prepared:
        """The same trace with other settings, without reading it again. Only of a trace that was prepared as `changed`.

        Raises UsageError if a change needs answers that no recording holds.
        """
        plan = changed_plan(self.trace, self.recorded, pipeline=pipeline, overrides=overrides)
        return replace(self, plan=plan, user=_user(self.trace, self.material, self.hearing, self.recorded, plan))

    def with_turns(self, kept: Collection[int]) -> Prepared:
        """The same trace, of which the user says only these turns. Only of a trace that was prepared as `changed`. Faults in the
        turns that are left stay with them."""
        assert self.user is not None
        fewer = Fewer(spoken_turns(spans_of(self.then)), kept)
        stay = [turn.turn for turn in self.then if turn.turn in kept or not turn.spoken]
        faults = moved(self.faults, {then: now for now, then in enumerate(stay, 1)})
        return replace(self, user=fewer.user(self.user), material=fewer.material(self.material), faults=faults)

    def run(
        self,
        chance: Chance | None = None,
        *,
        frame_by_frame: bool = False,
        pump_cls: type[HeapPump] = HeapPump,
        tools: Script | None = None,
        brief: bool = False,
        blocks: bool = False,
    ) -> Replayed:
        """Replay the trace, with these dice. A `brief` result has figures alone: no rows, no digest, and no notices of
        turns that are missing or new. `blocks`: several frames of silence may come as one message, where nothing waits for them.
        That halves the time, and moves no figure by a millisecond. The other arguments are those of ``simulate``."""
        started_us, plan, chance = monotonic_us(), self.plan, chance or Chance()
        user = None if self.user is None else replace(self.user, chance=chance)
        cast = Cast(self.material, self.trace, plan, user, block=1 if frame_by_frame else BLOCK, chance=chance)
        if tools is not None and (stage := plan.only("tools")) is not None:
            cast.scripts[stage.id], cast.tools = tools, None
        faulty = FaultyProviders(plan, self.faults, chance)
        pump = pump_cls(plan, faulty.into(cast.scripts))
        faulty.follow(pump.engine)
        if cast.warp is not None:
            cast.warp.follow(pump.engine, blocks=blocks)
        _run(pump, self.material, cast.warp, ended=self.trace.end is not None)
        # The warp has taken these from the journal, to see what the agent was doing.
        rows = [*(cast.warp.rows if cast.warp else ()), *pump.engine.journal]
        level, layout = "simulated" if user is None else "what_if", layout_of(plan)
        report = after_faults(_report(self.trace, layout, pump, rows, cast, level=level), faulty)
        if not brief:
            report = replace(report, digest=journal_digest(rows, layout))
        spans: Spans = {}
        if cast.warp is not None:
            spans = spans_of(report.turns, cast.warp.recorded)
            others = () if brief else self._other_turns(report.turns, spans)
            lost = lost_greeting(self.recorded, plan)
            report = replace(report, notices=(*lost, *report.notices, *others))
        reference = self.trace.reference if cast.warp is None else cast.warp.reference(self.trace.reference)
        levels = b"" if reference is None else reference.levels
        report = replace(report, wall_us=monotonic_us() - started_us)
        missed = tuple(faulty.missed(len(report.turns)))
        return Replayed(report, [] if brief else rows, plan, spans, levels, missed)

    def _other_turns(self, now: Iterable[TurnReport], spans: Spans) -> Iterator[str]:
        """What has become of the recorded turns, where the replay has others."""
        users, users_now = ({turn.turn: turn.user for turn in turns} for turns in (self.then, now))
        return other_turns(spans_of(self.then), users, spans, users_now)


@without_collector()
def prepare(
    trace: Trace | Path | str,
    *,
    pipeline: str | None = None,
    overrides: tuple[str, ...] = (),
    faults: tuple[InjectedFault, ...] = (),
    changed: bool = False,
) -> Prepared:
    """Read a trace for replays with its own pipeline or a changed one. `changed`: something else than the plan and the providers
    is.

    Raises the errors of ``simulate``.
    """
    trace = trace if isinstance(trace, Trace) else read_trace(trace)
    recorded = recorded_plan(trace)
    plan = changed_plan(trace, recorded, pipeline=pipeline, overrides=overrides)
    changed = changed or bool(faults) or not alike(recorded, plan)
    hearing, figures = Hearing(trace.layout), Figures(trace.layout, trace.reference)
    material = gather(trace, recorded, (hearing, figures) if changed else ())
    user = _user(trace, material, hearing, recorded, plan) if changed else None
    then = figures.report().turns
    return Prepared(trace, plan, material, user, then, hearing, recorded, faults)


def _user(trace: Trace, material: Material, hearing: Hearing, *plans: Plan) -> User:
    """The user of the recording: what any of the plans takes for speech is speech."""
    frame_us = plans[0].frame_us
    least = min((limit for plan in plans for limit in _limits(plan)), default=1.0)
    voiced: Iterable[int] = [frame for _, frame, p in material.input.answers if p >= least]
    # Without a VAD only the reference detector knows when the user spoke.
    if not material.input.answers and trace.reference is not None:
        voiced = trace.reference.voiced()
    return user_of(voiced, material.left_at(frame_us), hearing.sounds, frame_us)


def _limits(plan: Plan) -> Iterator[float]:
    """The probabilities that decide what is speech."""
    vad = plan.only("vad")
    if vad is not None and isinstance(vad.options, Endpointing.Options):
        yield from (vad.options.threshold, vad.options.release)


def _run(pump: HeapPump, material: Material, warp: Warp | None, *, ended: bool) -> None:
    """Run to the end of the recording. A session that was closed from outside is closed at the same time, and in a
    what-if when the user would have closed it."""
    plan, last_us = pump.engine.plan, material.last_us
    if not material.shutdowns:
        # A changed pipeline may take longer, but must come to an end. What would have followed a kill is unknown.
        pump.run(until_us=last_us + _LONGEST_US if warp is not None or ended else last_us)
        return
    at_us, shutdown = material.shutdowns[0]
    if warp is None:
        pump.run(until_us=at_us)
        _play_out(pump, material.replies)
    else:
        at_us -= material.left_at(plan.frame_us) * plan.frame_us
        warp.left = lambda left_us: pump.stop_at(left_us + at_us)
        pump.run(until_us=last_us + _LONGEST_US)
    # A changed pipeline may have come to its end before.
    if pump.engine.finished is None:
        gate = next((i for i, stage in enumerate(plan.stages) if stage.kind == "gate"), 0)
        pump.engine.advance(pump.until_us, [Stimulus(gate, 0, shutdown, pump.until_us)])


def _play_out(pump: HeapPump, replies: int) -> None:
    """Run on until as many replies were played to their end as in the recording.

    A session may be closed because its last reply is over (``run --turns``). If the code has become slower, that reply is
    not cut off.
    """
    end_us, read, gate = pump.until_us + _PLAYED_OUT_US, 0, pump.engine.plan.only("gate")
    while pump.engine.finished is None and pump.until_us < end_us:
        rows = pump.engine.journal.rows
        replies -= sum(type(row.message) is ReplyPlayed for row in rows[read:] if gate and row.stage == gate.id)
        if replies <= 0:
            return
        read = len(rows)
        pump.run(until_us=pump.until_us + pump.engine.plan.frame_us)


def _report(trace: Trace, layout: Layout, pump: HeapPump, rows: list[Row], cast: Cast, *, level: str) -> Report:
    reference = trace.reference if cast.warp is None else cast.warp.reference(trace.reference)
    modelled = frozenset(text.strip() for text in cast.voice.modelled) if cast.voice else frozenset()
    report = measure(
        rows,
        plan=layout,
        voiced=reference,
        trace=trace.path.name,
        level=level,
        queues=queue_reports(pump.engine.inboxes()),
        modelled=modelled,
    )
    assumed = tuple(f"assumed: {what}" for what in cast.assumed())
    return replace(report, notices=(*trace.notices, *report.notices, *assumed))
