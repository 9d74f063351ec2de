"""What the kits for authors raise."""

from __future__ import annotations


class Faults(AssertionError):
    """What a provider or a stage does otherwise than it promises: `found`, a line each."""

    def __init__(self, title: str, found: list[str]) -> None:
        self.found = found
        heading = f"{title}: {len(found)} fault{'s' * (len(found) > 1)}"
        super().__init__("\n  - ".join([heading, *found]))
