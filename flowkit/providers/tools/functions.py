"""Python functions as tools: how they are described to a model, and how they are called."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import trio
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model

from flowkit.errors import ConfigError
from flowkit.tools import Tool, ToolSpec
from flowkit.trust import allows, hint


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a function may know of its call, in a parameter with this annotation. `key` is the same only for the same call: give
    it to a service that must not do a thing twice."""

    session: str
    call: str

    @property
    def key(self) -> str:
        """The idempotency key."""
        return f"{self.session}-{self.call}"


class Function:
    """A function that is a tool.

    Raises:
        ConfigError: it is not allowed, cannot be imported, or has a parameter that cannot be described to a model.
    """

    def __init__(self, tool: Tool, allowed: Collection[str] = ()) -> None:
        assert tool.call is not None
        self._function = _found(tool.call, allowed)
        self.stoppable = inspect.iscoroutinefunction(self._function)
        """A sync function runs in a thread, where nothing can stop it."""
        fields, self._context = _parameters(tool.call, self._function)
        self._arguments, schema = _described(tool, fields)
        doc = inspect.getdoc(self._function) or ""
        self.spec = ToolSpec(tool.title, tool.description or doc.partition("\n\n")[0].replace("\n", " "), schema)

    async def run(self, arguments: str, context: ToolContext) -> Any:
        """Call it. Raises ValueError for arguments that do not fit, and whatever the function raises."""
        try:
            given = self._arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            raise ValueError(_misfits(error)) from None
        values = {name: getattr(given, name) for name in type(given).model_fields}
        if self._context:
            values[self._context] = context
        if self.stoppable:
            return await self._function(**values)
        # In a tuple, because Trio takes no coroutine as the result. A decorator often hides that a function is async.
        (result,) = await trio.to_thread.run_sync(lambda: (self._function(**values),), abandon_on_cancel=True)
        return await result if inspect.isawaitable(result) else result


def permit_module(call: str, allowed: Collection[str] = ()) -> None:
    """Raises ConfigError if the function's module may not be imported. `allowed`: what its host allows."""
    module, _, name = call.partition(":")
    if not allows(module, allowed):
        raise ConfigError(f"tool {name!r}: the module {module!r} may not be imported", hint=hint(module))


def _found(call: str, allowed: Collection[str]) -> Callable[..., Any]:
    permit_module(call, allowed)
    module, _, name = call.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # last, so that nothing here stands in for an installed module
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module that is imported runs
        help = _instead(error, module, name)
        raise ConfigError(f"tool {call!r} cannot be imported: {type(error).__name__}: {error}", hint=help) from error
    if not callable(found):
        raise ConfigError(f"tool {call!r} is no function but a {type(found).__name__}")
    return typing.cast(Callable[..., Any], found)


def _instead(error: Exception, module: str, name: str) -> str:
    """Help for a module or a function that does not exist."""
    # Not for a module that this one imports in vain.
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return "modules are found in the current folder and in the environment, not beside the pipeline file"
    if isinstance(error, AttributeError) and error.obj is sys.modules.get(module):
        near = get_close_matches(name, (key for key, value in vars(error.obj).items() if callable(value)), n=1)
        return f"did you mean {near[0]!r}?" if near else ""
    return ""


def _parameters(call: str, function: Callable[..., Any]) -> tuple[dict[str, Any], str]:
    """The function's parameters as fields of a model, and the name of the one that takes the context."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:  # annotations are code
        raise ConfigError(f"tool {call!r}: its annotations cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    context, documented = "", _documented(inspect.getdoc(function) or "")
    for parameter in inspect.signature(function).parameters.values():
        name = parameter.name
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f"tool {call!r}: parameter {name!r} cannot be given by name")
        if name not in hints:
            what = f"tool {call!r}: parameter {name!r} has no annotation"
            raise ConfigError(what, hint=f"write {name}: str, say; the model needs it")
        if hints[name] is ToolContext:
            context = name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=documented.get(name)))
    return fields, context


def _described(tool: Tool, fields: dict[str, Any]) -> tuple[type[BaseModel], dict[str, Any]]:
    """A model of the function's arguments, and its JSON Schema."""
    try:
        # An argument that does not exist is an error, which the model can correct.
        model: type[BaseModel] = create_model(tool.title, __config__=ConfigDict(extra="forbid"), **fields)
        schema = model.model_json_schema()
    except (PydanticUserError, NameError, ValueError) as error:
        what = str(error).partition("\n")[0]
        raise ConfigError(f"tool {tool.call!r}: its parameters cannot be described to a model: {what}") from error
    schema.pop("title", None)
    return model, schema


def _documented(doc: str) -> dict[str, str]:
    """What the docstring's ``Args:`` say of each parameter."""
    _, found, rest = doc.partition("Args:\n")
    documented: dict[str, str] = {}
    for line in rest.splitlines() if found else []:
        if line and not line.startswith(" "):
            break
        name, colon, text = line.strip().partition(":")
        if colon:
            documented[name.partition(" ")[0]] = text.strip()
    return documented


def _misfits(error: ValidationError) -> str:
    """Which arguments do not fit, so that the model can correct them."""
    found = [f"{'.'.join(map(str, e['loc'])) or 'the arguments'}: {e['msg']}" for e in error.errors(include_url=False)]
    return "The arguments do not fit: " + "; ".join(found)
