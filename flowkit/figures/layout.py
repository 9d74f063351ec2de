"""What the rows of a journal say nothing about, and figures need: stage kinds, bounded edges, the length of a frame.

Taken from a plan, or from the trace itself, so that a recording can be measured where its providers are not installed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flowkit.plan.graph import Plan


class BoundedEdge(NamedTuple):
    """A bounded edge: from stage `source` into port `port` of stage `stage`."""

    source: str
    stage: str
    port: str
    max: int
    when_full: str


class Layout(NamedTuple):
    """`kinds`: (stage id, kind), in the pipeline's order; `edges`: the bounded ones; `frame_us`: length of one input frame."""

    kinds: tuple[tuple[str, str], ...]
    edges: tuple[BoundedEdge, ...]
    frame_us: int = 20_000

    @property
    def places(self) -> dict[str, int]:
        """Each stage's place in the pipeline."""
        return {id_: place for place, (id_, _) in enumerate(self.kinds)}

    def only(self, kind: str) -> str:
        """Id of the first stage of that kind, or the empty string."""
        return next((id_ for id_, known in self.kinds if known == kind), "")

    def to_json(self) -> dict[str, Any]:
        """As stored in a trace."""
        return {
            "frame_us": self.frame_us,
            "stages": [list(k) for k in self.kinds],
            "edges": [list(e) for e in self.edges],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Layout:
        """Read back; raises KeyError, TypeError or ValueError if it is not one."""
        kinds = tuple((str(id_), str(kind)) for id_, kind in stored["stages"])
        edges = tuple(BoundedEdge(str(s), str(t), str(p), int(m), str(w)) for s, t, p, m, w in stored["edges"])
        if len(kinds) > _MOST_STAGES:
            raise ValueError(f"more than {_MOST_STAGES} stages")
        return cls(kinds, edges, int(stored["frame_us"]))


_MOST_STAGES = 100


def layout_of(plan: Plan) -> Layout:
    """The layout of a plan."""
    kinds = tuple((stage.id, stage.kind) for stage in plan.stages)
    edges = tuple(
        BoundedEdge(e.source, e.target, e.input, e.bound.max, str(e.bound.when_full))
        for e in plan.edges
        if e.bound is not None
    )
    return Layout(kinds, edges, plan.frame_us)
