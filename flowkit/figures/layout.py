"""What figures need to know beside the rows: stages, bounded edges, and the length of a frame.

It comes from a plan, or from the trace itself. So a recording can be measured where its providers are not installed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flowkit.config.prices import MILLION, Price
from flowkit.plan.graph import Plan


class BoundedEdge(NamedTuple):
    """A bounded edge from stage `source` into port `port` of stage `stage`."""

    source: str
    stage: str
    port: str
    max: int
    when_full: str


class StagePrice(NamedTuple):
    """What a provider of stage `stage` costs: a million tokens or characters, an hour of audio. `place`: 0 for the stage's first
    provider, then the failover list."""

    stage: str
    place: int = 0
    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0
    characters: float = 0.0
    hour: float = 0.0


class Layout(NamedTuple):
    """The stages, edges, frame length and prices of a pipeline."""

    kinds: tuple[tuple[str, str], ...]
    """(stage id, kind) in the order of the pipeline."""
    edges: tuple[BoundedEdge, ...]
    """The bounded edges."""
    frame_us: int = 20_000
    """Length of an input frame."""
    prices: tuple[StagePrice, ...] = ()
    """The providers that have a price."""
    currency: str = ""
    """Of the prices."""

    @property
    def places(self) -> dict[str, int]:
        """The index of each stage in the pipeline, by id."""
        return {id_: place for place, (id_, _) in enumerate(self.kinds)}

    def only(self, kind: str) -> str:
        """The id of the first stage of this kind, or an empty string."""
        return next((id_ for id_, known in self.kinds if known == kind), "")

    def to_json(self) -> dict[str, Any]:
        """The layout as a trace stores it. ``flowkit.trace.schema`` reads it back."""
        known: dict[str, Any] = {
            "frame_us": self.frame_us,
            "stages": [list(k) for k in self.kinds],
            "edges": [list(e) for e in self.edges],
        }
        return {**known, "prices": [list(r) for r in self.prices], "currency": self.currency} if self.prices else known


MOST_STAGES = 100


def layout_of(plan: Plan) -> Layout:
    """The layout of a plan."""
    kinds = tuple((stage.id, stage.kind) for stage in plan.stages)
    edges = tuple(
        BoundedEdge(e.source, e.target, e.input, e.bound.max, str(e.bound.when_full))
        for e in plan.edges
        if e.bound is not None
    )
    prices = tuple(
        _price(stage.id, place, choice.price)
        for stage in plan.stages
        for place, choice in enumerate(stage.choices)
        if choice.price is not None
    )
    return Layout(kinds, edges, plan.frame_us, prices, str(plan.settings.get("currency", "")) if prices else "")


def _price(stage: str, place: int, price: Price) -> StagePrice:
    cached = price.input if price.cached is None else price.cached
    asked, known, made, spoken = (
        (amount or 0.0) * MILLION / price.per for amount in (price.input, cached, price.output, price.characters)
    )
    return StagePrice(stage, place, asked, known, made, spoken, price.hour or 60 * (price.minute or 0.0))
