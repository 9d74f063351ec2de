"""What a pipeline file may run on this machine besides flowkit: modules with tools, and programs.

A file names functions and commands, and a file may come from a third party. So nothing is imported or started unless the
user has said so: with ``--allow-tools``, with ``open_host(allow_tools=...)``, or in the ``pyproject.toml`` of the current folder:

    [tool.flowkit]
    tools = ["bistro", "my-mcp-server"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path

_HINT = (
    'allow it in the pyproject.toml of the current folder: [tool.flowkit] tools = ["{name}"]; or with `flowkit run '
    '--allow-tools`; or in Python with open_host(..., allow_tools=["{name}"])'
)
_ALL = "*"
_OWN = frozenset({"flowkit.samples"})
_allowed: set[str] = set()


def allow(*names: str) -> None:
    """Let this process import these packages, and start these programs. Without names, all of them."""
    _allowed.update(names or (_ALL,))


def allows(name: str, also: Collection[str] = ()) -> bool:
    """Whether module `name` may be imported: it, or a package that it lies in, was allowed. `also`: what a host allows besides."""
    allowed = _allowed.union(_declared(), _OWN, also)
    # Cut at dots alone, so that allowing `foo` does not allow `foobar`.
    parents = {name, *(name[:at] for at, character in enumerate(name) if character == ".")}
    return _ALL in allowed or bool(parents & allowed)


def starts(program: str, also: Collection[str] = ()) -> bool:
    """Whether `program` may be started. It must be allowed as the file spells it. `also`: what a host allows besides."""
    return not {_ALL, program}.isdisjoint(_allowed.union(_declared(), also))


def hint(module: str) -> str:
    """How a user allows `module`, with the package that it lies in."""
    return _HINT.format(name=module.partition(".")[0])


def hint_to_start(program: str) -> str:
    """How a user allows `program`."""
    return _HINT.format(name=program)


def _declared() -> set[str]:
    try:
        read = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        # A file that is missing or cannot be read allows nothing.
        return set()
    names = read.get("tool", {}).get("flowkit", {}).get("tools", [])
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
