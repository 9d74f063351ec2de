"""Which settings of a pipeline are others than before, and on which line of which file each stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowkit.config import Config
from flowkit.config.nodes import Mapping as MappingNode
from flowkit.config.nodes import Node
from flowkit.config.text import Mark
from flowkit.options import Options
from flowkit.plan.graph import Plan, PlannedStage

_ELSEWHERE = ("mic", "speaker")
"""Where sound comes from and goes to is no decision of the session's."""


def differing(recorded: Plan, now: Plan) -> dict[str, str]:
    """Settings of `now` that are not the recorded ones, by path (``stages.vad.end``), with their new values."""
    found: dict[str, str] = {}
    for before, after in zip(recorded.stages, now.stages, strict=True):
        old, new = dict(_values(recorded, before)), dict(_values(now, after))
        found |= {f"stages.{after.id}.{name}": value for name, value in new.items() if old.get(name) != value}
    return found


def _values(plan: Plan, stage: PlannedStage) -> Iterator[tuple[str, str]]:
    yield from _options(stage.options)
    if stage.provider is not None and stage.kind not in _ELSEWHERE:
        yield "provider", stage.provider.name
        yield from _options(stage.provider.options)
    for edge in plan.edges:
        if edge.target == stage.id and edge.bound is not None:
            yield "queue.max", str(edge.bound.max)
            yield "queue.when_full", str(edge.bound.when_full)


def _options(options: Options) -> Iterator[tuple[str, str]]:
    for name, value in options.model_dump(mode="json", by_alias=True).items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", _shown(below)) for key, below in value.items())
        else:
            yield name, _shown(value)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def changed_since(approved: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Paths of settings that are others than when the result was approved."""
    return [path for path in sorted({*approved, *now}) if str(approved.get(path)) != str(now.get(path))]


def place_of(config: Config, path: str) -> Mark:
    """Where a setting stands in the pipeline's file; the stage's own line, if it is a default there."""
    _, stage_id, *keys = path.split(".")
    node: Node = config.stage(stage_id).node
    for key in keys:
        below = node.get(key) if isinstance(node, MappingNode) else None
        if below is None:
            break
        node = below
    return node.mark
