"""Which turns of a recording a prediction has, joins, splits, or lacks. No turn is lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from flowkit.figures.report import TurnReport

Spans = Mapping[int, Sequence[tuple[int, int]]]
"""The speech that each turn answers, by turn number: first and last recorded frame of each piece."""


def spans_of(turns: Iterable[TurnReport], frame_then: Callable[[int], int] = lambda frame: frame) -> Spans:
    """The speech of turns. `frame_then` gives the recorded frame of a frame of theirs."""
    return {turn.turn: [(frame_then(first), frame_then(last)) for first, last in turn.spoken] for turn in turns}


def other_turns(then: Spans, users: Mapping[int, str], now: Spans, users_now: Mapping[int, str]) -> Iterator[str]:
    """A line for each turn that is not answered as it was then. `users` and `users_now` have what was said in the turns."""
    for number, spans in then.items():
        among = _overlapping(spans, now)
        # What was typed, or heard without a VAD, is known by its text alone.
        if not among and (spans or not any(users[number] in text for text in users_now.values())):
            yield f"turn {number} of the recording is not predicted: {users[number][:40]!r} does not get an answer"
        elif len(among) > 1:
            yield f"turn {number} of the recording is predicted as turns {_listed(among)}"
    for number, spans in now.items():
        among = _overlapping(spans, then)
        if len(among) > 1:
            yield f"turns {_listed(among)} of the recording are predicted as turn {number}"
        elif spans and not among:
            yield f"turn {number} is new: the recording has no answer to it"


def matched(a: Spans, b: Spans) -> dict[int, int]:
    """Which turn of `b` each turn of `a` is: the next one that answers some of the same speech. A turn that nobody asked for
    is the next such turn."""
    found: dict[int, int] = {}
    left = list(b)
    for number, spans in a.items():
        for place, other in enumerate(left):
            if _alike(spans, b[other]):
                found[number] = other
                left = left[place + 1 :]
                break
    return found


def _alike(spans: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> bool:
    if not spans or not others:
        return not spans and not others
    return any(first <= b and a <= last for first, last in spans for a, b in others)


def _overlapping(spans: Sequence[tuple[int, int]], turns: Spans) -> list[int]:
    """The turns that answer some of the same speech."""
    return [number for number, others in turns.items() if spans and others and _alike(spans, others)]


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))
