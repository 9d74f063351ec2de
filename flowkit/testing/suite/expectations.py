"""``NAME.expect.yaml``, beside the trace ``NAME.jsonl``: what the replay of the trace must give.

pipeline: ../pipelines/clinic.yaml     # replay with this file; without it, with the recorded configuration
set: [stages.chunker.comma_after=6]
budgets: {ttfa: {p95: 900ms}}          # instead of the pipeline's
expect:
  - {turn: 1, what: agent, contains: Paris}
approved: ...                          # written by `flowkit approve`: every turn's figures and clauses
"""

from __future__ import annotations

import os
from collections.abc import Mapping as Map
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from flowkit import options as opt
from flowkit.config.budgets import Budgets
from flowkit.config.nodes import Mapping, Node, Sequence, plain
from flowkit.config.parse import parse
from flowkit.config.problems import InvalidConfig, Problem, errors
from flowkit.config.read import read_source
from flowkit.config.tests import Assertion
from flowkit.config.text import NamedText, start_of
from flowkit.config.validate import build

SUFFIX = ".expect.yaml"
NEW = ".new"
_APPROVED = "approved"


class Expect(opt.Options):
    """The part of the file that people write."""

    pipeline: str | None = None
    """The pipeline file to replay with, relative to the folder of this file. Default: the recorded configuration."""
    set: tuple[str, ...] = ()
    """Settings to change, as with `--set`."""
    budgets: Budgets | None = None
    """Budgets to check, instead of those of the pipeline."""
    expect: tuple[Assertion, ...] = ()
    """Assertions on figures."""
    modelled: float = Field(default=0.5, ge=0, le=1)
    """The largest share of modelled audio with which the result is judged."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """The contents of the file. `approved` is empty if nothing was approved yet. `tree` has the lines of all keys."""

    path: Path
    expect: Expect
    approved: Map[str, Any]
    tree: Mapping
    text: str
    root: str = ""
    """The folder that must contain its pipeline; see ``environment.within``."""

    def line(self, *keys: str | int) -> int:
        """The line of the value under these keys. If a key is missing, the line of the key before it."""
        node: Node | None = self.tree
        line = self.tree.mark.line
        for key in keys:
            node = _below(node, key)
            if node is None:
                break
            line = node.mark.line
        return line


def _below(node: Node | None, key: str | int) -> Node | None:
    if isinstance(node, Mapping):
        return node.get(str(key))
    if isinstance(node, Sequence) and isinstance(key, int) and key < len(node.items):
        return node.items[key]
    return None


def expectations_path(trace: Path) -> Path:
    """The path of a trace's expectations."""
    return trace.with_name(trace.name.removesuffix(".jsonl") + SUFFIX)


def new_path(trace: Path) -> Path:
    """The path to which a result is written if it differs from the approved one."""
    return trace.with_name(trace.name.removesuffix(".jsonl") + NEW)


def trace_path(expectations: Path) -> Path:
    """The path of the trace that expectations belong to."""
    return expectations.with_name(expectations.name.removesuffix(SUFFIX) + ".jsonl")


def begin_with(trace: Path, pipeline: str | None) -> Expectations:
    """The expectations of a trace. If there is no such file yet, new ones that replay with `pipeline`, if it is
    given."""
    path = expectations_path(trace)
    if pipeline is None or path.exists():
        return read_expectations(path)
    named = os.path.relpath(pipeline, path.parent)
    text = yaml.safe_dump({"pipeline": named}, allow_unicode=True)
    return Expectations(path, Expect(pipeline=named), {}, Mapping(start_of(NamedText(str(path), text))), text)


def read_expectations(path: Path) -> Expectations:
    """Read the file; a missing file is empty. Raises InvalidConfig with the place of every error."""
    problems: list[Problem] = []
    if not path.exists():
        return Expectations(path, Expect(), {}, Mapping(start_of(NamedText(str(path), ""))), "")
    source = read_source(path, str(path), problems)
    tree = parse(source, problems) if source is not None else None
    if source is None or errors(problems):
        raise InvalidConfig(errors(problems))
    if tree is None:
        tree = Mapping(start_of(source))
    if not isinstance(tree, Mapping):
        raise InvalidConfig([Problem("FK011", tree.mark, (), "expectations are a mapping", tree.got())])
    written = Mapping(tree.mark, {key: entry for key, entry in tree.entries.items() if key != _APPROVED}, tree.weight)
    expect = build(Expect, written, (), problems)
    if expect is None:
        raise InvalidConfig(errors(problems))
    approved = tree.get(_APPROVED)
    return Expectations(path, expect, _checked(approved), tree, source.text)


def _checked(node: Node | None) -> Map[str, Any]:
    """The approved part, which flowkit writes. Raises InvalidConfig if it was edited into something else."""
    if node is None:
        return {}
    try:
        stored: Map[str, Any] = plain(node)
        if all(type(turn["turn"]) is int for turn in stored["turns"]) and isinstance(stored["settings"], dict):
            return stored
    except (KeyError, TypeError, AttributeError):
        pass
    what = "not what `flowkit approve` writes"
    raise InvalidConfig([Problem("FK111", node.mark, (_APPROVED,), what, help="remove it and approve the trace again")])


def with_approved(expectations: Expectations, approved: Map[str, Any]) -> str:
    """The text of the file with a new approved part. The part that people write is unchanged."""
    lines = expectations.text.splitlines(keepends=True)
    kept = next((i for i, line in enumerate(lines) if line.startswith(f"{_APPROVED}:")), len(lines))
    written = "".join(lines[:kept])
    # Flow style for the innermost mappings, so that each clause is one line.
    dumped = yaml.safe_dump(
        {_APPROVED: approved}, sort_keys=False, allow_unicode=True, width=1_000, default_flow_style=None
    )
    return (written if not written or written.endswith("\n") else written + "\n") + dumped
