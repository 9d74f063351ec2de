"""Which output feeds which input. The content of the ports decides, so a custom stage is wired like flowkit's own.

An input takes what the nearest stage before it gives, unless `from` names another. Control content (`CONTROL`) is never
chosen: every stage that gives it reaches every stage that takes it, ahead of all data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Protocol

from flowkit.stages.base import CONTROL_CONTENT as CONTROL

ENDPOINT, END = "endpoint", "end"


class Ports(Protocol):
    """What wiring needs to know of a stage's class."""

    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Station:
    """A stage as the wiring sees it. `sources`: the ids that `from` names; None without `from`."""

    id: str
    ports: Ports
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection, with the content that flows through it."""

    source: str
    output: str
    target: str
    input: str
    content: str

    @property
    def control(self) -> bool:
        return self.content in CONTROL


def wire(stations: Sequence[Station]) -> tuple[Wire, ...]:
    """Every connection between the stages, by target in their order, then by input. Unknown names in `from` are left
    out."""
    wires: list[Wire] = []
    for index, station in enumerate(stations):
        found = [w for port, kinds in station.ports.inputs.items() for w in _into(stations, index, port, kinds)]
        has_endpoint = any(w.content == ENDPOINT for w in found)
        # After a VAD the end of the input travels with the end of utterance. From the source it would overtake that.
        wires += [w for w in found if not (has_endpoint and w.content == END)]
    return tuple(wires)


def _into(stations: Sequence[Station], index: int, port: str, kinds: tuple[str, ...]) -> list[Wire]:
    station = stations[index]
    control = [
        w for other in stations if other is not station for w in _between(other, station, port, kinds) if w.control
    ]
    named = [other for other in stations if station.sources and other.id in station.sources]
    data = [w for other in named for w in _data(other, station, port, kinds)]
    return control + (data or _nearest(stations, index, port, kinds))


def _nearest(stations: Sequence[Station], index: int, port: str, kinds: tuple[str, ...]) -> list[Wire]:
    """From the nearest earlier stage that gives the content. An endpoint may also come from a later stage."""
    station = stations[index]
    others = [*reversed(stations[:index]), *(stations[index + 1 :] if ENDPOINT in kinds else ())]
    if station.sources is not None and ENDPOINT not in kinds:
        return []
    return next((wires for other in others if (wires := _data(other, station, port, kinds))), [])


def _data(source: Station, target: Station, port: str, kinds: tuple[str, ...]) -> list[Wire]:
    return [w for w in _between(source, target, port, kinds) if not w.control]


def _between(source: Station, target: Station, port: str, kinds: tuple[str, ...]) -> list[Wire]:
    outputs = source.ports.outputs.items()
    return [Wire(source.id, name, target.id, port, content) for name, content in outputs if content in kinds]


def reached(stations: Sequence[Station], wires: Sequence[Wire], sources: set[str]) -> set[str]:
    """The ids that data can reach from `sources`."""
    found, new = set(sources), set(sources)
    while new:
        new = {w.target for w in wires if not w.control and w.source in new} - found
        found |= new
    return found


def cycle(stations: Sequence[Station], wires: Sequence[Wire]) -> list[str]:
    """The ids of a cycle of data edges and of `from` references, each feeding the next; empty if there is none."""
    graph = {station.id: list(station.sources or ()) for station in stations}
    for w in wires:
        # Control also flows against the data. Counted here, it would close circles that are fine.
        if not w.control:
            graph[w.target].append(w.source)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        # The last id is left out: graphlib repeats the first one there.
        found: list[str] = exc.args[1]
        return found[:-1]
    return []
