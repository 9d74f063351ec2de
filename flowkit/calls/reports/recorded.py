"""A report whose sound is there too: the words are the report's, and who speaks when is heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowkit.calls.call import FRAME_US, RATE_HZ, CallLine, ImportedCall, overlaps
from flowkit.calls.doubts import doubts
from flowkit.calls.listen import INAUDIBLE, JOIN_US, Side, heard_in, judged, settings_of
from flowkit.calls.reports.report import CallReport, SpokenWords, measured_by
from flowkit.calls.stereo import Stereo
from flowkit.errors import InputError
from flowkit.replay.manifest import AUDIO, LEVELS, TOOLS

_NEAR_US = 400_000
"""How far a line may be from its sound."""
_TOGETHER_US = 100_000
"""A line is in a piece of sound if both last so long at the same time."""
_LEAST_FIT = 0.5
"""Correlation of speech in the report and in the recording below which these are of two calls."""
_PUNCTUATION = tuple(".,;:?!")
_ASTRAY = 2
"""Words by which a line may be divided elsewhere than its sound, so that it is divided at a punctuation mark."""


class _Placed(NamedTuple):
    """The pieces of sound of a side, with the words of the lines that were found in them."""

    lines: tuple[CallLine, ...]
    silent: tuple[CallLine, ...]
    """Lines of the report in which nothing is heard."""
    beyond: int
    """How many lines lie outside of the recording."""


def with_recording(report: CallReport, stereo: Stereo, path: Path) -> ImportedCall:
    """The call of a report and its recording, named after the report at `path`.

    The recording may begin at another time than the report. Where it does is found from both: when there is speech.

    Raises:
        InputError: the lines of the report are not heard in the recording.
        ProviderMissing: silero is not installed.
    """
    pcms = stereo.user, stereo.agent
    with ThreadPoolExecutor(2) as pool:
        user, agent = (Side(pcm, p) for pcm, p in zip(pcms, pool.map(judged, pcms), strict=True))
    heard = [_pieces(side) for side in (user, agent)]
    offset_us = _offset(report, heard, path)
    lasts_us = len(stereo.user) // 2 * 1_000_000 // RATE_HZ
    asked, said = (
        _placed(_joined([_moved(line, offset_us) for line in lines], pieces), pieces, lasts_us)
        for lines, pieces in zip((report.user, report.agent), heard, strict=True)
    )
    replies = tuple(line if line.text else line._replace(text=INAUDIBLE) for line in said.lines)
    measured, derived = measured_by(report)
    return ImportedCall(
        path.stem, report.started_us - offset_us, lasts_us, asked.lines, replies, user.probabilities,
        SpokenWords(asked.lines, user.probabilities), stereo.user, stereo.agent,
        model_calls=tuple(one._replace(asked_us=one.asked_us + offset_us, first_us=one.first_us + offset_us,
                                       last_us=one.last_us + offset_us) for one in report.model_calls),
        measured=(AUDIO, LEVELS, *measured),
        derived=derived,
        missing=(TOOLS,),
        notices=(
            *stereo.notices,
            *report.notices,
            *_left(asked, said, lasts_us),
            *_misaligned(report, asked, said),
            *doubts(asked.lines, replies),
        ),
    )  # fmt: skip


def _pieces(side: Side) -> list[CallLine]:
    """Where a side is heard, without words."""
    found = []
    for piece in heard_in(side.probabilities, settings_of(JOIN_US)):
        first, last = side.sounding(piece)
        found.append(CallLine(first * FRAME_US, (last + 1) * FRAME_US))
    return found


def _moved(line: CallLine, by_us: int) -> CallLine:
    known_us = None if line.known_us is None else line.known_us + by_us
    return line._replace(begin_us=line.begin_us + by_us, end_us=line.end_us + by_us, known_us=known_us)


def _offset(report: CallReport, heard: Sequence[Sequence[CallLine]], path: Path) -> int:
    """How much later everything is in the recording than in the report, in microseconds: where both speak at the same times."""
    said = report.user, report.agent
    frames, fits = _fitted(said, heard)
    _, otherwise = _fitted(said, heard[::-1])
    offset_us = frames * FRAME_US
    if fits < max(_LEAST_FIT, otherwise):
        hint = "is it the recording of this call?"
        if fits >= _LEAST_FIT:
            hint = "it holds too little of the call to tell which side is which"
        elif otherwise >= _LEAST_FIT:
            hint = "its channels look swapped; --swap exchanges them"
        raise InputError(f"{path}: its words are not where there is sound in the recording", hint=hint)
    apart = [
        piece.begin_us - line.begin_us
        for lines, pieces in zip(said, heard, strict=True)
        for line in lines
        for piece in pieces
        if abs(piece.begin_us - line.begin_us - offset_us) < _NEAR_US
    ]
    return round(median(apart)) if apart else offset_us


def _fitted(said: Sequence[Sequence[CallLine]], heard: Sequence[Sequence[CallLine]]) -> tuple[int, float]:
    """By how many frames the lines fit best into the sound, and how well they do, at most 1."""
    frames = 1 + max((one.end_us for side in (*said, *heard) for one in side), default=0) // FRAME_US
    size = 1 << (2 * frames).bit_length()
    # Silence where there should be speech counts against a place, so each is taken without its mean.
    fit, total = np.zeros(size), 1e-9
    for lines, pieces in zip(said, heard, strict=True):
        masks = [_mask(side, frames) for side in (lines, pieces)]
        one, other = (np.fft.rfft(mask - mask.mean(), size) for mask in masks)
        fit += np.fft.irfft(np.conj(one) * other, size)
        # Either may hold only a part of the call.
        total += float(min(mask.var() * frames for mask in masks))
    best = int(np.argmax(fit))
    return best if best < size // 2 else best - size, float(fit[best]) / total


def _mask(lines: Sequence[CallLine], frames: int) -> NDArray[np.float64]:
    """1 where there is speech."""
    mask = np.zeros(frames)
    for line in lines:
        mask[max(0, line.begin_us // FRAME_US) : max(0, line.end_us // FRAME_US)] = 1
    return mask


def _joined(lines: Sequence[CallLine], pieces: Sequence[CallLine]) -> list[CallLine]:
    """The lines; those that sound without a pause between them are one."""
    found = list[CallLine]()
    for line in lines:
        if found and any(min(_together(found[-1], one), _together(line, one)) > _TOGETHER_US for one in pieces):
            text = f"{found[-1].text} {line.text}"
            found[-1] = line._replace(begin_us=found[-1].begin_us, text=text)
        else:
            found.append(line)
    return found


def _placed(lines: Sequence[CallLine], pieces: Sequence[CallLine], lasts_us: int) -> _Placed:
    """Each piece belongs to the line with which it is together the longest, or which is nearest."""
    inside = [line for line in lines if line.end_us > 0 and line.begin_us < lasts_us]
    owned: dict[int, list[CallLine]] = {}
    silent_pieces = []
    for piece in pieces:
        near = [(_together(line, piece), -index) for index, line in enumerate(inside)]
        together_us, index = max(near, default=(-lasts_us, 0))
        if together_us > -_NEAR_US:
            owned.setdefault(-index, []).append(piece)
        else:
            silent_pieces.append(piece)
    worded = [piece for index, own in owned.items() for piece in _divided(inside[index], own)]
    silent = tuple(line for index, line in enumerate(inside) if index not in owned)
    return _Placed(tuple(sorted([*worded, *silent_pieces])), silent, len(lines) - len(inside))


def _together(line: CallLine, piece: CallLine) -> int:
    """How long both last at the same time; negative if there is a gap between them."""
    return min(line.end_us, piece.end_us) - max(line.begin_us, piece.begin_us)


def _divided(line: CallLine, pieces: Sequence[CallLine]) -> Iterator[CallLine]:
    """The pieces of a line with its words, which are taken as equally long. A mark of punctuation divides best."""
    words, total_us, at, until_us = line.text.split(), sum(one.end_us - one.begin_us for one in pieces), 0, 0
    for number, piece in enumerate(pieces, 1):
        until_us += piece.end_us - piece.begin_us
        end = len(words) if number == len(pieces) else _division(words, round(len(words) * until_us / total_us))
        known_us = line.known_us if number == len(pieces) else None
        yield piece._replace(text=" ".join(words[at : max(at, end)]), known_us=known_us)
        at = max(at, end)


def _division(words: Sequence[str], end: int) -> int:
    near = sorted(range(max(1, end - _ASTRAY), min(len(words), end + _ASTRAY) + 1), key=lambda at: abs(at - end))
    return next((at for at in near if words[at - 1].endswith(_PUNCTUATION)), end)


def _left(asked: _Placed, said: _Placed, lasts_us: int) -> Iterator[str]:
    """What does not fit, for people."""
    for who, side in (("user", asked), ("agent", said)):
        if unsaid := [piece for piece in side.lines if not piece.text]:
            yield f"the {who} is heard where the report has no words, {len(unsaid)} x, first at {unsaid[0].begin_us / 1e6:.1f} s"
        if side.silent:
            first = side.silent[0]
            yield (
                f"the {who} is not heard where the report has words, {len(side.silent)} x, left out; "
                f"first at {first.begin_us / 1e6:.1f} s: {first.text[:40]!r}"
            )
        if side.beyond:
            yield (
                f"the recording lasts {lasts_us / 1e6:.1f} s and the call longer: {side.beyond} lines of the {who} lie outside "
                "of it and were left out; without --recording they are imported, without their sound"
            )


def _misaligned(report: CallReport, asked: _Placed, said: _Placed) -> Iterator[str]:
    told, heard = len(overlaps(report.agent, report.user)), len(overlaps(said.lines, asked.lines))
    if told > heard and not asked.beyond + said.beyond:
        yield (
            f"by the report the user cut in on the agent {told} x, and in the recording {heard} x: its two sides were not recorded "
            "at the same time, or the agent was silent already"
        )
