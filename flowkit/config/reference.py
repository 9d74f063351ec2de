"""The configuration reference as Markdown, generated from the declarations of the components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowkit.config.catalog import Catalog, Installed
from flowkit.config.jsonschema import properties, required_keys
from flowkit.config.kinds import BUILT_IN as KINDS
from flowkit.config.schema import CallOptions, Top, Wiring
from flowkit.options import Options
from flowkit.providers.base import Provider
from flowkit.providers.registry import BUILT_IN as PROVIDERS
from flowkit.stages.base import Stage


class BuiltIn(Installed):
    """flowkit's own kinds and providers, regardless of what else is installed. The committed documents are made from
    these."""

    def kinds(self) -> tuple[str, ...]:
        return tuple(KINDS)

    def providers(self, kind: str) -> tuple[str, ...]:
        return tuple(name.partition(".")[2] for name in PROVIDERS if name.startswith(f"{kind}."))


def reference(catalog: Catalog) -> str:
    """Tables of every key: those of the file, of every stage, of each kind and of each provider."""
    lines = ["## The file", "", *_table(properties(Top), [])]
    lines += ["", "## Every stage", "", *_table(properties(Wiring), [])]
    lines += ["", "## Every stage with a provider", "", *_table(properties(CallOptions), [])]
    for kind in catalog.kinds():
        lines += ["", *_kind(kind, catalog)]
    return "\n".join(lines) + "\n"


def _kind(kind: str, catalog: Catalog) -> Iterator[str]:
    cls: type[Stage[Any]] = catalog.stage(kind)
    habits = catalog.habits(kind)
    yield f"## kind: {kind}"
    yield ""
    yield _summary(cls)
    if cls.inputs:
        takes = sorted({content for contents in cls.inputs.values() for content in contents})
        waits = f"; {habits.queue} may wait unless `queue:` says otherwise" if cls.takes_data() else ""
        yield f"Takes {', '.join(takes)}{waits}."
    yield f"Gives {', '.join(sorted(set(cls.outputs.values())))}."
    yield ""
    yield from _options(cls.Options)
    for name in catalog.providers(kind):
        provider: type[Provider] = catalog.provider(kind, name)
        usual = " (the default)" if name == habits.provider else ""
        yield f"### {kind}, provider: {name}{usual}"
        yield ""
        yield _summary(provider)
        if provider.install:
            yield f"Installed by: `{provider.install}`"
        yield ""
        yield from _options(provider.Options)


def _summary(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


def _options(model: type[Options]) -> Iterator[str]:
    keys = properties(model)
    if not keys:
        yield "No keys of its own."
        yield ""
        return
    yield from _table(keys, required_keys(model))
    yield ""


def _table(keys: dict[str, Any], needed: list[str]) -> Iterator[str]:
    yield "| key | | takes | default |"
    yield "|---|---|---|---|"
    yield from _rows(keys, needed, "", {})


def _rows(keys: dict[str, Any], needed: list[str], above: str, shown: dict[str, str]) -> Iterator[str]:
    """A row for each key. Keys that a mapping before has too are not repeated: `shown` are those mappings, by their keys."""
    for key, schema in keys.items():
        default = "required" if key in needed else _default(schema)
        inner, needed_inside = _nested(schema)
        first = shown.setdefault(repr(inner), above + key) if inner else above + key
        form = takes(schema) if first == above + key else f"as `{first}`"
        cells = (f"`{above}{key}`", schema.get("description", ""), form, default)
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        if first == above + key:
            yield from _rows(inner, needed_inside, f"{above}{key}.", shown)


def _nested(schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The keys inside a mapping, or inside the only mapping among several forms."""
    for form in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
        if "properties" in form:
            return form["properties"], form.get("required", [])
    return {}, []


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    if default is None or default == {} or isinstance(default, dict):
        return ""
    if default in ([], ""):
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def takes(schema: dict[str, Any]) -> str:
    """The values of a key in words: type, choices, range."""
    if "anyOf" in schema:
        # Almost every key takes a reference to a variable, so the tables do not repeat it.
        forms = [
            takes(form) for form in schema["anyOf"] if form.get("pattern") != r"\$\{.+\}" and form.get("type") != "null"
        ]
        return " or ".join(dict.fromkeys(forms))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {takes(schema['items'])}" if schema.get("items") else "list"
    if "us|ms|s|min|h|d" in schema.get("pattern", ""):
        return "duration"
    if schema.get("format") == "password":
        return "secret"
    if "patternProperties" in schema or schema.get("additionalProperties") not in (None, False):
        return "mapping"
    names = {
        "integer": "whole number",
        "number": "number",
        "boolean": "`true`, `false`",
        "string": "text",
        "object": "mapping",
    }
    return names.get(schema.get("type", ""), "any") + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    said = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f" {', '.join(said)}" if said else ""
