"""From the configuration to the plan: choose providers, wire the ports, bound the edges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from flowkit.config import Config, InvalidConfig, Problem, ProviderConfig, Severity, StageConfig
from flowkit.config.problems import errors
from flowkit.config.schema import CallOptions
from flowkit.plan.agree import agreed
from flowkit.plan.checks import check
from flowkit.plan.graph import Bound, Edge, Plan, PlannedStage, ProviderChoice, Timeouts
from flowkit.plan.wiring import Station, Wire, wire
from flowkit.stages.base import Stage
from flowkit.stages.narration import Narration
from flowkit.stages.predicting import Predicting, PredictingBySound
from flowkit.stages.tts import TtsOrder

_WINDOW = 50
"""For a stage with an unbounded queue. That is an error, but ``show`` and ``graph`` show such a plan."""


class Drawn(NamedTuple):
    """A plan as far as it can be drawn, and its problems."""

    plan: Plan
    problems: tuple[Problem, ...]


def resolve(config: Config, *, installed: bool = True) -> Plan:
    """The plan of a configuration. With `installed`, each provider must be installed, or have another to fail over to.

    Raises:
        InvalidConfig: the stages do not fit together, or a provider is not installed.
    """
    drawn = draw(config, installed=installed)
    if found := errors(drawn.problems):
        raise InvalidConfig(found)
    return drawn.plan


def draw(config: Config, *, installed: bool = True) -> Drawn:
    """As `resolve`, but never raises: a plan to show, and its problems."""
    problems: list[Problem] = []
    stations = [Station(stage.id, _class(stage, config), stage.sources) for stage in config.stages]
    wires = wire(stations)
    stages = agreed([_planned(stage, config, installed, problems) for stage in config.stages])
    problems += check(config, stations, wires)
    edges = tuple(_edge(w, config.stage(w.target)) for w in wires)
    frame_us = next((s.options.frame for s in stages if hasattr(s.options, "frame")), 20_000)
    grace_us = config.top.shutdown.grace
    plan = Plan(
        config.name,
        stages,
        edges,
        frame_us=frame_us,
        grace_us=grace_us,
        settings=config.settings,
        mode=config.mode,
    )
    return Drawn(plan, tuple(problems))


def _edge(w: Wire, target: StageConfig) -> Edge:
    queue = target.queue
    bound = None
    # Control is handled out of band. It has a bound of its own, the same for all stages.
    if not w.control and not target.unbounded:
        assert queue.max is not None
        bound = Bound(queue.max, queue.when_full)
    return Edge(w.source, w.output, w.target, w.input, bound)


def _planned(stage: StageConfig, config: Config, installed: bool, problems: list[Problem]) -> PlannedStage:
    candidates = candidates_of(stage, config)
    chosen = _installed(candidates, config, problems) if installed else candidates
    choices = [_choice(candidate, stage) for candidate in chosen]
    return PlannedStage(
        stage.id,
        stage.kind,
        Narration if choices and choices[0].cls.continuous and stage.cls is TtsOrder else _class(stage, config),
        stage.options,
        choices[0] if choices else None,
        tuple(choices[1:]),
        window=stage.queue.max or _WINDOW,
        allow=stage.allow,
    )


def _class(stage: StageConfig, config: Config) -> type[Stage[Any]]:
    """The class whose ports the stage has: what a predictor hears depends on who it is."""
    first = next(iter(candidates_of(stage, config)), None)
    return PredictingBySound if first is not None and first.cls.hears and stage.cls is Predicting else stage.cls


def _choice(candidate: ProviderConfig, stage: StageConfig) -> ProviderChoice:
    call, options = candidate.call, candidate.cls.resolved(candidate.options, stage.options)
    timeouts = Timeouts(call.connect_timeout, call.first_item_timeout, call.idle_timeout)
    return ProviderChoice(candidate.name, candidate.cls, options, timeouts, call.retry, call.circuit, call.price)


def _installed(candidates: tuple[ProviderConfig, ...], config: Config, problems: list[Problem]) -> list[ProviderConfig]:
    """The candidates whose modules are installed. The others are notices, or errors if none is left."""
    there, absent = [], []
    for candidate in candidates:
        if modules := config.catalog.missing(candidate.cls):
            what = f"provider {candidate.name!r} is not installed: there is no module {', '.join(modules)}"
            ways = (f"install it: {candidate.cls.install}" if candidate.cls.install else "", candidate.cls.instead)
            help = "; or ".join(filter(None, ways))
            absent.append(Problem("FK105", candidate.mark, (*candidate.path, "provider"), what, help=help))
        else:
            there.append(candidate)
    severity = Severity.NOTICE if there else Severity.ERROR
    problems += [replace(problem, severity=severity) for problem in absent]
    return there


def candidates_of(stage: StageConfig, config: Config) -> tuple[ProviderConfig, ...]:
    """Who may do the stage's work, in order: the providers that the file names, else the default of the kind."""
    return stage.candidates or _by_habit(stage, config)


def _by_habit(stage: StageConfig, config: Config) -> tuple[ProviderConfig, ...]:
    """For a microphone or speaker that the file does not name: the device, if there is one. Otherwise nothing, and
    ``run`` asks for a file. A default file name would read or overwrite a file that nobody named."""
    if "device" not in config.catalog.providers(stage.kind):
        return ()
    found = with_provider(stage, config, "device", {"if_any": "true"} if stage.kind == "speaker" else {})
    return (found,) if found and not config.catalog.missing(found.cls) else ()


def with_provider(stage: StageConfig, config: Config, name: str, options: dict[str, str]) -> ProviderConfig | None:
    """Provider `name` for the stage with these options; None if it needs others."""
    cls = config.catalog.provider(stage.kind, name)
    try:
        built = cls.Options.model_validate(options)
    except ValidationError:
        return None
    return ProviderConfig(name, cls, built, CallOptions(), stage.node, stage.path)
