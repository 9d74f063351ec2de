"""Chooses the pipeline that a replay runs: the recorded one, or one with changes whose effects the recording can show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flowkit.config import Outside, Unset, load
from flowkit.errors import TraceError, UsageError
from flowkit.options import Options
from flowkit.plan import Plan
from flowkit.plan.graph import PlannedStage, ProviderChoice
from flowkit.plan.resolve import draw
from flowkit.plan.variants import ENDS, like
from flowkit.stages.gate import Gate
from flowkit.trace.reader import Trace

REFUSAL = "replay changes decisions (vad and gate settings, chunker, queue bounds), not what providers would say"


def recorded_plan(trace: Trace) -> Plan:
    """The plan that the trace was recorded with. Raises TraceError if the trace does not hold it."""
    if not trace.head.config:
        raise TraceError(f"{trace.path.name} holds no configuration, so its pipeline cannot be run again")
    plan = _plan(trace, f"{trace.path.name}:configuration")
    stored = [list(kind) for kind in trace.layout.kinds]
    if [[stage.id, stage.kind] for stage in plan.stages] != stored:
        raise TraceError(f"{trace.path.name}: its configuration does not name the stages that its journal has")
    return plan


def changed_plan(
    trace: Trace,
    recorded: Plan,
    *,
    pipeline: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Plan:
    """The plan to replay with.

    Args:
        trace: the trace.
        recorded: its own plan.
        pipeline: the path of another pipeline file, or None.
        overrides: ``KEY=VALUE`` settings.
        environ: the environment variables that the file may use; by default none.

    Raises:
        UsageError: a change needs answers that no recording holds; the message names the setting.
    """
    if pipeline is None and not overrides:
        return recorded
    if pipeline is None:
        plan = _plan(trace, trace.path.name, overrides)
    else:
        config = load(pipeline, overrides=overrides, outside=Outside(environ or {}, unset=Unset.KEEP, reveal=True))
        plan = draw(like(recorded, config), installed=False).plan
    if refused := list(_refused(recorded, plan)):
        raise UsageError(f"cannot replay with another {refused[0]}", hint=REFUSAL)
    return plan


def alike(recorded: Plan, plan: Plan) -> bool:
    """Whether nothing in `plan` makes a session go otherwise than with `recorded`. Where sound comes from and goes to does not,
    nor do keys and prices."""
    return recorded.edges == plan.edges and list(map(_decisive, recorded.stages)) == list(map(_decisive, plan.stages))


def _decisive(stage: PlannedStage) -> tuple[object, ...]:
    choices = () if stage.kind in ENDS else stage.choices
    called = [(one.name, _plain(one.options), one.timeouts, one.retry, one.circuit) for one in choices]
    return (stage.id, stage.cls, stage.options, stage.window, called)


def lost_greeting(recorded: Plan, plan: Plan) -> Iterable[str]:
    """That the recorded session began with the agent's words and `plan` has none to begin with, for people. Later turns have
    other numbers and other histories then."""
    then, now = greeting_of(recorded), greeting_of(plan)
    if then and not now:
        add = f"greeting: {{text: {json.dumps(then, ensure_ascii=False)}}}"
        yield f"the recording begins with the agent's greeting, and the pipeline has none: add `{add}`"


def greeting_of(plan: Plan) -> str:
    """What the agent says first; empty if it waits for the user."""
    gate = plan.only("gate")
    greeting = gate.options.greeting if gate is not None and isinstance(gate.options, Gate.Options) else None
    return greeting.text if greeting is not None else ""


def _plan(trace: Trace, name: str, overrides: Sequence[str] = ()) -> Plan:
    # The recorded configuration may name variables that are not set here, and providers that are not installed.
    outside = Outside(unset=Unset.KEEP, reveal=True)
    config = load(name, text=trace.head.config, overrides=overrides, outside=outside)
    return draw(replace(config, mode=trace.head.mode), installed=False).plan


def _refused(recorded: Plan, plan: Plan) -> Iterable[str]:
    """The names of settings that differ and must not."""
    if [(s.id, s.kind) for s in recorded.stages] != [(s.id, s.kind) for s in plan.stages]:
        # The settings are compared stage by stage, which makes no sense with other stages.
        yield f"list of stages: {_other_stages(recorded, plan)}"
        return
    for before, after in zip(recorded.stages, plan.stages, strict=True):
        yield from (f"stages.{after.id}.{what}" for what in _provider_changes(before, after))
    if recorded.frame_us != plan.frame_us:
        yield "stages.mic.frame"


def _other_stages(recorded: Plan, plan: Plan) -> str:
    then, now = ([f"{s.id} ({s.kind})" if s.id != s.kind else s.id for s in known.stages] for known in (recorded, plan))
    gone, new = (", ".join(x for x in a if x not in b) for a, b in ((then, now), (now, then)))
    if not gone and not new:
        return f"they were in another order, {', '.join(then)}"
    return "; ".join([f"{gone} is missing"] * bool(gone) + [f"{new} was not there"] * bool(new))


def _provider_changes(before: PlannedStage, after: PlannedStage) -> Iterable[str]:
    """The settings of a stage's provider that differ."""
    if before.kind in ENDS or before.kind in ("tools", "turn"):
        # Where sound comes from and goes to does not change what the engine does, so a file may replace a device. Tools answer
        # as recorded, and their timeouts and fillers are decisions. Another predictor is computed by the replay.
        return
    old, new = before.provider, after.provider
    if (old.name if old else "") != (new.name if new else ""):
        yield "provider"
    elif old is not None and new is not None:
        yield from _option_changes(old, new)


def _option_changes(old: ProviderChoice, new: ProviderChoice) -> Iterable[str]:
    before, after = _plain(old.options), _plain(new.options)
    yield from (name for name in after if before.get(name) != after[name])


def _plain(options: Options) -> dict[str, Any]:
    """Option values with secrets masked, as a trace holds them."""
    shown = options.model_dump(mode="json")
    return {
        name: "***" if hasattr(getattr(options, name), "get_secret_value") else value for name, value in shown.items()
    }
