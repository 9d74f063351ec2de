"""What a pipeline hears in a recording: its VAD, ASR and predictors run once over it, without an end of utterance.

The session runs in virtual time. Of a recorded session the same is read from its trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import trio

from flowkit.clock import US_PER_S
from flowkit.engine import Fate, Row
from flowkit.errors import UsageError
from flowkit.messages import CommitInput, Heard, Message, Partial, Prediction, Probability
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.replay.settings import recorded_plan
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.stages.endpointing import Endpointing
from flowkit.testing.turns.label_asr import LabelAsr
from flowkit.testing.turns.labels import Labelled, UserTurn
from flowkit.testing.turns.rehearsal import playing, rehearsed, user_sound
from flowkit.trace.reader import read_trace

_HEARS = ("mic", "vad", "asr", "turn", "gate")
_NEVER_US = 3_600 * US_PER_S
_AFTER_US = 2_300_000
"""How long the session goes on after the last turn. No policy is more patient."""
_EVIDENCE = (Probability, Prediction)


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
        sound = user_sound(recording, plan.input_rate_hz)
        listens = listening_plan(plan, sound, recording.turns if from_labels else ())
        return _evidence(recording, plan, rehearsed(listens, partial(_prompt, turns=recording.turns)))
    trace = read_trace(recording.path)
    return _evidence(recording, recorded_plan(trace), trace.rows())


def listening_plan(plan: Plan, sound: bytes, known: tuple[UserTurn, ...] = ()) -> Plan:
    """The stages of `plan` that listen, with `sound` as microphone and a VAD that ends no utterance. With `known` turns, their
    transcripts take the place of the ASR."""
    kept = {stage.id: _listening(stage, sound, known) for stage in plan.stages if stage.kind in _HEARS}
    if not {"mic", "vad", "asr"} <= {stage.kind for stage in kept.values()}:
        raise UsageError(f"{plan.name} has no microphone, VAD and ASR, so it has no turns to end")
    edges = tuple(edge for edge in plan.edges if edge.source in kept and edge.target in kept)
    return replace(plan, stages=tuple(kept.values()), edges=edges)


def _listening(stage: PlannedStage, sound: bytes, known: tuple[UserTurn, ...]) -> PlannedStage:
    if stage.kind == "mic":
        return replace(stage, provider=playing(sound), failover=())
    if stage.kind == "asr" and known:
        transcripts = LabelAsr.Options.model_validate({"turns": known})
        return replace(stage, provider=ProviderChoice("labels", LabelAsr, transcripts), failover=())
    if isinstance(stage.options, Endpointing.Options):
        patient = stage.options.model_copy(update={"end": _NEVER_US, "longest": _NEVER_US})
        return replace(stage, options=patient, failover=())
    return replace(stage, failover=())


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
