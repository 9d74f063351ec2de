"""Merging trees: included files under the file, ``--set`` over it, ``defaults:`` under each stage."""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from collections.abc import Sequence as Seq
from dataclasses import replace

from flowkit.config.nodes import Entry, Mapping, Node, Scalar, Sequence, Standing, core_value
from flowkit.config.parse import parse
from flowkit.config.problems import Path, Problem, suggest
from flowkit.config.text import UNPRINTABLE, Mark, NamedText

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|[0-9]{1,4}")


def over(upper: Node, lower: Node) -> Node:
    """`upper` over `lower`: mappings are merged key by key, everything else is replaced."""
    if not (isinstance(upper, Mapping) and isinstance(lower, Mapping)):
        return upper
    entries = dict(lower.entries)
    for key, entry in upper.entries.items():
        below = lower.get(key)
        entries[key] = entry if below is None else Entry(entry.key, over(entry.value, below))
    return replace(upper, entries=entries)


# -- defaults: ---------------------------------------------------------------------------------------------------------


def with_defaults(root: Mapping, kinds: Seq[str], problems: list[Problem]) -> Mapping:
    """Each stage with the keys of ``defaults.<kind>`` and ``defaults.<kind>/<provider>`` that it does not have
    itself."""
    block, stages = root.get("defaults"), root.get("stages")
    if block is None:
        return root
    if not isinstance(block, Mapping):
        problems.append(
            Problem("FK111", block.mark, ("defaults",), "must be a mapping", block.got(), "write kind: {key: value}")
        )
        return root
    for key, entry in block.entries.items():
        if key.partition("/")[0] not in kinds:
            what = f"unknown kind {key.partition('/')[0]!r}"
            problems.append(Problem("FK102", entry.key, ("defaults", key), what, help=suggest(key, kinds)))
        elif not isinstance(entry.value, Mapping):
            problems.append(
                Problem("FK111", entry.value.mark, ("defaults", key), "must be a mapping", entry.value.got())
            )
    if not isinstance(stages, Sequence):
        return root
    filled = replace(stages, items=[_filled(stage, block) for stage in stages.items])
    return replace(root, entries={**root.entries, "stages": Entry(root.entries["stages"].key, filled)})


def _filled(stage: Node, block: Mapping) -> Node:
    if not isinstance(stage, Mapping):
        return stage
    kind = stage.get("kind")
    if not isinstance(kind, Scalar):
        return stage
    general = block.get(kind.text)
    if isinstance(general, Mapping):
        stage = _under(stage, general)
    stage = _of_provider(stage, kind.text, block)
    failover = stage.get("failover")
    if isinstance(failover, Sequence):
        items = [_of_provider(item, kind.text, block) if isinstance(item, Mapping) else item for item in failover.items]
        entry = Entry(stage.entries["failover"].key, replace(failover, items=items))
        stage = replace(stage, entries={**stage.entries, "failover": entry})
    return stage


def _of_provider(node: Mapping, kind: str, block: Mapping) -> Mapping:
    provider = node.get("provider")
    special = block.get(f"{kind}/{provider.text}") if isinstance(provider, Scalar) else None
    return _under(node, special) if isinstance(special, Mapping) else node


def _under(node: Mapping, defaults: Mapping) -> Mapping:
    missing = {key: entry for key, entry in defaults.entries.items() if key not in node.entries}
    return replace(node, entries={**node.entries, **missing})


# -- blocks whose keys belong to stages ------------------------------------------------------------------------------


def with_block(root: Mapping, block: str, keys: Map[str, Seq[str]], problems: list[Problem]) -> Mapping:
    """Each stage with its keys of a top-level block such as ``interrupt:``. A key in both places is an error.
    `keys`: which keys, by kind."""
    node = root.get(block)
    if not isinstance(node, Mapping):
        return root
    return _with_entries(root, (block,), node.entries, keys, problems)


def with_whole(root: Mapping, blocks: Map[str, str], problems: list[Problem]) -> Mapping:
    """Each stage with the top-level blocks that are options of its kind. `blocks`: the kind, by block."""
    keys: dict[str, list[str]] = {}
    for block, kind in blocks.items():
        keys.setdefault(kind, []).append(block)
    return _with_entries(root, (), root.entries, keys, problems)


def _with_entries(
    root: Mapping, path: Path, entries: Map[str, Entry], keys: Map[str, Seq[str]], problems: list[Problem]
) -> Mapping:
    stages = root.get("stages")
    if not isinstance(stages, Sequence):
        return root
    items: list[Node] = []
    for stage in stages.items:
        kind = stage.get("kind") if isinstance(stage, Mapping) else None
        if not isinstance(stage, Mapping) or not isinstance(kind, Scalar):
            items.append(stage)
            continue
        wanted = {key: entry for key, entry in entries.items() if key in keys.get(kind.text, ())}
        for key in [key for key in wanted if key in stage.entries]:
            first = stage.entries[key].key.line
            what = f"{key!r} is given twice: here, and by the {kind.text} on line {first}"
            problems.append(Problem("FK107", wanted[key].key, (*path, key), what, help="keep one of them"))
        items.append(replace(stage, entries={**wanted, **stage.entries}))
    return _with_stages(root, stages, items)


def _with_stages(root: Mapping, stages: Sequence, items: list[Node]) -> Mapping:
    entry = Entry(root.entries["stages"].key, replace(stages, items=items))
    return replace(root, entries={**root.entries, "stages": entry})


def with_tools(root: Mapping) -> Mapping:
    """A stage that runs the tools of the top level's ``tools:``, unless the file has one, to say who runs them."""
    tools, stages = root.entries.get("tools"), root.get("stages")
    if (
        tools is None
        or not isinstance(tools.value, Sequence)
        or not tools.value.items
        or not isinstance(stages, Sequence)
    ):
        return root
    kinds = [item.get("kind") if isinstance(item, Mapping) else None for item in stages.items]
    if any(isinstance(kind, Scalar) and kind.text == "tools" for kind in kinds):
        return root
    kind = Entry(tools.key, Scalar("tools", "tools", tools.key))
    return _with_stages(root, stages, [*stages.items, Mapping(tools.key, {"kind": kind})])


# -- --set -------------------------------------------------------------------------------------------------------------


class _NoSuchPlace(Exception):
    """The path of a ``--set`` that names nothing."""

    def __init__(self, what: str, help: str = "") -> None:
        super().__init__(what)
        self.help = help


def with_overrides(root: Mapping, overrides: Seq[str], problems: list[Problem]) -> Mapping:
    """The tree with each ``path=value`` set, in order. The path names a stage by its id, kind or number."""
    for override in overrides:
        source = NamedText("--set", override)
        path, equals, value = override.partition("=")
        keys = path.strip().split(".")
        whole = Mark(source, 1, 1, 1, len(override) + 1)
        if UNPRINTABLE.search(override):
            problems.append(Problem("FK031", whole, (), f"{override!r} is not text", help="it must be UTF-8"))
            continue
        if not equals or not all(_KEY.fullmatch(key) for key in keys):
            problems.append(
                Problem(
                    "FK031",
                    whole,
                    (),
                    f"{override!r} is not a setting",
                    help="write path=value: stages.llm.max_tokens=20",
                )
            )
            continue
        mark = Mark(source, 1, len(path) + 2, 1, len(override) + 1)
        try:
            changed = _set(root, keys, _value(value, mark, problems), (), whole)
        except _NoSuchPlace as exc:
            problems.append(Problem("FK031", whole, (), str(exc), help=exc.help))
            continue
        assert isinstance(changed, Mapping)
        root = changed
    return root


def _value(text: str, mark: Mark, problems: list[Problem]) -> Node:
    # Only these are read as YAML. Other text stays as typed, so that `a: b` or `# 1` needs no second pair of quotes.
    if text[:1] in ("[", "{", '"', "'"):
        found: list[Problem] = []
        node = parse(NamedText("--set", text), found)
        # The value was parsed as a text of its own, so its places do not fit the whole setting.
        problems.extend(replace(p, mark=mark) for p in found)
        if node is not None:
            return node
    # On a command line everything is text, so the option decides about the type. Empty is text too, not null.
    return Scalar(text, core_value(text) if text else "", mark, Standing.LOOSE, "--set")


def _set(node: Node, keys: Seq[str], value: Node, path: Path, whole: Mark) -> Node:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(node, Sequence):
        index = _index(node, key, path)
        items = list(node.items)
        items[index] = _set(items[index], rest, value, (*path, index), whole)
        return replace(node, items=items)
    if not isinstance(node, Mapping):
        raise _NoSuchPlace(f"{'.'.join(map(str, path))} has no keys below it", "set it as a whole")
    below = node.get(key)
    if below is None and rest:
        if rest[0].isdecimal():
            raise _NoSuchPlace(
                f"there is no list {key!r}", f"set the whole list: {'.'.join((*map(str, path), key))}=[...]"
            )
        # A group that the file leaves out can be set as well.
        below = Mapping(whole)
    new = value if below is None else _set(below, rest, value, (*path, key), whole)
    at = node.entries[key].key if key in node.entries else whole
    return replace(node, entries={**node.entries, key: Entry(at, new)})


def _index(node: Sequence, key: str, path: Path) -> int:
    names = [_name(item) for item in node.items]
    if key.isdecimal() and int(key) < len(names):
        return int(key)
    # Ids first: an id names one stage, while several stages may be of one kind.
    for wanted in ("id", "kind"):
        for index, item in enumerate(node.items):
            found = item.get(wanted) if isinstance(item, Mapping) else None
            if isinstance(found, Scalar) and found.text == key:
                return index
    what = "stage" if path == ("stages",) else "entry"
    raise _NoSuchPlace(f"there is no {what} {key!r}", suggest(key, [name for name in names if name]))


def _name(item: Node) -> str:
    if not isinstance(item, Mapping):
        return ""
    named = item.get("id") or item.get("kind")
    return named.text if isinstance(named, Scalar) else ""
