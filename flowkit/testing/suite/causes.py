"""Finds the settings of a pipeline that have changed, with the file and line of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flowkit.config import Config
from flowkit.config.nodes import Mapping as MappingNode
from flowkit.config.nodes import Node
from flowkit.config.text import Mark
from flowkit.options import Options
from flowkit.plan.graph import Plan, PlannedStage
from flowkit.plan.variants import ENDS


def differing(recorded: Plan, now: Plan) -> dict[str, str]:
    """The settings of `now` that differ from the recorded ones: new values by path, such as ``stages.vad.end``."""
    found: dict[str, str] = {}
    for before, after in zip(recorded.stages, now.stages, strict=True):
        old, new = dict(_values(recorded, before)), dict(_values(now, after))
        found |= {f"stages.{after.id}.{name}": value for name, value in new.items() if old.get(name) != value}
    return found


def makeup(plan: Plan) -> list[tuple[str, str, str]]:
    """Id, kind and provider of each stage: what recordings have in common if one is to be predicted from another."""
    named = {stage.id: stage.provider.name for stage in plan.stages if stage.provider and stage.kind not in ENDS}
    return [(stage.id, stage.kind, named.get(stage.id, "")) for stage in plan.stages]


def _values(plan: Plan, stage: PlannedStage) -> Iterator[tuple[str, str]]:
    yield from _options(stage.options)
    if stage.provider is not None and stage.kind not in ENDS:
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
    """The value as a pipeline file has it, so that it can be set again."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def changed_since(approved: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The paths of the settings that have changed since the result was approved, sorted."""
    return [path for path in sorted({*approved, *now}) if str(approved.get(path)) != str(now.get(path))]


def place_of(config: Config, path: str) -> Mark:
    """The place of a setting in the pipeline file. A default is not in the file; then the place of its stage."""
    _, stage_id, *keys = path.split(".")
    node: Node = config.stage(stage_id).node
    for key in keys:
        below = node.get(key) if isinstance(node, MappingNode) else None
        if below is None:
            break
        node = below
    return node.mark
