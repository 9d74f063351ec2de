"""From nodes to a component's declared options, with pydantic's errors in flowkit's words and with their places.

Values go through pydantic's strict JSON mode: a string is not a number, `yes` is not a boolean, 1.5 is not an integer.
Only values from outside the file (environment, ``--set``) are read as the option needs them, because they have no type
of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import replace
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from flowkit.config.interpolate import typed
from flowkit.config.nodes import Entry, Mapping, Node, Scalar, Sequence, Standing, as_json
from flowkit.config.problems import Path, Problem, suggest
from flowkit.config.wording import reason
from flowkit.options import Microseconds, format_duration

M = TypeVar("M", bound=BaseModel)
_OUTSIDE = (Standing.LOOSE, Standing.HIDDEN)


def build(model: type[M], node: Mapping, path: Path, problems: list[Problem]) -> M | None:
    """The options in `node`, or None after reporting what is wrong with them."""
    node = _without_unread(model, node)
    try:
        return model.model_validate_json(as_json(node), strict=True)
    except ValidationError as exc:
        found = exc.errors(include_url=False)
    # Only after the text was refused: an option that takes text must get `123` from a variable unchanged.
    retyped = _retyped(node, found)
    if retyped is not node:
        try:
            return model.model_validate_json(as_json(retyped), strict=True)
        except ValidationError as exc:
            found, node = exc.errors(include_url=False), retyped
    problems.extend(_translated(model, node, path, found))
    return None


def _without_unread(model: type[BaseModel], node: Mapping) -> Mapping:
    """Values that were left unread are replaced by their option's default, unless text is allowed there."""
    unread = [key for key, entry in node.entries.items() if _is_unread(entry.value) and not _takes_text(model, key)]
    return replace(node, entries={k: e for k, e in node.entries.items() if k not in unread}) if unread else node


def _is_unread(node: Node) -> bool:
    return isinstance(node, Scalar) and node.standing is Standing.UNREAD


def _takes_text(model: type[BaseModel], key: str) -> bool:
    field = field_of(model, key)
    # A required option has no default that could stand in, so the reference has to stay.
    return field is None or any(t in _inner(field.annotation) for t in (str, SecretStr)) or field.is_required()


def _inner(annotation: Any) -> set[Any]:
    found = {annotation}
    for argument in get_args(annotation):
        found |= _inner(argument)
    return found if all(_hashable(f) for f in found) else {annotation}


def _hashable(value: Any) -> bool:
    return getattr(value, "__hash__", None) is not None


def field_of(model: type[BaseModel], key: str) -> Any:
    """The declared field of the YAML key `key` (an alias or a name), or None."""
    for name, field in model.model_fields.items():
        if key == (field.alias or name):
            return field
    return None


def keys_of(model: type[BaseModel]) -> list[str]:
    """The YAML keys of a model, in order of declaration."""
    return [field.alias or name for name, field in model.model_fields.items()]


def deeper(key: str, models: Iterable[type[BaseModel]]) -> str:
    """Where a key belongs that one of the models has inside a group; empty if none has it."""
    groups = [
        f"{group}: {{{key}: ...}}"
        for model in models
        for group in keys_of(model)
        if any(key in keys_of(nested) for nested in _groups(field_of(model, group).annotation))
    ]
    return f"write {' or '.join(groups)}" if groups else ""


def _groups(annotation: Any) -> list[type[BaseModel]]:
    """The models that an option may be, without those that it may hold a list of."""
    forms = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return [form for form in forms if isinstance(form, type) and issubclass(form, BaseModel)]


# -- where an error stands ---------------------------------------------------------------------------------------------


class _Spot(NamedTuple):
    """The deepest node that a pydantic location names; `rest` is the part of the location that names nothing."""

    node: Node
    entry: Entry | None
    path: Path
    rest: tuple[str | int, ...]


def _find(node: Node, loc: Seq[str | int]) -> _Spot:
    entry: Entry | None = None
    path: Path = ()
    rest: list[str | int] = []
    for part in loc:
        if isinstance(node, Mapping) and part in node.entries:
            entry = node.entries[str(part)]
            node, rest = entry.value, []
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node, rest = node.items[part], []
        else:
            rest.append(part)
            continue
        path = (*path, part)
    return _Spot(node, entry, path, tuple(rest))


def _retyped(node: Mapping, found: Seq[Any]) -> Mapping:
    """The tree in which refused text from outside has the type that it looks like; the same tree if there is none."""
    for error in found:
        spot = _find(node, error["loc"])
        # Any other error is about the value itself, which no other type would make valid.
        of_type = error["type"].endswith(("_type", "_parsing"))
        if of_type and isinstance(spot.node, Scalar) and spot.node.standing in _OUTSIDE:
            other = typed(spot.node)
            # A value of `--set` has that type already. Then the option takes text, so it becomes text again.
            if other.value == spot.node.value and isinstance(spot.node.value, str) is isinstance(other.value, str):
                other = replace(spot.node, value=spot.node.text)
            changed = _with(node, spot.path, other)
            assert isinstance(changed, Mapping)
            node = changed
    return node


def _with(node: Node, path: Path, new: Node) -> Node:
    """A copy of the tree with the node at `path` replaced."""
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(node, Mapping):
        entry = node.entries[str(head)]
        return replace(node, entries={**node.entries, str(head): Entry(entry.key, _with(entry.value, rest, new))})
    assert isinstance(node, Sequence)
    assert isinstance(head, int)
    return replace(node, items=[_with(item, rest, new) if i == head else item for i, item in enumerate(node.items)])


# -- what it says ------------------------------------------------------------------------------------------------------


def _translated(model: type[BaseModel], node: Mapping, path: Path, found: Seq[Any]) -> list[Problem]:
    """One problem per place. A union reports every branch, but the first is enough, and one that has looked inside says more."""
    problems: dict[tuple[Path, str], Problem] = {}
    for error in found:
        problem = _translate(model, node, path, error)
        problems.setdefault((problem.path, str(problem.mark)), problem)
    places = [problem.path for problem in problems.values()]
    return [
        p for p in problems.values() if not any(len(at) > len(p.path) and at[: len(p.path)] == p.path for at in places)
    ]


def _translate(model: type[BaseModel], node: Mapping, path: Path, error: Any) -> Problem:
    loc = error["loc"]
    spot = _find(node, loc)
    where = path + spot.path
    if error["type"] == "missing":
        name = str(loc[-1])
        return Problem("FK104", spot.node.mark, where, f"{name!r} is missing", help=f"add {name}: ...")
    if error["type"] == "extra_forbidden" and spot.entry is not None:
        owner, key = _model_at(model, loc[:-1]) or model, str(loc[-1])
        help = deeper(key, [owner]) or suggest(key, keys_of(owner), "keys")
        return Problem("FK101", spot.entry.key, where, f"unknown key {key!r}", help=help)
    secret = is_secret(model, loc)
    hidden = secret or (isinstance(spot.node, Scalar) and spot.node.standing in (Standing.HIDDEN, Standing.UNREAD))
    said = reason(error, spot.node, hidden=hidden)
    help = said.help or expectation(model, loc) or (_documented(model, loc) if said.code == "FK114" else "")
    return Problem(said.code, spot.node.mark, where, said.what, "" if secret else spot.node.got(), help)


def _documented(model: type[BaseModel], loc: Seq[str | int]) -> str:
    """The first sentence of the option's documentation, for rules that have no wording of their own."""
    from flowkit.config.docs import field_docs  # imported late: it reads source code, which a valid file does not need

    owner = _model_at(model, loc[:-1]) or model
    names = [name for name, field in owner.model_fields.items() if loc and loc[-1] == (field.alias or name)]
    return field_docs(owner).get(names[0], "").partition(". ")[0] if names else ""


_LIMITS = {"ge": ">= {}", "gt": "> {}", "le": "<= {}", "lt": "< {}"}


def expectation(model: type[BaseModel], loc: Seq[str | int]) -> str:
    """What an option takes: the keys of a mapping, or the limits and the default of a value."""
    nested = _model_at(model, loc)
    if nested is not None and nested is not (_model_at(model, loc[:-1]) or model):
        keys = keys_of(nested)
        return f"write {{{keys[0]}: ...}}; keys: {', '.join(keys)}" if keys else "write {}"
    owner = _model_at(model, loc[:-1]) or model
    field = field_of(owner, str(loc[-1])) if loc else None
    if field is None:
        return ""
    limits = [(getattr(m, name, None), text) for m in field.metadata for name, text in _LIMITS.items()]
    bounds = " and ".join(text.format(limit) for limit, text in limits if limit is not None)
    said = [f"it takes {bounds}"] if bounds else []
    default = field.default
    if isinstance(default, Microseconds):
        said.append(f"the default is {format_duration(default)}")
    elif isinstance(default, (int, float, str)) and default != "":
        said.append(f"the default is {str(default).lower() if isinstance(default, bool) else default}")
    return "; ".join(said)


def is_secret(model: type[BaseModel], loc: Seq[str | int]) -> bool:
    """True if the option at `loc` is declared secret: its value is never shown."""
    field = field_of(model, str(loc[0])) if loc else None
    return field is not None and bool(_inner(field.annotation) & {SecretStr, SecretBytes})


def _model_at(model: type[BaseModel], loc: Seq[str | int]) -> type[BaseModel] | None:
    """The model of a nested mapping, found through the declared types."""
    for part in loc:
        field = field_of(model, str(part))
        if field is None:
            continue
        nested = [t for t in _inner(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
        if not nested:
            return None
        model = nested[0]
    return model
