"""Tool calls that a model writes as text, because its server does not read them: what is called, with which arguments.

``unspoken`` finds such texts. They have many forms, and a small model makes mistakes in each. So what names a tool is
always a call. Arguments that are no JSON are passed on as they are, so that the model gets an error and can correct them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from flowkit.messages import ToolCall

_NAMES, _ARGUMENTS = ("name", "tool", "function"), ("arguments", "parameters")
_FUNCTION = re.compile(r"<function[=\s]+\"?([\w.-]+)\"?\s*>(.*?)(?:</function>|\Z)", re.DOTALL | re.IGNORECASE)
_PARAMETER = re.compile(r"<parameter[=\s]+\"?([\w.-]+)\"?\s*>\n?(.*?)\n?</parameter>", re.DOTALL | re.IGNORECASE)
_NAMED = re.compile(r'"(?:name|tool|function)"\s*:\s*"([\w.-]+)"')
_GIVEN = re.compile(r'"(?:arguments|parameters)"\s*:\s*(.*)', re.DOTALL)
_BEGINS = re.compile(r"[{\[]")
_MOST = 32
"""How many values are looked for. Each that is malformed may be read to the text's end."""
_JSON = json.JSONDecoder()


def written_calls(texts: Iterable[str]) -> tuple[ToolCall, ...]:
    """The calls in these texts, each with its marks. They have no ids."""
    return tuple(ToolCall("", name, arguments) for text in texts for name, arguments in _calls(text))


def _calls(text: str) -> Iterator[tuple[str, str]]:
    if functions := _FUNCTION.findall(text):
        for name, inside in functions:
            given = {key: _value(value) for key, value in _PARAMETER.findall(inside)}
            yield name, json.dumps(given, ensure_ascii=False) if given else inside.strip() or "{}"
        return
    read = [call for value in _values(text) for call in _named(value)]
    if not read and (named := _NAMED.search(text)):
        rest = _GIVEN.search(text)
        read = [(named[1], rest[1] if rest else text)]
    yield from read


def _values(text: str) -> Iterator[Any]:
    """The JSON objects and arrays in the text, one after another."""
    at = 0
    for _ in range(_MOST):
        if (found := _BEGINS.search(text, at)) is None:
            return
        try:
            value, at = _JSON.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            at = found.end()
        else:
            yield value


def _named(value: Any) -> Iterator[tuple[str, str]]:
    """The calls that a JSON value stands for. OpenAI's form has name and arguments in a mapping `function`."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item)
    elif isinstance(value, dict):
        if isinstance(value.get("function"), dict):
            value = value["function"]
        name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), "")
        given: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
        if name:
            yield name, given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _value(text: str) -> Any:
    """A parameter that is written between marks. What is no JSON is text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
