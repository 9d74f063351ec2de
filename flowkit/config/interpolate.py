"""``${VAR}``, ``${VAR:-default}``, ``${VAR:?message}``, ``${file:path}`` and ``$$`` in values, after parsing.

A value from outside keeps its origin, so that an error can name the variable. It never becomes structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Env
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from operator import is_
from pathlib import Path as FilePath

from flowkit.config.nodes import Entry, Node, Scalar, Sequence, Standing, core_value
from flowkit.config.problems import Path, Problem
from flowkit.secrets import is_secret_name, learn, learn_named

# The last form matches an unclosed `${`, which would otherwise pass as text.
_REFERENCE = re.compile(r"\$(?:(\$)|\{([^{}]*)\}|(\{))")
_BODY = re.compile(r"(?:file:(?P<file>.+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<op>:-|:\?)(?P<rest>.*))?)", re.DOTALL)
_SHELL = re.compile(r"\$([A-Z_][A-Z0-9_]*)", re.ASCII)
"""A whole value that a shell would replace."""
# A secret is short. Without a bound, a path to a device or to a recording would fill the memory.
MAX_FILE_BYTES = 64 * 1024


class Unset(Enum):
    """What happens to a variable without a value: it is an error, or it is left as written (``show``, ``graph``,
    ``test``, ``replay``)."""

    ERROR = auto()
    KEEP = auto()


@dataclass(frozen=True, slots=True)
class Outside:
    """What values may refer to. `files`: ``${file:}`` is opened (``run`` only). `reveal`: errors may show a variable's
    value (``run`` trusts its file, ``check`` does not)."""

    environ: Env[str, str] = field(default_factory=dict)
    unset: Unset = Unset.ERROR
    files: bool = False
    reveal: bool = False
    withheld: bool = False
    """The reader's variables are not handed over, as in tests."""


class Failure(Exception):
    """A reference that has no value. The message says why, and `code` is the code of the problem."""

    def __init__(self, code: str, what: str, help: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.help = help


def interpolate(node: Node, outside: Outside, problems: list[Problem], path: Path = ()) -> Node:
    """The tree with every reference replaced. A problem has the place of the scalar that contains the reference."""
    if isinstance(node, Scalar):
        return _scalar(node, outside, problems, path)
    if isinstance(node, Sequence):
        items = [interpolate(item, outside, problems, (*path, i)) for i, item in enumerate(node.items)]
        return node if all(map(is_, items, node.items)) else replace(node, items=items)
    entries: dict[str, Entry] = {}
    changed = False
    for key, entry in node.entries.items():
        value = interpolate(entry.value, outside, problems, (*path, key))
        changed = changed or value is not entry.value
        entries[key] = Entry(entry.key, value)
    return replace(node, entries=entries) if changed else node


def _scalar(scalar: Scalar, outside: Outside, problems: list[Problem], path: Path) -> Scalar:
    if "$" not in scalar.text or not isinstance(scalar.value, str):
        return scalar
    try:
        return _resolve(scalar, outside)
    except Failure as failure:
        problems.append(Problem(failure.code, scalar.mark, path, str(failure), help=failure.help))
    # Unread, so that validation takes the default and does not report the same place a second time.
    return replace(scalar, standing=Standing.UNREAD)


def _resolve(scalar: Scalar, outside: Outside) -> Scalar:
    """The scalar with its references replaced. Raises Failure."""
    origins: list[str] = []
    standing = Standing.LITERAL

    def value_of(match: re.Match[str]) -> str:
        nonlocal standing
        if match[1]:
            return "$"
        if match[3]:
            raise Failure("FK021", "${ is not closed", "write ${NAME}, or $$ for a dollar sign")
        found = _lookup(match[2], scalar, outside)
        origins.append(found.origin)
        # One hidden part hides the whole value.
        standing = max(standing, found.standing, key=_FIRMNESS.index)
        # The reference stays as written, so that `show` prints it and not an empty text.
        return match[0] if found.standing is Standing.UNREAD else found.text

    if shell := _SHELL.fullmatch(scalar.text):
        raise Failure("FK021", f"{shell[0]} is not a reference", f"write ${{{shell[1]}}}, or ${shell[0]} for the text")
    text = _REFERENCE.sub(value_of, scalar.text)
    return replace(
        scalar, text=text, value=text, standing=standing, origin=" and ".join(dict.fromkeys(o for o in origins if o))
    )


_FIRMNESS = [Standing.LITERAL, Standing.LOOSE, Standing.HIDDEN, Standing.UNREAD]


@dataclass(frozen=True, slots=True)
class _Found:
    text: str
    origin: str
    standing: Standing


def _lookup(body: str, scalar: Scalar, outside: Outside) -> _Found:
    match = _BODY.fullmatch(body)
    if match is None:
        raise Failure(
            "FK021",
            f"${{{body}}} is not a reference",
            "write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:path}",
        )
    if match["file"]:
        return _from_file(match["file"], scalar, outside)
    return _from_environment(match["name"], match["op"], match["rest"], outside)


def _from_environment(name: str, op: str | None, rest: str | None, outside: Outside) -> _Found:
    value = outside.environ.get(name)
    # As in a shell, `:-` and `:?` treat an empty variable like one that is not set.
    if value is not None and (value or op is None):
        # Bytes of the environment that are not UTF-8 arrive as surrogates, which no output could encode.
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise Failure("FK021", f"the variable {name} is not text", "it must be UTF-8 without NUL")
        learn_named(name, value)
        hidden = not outside.reveal or is_secret_name(name)
        return _Found(value, f"env {name}", Standing.HIDDEN if hidden else Standing.LOOSE)
    # Before `unset` is asked: this default is written in the file and reveals nothing from outside.
    if op == ":-":
        return _Found(rest or "", "", Standing.LOOSE)
    if outside.unset is Unset.KEEP:
        return _Found("", f"env {name}", Standing.UNREAD)
    # Before `:?`, because its help would advise to set a variable that tests do not get anyway.
    if outside.withheld:
        raise Failure(
            "FK020",
            f"the variable {name} has no value in a test: tests get no environment variables",
            "run flowkit test --env",
        )
    if op == ":?":
        raise Failure(
            "FK022", f"the variable {name} is required: {rest or 'it is not set'}", f"set {name} in the environment"
        )
    raise Failure(
        "FK020", f"the variable {name} is not set", f"set it in the environment, or write ${{{name}:-default}}"
    )


def _from_file(name: str, scalar: Scalar, outside: Outside) -> _Found:
    """A secret from a file beside the pipeline, without its last line break."""
    origin = f"file {name}"
    if not outside.files:
        return _Found("", origin, Standing.UNREAD)
    folder = scalar.mark.source.path.parent if scalar.mark.source.path else FilePath()
    try:
        with (folder / FilePath(name).expanduser()).open("rb") as file:
            # One byte more than allowed, so that a larger file is noticed without reading all of it.
            raw = file.read(MAX_FILE_BYTES + 1)
        text = raw.decode()
    # An unknown user after `~` is a RuntimeError, and a NUL in the path a ValueError.
    except (OSError, ValueError, RuntimeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "it is not UTF-8 text"
        raise Failure(
            "FK023", f"the file {name} cannot be read: {reason}", "paths are relative to the pipeline's folder"
        ) from exc
    if len(raw) > MAX_FILE_BYTES:
        raise Failure("FK023", f"the file {name} is larger than {MAX_FILE_BYTES // 1024} KiB")
    # Whatever the option is called: what is kept in a file of its own is always a secret.
    learn(text.rstrip("\r\n"))
    return _Found(text.rstrip("\r\n"), origin, Standing.HIDDEN)


def typed(scalar: Scalar) -> Scalar:
    """The same scalar with the type that its text looks like, for options that do not take text."""
    return replace(scalar, value=core_value(scalar.text))
