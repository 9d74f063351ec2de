"""The part of a layout that the text of a journal refers to: stages by index, and who hears the microphone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from flowkit.trace.layout import Layout


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Stage ids and their places, and the indexes of the source, of who takes its frames, and of the VAD, the
    voice and the speaker (-1: there is none)."""

    ids: tuple[str, ...]
    places: dict[str, int]
    source: int
    followers: tuple[int, ...]
    vad: int
    voice: int
    speaker: int


@lru_cache(maxsize=16)
def wiring_of(layout: Layout) -> Wiring:
    """The wiring of a layout."""
    ids = tuple(id_ for id_, _ in layout.kinds)
    places = {id_: i for i, id_ in enumerate(ids)}
    source = layout.only("mic")
    followers = sorted({places[e.stage] for e in layout.edges if e.source == source and e.port == "audio"})
    only = [places.get(layout.only(kind), -1) for kind in ("mic", "vad", "tts", "speaker")]
    return Wiring(ids, places, only[0], tuple(followers), *only[1:])
