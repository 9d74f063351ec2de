"""The JSON Schema of pipeline files, generated from the declarations of the components. Editors use it to complete,
explain and check.

The keys of a stage depend on its kind and provider. JSON Schema can only express this by cases: one ``if``/``then`` for
each pair, which lists all keys of that pair. Every value that is not free text may also be a reference such as
``${VAR}``.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from flowkit.config.catalog import INSTALLED, Catalog
from flowkit.config.docs import field_docs
from flowkit.config.keys import ALIASES, call_keys
from flowkit.config.schema import VERSION, CallOptions, Top, Wiring
from flowkit.errors import FlowkitError
from flowkit.options import Microseconds, OctalMode, format_duration, format_mode
from flowkit.providers.base import Provider

Schema = dict[str, Any]
_TITLE = "flowkit pipeline"
SCHEMA_MARK = f'"title": "{_TITLE}"'
"""Distinguishes the schema from other files."""
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{.+\}"}
_FREE = ("type", "title", "description", "default", "examples", "deprecated")


class _Tolerant(GenerateJsonSchema):
    """Writes defaults as YAML does, and leaves options open that YAML cannot express (a callback, say)."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, OctalMode):
            return format_mode(dft)
        return format_duration(dft) if isinstance(dft, Microseconds) else super().encode_default(dft)

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        return self._documented(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> Schema:
        return self._documented(super().dataclass_schema(schema), schema["cls"])

    def _documented(self, written: Schema, cls: type) -> Schema:
        texts = field_docs(cls)
        for key, value in written.get("properties", {}).items():
            name = next((n for n, f in getattr(cls, "model_fields", {}).items() if f.alias == key), key)
            if name in texts:
                value.setdefault("description", texts[name])
        return written

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        return {}


def schema_text(catalog: Catalog = INSTALLED) -> str:
    """The schema as JSON text."""
    return json.dumps(json_schema(catalog), indent=1, ensure_ascii=False) + "\n"


def json_schema(catalog: Catalog = INSTALLED) -> Schema:
    """The schema, as draft 7, which most editors support."""
    return _Writer(catalog).whole()


class _Writer:
    """Collects the keys' schemas under `definitions`, so that each is written once, however many cases list it."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.definitions: Schema = {}

    def whole(self) -> Schema:
        stages: Schema = {"type": "array", "minItems": 1, "items": self._stage()}
        stages["description"] = "The stages, in the order in which audio passes through them."
        top = dict(properties(Top))
        top["flowkit"] = {"const": VERSION, "description": "Version of the language."}
        top |= {"include": _INCLUDE, "defaults": self._defaults(), "stages": stages}
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": _TITLE,
            "type": "object",
            "required": ["flowkit", "stages"],
            "properties": top,
            "additionalProperties": False,
            "definitions": self.definitions,
        }

    def _defaults(self) -> Schema:
        kinds = "|".join(self.catalog.kinds())
        return {
            "description": "Defaults for stages, by kind or kind/provider.",
            "type": "object",
            "patternProperties": {f"^({kinds})(/.+)?$": {"type": "object"}},
            "additionalProperties": False,
        }

    def _stage(self) -> Schema:
        known = self.catalog.kinds()
        kinds: Schema = {"enum": list(known), "description": "What the stage does."}
        cases = [case for kind in known for case in self._kind(kind)]
        return {"type": "object", "required": ["kind"], "properties": {"kind": kinds}, "allOf": cases}

    def _kind(self, kind: str) -> list[Schema]:
        """One case for each provider of the kind, and one for a stage that names none."""
        try:
            cls = self.catalog.stage(kind)
        # A package that cannot be loaded must not spoil the completion of all other kinds.
        except FlowkitError:
            return []
        common = {"kind": {"const": kind}, **self._keys("stage", Wiring), **self._keys(kind, cls.Options)}
        needed = required_keys(cls.Options)
        classes = self._providers(kind)
        if not classes:
            return [_case({"kind": {"const": kind}}, common, needed)]
        common |= {"provider": self._choice(kind, classes), "failover": self._failover(kind, classes)}
        named = {"properties": {"provider": common["provider"]}}
        cases: list[Schema] = [{"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": named}]
        for name, provider in classes.items():
            condition = {"kind": {"const": kind}, "provider": {"const": name}}
            allowed = {**self._of_provider(kind, name, provider), **common}
            cases.append(_case(condition, allowed, [*needed, *required_keys(provider.Options)]))
        usual = self.catalog.habits(kind).provider
        extra = self._of_provider(kind, usual, classes[usual]) if usual in classes else {}
        unnamed: Schema = {"kind": {"const": kind}, "provider": False}
        return [*cases, _case(unnamed, {**extra, **common}, needed)]

    def _providers(self, kind: str) -> dict[str, type[Provider]]:
        """The kind's providers, without those that cannot be imported. Completion works without them."""
        classes: dict[str, type[Provider]] = {}
        for name in self.catalog.providers(kind):
            try:
                classes[name] = self.catalog.provider(kind, name)
            except FlowkitError:
                continue
        return classes

    def _choice(self, kind: str, classes: dict[str, type[Provider]]) -> Schema:
        names = {"enum": list(classes), "description": f"Who does the work of {kind}."}
        return self._define(f"{kind}.provider", _or_reference(names))

    def _of_provider(self, kind: str, name: str, provider: type[Provider]) -> Schema:
        """What may stand beside a provider's name."""
        keys = self._keys("call", CallOptions)
        calls = {key: keys[ALIASES.get(key, key)] for key in call_keys(self.catalog.stage(kind), provider)}
        return {**calls, **self._keys(f"{kind}/{name}", provider.Options)}

    def _failover(self, kind: str, classes: dict[str, type[Provider]]) -> Schema:
        cases = []
        for name, provider in classes.items():
            given = {"provider": {"const": name}}
            allowed = {**given, **self._of_provider(kind, name, provider)}
            cases.append(_case(given, allowed, required_keys(provider.Options)))
        named = {"provider": self._choice(kind, classes)}
        items = {"type": "object", "required": ["provider"], "properties": named, "allOf": cases}
        failover = {"type": "array", "items": items, "description": "Providers that take over, in order."}
        return self._define(f"{kind}.failover", failover)

    def _keys(self, owner: str, model: type[BaseModel]) -> Schema:
        return {key: self._define(f"{owner}.{key}", schema) for key, schema in properties(model).items()}

    def _define(self, name: str, schema: Schema) -> Schema:
        # In a reference, a slash would separate two names.
        name = name.replace("/", ":")
        self.definitions[name] = schema
        return {"$ref": f"#/definitions/{name}"}


_INCLUDE: Schema = {
    "description": "Files that this one is merged over, in its own folder or below it.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def _case(condition: Schema, allowed: Schema, required: list[str]) -> Schema:
    """If the stage has this kind and provider (False: names none), then it has these keys and no others."""
    given = [key for key, value in condition.items() if value is not False]
    then: Schema = {"properties": allowed, "additionalProperties": False}
    if required:
        then["required"] = list(dict.fromkeys(required))
    return {"if": {"properties": condition, "required": given}, "then": then}


def required_keys(model: type[BaseModel]) -> list[str]:
    """The YAML keys that a model has no default for."""
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


# -- one model ---------------------------------------------------------------------------------------------------------


@cache
def properties(model: type[BaseModel]) -> Schema:
    """The properties of a model, without references to definitions. Each that is not free text also takes
    ``${VAR}``."""
    schema = model.model_json_schema(schema_generator=_Tolerant, mode="validation")
    definitions = schema.get("$defs", {})
    return {key: _open(_inlined(value, definitions)) for key, value in schema.get("properties", {}).items()}


def _inlined(schema: Any, definitions: Schema) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return {
        key: _inlined(value, definitions)
        for key, value in schema.items()
        # pydantic's titles only repeat the names. An option that is called `title` is not text here, and stays.
        if key != "title" or not isinstance(value, str)
    }


def _open(schema: Schema) -> Schema:
    """The schema, with ``${VAR}`` allowed for every value that is not free text already."""
    if "properties" in schema:
        return {**schema, "properties": {key: _open(value) for key, value in schema["properties"].items()}}
    if "anyOf" in schema:
        return {
            **schema,
            "anyOf": [*(_open(s) if "properties" in s or "items" in s else s for s in schema["anyOf"]), _REFERENCE],
        }
    if schema.get("type") == "array":
        return {**schema, "items": _open(schema["items"])} if "items" in schema else schema
    if schema.get("type") == "string" and not set(schema) - set(_FREE):
        return schema
    return (
        _or_reference(schema) if {"type", "enum", "const"} & set(schema) and schema.get("type") != "object" else schema
    )


def _or_reference(schema: Schema) -> Schema:
    notes: Schema = {key: schema[key] for key in ("description", "default", "examples") if key in schema}
    return {**notes, "anyOf": [{key: value for key, value in schema.items() if key not in notes}, _REFERENCE]}
