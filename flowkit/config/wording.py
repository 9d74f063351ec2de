"""pydantic's error types in flowkit's words: what is wrong, with which code, and how to fix it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, NamedTuple

from flowkit.config.nodes import Node, Scalar


class Refusal(NamedTuple):
    """Why a value is refused."""

    code: str
    what: str
    help: str = ""


_RANGE = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "path": "a path",
    "none": "nothing",
    "finite_number": "a finite number",
}
_DURATION_UNITS = "units: us, ms, s, min"


def reason(error: Any, node: Node, *, hidden: bool) -> Refusal:
    """Why pydantic refuses `node`. A `hidden` value appears in no part of it."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _RANGE:
        sign, name = _RANGE[kind]
        return Refusal("FK110", f"must be {sign} {context[name]}")
    if kind in ("enum", "literal_error"):
        return _choice(str(context["expected"]), node, hidden)
    if kind in ("value_error", "assertion_error"):
        return _declared(str(context.get("error", error["msg"])), hidden)
    if kind == "string_pattern_mismatch":
        return Refusal("FK114", _form(context), _mended(context["pattern"], node, hidden))
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return Refusal("FK114", _length(kind, context))
    for prefix, name in _TYPES.items():
        if kind == prefix or kind.startswith(
            (f"{prefix}_type", f"{prefix}_parsing", f"{prefix}_from", f"{prefix}_attributes")
        ):
            return Refusal("FK111", f"must be {name}", _type_help(prefix, node, hidden))
    return Refusal("FK114", "is not valid" if hidden else _lower(str(error["msg"])))


def _choice(expected: str, node: Node, hidden: bool) -> Refusal:
    names = re.findall(r"'([^']*)'", expected)
    value = node.text if isinstance(node, Scalar) and not hidden else ""
    near = get_close_matches(value.lower(), names, n=1, cutoff=0.5) or [
        n for n in names if value and n.startswith(value)
    ]
    return Refusal("FK112", f"must be {expected}", f"did you mean {near[0]!r}?" if near else "")


def _declared(message: str, hidden: bool) -> Refusal:
    """The message of a component's own validator. Durations are the most common."""
    if re.search("a duration (needs a unit|has no space): write", message):
        what, _, spellings = message.partition(": ")
        return Refusal("FK113", what, "" if hidden else f"{spellings}")
    if message.startswith("a duration is"):
        return Refusal("FK113", "must be a duration such as 200ms or 1.5s", _DURATION_UNITS)
    return Refusal("FK114", "is not valid" if hidden else _lower(message))


def _form(context: dict[str, Any]) -> str:
    """A pattern in words: those that it was declared with, or a description of it."""
    pattern = str(context["pattern"])
    if words := context.get("words"):
        return f"must be {words}"
    if names := re.fullmatch(r"\^\((\w+(?:\|\w+)*)\)\$", pattern):
        return f"must be {' or '.join(map(repr, names[1].split('|')))}"
    if scheme := re.match(r"\^(http|ws)s\?://", pattern):
        return f"must be an address that begins with {scheme[1]}s:// or {scheme[1]}://"
    return f"must match {pattern}"


def _mended(pattern: str, node: Node, hidden: bool) -> str:
    """The value with one usual mistake corrected, if it is valid then."""
    if hidden or not isinstance(node, Scalar):
        return ""
    text = node.text.strip()
    slips = [re.sub(r"\W+", "_", text), "_" + re.sub(r"\W+", "_", text)]
    slips += [re.sub(r"^http", "ws", text), re.sub(r"^ws", "http", text), f"https://{text}", f"wss://{text}"]
    fitting = next((slip for slip in slips if text and re.fullmatch(pattern, slip)), "")
    return f"write {fitting}" if fitting else ""


def _length(kind: str, context: dict[str, Any]) -> str:
    bound, count = ("at least", context["min_length"]) if kind.endswith("short") else ("at most", context["max_length"])
    one, several = ("character", "characters") if kind.startswith("string") else ("entry", "entries")
    return f"must have {bound} {count} {one if count == 1 else several}"


def _type_help(wanted: str, node: Node, hidden: bool) -> str:
    if not isinstance(node, Scalar):
        return ""
    if wanted == "string" and not isinstance(node.value, str) and node.value is not None and not hidden:
        return f'put it in quotes: "{node.text}"'
    if wanted == "bool" and node.text.lower() in ("yes", "on", "y", "no", "off", "n"):
        return "write true" if node.text.lower() in ("yes", "on", "y") else "write false"
    if (
        wanted in ("int", "float")
        and isinstance(node.value, str)
        and re.fullmatch(r"[-+]?\d+(\.\d+)?", node.text)
        and not hidden
    ):
        return f"remove the quotes: {node.text}"
    if wanted in ("list", "tuple", "set", "frozen_set") and not hidden:
        return f"write [{node.text}]"
    return ""


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:] if message[1:2].islower() else message
