"""Runs whole sessions in virtual time: a plan of scripted fakes runs to its end within milliseconds, on either pump.

    plan = scripted_plan(
        mic={"speech": [{"at": "300ms", "lasts": "800ms"}]},
        asr={"utterances": ["What is the capital of France?"]},
        llm={"replies": [{"text": "Paris."}]},
    )
    engine = heap_session(plan)
    assert engine.finished == "input_ended"

The keys are those of a pipeline file. ``heap_session`` and ``trio_session`` give equal journals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeGuard

import trio
import trio.testing

from flowkit.config import kinds
from flowkit.config.schema import CallOptions, Queue
from flowkit.config.validate import keys_of
from flowkit.engine import Engine, Row
from flowkit.engine.observer import Observer
from flowkit.errors import UsageError
from flowkit.messages import Message
from flowkit.options import Options
from flowkit.plan.agree import agreed
from flowkit.plan.graph import Bound, Edge, Plan, PlannedStage, ProviderChoice, Timeouts
from flowkit.plan.wiring import Station, wire
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.inline import InlineProvider, Script
from flowkit.providers.models import open_models, opened
from flowkit.providers.registry import has_model
from flowkit.providers.scripted import (
    ScriptedAsr,
    ScriptedLlm,
    ScriptedProvider,
    ScriptedSource,
    ScriptedTools,
    ScriptedTts,
    ScriptedTurn,
    ScriptedVad,
)
from flowkit.replay.heap import HeapPump
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.loading import Discard
from flowkit.runtime.pump import TrioPump
from flowkit.testing.virtual import VirtualTime

SCRIPTED: Mapping[str, type[ScriptedProvider]] = {
    "mic": ScriptedSource,
    "vad": ScriptedVad,
    "asr": ScriptedAsr,
    "turn": ScriptedTurn,
    "llm": ScriptedLlm,
    "tts": ScriptedTts,
    "tools": ScriptedTools,
}
PIPELINE = ("mic", "vad", "asr", "gate", "llm", "chunker", "tts", "speaker")
_PLACES = ("mic", "vad", "asr", "turn", *PIPELINE[3:], "tools")
"""The same with the stages that a pipeline may have besides."""
LONGEST_US = 120_000_000
"""Virtual time in microseconds after which a session is stopped."""


class Watch(Protocol):
    """Observes a session while it runs. ``flowkit.testing.evidence.Evidence`` is one."""

    def onto(self, plan: Plan) -> Plan:
        """The plan to run instead of `plan`, with stages that report their steps."""

    def attach(self, engine: Engine) -> None:
        """Called before the session starts."""

    def task_began(self, name: str) -> None:
        """Called when a task of the live pump starts."""

    def task_ended(self, name: str, at_us: int) -> None:
        """Called when a task of the live pump ends, with the session time in microseconds."""


# -- plans -------------------------------------------------------------------------------------------------------------


def scripted_plan(frame: str = "20ms", without: Iterable[str] = (), **stages: Mapping[str, Any]) -> Plan:
    """Make a plan of scripted fakes.

    Args:
        frame: length of an audio frame. without: kinds of stages to leave out. stages: for each kind, the stage's keys
        in a pipeline file: its options, those of the fake, ``queue``, and the timeouts of
            calls.

    Raises:
        pydantic.ValidationError: an option does not exist, or its value is not valid.
    """
    settings = {"mic": {"frame": frame}, **stages}
    settings["mic"] = {"frame": frame, **settings["mic"]}
    known = [kind for kind in _PLACES if kind in PIPELINE or kind in stages]
    chosen = [kind for kind in known if kind not in set(without)]
    queues = {kind: _queue(kind, settings.get(kind, {})) for kind in chosen}
    planned = agreed([_planned(kind, settings.get(kind, {}), queues[kind]) for kind in chosen])
    return planned_of(planned, queues, frame_us=planned[0].options.frame if chosen[0] == "mic" else 20_000)  # type: ignore[attr-defined]


def planned_of(stages: tuple[PlannedStage, ...], queues: Mapping[str, Bound], frame_us: int = 20_000) -> Plan:
    """Make a plan of any stages, connected by their ports. `queues` has the bound of each stage that takes data, by
    stage id."""
    wires = wire([Station(stage.id, stage.cls) for stage in stages])
    edges = tuple(Edge(w.source, w.output, w.target, w.input, None if w.control else queues[w.target]) for w in wires)
    return Plan("scripted", stages, edges, frame_us=frame_us)


def with_fakes(plan: Plan, kinds: Collection[str]) -> Plan:
    """The plan with scripted providers, of default options, at the stages of these `kinds`. They say what no test declares: a
    scripted tool says `ok`."""
    return replace(plan, stages=tuple(_faked(stage) if stage.kind in kinds else stage for stage in plan.stages))


def _faked(stage: PlannedStage) -> PlannedStage:
    fake = SCRIPTED[stage.kind]
    if stage.provider is None or stage.provider.cls is fake:
        return stage
    return replace(stage, provider=ProviderChoice("scripted", fake, fake.Options()), failover=())


def plan_from_yaml(text: str) -> Plan:
    """Make the plan of a pipeline file from its text. Raises InvalidConfig."""
    from flowkit.config import load
    from flowkit.plan import resolve

    return resolve(load("pipeline.yaml", text=text))


def _queue(kind: str, settings: Mapping[str, Any]) -> Bound:
    queue = Queue.model_validate(settings.get("queue", {}))
    return Bound(queue.max or kinds.habits(kind).queue, queue.when_full)


def _planned(kind: str, settings: Mapping[str, Any], bound: Bound) -> PlannedStage:
    cls, provider = kinds.find(kind), SCRIPTED.get(kind)
    groups: list[type[Options]] = [cls.Options, *([provider.Options] if provider else []), CallOptions]
    left = {key: value for key, value in settings.items() if key != "queue"}
    built: list[Options] = []
    for group in groups:
        mine = {key: value for key, value in settings.items() if key != "queue" and key in keys_of(group)}
        left = {key: value for key, value in left.items() if key not in mine}
        built.append(group.model_validate(mine | (left if group is groups[-1] else {})))
    choice = None
    if provider is not None:
        call = built[-1]
        assert isinstance(call, CallOptions)
        timeouts = Timeouts(call.connect_timeout, call.first_item_timeout, call.idle_timeout)
        choice = ProviderChoice("scripted", provider, built[1], timeouts)
    return PlannedStage(kind, kind, cls, built[0], choice, window=bound.max)


def scripts_of(plan: Plan) -> dict[str, Script]:
    """The inline provider of each stage of `plan` that has one. A speaker that is not inline is replaced by one that
    plays nothing.

    Raises UsageError for any other provider that is not inline or has a model: it can only run on the live pump.
    """
    around = Surroundings(plan.input_rate_hz, plan.frame_us, _no_clock, _no_notice)
    scripts: dict[str, Script] = {}
    for stage in plan.stages:
        choice = stage.provider
        if choice is not None and needs_only_time(cls := choice.cls):
            scripts[stage.id] = cls(choice.options, replace(around, stage=stage.options))
        elif stage.kind == "speaker":
            scripts[stage.id] = Discard(None, around)
        elif choice is not None:
            raise UsageError(
                f"stage {stage.id!r} has provider {choice.name!r}, which cannot run in virtual time",
                hint="use `scripted` in its place, as the `agent.test.yaml` of `flowkit init` does, or give the test a recorded "
                "`trace:`",
            )
    return scripts


def needs_only_time(cls: type[Provider]) -> TypeGuard[type[InlineProvider]]:
    """Whether the provider runs on the heap pump: it is inline, and has no model to be loaded."""
    return issubclass(cls, InlineProvider) and not has_model(cls)


def _no_clock() -> int:
    raise AssertionError("an inline provider reads no clock")


# -- sessions ----------------------------------------------------------------------------------------------------------


def heap_session(plan: Plan, watch: Watch | None = None, limit_us: int = LONGEST_US) -> Engine:
    """Run `plan` on the heap pump to its end, or for `limit_us` microseconds of virtual time.

    Returns the engine, with its journal, states and inboxes.
    """
    pump = HeapPump(watch.onto(plan) if watch else plan, scripts_of(plan))
    if watch is not None:
        watch.attach(pump.engine)
    pump.run(until_us=limit_us)
    return pump.engine


def trio_session(
    plan: Plan,
    watch: Watch | None = None,
    limit_us: int = LONGEST_US,
    *,
    settled: bool = True,
    inline: bool = True,
    models: Mapping[type[Provider], Any] | None = None,
) -> Engine:
    """Run `plan` on the live pump, under a clock that jumps when all tasks wait.

    Providers need not be scripted, but they may wait only for time or for other tasks. The clock would jump past a
    thread.

    Args:
        plan: The plan. watch: Observes the session. limit_us: Virtual time after which the session is stopped, in
        microseconds. settled: Handle all events of an instant in the engine's order, so that the journal equals that of
        ``heap_session``. If
            False, they are handled in the order of Trio's tasks, as in a live session.
        inline: Run inline providers in place. If False, each of their calls has a task, as for a provider with I/O.
        models: Models that are loaded already, by provider class.

    Returns:
        The engine, with its journal, states and inboxes.

    Raises:
        UsageError: a provider uses a thread, a process or a socket.
    """
    virtual = VirtualTime()

    async def main() -> Engine:
        clock = SessionClock()
        made = providers_of(plan, clock, inline=inline, models=models)
        async with open_alarms() as alarms, made as providers:
            pump = TrioPump(
                watch.onto(plan) if watch else plan,
                providers,
                clock,
                alarms,
                settled=trio.testing.wait_all_tasks_blocked if settled else None,
            )
            if watch is not None:
                watch.attach(pump.engine)
                trio.lowlevel.add_instrument(_Tasks(watch, clock))
            with trio.move_on_after(limit_us / 1_000_000):
                await pump.run()
        return pump.engine

    async def watched() -> Engine | None:
        engine = None
        with virtual.inside():
            engine = await main()
        return engine  # None if it was ended; `started` then raises the reason

    with virtual.started():
        engine = trio.run(watched, clock=trio.testing.MockClock(autojump_threshold=0))
    assert engine is not None
    return engine


class InTask(Provider):
    """Wraps an inline provider so that each of its calls runs in a task."""

    kind = "any"

    def __init__(self, within: InlineProvider) -> None:
        super().__init__(within.options, within.around)
        self.name = within.name  # type: ignore[misc]
        self._within = within

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await self._within.call(request, fed, emit)


@asynccontextmanager
async def providers_of(
    plan: Plan, clock: SessionClock, *, inline: bool = True, models: Mapping[type[Provider], Any] | None = None
) -> AsyncIterator[dict[str, Provider]]:
    """The plan's providers by stage id, ready to be called. Failover providers are left out. A speaker without one
    plays nothing. `models` are loaded already."""
    around = Surroundings(plan.input_rate_hz, plan.frame_us, clock.now_us, _no_notice, clock.at_s)
    providers: dict[str, Provider] = {}
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(open_models(_no_notice))
        for stage in plan.stages:
            if stage.provider is not None:
                here = replace(around, stage=stage.options)
                cls, options = stage.provider.cls, stage.provider.options
                if cls in (models or {}):
                    ready = cls(options, here, (models or {})[cls])
                    await stack.enter_async_context(ready.ready())
                    providers[stage.id] = ready
                    continue
                made = opened(cls, options, here, shared)
                providers[stage.id] = await stack.enter_async_context(made)
            elif stage.kind == "speaker":
                providers[stage.id] = Discard(None, around)
        if not inline:
            providers = {id_: InTask(one) if isinstance(one, InlineProvider) else one for id_, one in providers.items()}
        yield providers


class Kept(Observer):
    """An observer that keeps all rows (`all`) and events of a session. An event is (session time in microseconds, name,
    detail)."""

    def __init__(self) -> None:
        self.all: list[Row] = []
        self.events: list[tuple[int, str, str]] = []

    def rows(self, rows: list[Row]) -> None:
        """Keep the rows."""
        self.all += rows

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Keep the event."""
        self.events.append((at_us, name, detail))


def _no_notice(line: str) -> None:
    """Ignore notices."""


class _Tasks(trio.abc.Instrument):
    """Reports to a watch when each task starts and ends."""

    def __init__(self, watch: Watch, clock: SessionClock) -> None:
        self._watch = watch
        self._clock = clock

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self._watch.task_began(task.name)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self._watch.task_ended(task.name, self._clock.now_us())
