"""The exception of ``check_provider`` and ``check_stage``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowkit.plural import counted

_NUMBER = re.compile(r"\d+(\.\d+)?")


class Faults(AssertionError):
    """A provider or a stage breaks its contract. `found` lists all faults, one line each.

    Of faults that differ only in their numbers, the first is listed, with the number of the others. `where` is a line that
    says where they were found.
    """

    def __init__(self, title: str, found: Iterable[str], where: str = "") -> None:
        self.found = _folded(found)
        heading = f"{title}: {counted(len(self.found), 'fault')}"
        super().__init__("\n  - ".join([heading, *self.found]) + (f"\n  {where}" if where else ""))


def _folded(lines: Iterable[str]) -> list[str]:
    alike: dict[str, list[str]] = {}
    for line in dict.fromkeys(lines):
        alike.setdefault(_NUMBER.sub("0", line), []).append(line)
    return [first + (f" ... and {len(more)} more like it" if more else "") for first, *more in alike.values()]
