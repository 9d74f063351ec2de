"""The plan: a resolved, frozen graph of stages and edges. The engine is built from it; it never sees YAML.

Data edges have a bound. Control edges (interrupts from the gate, progress back to it, speech events) follow from the
ports and have none. Their lane is out of band and has a fixed bound (`CONTROL_BOUND`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from flowkit.config import Config, RunMode
from flowkit.config.prices import Price
from flowkit.config.schema import Circuit, Retry, ShutdownOptions, WhenFull
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.stages.base import AGAIN, Stage

CONTROL_BOUND = 64
"""How many control messages may wait at one stage. More are a defect or a flood, and end the session with an error.
Usually few wait. The bound leaves room for a stage that gets many clauses at once (at an interrupt after a long queue)
to answer for each."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How many messages may wait on an edge, on either side of a channel, and what happens to one more."""

    max: int
    when_full: WhenFull = WhenFull.BLOCK


@dataclass(frozen=True, slots=True)
class Edge:
    """`source.output` feeds `target.input`. `bound` is None for a control edge."""

    source: str
    output: str
    target: str
    input: str
    bound: Bound | None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of one provider call in microseconds; None waits for ever. `first_item_us`: until the first useful
    item. `idle_us`: between items, not counting time in which the stage holds them back."""

    connect_us: int | None = None
    first_item_us: int | None = None
    idle_us: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """A provider with its resolved options. A stage has one, and may have others to fail over to."""

    name: str
    cls: type[Provider]
    options: Options
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None
    circuit: Circuit | None = None
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage: its Stage class with options, and its providers (None for a pure stage)."""

    id: str
    kind: str
    cls: type[Stage[Any]]
    options: Options
    provider: ProviderChoice | None = None
    failover: tuple[ProviderChoice, ...] = ()
    window: int = 50
    """How many items may be fed to the provider and not yet taken by it; the stage's queue bound."""
    allow: frozenset[str] = frozenset()

    @property
    def choices(self) -> tuple[ProviderChoice, ...]:
        """The stage's providers in order of preference; none for a pure stage."""
        return (*([self.provider] if self.provider else []), *self.failover)

    @property
    def resilient(self) -> bool:
        """Whether a failed call is retried, or made elsewhere. Then the runtime keeps each provider's deadlines. It also keeps
        those of a call that lasts as long as the session: it alone knows since when an item is owed."""
        first = self.provider
        if first is None or not self.cls.call_keys >= AGAIN:
            return False
        owed = self.cls.call_scope == "session" and first.timeouts.first_item_us is not None
        return bool(owed or self.failover or first.retry or first.circuit or first.cls.remote or first.cls.continuous)

    @property
    def timeouts(self) -> Timeouts:
        """The deadlines that the engine keeps for this stage's calls."""
        return self.provider.timeouts if self.provider and not self.resilient else Timeouts()


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole pipeline in order, with what belongs to no stage."""

    name: str
    stages: tuple[PlannedStage, ...]
    edges: tuple[Edge, ...]
    input_rate_hz: int = 16_000
    frame_us: int = 20_000
    grace_us: int = ShutdownOptions().grace
    """How long provider calls may take to end, once the session ends."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Resolved top-level blocks (budgets, trace, ...) by name, for the packages that use them."""
    mode: RunMode = RunMode.FILE

    def stage(self, stage_id: str) -> PlannedStage:
        """The stage with this id. Raises KeyError."""
        for stage in self.stages:
            if stage.id == stage_id:
                return stage
        raise KeyError(stage_id)

    @property
    def silent(self) -> bool:
        """Whether the replies make no sound, because they are printed."""
        voice = self.only("tts")
        return voice is not None and voice.provider is not None and voice.provider.cls.silent

    def with_options(self, change: Callable[[Options], Options]) -> Plan:
        """The same plan with the options of every stage and every provider changed."""
        stages = (
            replace(
                stage,
                options=change(stage.options),
                provider=stage.provider and replace(stage.provider, options=change(stage.provider.options)),
                failover=tuple(replace(one, options=change(one.options)) for one in stage.failover),
            )
            for stage in self.stages
        )
        return replace(self, stages=tuple(stages))

    def only(self, kind: str) -> PlannedStage | None:
        """The first stage of this kind, or None."""
        return next((stage for stage in self.stages if stage.kind == kind), None)


Pipeline = TypeVar("Pipeline", Config, Plan)
"""A pipeline as it was read, or as it was resolved."""
