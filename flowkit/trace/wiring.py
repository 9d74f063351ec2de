"""The part of a layout that the text of a journal refers to: stages by index, who hears the microphone, and relays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from flowkit.messages import Audio, ClauseEnded, ClauseStarted, Message, Token
from flowkit.trace.layout import Layout


class Relay(NamedTuple):
    """Where most of a reply goes through: stage `carrier` hands on what its provider gives, and stage `taker` takes it. Stages by
    index; `kind`: of what is handed on; `marks`: of what else the taker takes of the carrier with it."""

    kind: type[Message]
    marks: tuple[type[Message], ...]
    carrier: int
    taker: int


_RELAYED: tuple[tuple[type[Message], tuple[type[Message], ...], str, str], ...] = (
    (Token, (), "llm", "chunker"),
    (Audio, (ClauseStarted, ClauseEnded), "tts", "speaker"),
)


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
    relays = [
        Relay(kind, marks, places.get(layout.only(by), -1), places.get(layout.only(to), -1))
        for kind, marks, by, to in _RELAYED
    ]
    relays = [relay for relay in relays if min(relay.carrier, relay.taker) >= 0]
    return Wiring(ids, places, source_at, tuple(followers), vad_at, tuple(relays))
