"""Who gets the floor: what a pipeline does when the user speaks while the agent does.

The user's side of a recording is played to an agent that talks on and on, in virtual time, with the pipeline's own VAD,
ASR, predictors and gate. Each interruption has a session of its own, because an agent that was stopped talks no more.
Of a recorded session the same is read from its trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import trio

from flowkit.clock import US_PER_S, whole_ms
from flowkit.engine import Fate, Row
from flowkit.errors import UsageError
from flowkit.messages import Final, Hold, Interrupt, Partial, Resume, Typed
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.providers.scripted import ScriptedLlm, ScriptedTts
from flowkit.replay.settings import recorded_plan
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.stages.gate import Gate
from flowkit.testing.turns.labels import Interruption, Labelled, Wish
from flowkit.testing.turns.rehearsal import playing, rehearsed, user_sound
from flowkit.trace.reader import read_trace

_NEEDS = ("mic", "vad", "asr", "gate", "llm", "chunker", "tts", "speaker")
_TALKS = (*_NEEDS, "turn")
_LEAD_S = 3.0
"""When the recording begins. By then the agent has talked for more than two seconds."""
_AFTER_S = 3.0
"""How long the agent may take, from the end of what the user says."""
_EARLY_US = 300_000
"""By so much a VAD may be earlier than the label."""
_TALK = "We open at nine in the morning and we close at six, and on Fridays we stay until eight in the evening. "
_CHAR_S = 0.06


@dataclass(frozen=True, slots=True)
class FloorOutcome:
    """What the agent did about one interruption.

    Args:
        silent_ms: from its begin to the agent's last sound, rounded up to a frame; None if the agent was not stopped.
        paused_ms: how long the agent was held and then went on.
        heard: the last transcript.
    """

    recording: str
    interruption: Interruption
    silent_ms: int | None
    paused_ms: int
    heard: str

    @property
    def stopped(self) -> bool:
        """Whether the agent lost the floor."""
        return self.silent_ms is not None

    @property
    def right(self) -> bool:
        """Whether that was what the user wanted."""
        return self.stopped is (self.interruption.kind is Wish.TAKE_OVER)

    def __str__(self) -> str:
        did = f"silent after {self.silent_ms} ms" if self.stopped else f"went on, paused for {self.paused_ms} ms"
        where = f"{self.recording} at {self.interruption.begins:.2f} s"
        return (
            f"{'right' if self.right else 'WRONG':<6}{self.interruption.kind:<12} {where}: {did}: {self.heard[-60:]!r}"
        )

    def to_json(self) -> dict[str, Any]:
        """All that is known of it."""
        return {
            "recording": self.recording,
            "begins": self.interruption.begins,
            "kind": self.interruption.kind.value,
            "stopped": self.stopped,
            "silent_ms": self.silent_ms,
            "paused_ms": self.paused_ms,
            "heard": self.heard,
        }


@dataclass(frozen=True, slots=True)
class FloorResult:
    """What one pipeline did about all interruptions."""

    outcomes: tuple[FloorOutcome, ...]

    def lines(self) -> Iterator[str]:
        """The figures and each interruption, for people."""
        told = self.to_json()
        takes, backchannels = told["take_overs"], told["backchannels"]
        yield f"the floor: {takes} take-overs, {backchannels} backchannels"
        got = f"  missed_interruption {told['missed_interruption']} of {takes}"
        yield (
            got if told["silent_ms_p50"] is None else f"{got}, silent after {round(told['silent_ms_p50'])} ms (median)"
        )
        kept = f"  false_interruption {told['false_interruption']} of {backchannels}"
        yield (
            kept
            if told["paused_ms_p50"] is None
            else f"{kept}, else paused for {round(told['paused_ms_p50'])} ms (median)"
        )
        yield from (f"    {outcome}" for outcome in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """The figures: `missed_interruption` counts take-overs that did not get the floor, `false_interruption` backchannels that
        stopped the agent. Medians in milliseconds."""
        takes = [one for one in self.outcomes if one.interruption.kind is Wish.TAKE_OVER]
        others = [one for one in self.outcomes if one.interruption.kind is Wish.BACKCHANNEL]
        return {
            "take_overs": len(takes),
            "missed_interruption": sum(not one.stopped for one in takes),
            "silent_ms_p50": _median([one.silent_ms for one in takes if one.silent_ms is not None]),
            "backchannels": len(others),
            "false_interruption": sum(one.stopped for one in others),
            "paused_ms_p50": _median([one.paused_ms for one in others if not one.stopped]),
            "interruptions": [one.to_json() for one in self.outcomes],
        }


def _median(values: Sequence[int]) -> float | None:
    return median(values) if values else None


def floor_outcomes(recording: Labelled, plan: Plan) -> Iterator[FloorOutcome]:
    """What the agent of `plan`, or that of a trace, did about each interruption of a recording.

    Raises InputError, TraceError, ProviderError; UsageError if a provider of `plan` needs a network or a process.
    """
    listed = recording.labels.interruptions
    if not listed:
        return
    if recording.path.suffix != ".wav":
        trace = read_trace(recording.path)
        rows, recorded = list(trace.rows()), recorded_plan(trace)
        yield from (_outcome(recording, said, rows, recorded, 0) for said in listed)
        return
    sound = user_sound(recording, plan.input_rate_hz)
    for place, said in enumerate(listed):
        since = listed[place - 1].ends if place else 0.0
        until = min([said.ends + _AFTER_S, *(after.begins for after in listed[place + 1 : place + 2])])
        pcm = _part(sound, since - _LEAD_S, until, plan.input_rate_hz, silent_until=since)
        lasts_s = said.ends - since + _LEAD_S + _AFTER_S
        rows = rehearsed(talking_plan(plan, pcm, lasts_s), partial(_ask, lasts_s=lasts_s))
        yield _outcome(recording, said, rows, plan, round((_LEAD_S - since) * US_PER_S))


def _part(sound: bytes, since_s: float, until_s: float, rate_hz: int, *, silent_until: float) -> bytes:
    """The sound from one time to another, with silence up to a third."""
    first, last = round(silent_until * rate_hz), round(until_s * rate_hz)
    return bytes(2 * (first - round(since_s * rate_hz))) + sound[2 * first : 2 * last]


def talking_plan(plan: Plan, pcm: bytes, lasts_s: float) -> Plan:
    """The plan with a user whose side is `pcm`, and an agent that talks for `lasts_s` seconds or longer."""
    kept = {stage.id: _talking(stage, pcm, lasts_s) for stage in plan.stages if stage.kind in _TALKS}
    if missing := set(_NEEDS) - {stage.kind for stage in kept.values()}:
        raise UsageError(f"{plan.name} has no {' and no '.join(sorted(missing))}, so its agent cannot be interrupted")
    edges = tuple(edge for edge in plan.edges if edge.source in kept and edge.target in kept)
    return replace(plan, stages=tuple(kept.values()), edges=edges)


def _talking(stage: PlannedStage, pcm: bytes, lasts_s: float) -> PlannedStage:
    if stage.kind == "mic":
        return replace(stage, provider=playing(pcm), failover=())
    if stage.kind == "llm":
        reply = {"text": (_TALK * (1 + int(lasts_s / _CHAR_S / len(_TALK)))).strip()}
        script = ScriptedLlm.Options.model_validate({"replies": [reply, {"text": "Good."}]})
        return replace(stage, provider=ProviderChoice("scripted", ScriptedLlm, script), failover=())
    if stage.kind == "tts":
        voice = ScriptedTts.Options.model_validate({"per_char": f"{_CHAR_S}s"})
        return replace(stage, provider=ProviderChoice("scripted", ScriptedTts, voice), failover=())
    if stage.kind == "speaker":
        return replace(stage, provider=None, failover=())
    if isinstance(stage.options, Gate.Options):
        silent = stage.options.model_copy(update={"greeting": None, "idle": None, "session": None})
        return replace(stage, options=silent, failover=())
    return replace(stage, failover=())


async def _ask(pump: TrioPump, clock: SessionClock, *, lasts_s: float) -> None:
    """Have the agent begin to talk. Returns when all has been played."""
    pump.tell("gate", Typed("Tell me more."))
    await trio.sleep_until(clock.at_s(round(US_PER_S * lasts_s)))


def _outcome(recording: Labelled, said: Interruption, rows: Sequence[Row], plan: Plan, offset_us: int) -> FloorOutcome:
    """`offset_us`: how much later than in the recording a moment is in the session."""
    gate, speaker = plan.only("gate"), plan.only("speaker")
    if gate is None or speaker is None:
        raise UsageError(f"{recording.path.name}: its pipeline has no gate and speaker")
    onset_us = offset_us + round(said.begins * US_PER_S)
    last_us = offset_us + round((said.ends + _AFTER_S) * US_PER_S)
    held_us: int | None = None
    silent_ms, paused_us, heard = None, 0, ""
    for row in rows:
        if row.fate is not Fate.HANDLED or not onset_us - _EARLY_US <= row.handled_us <= last_us:
            continue
        message = row.message
        if row.stage == gate.id and isinstance(message, (Partial, Final)):
            heard = message.text
        if row.stage != speaker.id or silent_ms is not None:
            continue
        if isinstance(message, Hold):
            held_us = row.handled_us
        elif isinstance(message, Resume) and held_us is not None:
            paused_us, held_us = paused_us + row.handled_us - held_us, None
        elif isinstance(message, Interrupt) and not message.early:
            stopped_us = row.handled_us if held_us is None else held_us
            silent_ms = whole_ms(-(-(stopped_us - onset_us) // plan.frame_us) * plan.frame_us)
    return FloorOutcome(recording.path.name, said, silent_ms, whole_ms(paused_us), heard)
