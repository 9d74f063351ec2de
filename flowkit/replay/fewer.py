"""A recording without some of its turns: what remains of the user, and of what was heard.

The rest of the user's speech keeps its distance to what it followed: to the agent, or to the user's own words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from flowkit.messages import Final, Message, Partial, Transcribe
from flowkit.replay.changes import Spans
from flowkit.replay.material import Material, RecordedCall
from flowkit.replay.user import User

_SLACK = 15
"""Frames by which endpointing may notice the end of speech too early."""


class SpokenTurn(NamedTuple):
    """A turn that the user asked for, with the frames of its speech."""

    number: int
    first: int
    last: int


def spoken_turns(spans: Spans) -> list[SpokenTurn]:
    """The turns with speech, in order. What the agent says by itself is in none of them."""
    spoken = (SpokenTurn(number, pieces[0][0], pieces[-1][1]) for number, pieces in spans.items() if pieces)
    return sorted(spoken, key=lambda turn: turn.first)


class Fewer:
    """Keeps some turns of a recording.

    Args:
        turns: all of them. kept: the numbers of those to keep.
    """

    def __init__(self, turns: Sequence[SpokenTurn], kept: Collection[int]) -> None:
        self._lasts = [turn.last + _SLACK for turn in turns]
        self._kept = [turn.number in kept for turn in turns]

    def has(self, frame: int) -> bool:
        """Whether what is said in this frame stays. Speech that got no answer belongs to the turn after it."""
        at = bisect_left(self._lasts, frame)
        return at >= len(self._kept) or self._kept[at]

    def user(self, user: User) -> User:
        """The user without the other turns. The end of the input stays."""
        *pieces, leaves = user.pieces
        return replace(user, pieces=(*(piece for piece in pieces if self.has(piece.first)), leaves))

    def material(self, material: Material) -> Material:
        """The material without what was heard of the other turns. What providers answer stays: they may be asked again."""
        heard = material.input

        def stays(at_us: int) -> bool:
            at = bisect_left(heard.came_us, at_us)
            return self.has(heard.came[min(at, len(heard.came) - 1)]) if heard.came else True

        ended = {number: self.has(frame) for frame, _, number in heard.utterances}
        return replace(
            material,
            left_out=lambda frame: not self.has(frame),
            calls={
                stage: [
                    _without(call, stays, ended) if isinstance(call.request, Transcribe) else call for call in calls
                ]
                for stage, calls in material.calls.items()
            },
        )


def _without(call: RecordedCall, stays: Callable[[int], bool], ended: Mapping[int, bool]) -> RecordedCall:
    """A call without the transcripts of speech that does not stay."""

    def kept(at_us: int, item: Message) -> bool:
        if isinstance(item, Final):
            return ended.get(item.utterance, stays(at_us))
        return not isinstance(item, Partial) or stays(at_us)

    return replace(call, items=[entry for entry in call.items if kept(entry[0], entry[2])])


def fewest(items: tuple[int, ...], holds: Callable[[tuple[int, ...]], bool]) -> tuple[int, ...]:
    """The fewest items with which `holds` holds, such that it does not without any one of them. Delta debugging: parts, then
    complements of parts, that get smaller (https://www.debuggingbook.org/html/DeltaDebugger.html)."""
    parts = 2
    while len(items) > 1:
        pieces = _cut(items, parts)
        rest = [tuple(item for item in items if item not in set(piece)) for piece in pieces]
        smaller = next((some for some in (*pieces, *(rest if parts > 2 else ())) if some and holds(some)), None)
        if smaller is not None:
            parts = 2 if smaller in pieces else max(2, parts - 1)
            items = smaller
        elif parts >= len(items):
            return items
        else:
            parts = min(len(items), 2 * parts)
    return () if items and holds(()) else items


def _cut(items: Sequence[int], parts: int) -> list[tuple[int, ...]]:
    size = -(-len(items) // parts)
    return [tuple(items[at : at + size]) for at in range(0, len(items), size)]
