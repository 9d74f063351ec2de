"""What installed packages add to flowkit through entry points. They are read once in a process.

``importlib.metadata.entry_points`` reads every package's entry points again for each group. It also parses the whole
metadata of a package for the name of each entry's package. Here each package is read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions

OWN_PACKAGE = "flowkit-voice"
_PREFIX = "flowkit."


@dataclass(frozen=True, slots=True)
class Claim:
    """The declaration of a package that `name` in some group is the object at `target` (``module:attribute``)."""

    name: str
    target: str
    package: str


def own(table: Mapping[str, str]) -> dict[str, list[Claim]]:
    """flowkit's own claims, from a table of names and targets."""
    return {name: [Claim(name, target, OWN_PACKAGE)] for name, target in table.items()}


def joined(ours: Mapping[str, list[Claim]], others: tuple[Claim, ...]) -> Mapping[str, list[Claim]]:
    """All claims by name, `ours` first. Two claims to one name are both kept, so that an error can name them."""
    if not others:
        return ours
    claims = {name: list(of_name) for name, of_name in ours.items()}
    for claim in others:
        claims.setdefault(claim.name, []).append(claim)
    return claims


def declared(group: str) -> tuple[Claim, ...]:
    """What packages other than flowkit declare in an entry point group such as ``flowkit.stages``."""
    return _installed().get(group, ())


@cache
def _installed() -> Mapping[str, tuple[Claim, ...]]:
    found: dict[str, list[Claim]] = {}
    seen = {OWN_PACKAGE}
    for distribution in distributions():
        # The text is searched first, because to parse the entry points of every installed package takes much longer.
        if _PREFIX not in (distribution.read_text("entry_points.txt") or "") or distribution.name in seen:
            continue  # of two packages with one name, Python imports the first on the path
        seen.add(distribution.name)
        for entry in distribution.entry_points:
            if entry.group.startswith(_PREFIX):
                found.setdefault(entry.group, []).append(Claim(entry.name, entry.value, distribution.name))
    return {group: tuple(claims) for group, claims in found.items()}
