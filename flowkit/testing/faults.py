"""The exception of ``check_provider`` and ``check_stage``."""

from __future__ import annotations


class Faults(AssertionError):
    """A provider or a stage breaks its contract. `found` lists all faults, one line each."""

    def __init__(self, title: str, found: list[str]) -> None:
        self.found = found
        heading = f"{title}: {len(found)} fault{'s' * (len(found) > 1)}"
        super().__init__("\n  - ".join([heading, *found]))
