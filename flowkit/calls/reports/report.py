"""What a report says of a call, and the call that it makes without sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowkit.calls.call import FRAME_US, CallLine, ImportedCall, ModelCall
from flowkit.calls.doubts import check_times, doubts
from flowkit.calls.listen import heard_in, settings_of
from flowkit.replay.manifest import ANSWERS, AUDIO, LEVELS, PARTIALS, REPLIES, TOOLS, TRANSCRIPTS, VOICE

_VOICED, _SILENT = 0.95, 0.02
_LEAST_FRAMES = 5
"""The shortest line is voiced for so long. A shorter voice would start no turn, and its words would be lost."""
_AFTERWARDS_US = 1_000_000
_SHORTEST_US = 120_000
"""The shortest silence that ends an utterance."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """A call without its sound. Times count from `started_us`."""

    started_us: int
    """When it began, in microseconds since 1970."""
    lasts_us: int
    """How long it was; 0 if that is not known."""
    user: tuple[CallLine, ...]
    agent: tuple[CallLine, ...]
    model_calls: tuple[ModelCall, ...] = ()
    notices: tuple[str, ...] = ()
    """What was left out, for people."""
    guesses: tuple[str, ...] = ()
    """What was guessed that a recording would tell, for people."""


def call_of(report: CallReport, path: Path) -> ImportedCall:
    """The call of a report, without sound.

    Raises InputError if its times are impossible.
    """
    user, agent = report.user, report.agent
    lasts_us = report.lasts_us or max((one.end_us for one in (*user, *agent)), default=0) + _AFTERWARDS_US
    for side, speech in (("user", user), ("agent", agent)):
        check_times(speech, lasts_us, f"{path}, {side}")
    probabilities = _probabilities(user, lasts_us)
    measured, derived = measured_by(report)
    return ImportedCall(
        path.stem, report.started_us, lasts_us, user, agent, probabilities, SpokenWords(user, probabilities),
        model_calls=report.model_calls,
        measured=measured,
        derived=derived,
        missing=(AUDIO, LEVELS, TOOLS),
        notices=(*report.notices, *report.guesses, *doubts(user, agent)),
    )  # fmt: skip


def measured_by(report: CallReport) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a report has measured, and what is derived from it: names of ``flowkit.replay.manifest``."""
    if any(not one.error for one in report.model_calls):
        return (TRANSCRIPTS, REPLIES), (ANSWERS, PARTIALS, VOICE)
    return (TRANSCRIPTS,), (ANSWERS, PARTIALS, REPLIES, VOICE)


def _probabilities(user: Sequence[CallLine], lasts_us: int) -> list[tuple[int, float]]:
    voiced = bytearray(-(-lasts_us // FRAME_US))
    for speech in user:
        first = speech.begin_us // FRAME_US
        last = min(max(-(-speech.end_us // FRAME_US), first + _LEAST_FRAMES), len(voiced))
        voiced[first:last] = b"\1" * (last - first)
    return [(frame, _VOICED if voice else _SILENT) for frame, voice in enumerate(voiced)]


class SpokenWords:
    """The transcript of a side between two frames. The words of a line are taken as equally long, without its pauses."""

    def __init__(self, lines: Sequence[CallLine], probabilities: Sequence[tuple[int, float]]) -> None:
        pieces = heard_in(probabilities, settings_of(_SHORTEST_US))
        self._words = list[tuple[int, str]]()
        for line in lines:
            begin, end = line.begin_us // FRAME_US, -(-line.end_us // FRAME_US)
            voiced = [
                frame
                for piece in pieces
                if piece.first <= end and begin <= piece.last
                for frame in range(max(begin, piece.first), min(max(end, begin + 1), piece.last + 1))
            ] or [begin]
            words = line.text.split()
            self._words += [
                (voiced[(2 * k + 1) * len(voiced) // (2 * len(words))], word) for k, word in enumerate(words)
            ]

    def __call__(self, first: int, last: int) -> str:
        return " ".join(self._between(first, last))

    def _between(self, first: int, last: int) -> Iterator[str]:
        return (word for frame, word in self._words if first <= frame <= last)
