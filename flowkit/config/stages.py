"""One entry of ``stages:``: its keys are sorted into those that every stage has, those of its kind and those of its
provider."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from flowkit.config.catalog import Catalog
from flowkit.config.model import ProviderConfig, StageConfig
from flowkit.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from flowkit.config.problems import Path, Problem, Severity, suggest
from flowkit.config.schema import Call, Wiring
from flowkit.config.validate import build, keys_of
from flowkit.errors import ConfigError, ProviderError, ProviderMissing
from flowkit.options import us
from flowkit.providers.base import Provider
from flowkit.stages.base import Stage

OWN = ("kind", "provider", "failover")
_ALIASES = {"first_token_timeout": "first_item_timeout"}
_ENDLESS = {"unbounded", "unlimited", "infinite", "infinity", "inf", "none", ".inf"}


@dataclass(frozen=True, slots=True)
class Context:
    """What reading a stage needs besides the stage. `unset` are references without a value, by the path of their
    scalar."""

    catalog: Catalog
    problems: list[Problem]
    notices: list[Problem]
    unset: dict[Path, Problem]

    def report(self, code: str, node: Node, path: Path, what: str, got: str = "", help: str = "") -> None:
        self.problems.append(Problem(code, node.mark, path, what, got, help))


def read_stages(node: Node | None, root: Mapping, context: Context) -> tuple[StageConfig, ...]:
    """All stages that can be understood; what is wrong with the others is in the context's problems."""
    if node is None:
        context.report(
            "FK104", root, (), "'stages' is missing", help="add a list of stages: stages: [{kind: mic}, ...]"
        )
        return ()
    if not isinstance(node, Sequence):
        context.report(
            "FK111", node, ("stages",), "must be a list", node.got(), "write one line `- {kind: ...}` a stage"
        )
        return ()
    if not node.items:
        context.report("FK104", node, ("stages",), "needs at least one stage")
    read = [_stage(item, ("stages", i), context) for i, item in enumerate(node.items)]
    stages = [stage for stage in read if stage is not None]
    _refuse_equal_ids(stages, context)
    return tuple(stages)


def _refuse_equal_ids(stages: list[StageConfig], context: Context) -> None:
    seen: dict[str, StageConfig] = {}
    for stage in stages:
        first = seen.setdefault(stage.id, stage)
        if first is not stage:
            mark, path = stage.at("id")
            what = f"a stage with the id {stage.id!r} is there already, on line {first.mark.line}"
            context.problems.append(
                Problem("FK108", mark, path, what, help="give one of them an id of its own: id: ...")
            )


def _stage(node: Node, path: Path, context: Context) -> StageConfig | None:
    if not isinstance(node, Mapping):
        context.report("FK111", node, path, "must be a mapping", node.got(), "write {kind: ...}")
        return None
    cls = _class(node, path, context)
    if cls is None:
        context.problems.extend(problem for where, problem in context.unset.items() if where[: len(path)] == path)
        return None
    kind = _text(node.get("kind"))
    unbounded, node = _without_endless_queue(node)
    before = len(context.problems)
    candidates = _candidates(kind, cls, node, path, context)
    wiring = build(Wiring, _only(node, keys_of(Wiring)), path, context.problems)
    options = build(cls.Options, _only(node, keys_of(cls.Options)), path, context.problems)
    if wiring is None or options is None or len(context.problems) > before:
        return None
    sources = (wiring.source,) if isinstance(wiring.source, str) else wiring.source
    queue = (
        wiring.queue if wiring.queue.max else wiring.queue.model_copy(update={"max": _queue_max(kind, cls, context)})
    )
    return StageConfig(
        wiring.id or kind,
        kind,
        cls,
        options,
        candidates,
        sources,
        queue,
        unbounded,
        frozenset(wiring.allow),
        node,
        path,
    )


def _queue_max(kind: str, cls: type[Stage[Any]], context: Context) -> int:
    return int(getattr(cls, "queue_max", context.catalog.habits(kind).queue))


def _class(node: Mapping, path: Path, context: Context) -> type[Stage[Any]] | None:
    named = node.get("kind")
    if named is None:
        help = f"add kind: one of {', '.join(context.catalog.kinds())}"
        context.report("FK104", node, path, "'kind' is missing", help=help)
        return None
    if not isinstance(named, Scalar) or not isinstance(named.value, str):
        context.report("FK111", named, (*path, "kind"), "must be text", named.got())
        return None
    try:
        return context.catalog.stage(named.value)
    except KeyError:
        what = f"unknown kind {named.got()}"
        context.report("FK102", named, (*path, "kind"), what, help=suggest(named.text, context.catalog.kinds()))
    except ConfigError as exc:
        code = "FK106" if "declared by" in str(exc) else "FK115"
        context.report(code, named, (*path, "kind"), str(exc), help=exc.hint)
    return None


def _without_endless_queue(node: Mapping) -> tuple[bool, Mapping]:
    """Whether the stage asks for a queue without bound, and the stage without that wish."""
    queue = node.get("queue")
    wish = queue.get("max") if isinstance(queue, Mapping) else None
    if not isinstance(queue, Mapping) or not isinstance(wish, Scalar):
        return False, node
    if not (wish.value is None or wish.value == float("inf") or str(wish.value).lower() in _ENDLESS):
        return False, node
    bounded = replace(queue, entries={k: e for k, e in queue.entries.items() if k != "max"})
    return True, replace(node, entries={**node.entries, "queue": Entry(node.entries["queue"].key, bounded)})


# -- providers ---------------------------------------------------------------------------------------------------------


def _candidates(
    kind: str, cls: type[Stage[Any]], node: Mapping, path: Path, context: Context
) -> tuple[ProviderConfig, ...]:
    """The provider and its failover list, without those whose variables are not set while others are left."""
    wanted = [(node, path), *_failover(node, path, context)]
    usable = [entry for entry in wanted if not _unset(entry, path, context)]
    if (len(usable) < len(wanted) and not usable) or len(wanted) == 1:
        context.problems.extend(problem for entry in wanted for problem in _unset(entry, path, context))
    else:
        skipped = [problem for entry in wanted for problem in _unset(entry, path, context)]
        context.notices.extend(
            replace(p, severity=Severity.NOTICE, help="the next provider takes its place") for p in skipped
        )
    _refuse_unknown_keys(kind, cls, node, path, context)
    found = [_provider(kind, cls, entry, where, context) for entry, where in usable]
    return tuple(provider for provider in found if provider is not None)


def _failover(node: Mapping, path: Path, context: Context) -> list[tuple[Mapping, Path]]:
    listed = node.get("failover")
    if listed is None:
        return []
    if not isinstance(listed, Sequence):
        context.report("FK111", listed, (*path, "failover"), "must be a list", listed.got(), "write [{provider: ...}]")
        return []
    entries: list[tuple[Mapping, Path]] = []
    for i, item in enumerate(listed.items):
        where = (*path, "failover", i)
        if not isinstance(item, Mapping):
            context.report("FK111", item, where, "must be a mapping", item.got(), "write {provider: ...}")
        elif item.get("provider") is None:
            context.report("FK104", item, where, "'provider' is missing")
        else:
            entries.append((item, where))
    return entries


def _unset(entry: tuple[Mapping, Path], stage: Path, context: Context) -> list[Problem]:
    """References without value in a provider's own keys."""
    _, where = entry
    apart = (*stage, "failover")
    mine = [p for path, p in context.unset.items() if path[: len(where)] == where]
    return mine if where != stage else [p for p in mine if p.path[: len(apart)] != apart]


def _provider(kind: str, cls: type[Stage[Any]], node: Mapping, path: Path, context: Context) -> ProviderConfig | None:
    found = _provider_class(kind, node, path, context)
    if found is None:
        return None
    if len(path) > 2:  # a failover entry holds a provider's keys and nothing else
        _refuse_keys(node, ["provider", *keys_of(Call), *_ALIASES, *keys_of(found.Options)], path, context)
    renamed = _renamed(node)
    call = build(Call, _only(renamed, keys_of(Call)), path, context.problems)
    options = build(found.Options, _only(node, keys_of(found.Options)), path, context.problems)
    if call is None or options is None:
        return None
    return ProviderConfig(found.name, found, options, _with_habits(call, kind, context), node, path)


def _provider_class(kind: str, node: Mapping, path: Path, context: Context) -> type[Provider] | None:
    """The class that is named or usual; None if there is none to be had, or none is needed."""
    named = node.get("provider")
    habits = context.catalog.habits(kind)
    if named is not None and (not isinstance(named, Scalar) or not isinstance(named.value, str)):
        context.report("FK111", named, (*path, "provider"), "must be text", named.got())
        return None
    name = habits.provider if named is None else _text(named)
    if name is None:
        return None
    at = named if named is not None else node
    if not context.catalog.providers(kind):
        context.report("FK103", at, (*path, "provider"), f"kind {kind!r} has no providers", help="remove the key")
        return None
    return _find(kind, name, at, (*path, "provider"), context)


def _find(kind: str, name: str, at: Node, path: Path, context: Context) -> type[Provider] | None:
    try:
        return context.catalog.provider(kind, name)
    except ProviderMissing:
        shown = at.got() if isinstance(at, Scalar) else repr(name)
        help = suggest(name, context.catalog.providers(kind))
        context.report("FK103", at, path, f"unknown provider {shown} for kind {kind!r}", help=help)
    except ConfigError as exc:
        context.report("FK106", at, path, str(exc), help=exc.hint)
    except ProviderError as exc:
        context.report("FK115", at, path, str(exc), help=exc.hint)
    return None


def _with_habits(call: Call, kind: str, context: Context) -> Call:
    habits = context.catalog.habits(kind)
    first = us(habits.first_item) if habits.first_item and call.first_item_timeout is None else call.first_item_timeout
    idle = us(habits.idle) if habits.idle and call.idle_timeout is None else call.idle_timeout
    return call.model_copy(update={"first_item_timeout": first, "idle_timeout": idle})


# -- keys --------------------------------------------------------------------------------------------------------------


def _refuse_unknown_keys(kind: str, cls: type[Stage[Any]], node: Mapping, path: Path, context: Context) -> None:
    known = ["kind", *keys_of(Wiring), *keys_of(cls.Options)]
    if context.catalog.providers(kind):
        known += ["provider", "failover", *keys_of(Call), *_ALIASES]
        provider = _provider_class(kind, node, path, replace(context, problems=[]))
        if provider is None and (node.get("provider") is not None or context.catalog.habits(kind).provider):
            return  # which keys it takes cannot be known
        known += keys_of(provider.Options) if provider else []
    _refuse_keys(node, known, path, context)


def _refuse_keys(node: Mapping, known: Iterable[str], path: Path, context: Context) -> None:
    names = list(dict.fromkeys(known))
    for key, entry in node.entries.items():
        if key not in names:
            problem = Problem(
                "FK101", entry.key, (*path, key), f"unknown key {key!r}", help=suggest(key, names, "keys")
            )
            context.problems.append(problem)


def _only(node: Mapping, keys: Iterable[str]) -> Mapping:
    wanted = set(keys)
    return replace(node, entries={key: entry for key, entry in node.entries.items() if key in wanted})


def _renamed(node: Mapping) -> Mapping:
    return replace(node, entries={_ALIASES.get(key, key): entry for key, entry in node.entries.items()})


def _text(node: Node | None) -> str:
    return str(node.value) if isinstance(node, Scalar) else ""
