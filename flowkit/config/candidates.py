"""Who does a stage's work: its provider and those of its failover list, each with options and deadlines."""

from __future__ import annotations

from dataclasses import replace

from flowkit.config.keys import ALIASES, StageReading, call_keys, only, refuse_keys, text_of
from flowkit.config.model import ProviderConfig
from flowkit.config.nodes import Entry, Mapping, Node, Scalar, Sequence, Standing
from flowkit.config.prices import PRICED_BY
from flowkit.config.problems import Path, Problem, Severity, suggest
from flowkit.config.schema import CallOptions
from flowkit.config.validate import build, keys_of
from flowkit.errors import ConfigError, ProviderError, ProviderMissing
from flowkit.options import us
from flowkit.providers import registry
from flowkit.providers.base import Provider


def candidates_of(kind: str, node: Mapping, path: Path, context: StageReading) -> tuple[ProviderConfig, ...]:
    """The provider and its failover list, without those whose variables are not set, as long as another is left. If the
    failover list is invalid, none is left out, because the list may have held the one that is left."""
    before = len(context.problems)
    wanted = [(node, path), *_failover(node, path, context)]
    refused = len(context.problems) > before
    usable = [entry for entry in wanted if not _unset(entry, path, context)]
    if not usable and not refused:
        context.problems.extend(problem for entry in wanted for problem in _unset(entry, path, context))
    else:
        skipped = [problem for entry in wanted for problem in _unset(entry, path, context)]
        context.notices.extend(
            replace(p, severity=Severity.NOTICE, help="the next provider takes its place") for p in skipped
        )
    found = [_provider(kind, entry, where, context) for entry, where in usable]
    return tuple(provider for provider in found if provider is not None)


def _failover(node: Mapping, path: Path, context: StageReading) -> list[tuple[Mapping, Path]]:
    listed = node.get("failover")
    if listed is None:
        return []
    if not isinstance(listed, Sequence):
        help = f"write [{_as_entry(listed)}]"
        context.report("FK111", listed, (*path, "failover"), "must be a list", listed.got(), help)
        return []
    entries: list[tuple[Mapping, Path]] = []
    for i, item in enumerate(listed.items):
        where = (*path, "failover", i)
        if not isinstance(item, Mapping):
            context.report("FK111", item, where, "must be a mapping", item.got(), f"write {_as_entry(item)}")
        elif item.get("provider") is None:
            context.report("FK104", item, where, "'provider' is missing")
        else:
            entries.append((item, where))
    return entries


def _as_entry(node: Node) -> str:
    """A provider's name as it is written in the list."""
    named = isinstance(node, Scalar) and node.standing is Standing.LITERAL and isinstance(node.value, str)
    return f"{{provider: {text_of(node) if named else '...'}}}"


def _unset(entry: tuple[Mapping, Path], stage: Path, context: StageReading) -> list[Problem]:
    """References in a provider's own keys that have no value."""
    _, where = entry
    apart = (*stage, "failover")
    mine = [p for path, p in context.unset.items() if path[: len(where)] == where]
    return mine if where != stage else [p for p in mine if p.path[: len(apart)] != apart]


def _provider(kind: str, node: Mapping, path: Path, context: StageReading) -> ProviderConfig | None:
    found = provider_class(kind, node, path, context)
    if found is None:
        return None
    if len(path) > 2:  # a failover entry holds a provider's keys and nothing else
        known = ["provider", *call_keys(context.catalog.stage(kind), found)]
        refuse_keys(node, known, path, context, kind, models=[found.Options])
    call = _call(node, path, context)
    options = build(found.Options, only(node, keys_of(found.Options)), path, context.problems)
    if call is None or options is None:
        return None
    _refuse_price(kind, call, node, path, context)
    return ProviderConfig(found.name, found, options, _with_habits(call, kind, context), node, path)


def _refuse_price(kind: str, call: CallOptions, node: Mapping, path: Path, context: StageReading) -> None:
    """A price in a unit that providers of this kind are not paid by."""
    price, known = node.get("price"), PRICED_BY.get(kind, ())
    if call.price is None or not isinstance(price, Mapping):
        return
    for key, entry in price.entries.items():
        if key not in known:
            what, help = (
                f"a {kind} has no price by {key!r}",
                f"its price is {' and '.join(known)}: price: {{{known[0]}: ...}}",
            )
            context.problems.append(Problem("FK101", entry.key, (*path, "price", key), what, help=help))


def _call(node: Mapping, path: Path, context: StageReading) -> CallOptions | None:
    """The deadlines, under either of their names."""
    entries: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        name = ALIASES.get(key, key)
        if name in entries:
            what = f"{key!r} is another name for a key that is already given"
            context.problems.append(Problem("FK107", entry.key, (*path, key), what, help="keep one of them"))
        entries[name] = entry
    found: list[Problem] = []
    call = build(CallOptions, only(replace(node, entries=entries), keys_of(CallOptions)), path, found)
    written = {name: key for key, name in ALIASES.items() if key in node.entries}
    # Under the name that the file uses, because the user does not know the other one.
    context.problems.extend(replace(p, path=tuple(written.get(str(part), part) for part in p.path)) for p in found)
    return call


def provider_class(kind: str, node: Mapping, path: Path, context: StageReading) -> type[Provider] | None:
    """The class of the named provider or of the kind's default; None if there is none, or none is needed."""
    named = node.get("provider")
    habits = context.catalog.habits(kind)
    if named is not None and (not isinstance(named, Scalar) or not isinstance(named.value, str)):
        help = suggest("", context.catalog.providers(kind))
        context.report("FK111", named, (*path, "provider"), "must be text", named.got(), help)
        return None
    name = habits.provider if named is None else text_of(named)
    if name is None:
        return None
    at = named if named is not None else node
    if not context.catalog.providers(kind):
        context.report("FK103", at, (*path, "provider"), f"kind {kind!r} has no providers", help="remove the key")
        return None
    return _find(kind, name, at, (*path, "provider"), context)


def _find(kind: str, name: str, at: Node, path: Path, context: StageReading) -> type[Provider] | None:
    try:
        return context.catalog.provider(kind, name)
    except ProviderMissing:
        shown = at.got() if isinstance(at, Scalar) else repr(name)
        help = registry.served(kind, name) or suggest(name, context.catalog.providers(kind))
        context.report("FK103", at, path, f"unknown provider {shown} for kind {kind!r}", help=help)
    except ConfigError as exc:
        context.report("FK106", at, path, str(exc), help=exc.hint)
    except ProviderError as exc:
        context.report("FK115", at, path, str(exc), help=exc.hint)
    return None


def _with_habits(call: CallOptions, kind: str, context: StageReading) -> CallOptions:
    habits = context.catalog.habits(kind)
    first = us(habits.first_item) if habits.first_item and call.first_item_timeout is None else call.first_item_timeout
    idle = us(habits.idle) if habits.idle and call.idle_timeout is None else call.idle_timeout
    return call.model_copy(update={"first_item_timeout": first, "idle_timeout": idle})
