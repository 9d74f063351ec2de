"""What a trace was recorded with: what in it can be relied on, and what is missing.

flowkit finds out by looking, because what is in the trace needs no word for it. The trace of an imported call says besides
what was measured, derived and missing. What it claims to have measured must be there: flowkit says where a manifest lies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.messages import Ask, Audio, Final, Partial, Token
from flowkit.replay.material import Material, RecordedCall
from flowkit.trace.reader import Trace

IMPORTED = "imported"
"""Name of the event with what of an imported trace was ``measured``, ``derived`` and is ``missing``: a JSON object of lists."""
AUDIO, LEVELS, ANSWERS = "audio", "levels", "vad answers"
PARTIALS, TRANSCRIPTS, REPLIES, TOOLS, VOICE = (
    "partial transcripts",
    "transcripts",
    "reply times",
    "tool outcomes",
    "voice times",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was recorded, what was derived from it, and what is missing, by name. `lies` says which claims do not hold."""

    recorded: tuple[str, ...]
    derived: tuple[str, ...]
    missing: tuple[str, ...]
    lies: tuple[str, ...] = ()

    def lacks(self, entry: str) -> bool:
        """Whether predictions must do without this."""
        return entry in self.missing


def manifest_of(trace: Trace, material: Material) -> Manifest:
    """The manifest of a trace, checked against what the trace holds."""
    there = {name: has(trace, material) for name, has in _ENTRIES.items()}
    told = claimed(trace)
    derived = tuple(name for name in told.get("derived", ()) if there.get(name, True))
    absent = {*told.get("missing", ()), *(name for name, has in there.items() if not has)}
    lies = [
        f"the manifest claims that {name} were {how}, but the trace has none"
        for how in ("measured", "derived")
        for name in told.get(how, ())
        if not there.get(name, True)
    ]
    lies += [
        f"the manifest claims that there are no {name}, but the trace has them"
        for name in told.get("missing", ())
        if there.get(name, False)
    ]
    recorded = tuple(name for name, has in there.items() if has and name not in derived and name not in absent)
    return Manifest(
        recorded,
        derived,
        tuple(name for name in dict.fromkeys([*there, *sorted(absent)]) if name in absent),
        tuple(lies),
    )


def imported(trace: Trace) -> bool:
    """Whether something else than flowkit recorded the conversation."""
    return any(event.name == IMPORTED for event in trace.events)


def claimed(trace: Trace) -> Mapping[str, Sequence[str]]:
    """What the trace says of itself. Anything else than lists of names counts as nothing."""
    detail = next((event.detail for event in trace.events if event.name == IMPORTED), "{}")
    try:
        told: Any = json.loads(detail)
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {how: [str(name) for name in names] for how, names in told.items() if isinstance(names, list)}


def _items(material: Material) -> Iterator[tuple[RecordedCall, object]]:
    for calls in material.calls.values():
        for call in calls:
            yield from ((call, item) for _, _, item in call.items)


def _has(*kinds: type) -> Callable[[Trace, Material], bool]:
    return lambda trace, material: any(isinstance(item, kinds) for _, item in _items(material))


def _replies(trace: Trace, material: Material) -> bool:
    """Whether it is known how long replies took. An imported one that was made up from a text has all of it at once."""
    made_up = imported(trace)
    return any(
        isinstance(call.request, Ask)
        and isinstance(item, Token)
        and (not made_up or call.items[-1][0] > call.opened_us)
        for call, item in _items(material)
    )


_ENTRIES: Mapping[str, Callable[[Trace, Material], bool]] = {
    AUDIO: lambda trace, material: trace.end is not None and bool(trace.end.sounds),
    LEVELS: lambda trace, material: bool(trace.levels),
    ANSWERS: lambda trace, material: bool(material.input.answers),
    PARTIALS: _has(Partial),
    TRANSCRIPTS: _has(Final),
    REPLIES: _replies,
    VOICE: _has(Audio),
    TOOLS: lambda trace, material: bool(material.tools),
}
NAMES = _ENTRIES.keys()
"""All that a manifest may name."""
