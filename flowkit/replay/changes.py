"""Which turns of a recording a prediction has, joins, splits, or lacks. No turn is lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from flowkit.figures.records import TurnRecord

_Span = tuple[int, int]
"""First and last frame of speech."""


def other_turns(
    recorded: Iterable[TurnRecord], predicted: Iterable[TurnRecord], frame_then: Callable[[int], int]
) -> Iterator[str]:
    """A line for each turn that is not answered as it was then.

    `frame_then` gives the recorded frame of a frame of the prediction.
    """
    then = {turn.number: turn for turn in recorded}
    spoken = {number: list(_speech(turn)) for number, turn in then.items()}
    now = {turn.number: [(frame_then(first), frame_then(last)) for first, last in _speech(turn)] for turn in predicted}
    for number, spans in spoken.items():
        among = _overlapping(spans, now)
        if spans and not among:
            yield f"turn {number} of the recording is not predicted: {then[number].user[:40]!r} does not get an answer"
        elif len(among) > 1:
            yield f"turn {number} of the recording is predicted as turns {_listed(among)}"
    for number, spans in now.items():
        among = _overlapping(spans, spoken)
        if len(among) > 1:
            yield f"turns {_listed(among)} of the recording are predicted as turn {number}"
        elif spans and not among:
            yield f"turn {number} is new: the recording has no answer to it"


def _speech(turn: TurnRecord) -> Iterator[_Span]:
    """The speech that a turn answers. A turn that nobody asked for has none."""
    for speech in turn.replies()[0].speech:
        if speech.begin is not None and speech.end is not None and speech.end.last_voiced is not None:
            yield speech.begin.frame, speech.end.last_voiced


def _overlapping(spans: Sequence[_Span], turns: Mapping[int, Sequence[_Span]]) -> list[int]:
    """The turns that answer some of the same speech."""
    return [
        number
        for number, others in turns.items()
        if any(first <= b and a <= last for first, last in spans for a, b in others)
    ]


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))
