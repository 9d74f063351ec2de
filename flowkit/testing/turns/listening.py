"""What a pipeline hears in a recording: its VAD, ASR and predictors run once over it, without an end of utterance.

The session runs in virtual time. What a model computes takes the processor time that it needs, so that a busy machine
changes little. Of a recorded session the same is read from its trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import trio
import trio.testing

from flowkit.clock import US_PER_S
from flowkit.engine import Fate, Row
from flowkit.errors import UsageError
from flowkit.messages import CommitInput, Frames, Heard, Message, Partial, Prediction, Probability
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.providers.base import Provider
from flowkit.providers.loading import lone_error
from flowkit.providers.sound.wav import WavSource
from flowkit.replay.settings import recorded_plan
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.stages.endpointing import Endpointing
from flowkit.testing.sessions import providers_of
from flowkit.testing.turns.label_asr import LabelAsr
from flowkit.testing.turns.labels import Labelled, UserTurn
from flowkit.testing.virtual import VirtualTime, kept_model
from flowkit.trace.reader import read_trace

_HEARS = ("mic", "vad", "asr", "turn", "gate")
_NEVER_US = 3_600 * US_PER_S
_AFTER_US = 2_300_000
"""How long the session goes on after the last turn. No policy is more patient."""
_EVIDENCE = (Frames, Probability, Prediction)


@dataclass(frozen=True, slots=True)
class HeardRecording:
    """What reached the VAD's stage, with the time in microseconds, and the partial transcripts."""

    recording: Labelled
    frame_us: int
    messages: tuple[tuple[int, Message], ...]
    partials: tuple[tuple[int, Partial], ...]

    def said_at(self, at_us: int) -> str:
        """The newest transcript at a time."""
        return next((partial.text for us, partial in reversed(self.partials) if us <= at_us), "")


def hear(recording: Labelled, plan: Plan, *, from_labels: bool = False) -> HeardRecording:
    """Run the listening part of `plan` over a WAV file, or read what was heard from a trace.

    With the last argument, the transcripts are the labels' own.

    Raises InputError, TraceError, ProviderError; UsageError if a provider needs a network or a process.
    """
    if recording.path.suffix == ".wav":
        return _evidence(
            recording, plan, _listened(recording, listening_plan(plan, recording, from_labels=from_labels))
        )
    trace = read_trace(recording.path)
    return _evidence(recording, recorded_plan(trace), trace.rows())


def listening_plan(plan: Plan, recording: Labelled, *, from_labels: bool = False) -> Plan:
    """The stages of `plan` that listen, with the file as microphone and a VAD that ends no utterance."""
    kept = {
        stage.id: _listening(stage, recording, from_labels=from_labels) for stage in plan.stages if stage.kind in _HEARS
    }
    if {stage.kind for stage in kept.values()} < {"mic", "vad", "asr"}:
        raise UsageError(f"{plan.name} has no microphone, VAD and ASR, so it has no turns to end")
    edges = tuple(edge for edge in plan.edges if edge.source in kept and edge.target in kept)
    return replace(plan, stages=tuple(kept.values()), edges=edges)


def _listening(stage: PlannedStage, recording: Labelled, *, from_labels: bool) -> PlannedStage:
    if stage.kind == "mic":
        played = WavSource.Options.model_validate({"path": recording.path})
        return replace(stage, provider=ProviderChoice("wav", WavSource, played), failover=())
    if stage.kind == "asr" and from_labels:
        known = LabelAsr.Options.model_validate({"turns": recording.turns})
        return replace(stage, provider=ProviderChoice("labels", LabelAsr, known), failover=())
    if isinstance(stage.options, Endpointing.Options):
        patient = stage.options.model_copy(update={"end": _NEVER_US, "longest": _NEVER_US})
        return replace(stage, options=patient, failover=())
    return replace(stage, failover=())


def _listened(recording: Labelled, plan: Plan) -> list[Row]:
    virtual = VirtualTime(computes=True)
    models = _models(plan)

    async def main() -> list[Row]:
        clock = SessionClock()
        async with open_alarms() as alarms, providers_of(plan, clock, models=models) as providers:
            settled = trio.testing.wait_all_tasks_blocked
            pump = TrioPump(plan, providers, clock, alarms, settled=settled)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump.run)
                await _prompt(pump, clock, recording.turns)
                nursery.cancel_scope.cancel()
        return list(pump.engine.journal.rows)

    async def watched() -> list[Row]:
        rows: list[Row] = []
        with lone_error(), virtual.inside():
            rows = await main()
        return rows

    with virtual.started():
        return trio.run(watched, clock=trio.testing.MockClock(autojump_threshold=0))


def _models(plan: Plan) -> Mapping[type[Provider], Any]:
    """The models of the plan, loaded on the real clock."""
    models = {}
    for stage in plan.stages:
        if stage.provider is not None and not stage.provider.cls.loads_nothing(stage.provider.options):
            choice = stage.provider
            choice.cls.check(choice.options)
            kept = kept_model(choice.cls, choice.options)
            if kept.bound:
                raise UsageError(
                    f"{stage.kind} {choice.name} works in a loop or a process of its own, for which virtual time does not wait",
                    hint="record sessions with it, label them (flowkit label TRACE), and give the traces",
                )
            models[choice.cls] = kept.value
    return models


async def _prompt(pump: TrioPump, clock: SessionClock, turns: tuple[UserTurn, ...]) -> None:
    """Tell the session when a turn of the recording begins, and what the agent had said. Returns after the last turn."""
    for place, turn in enumerate(turns):
        since = turns[place - 1].ends if place else 0.0
        await trio.sleep_until(clock.at_s(round(US_PER_S * max(since, turn.begins - 0.3))))
        if place:
            pump.tell("vad", CommitInput())
        pump.tell("turn", Heard(0, turn.asked, 1, 1))
    await trio.sleep_until(clock.at_s(round(US_PER_S * turns[-1].ends) + _AFTER_US))


def _evidence(recording: Labelled, plan: Plan, rows: list[Row]) -> HeardRecording:
    vad, asr = plan.only("vad"), plan.only("asr")
    if vad is None:
        raise UsageError(f"{recording.path.name}: its pipeline has no VAD")
    return HeardRecording(
        recording,
        plan.frame_us,
        tuple(_of(rows, vad.id, _EVIDENCE)),
        tuple((us, m) for us, m in _of(rows, asr.id if asr else "", (Partial,)) if isinstance(m, Partial)),
    )


def _of(rows: list[Row], stage: str, kinds: tuple[type[Message], ...]) -> Iterator[tuple[int, Message]]:
    for row in rows:
        if row.stage == stage and row.fate is Fate.HANDLED and isinstance(row.message, kinds) and row.lane != "P":
            yield row.handled_us, row.message
