"""The part of a layout that the text of a journal refers to: stages by index, and who hears the microphone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from flowkit.trace.layout import Layout


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Stage ids and their places, and the indexes of the source, of who takes its frames, and of the VAD (-1: there is none)."""

    ids: tuple[str, ...]
    places: dict[str, int]
    source: int
    followers: tuple[int, ...]
    vad: int


@lru_cache(maxsize=16)
def wiring_of(layout: Layout) -> Wiring:
    """The wiring of a layout."""
    ids = tuple(id_ for id_, _ in layout.kinds)
    places = {id_: i for i, id_ in enumerate(ids)}
    source = layout.only("mic")
    followers = sorted({places[e.stage] for e in layout.edges if e.source == source and e.port == "audio"})
    return Wiring(ids, places, places.get(source, -1), tuple(followers), places.get(layout.only("vad"), -1))
