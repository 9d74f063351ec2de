"""The part of a layout that the text of a journal refers to: stages by index, who hears the microphone, and relays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from flowkit.messages import Audio, Message, Token
from flowkit.trace.layout import Layout


class Relay(NamedTuple):
    """Where most of a reply goes through: stage `carrier` hands on what its provider gives, and stage `taker` takes it. Stages by
    index; `kind`: of what goes through."""

    kind: type[Message]
    carrier: int
    taker: int


_RELAYED: tuple[tuple[type[Message], str, str], ...] = ((Token, "llm", "chunker"), (Audio, "tts", "speaker"))


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Stage ids and their places, and the indexes of the source, of who takes its frames, and of the VAD (-1: there is none)."""

    ids: tuple[str, ...]
    places: dict[str, int]
    source: int
    followers: tuple[int, ...]
    vad: int
    relays: tuple[Relay, ...]


@lru_cache(maxsize=16)
def wiring_of(layout: Layout) -> Wiring:
    """The wiring of a layout."""
    ids = tuple(id_ for id_, _ in layout.kinds)
    places = {id_: i for i, id_ in enumerate(ids)}
    source = layout.only("mic")
    followers = sorted({places[e.stage] for e in layout.edges if e.source == source and e.port == "audio"})
    source_at, vad_at = (places.get(layout.only(kind), -1) for kind in ("mic", "vad"))
    relays = [Relay(of, places.get(layout.only(by), -1), places.get(layout.only(to), -1)) for of, by, to in _RELAYED]
    return Wiring(ids, places, source_at, tuple(followers), vad_at, tuple(r for r in relays if min(r[1:]) >= 0))
