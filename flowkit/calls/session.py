"""A call as a recorded session: the engine runs in virtual time, and the call's two sides answer for its providers.

flowkit takes the turns by its own rules, with a silence that is short enough for the fastest answer of the call. So a
trace of a call is like any other: its settings can be changed, and it can be tested.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from flowkit.calls.call import FRAME_US, RATE_HZ, CallLine, ImportedCall, gaps, overlaps
from flowkit.calls.listen import JOIN_US, heard_in, settings_of
from flowkit.calls.scripts import CalledAgent, CalledAsr, CalledLlm, CalledMicrophone, CalledVad, CalledVoice
from flowkit.clock import whole_ms
from flowkit.config import Config, Outside, Unset, load
from flowkit.errors import OutputError, UsageError
from flowkit.figures.queues import queue_reports
from flowkit.messages import Play
from flowkit.plan import Plan
from flowkit.plan.resolve import draw
from flowkit.plan.show import show
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.heap import HeapPump
from flowkit.replay.manifest import IMPORTED
from flowkit.replay.predicted import RecordedWords
from flowkit.replay.recorded import RecordedTools, scripted
from flowkit.replay.settings import greeting_of, lost_greeting
from flowkit.stages.endpointing import Endpointing, least
from flowkit.trace import open_recorder

_SHORTEST_US, _USUAL_US = 120_000, 400_000
_SPARE_US = 60_000
"""What an answer takes at least besides the silence before it: the last window of the VAD, and a tick."""
_ANSWERED_US = 150_000
"""An answer that comes sooner was not waiting for the user's end."""
_AFTERWARDS_US = 60_000_000
_NEAR_US, _TALKED_ON_US = 100_000, 300_000
_STAGES = ("mic", "vad", "asr", "gate", "llm", "chunker", "tts", "speaker")
_OUTSIDE = Outside({}, unset=Unset.KEEP, reveal=True)
_PATIENT = "10min"
"""An agent may have been silent for long, but its model has not failed."""


def plan_of(call: ImportedCall, pipeline: str | None = None) -> tuple[Config, Plan]:
    """The pipeline that a call is recorded with: `pipeline`, or one with embedded models, with a silence that suits the
    call.

    Raises:
        InvalidConfig: the pipeline file is not valid.
        UsageError: it has other stages, or another rate, than a call can stand for.
    """
    text = yaml.safe_dump(_pipeline(call.name), sort_keys=False) if pipeline is None else None
    name = pipeline or f"{call.name}.yaml"
    own = draw(load(name, text=text, outside=_OUTSIDE), installed=False).plan
    _check(own)
    settings = [f"stages.{_id(own, 'vad')}.end={_silence(call, own, pipeline is not None) // 1000}ms"]
    for kind in ("llm", "tts"):
        settings += [f"stages.{_id(own, kind)}.{key}={_PATIENT}" for key in ("first_item_timeout", "idle_timeout")]
    gate = _id(own, "gate")
    greeting = CalledAgent(call.agent, call.user, lambda: 0).greeting
    # The words of one's own pipeline are surer than those that were heard.
    if greeting and not greeting_of(own):
        settings.append(f"stages.{gate}.greeting={json.dumps({'text': greeting})}")
    config = load(name, text=text, overrides=settings, outside=_OUTSIDE)
    return config, draw(config, installed=False).plan


def _pipeline(name: str) -> dict[str, object]:
    providers = {"vad": "silero", "asr": "moonshine", "llm": "llamacpp", "tts": "piper", "speaker": "memory"}
    stages = [{"kind": kind, **({"provider": providers[kind]} if kind in providers else {})} for kind in _STAGES]
    return {"flowkit": 1, "name": name, "stages": stages}


def _id(plan: Plan, kind: str) -> str:
    stage = plan.only(kind)
    assert stage is not None
    return stage.id


def _check(plan: Plan) -> None:
    if missing := [kind for kind in _STAGES if plan.only(kind) is None]:
        raise UsageError(f"a call needs a pipeline with one stage of kind {', '.join(missing)}")
    if (plan.input_rate_hz, plan.frame_us) != (RATE_HZ, FRAME_US):
        raise UsageError(
            f"a call is imported at {RATE_HZ} Hz and {whole_ms(FRAME_US)} ms a frame; the pipeline has "
            f"{plan.input_rate_hz} Hz and {plan.frame_us / 1000:g} ms"
        )


def _silence(call: ImportedCall, plan: Plan, chosen: bool) -> int:
    """The silence that ends an utterance: the pipeline's own, or less if the call's agent was faster. If nobody has chosen the
    pipeline, it is that after which the LLM was asked, where that was measured."""
    stage = plan.only("vad")
    assert stage is not None
    options = stage.options
    own_us = least(options.end) if isinstance(options, Endpointing.Options) else _USUAL_US
    frame_us = plan.frame_us
    # As endpointing counts: from the last frame that the VAD takes for voice.
    user = [
        CallLine(piece.first * frame_us, (piece.last + 1) * frame_us)
        for piece in heard_in(call.probabilities, settings_of(JOIN_US))
    ]
    waits = [gap_us - _SPARE_US for _, gap_us in gaps(user, call.agent) if gap_us >= _ANSWERED_US]
    # When the LLM was asked needs no guess about what an answer takes.
    asked = [CallLine(one.asked_us, one.last_us) for one in call.model_calls]
    waits += [gap_us for _, gap_us in gaps(user, asked) if gap_us >= _SHORTEST_US]
    fastest_us = min(waits, default=own_us)
    if asked and not chosen:
        own_us = fastest_us
    return max(_SHORTEST_US, min(own_us, fastest_us // frame_us * frame_us))


class _Device(Script):
    """A speaker that plays nothing."""

    def open(self, request: object) -> InlineCall:
        return scripted(())


class PlayedCall(NamedTuple):
    """The session of a call, at its end."""

    pump: HeapPump
    turns: int
    """How many replies have sounded."""
    notices: tuple[str, ...]
    """Where the session differs from the call, for people."""


def played(call: ImportedCall, plan: Plan) -> PlayedCall:
    """Run the session of a call."""
    scripts: dict[str, Script] = {}
    pump = HeapPump(plan, scripts)
    agent = CalledAgent(call.agent, call.user, lambda: pump.now_us)
    agent.greet(greeting_of(plan))
    known: Mapping[str, Script] = {
        "mic": CalledMicrophone(call, plan.frame_us),
        "vad": CalledVad(call),
        "asr": CalledAsr(call, lambda: pump.now_us),
        "turn": RecordedWords(()),
        "llm": CalledLlm(agent, call),
        "tts": CalledVoice(agent, call.agent_pcm),
        "tools": RecordedTools((), ()),
    }
    scripts.update({stage.id: known.get(stage.kind, _Device()) for stage in plan.stages})
    pump.run(until_us=call.lasts_us + _AFTERWARDS_US)
    sounded = [row.message.at_us for row in pump.engine.journal if isinstance(row.message, Play)]
    turns = {row.turn for row in pump.engine.journal if isinstance(row.message, Play)}
    return PlayedCall(pump, len(turns), tuple(_differences(call, sounded)))


def _differences(call: ImportedCall, sounded: Sequence[int]) -> Iterator[str]:
    elsewhere = [one for one in call.agent if not any(abs(us - one.begin_us) <= _NEAR_US for us in sounded)]
    if elsewhere:
        first = elsewhere[0]
        yield (
            f"{len(elsewhere)} of {len(call.agent)} things that the agent said are at other times in the trace, or not in "
            f"it, because flowkit takes its turns otherwise; the first at {first.begin_us / 1e6:.1f} s: {first.text[:40]!r}"
        )
    into = [one for one in overlaps(call.agent, call.user) if one.lasts_us > _TALKED_ON_US]
    if into:
        yield (
            f"the agent talked on for more than {whole_ms(_TALKED_ON_US)} ms while the user spoke, {len(into)} x, first at "
            f"{into[0].begin_us / 1e6:.1f} s; in the trace it falls silent at once, as flowkit would"
        )


def write_trace(call: ImportedCall, path: Path, pipeline: str | None = None) -> PlayedCall:
    """Write the call as a trace to `path`, which must not exist, with its sound. Returns its session.

    Raises:
        UsageError: a call cannot be recorded with this pipeline.
        OutputError: the trace cannot be written.
    """
    config, plan = plan_of(call, pipeline)
    recorder = open_recorder(path, plan, config=show(config, plan), audio=bool(call.user_pcm))
    recorder.begin(call.started_us)
    session = played(call, plan)
    own = draw(load(pipeline, outside=_OUTSIDE), installed=False).plan if pipeline else plan
    session = session._replace(notices=(*lost_greeting(plan, own), *session.notices))
    engine = session.pump.engine
    recorder.event(0, IMPORTED, json.dumps(_manifest(call), ensure_ascii=False))
    recorder.rows(list(engine.journal))
    recording = recorder.close(engine.finished or "closed", queues=queue_reports(engine.inboxes()))
    if recording.lost:
        raise OutputError(recording.lost)
    return session


def _manifest(call: ImportedCall) -> dict[str, Sequence[str]]:
    return {"measured": call.measured, "derived": call.derived, "missing": call.missing}
