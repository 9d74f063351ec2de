"""The parsed configuration: frozen, typed, every value with the place that it came from. The plan is made from it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Any

from flowkit.config.catalog import INSTALLED, Catalog
from flowkit.config.nodes import Mapping, Node, below
from flowkit.config.problems import Path, Problem
from flowkit.config.schema import CallOptions, Queue, Top
from flowkit.config.text import Mark
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.stages.base import Stage


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """A provider with its options and deadlines. `node` is the mapping that names it (the stage, or a failover
    entry)."""

    name: str
    cls: type[Provider]
    options: Options
    call: CallOptions
    node: Mapping
    path: Path

    @property
    def mark(self) -> Mark:
        """Where it is named; the stage, if it is the default of the kind."""
        named = self.node.get("provider")
        return named.mark if named is not None else self.node.mark


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One stage. `candidates`: its provider and those of its failover list, in order; empty for a pure decision, and
    for a microphone or speaker that the file does not name."""

    id: str
    kind: str
    cls: type[Stage[Any]]
    options: Options
    candidates: tuple[ProviderConfig, ...]
    sources: tuple[str, ...] | None
    """The ids in `from`; None without `from`."""
    queue: Queue
    unbounded: bool
    """The file asks for an unbounded queue, which the lint FK206 reports."""
    allow: frozenset[str]
    node: Mapping
    path: Path

    @property
    def mark(self) -> Mark:
        return self.node.mark

    def at(self, *keys: str) -> tuple[Mark, Path]:
        """Place and path of a key below the stage; those of the stage, if the key is not written."""
        node: Node = self.node
        path = self.path
        for key in keys:
            found = below(node, key)
            if found is None:
                break
            node, path = found, (*path, key)
        return node.mark, path


class RunMode(StrEnum):
    """How a pipeline file is run. ``plan.variants`` says what differs."""

    FILE = "file"
    """As it is written."""
    TEXT = "text"
    """With typed lines for a microphone."""
    SERVED = "served"
    """For the clients of a server."""


@dataclass(frozen=True, slots=True)
class Config:
    """A pipeline file. `root` is the merged tree that all of it was read from. `notices` are worth reporting but are
    not errors."""

    name: str
    stages: tuple[StageConfig, ...]
    top: Top
    root: Mapping
    path: FilePath | None = None
    notices: tuple[Problem, ...] = ()
    catalog: Catalog = field(default=INSTALLED, repr=False, compare=False)
    mode: RunMode = RunMode.FILE

    def stage(self, stage_id: str) -> StageConfig:
        """The stage with this id. Raises KeyError."""
        for stage in self.stages:
            if stage.id == stage_id:
                return stage
        raise KeyError(stage_id)

    def with_options(self, change: Callable[[Options], Options]) -> Config:
        """The same pipeline with the options of every stage and every provider changed."""
        stages = (
            replace(
                stage,
                options=change(stage.options),
                candidates=tuple(replace(one, options=change(one.options)) for one in stage.candidates),
            )
            for stage in self.stages
        )
        return replace(self, stages=tuple(stages))

    def at(self, path: Path) -> Mark:
        """The place of what is written under the path, or of the deepest part of the path that is written."""
        node: Node = self.root
        for part in path:
            found = below(node, part)
            if found is None:
                break
            node = found
        return node.mark

    @property
    def settings(self) -> Map[str, Any]:
        """The top-level blocks by name."""
        return {name: getattr(self.top, name) for name in type(self.top).model_fields if name != "name"}
