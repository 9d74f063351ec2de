"""What reading a stage and reading its providers have in common: the context, and the report of unknown keys."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from typing import Any

from flowkit.config.catalog import Catalog
from flowkit.config.nodes import Mapping, Node, Scalar
from flowkit.config.prices import PRICED_BY
from flowkit.config.problems import Path, Problem, suggest
from flowkit.config.schema import CallOptions, Top
from flowkit.config.validate import deeper, keys_of
from flowkit.errors import FlowkitError
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.stages.base import Stage

ALIASES = {"first_token_timeout": "first_item_timeout"}
"""Keys with two names: the alternative, and the name that is used inside flowkit."""


@dataclass(frozen=True, slots=True)
class StageReading:
    """What reading a stage needs besides the stage. `unset` holds the references without a value, by the path of their
    scalar."""

    catalog: Catalog
    problems: list[Problem]
    notices: list[Problem]
    unset: dict[Path, Problem]

    def report(self, code: str, node: Node, path: Path, what: str, got: str = "", help: str = "") -> None:
        self.problems.append(Problem(code, node.mark, path, what, got, help))


def call_keys(stage: type[Stage[Any]], provider: type[Provider] | None) -> list[str]:
    """The keys of `CallOptions` that change something for calls of that stage to that provider, under all their names."""
    if provider is None:
        return []
    taken = stage.call_keys | ({"connect_timeout"} if provider.remote else set())
    taken |= {"price"} if provider.kind in PRICED_BY else set()
    return [key for key in (*keys_of(CallOptions), *ALIASES) if ALIASES.get(key, key) in taken]


def refuse_keys(
    node: Mapping,
    known: Iterable[str],
    path: Path,
    context: StageReading,
    kind: str = "",
    models: Seq[type[Options]] = (),
) -> None:
    """Report every key that is neither in `known` nor a key of the `models`. The help says where it belongs (in a group
    of them, another provider of `kind`, another kind, the top level) or which key it resembles."""
    names = list(dict.fromkeys([*known, *(key for model in models for key in keys_of(model))]))
    for key, entry in node.entries.items():
        if key not in names:
            help = deeper(key, [*models, CallOptions]) or _home(key, kind, context) or suggest(key, names, "keys")
            context.problems.append(Problem("FK101", entry.key, (*path, key), f"unknown key {key!r}", help=help))


def _home(key: str, kind: str, context: StageReading) -> str:
    """Where a key belongs that exists elsewhere."""
    if key in keys_of(Top):
        return f"{key!r} belongs to the top level, beside stages:"
    kinds = [f"the kind {name}" for name in context.catalog.kinds() if _declares(name, key, context)]
    providers = [name for name in context.catalog.providers(kind) if _takes(kind, name, key, context)]
    owners = kinds + [f"the provider {name}" for name in providers]
    return f"{key!r} belongs to {', '.join(owners)}" if owners else ""


def _takes(kind: str, name: str, key: str, context: StageReading) -> bool:
    try:
        provider = context.catalog.provider(kind, name)
        return key in (*keys_of(provider.Options), *call_keys(context.catalog.stage(kind), provider))
    # A package that cannot be loaded must not spoil the help about a key of another one.
    except FlowkitError:
        return False


def _declares(kind: str, key: str, context: StageReading) -> bool:
    try:
        cls = context.catalog.stage(kind)
    except FlowkitError:
        return False
    return key in keys_of(cls.Options) or (bool(context.catalog.providers(kind)) and key in cls.call_keys)


def only(node: Mapping, keys: Iterable[str]) -> Mapping:
    """The mapping with only these keys."""
    wanted = set(keys)
    return replace(node, entries={key: entry for key, entry in node.entries.items() if key in wanted})


def text_of(node: Node | None) -> str:
    """A scalar's value as text; empty for anything else."""
    return str(node.value) if isinstance(node, Scalar) else ""
