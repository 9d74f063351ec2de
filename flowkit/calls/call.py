"""A call between a user and an agent, as its recording gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

RATE_HZ = 16_000
"""Sample rate of all sound in a call: what the embedded models take."""
FRAME_US = 20_000
"""Length of a frame. Places in a call are numbers of frames, or microseconds since its beginning."""
FRAME_SAMPLES = RATE_HZ * FRAME_US // 1_000_000


class CallLine(NamedTuple):
    """What one side says without a long pause, from `begin_us` to `end_us`."""

    begin_us: int
    end_us: int
    text: str = ""
    known_us: int | None = None
    """When the words of the user were known; None if nobody has measured it."""


class ModelCall(NamedTuple):
    """A request to the agent's LLM, as it was measured."""

    asked_us: int
    first_us: int
    """When its first word was there."""
    last_us: int
    """When its last word was there, or it had failed."""
    words: int
    error: str = ""
    """Why it failed; empty if it did not."""


class Overlap(NamedTuple):
    """CallLine into that of the other side."""

    begin_us: int
    lasts_us: int
    """How long both go on speaking."""


@dataclass(frozen=True, slots=True)
class ImportedCall:
    """A recorded call."""

    name: str
    started_us: int
    """When it began, in microseconds since 1970."""
    lasts_us: int
    user: tuple[CallLine, ...]
    agent: tuple[CallLine, ...]
    probabilities: Sequence[tuple[int, float]]
    """How likely the user speaks: (frame, probability), as a VAD answers."""
    words: Callable[[int, int], str]
    """The transcript of the user between two frames, both included."""
    user_pcm: bytes = b""
    agent_pcm: bytes = b""
    """s16le mono at `RATE_HZ`; empty if there is no sound."""
    model_calls: tuple[ModelCall, ...] = ()
    """The requests to the agent's LLM, if they were measured."""
    measured: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """What in the trace is from the recording, what was computed from it, and what nobody knows: names of
    ``flowkit.replay.manifest``."""
    notices: tuple[str, ...] = ()
    """What looks wrong, for people."""


def overlaps(first: Sequence[CallLine], second: Sequence[CallLine]) -> list[Overlap]:
    """Where the second side begins to speak while the first does."""
    return [
        Overlap(late.begin_us, min(early.end_us, late.end_us) - late.begin_us)
        for late in second
        for early in first
        if early.begin_us < late.begin_us < early.end_us
    ]


def gaps(first: Sequence[CallLine], second: Sequence[CallLine]) -> list[tuple[int, int]]:
    """The silences before the second side answers the first: (when it answers, how long the silence was).

    Only the first words of an answer count, and only those that do not overlap with what they answer.
    """
    found: list[tuple[int, int]] = []
    answered_us = -1
    for speech in second:
        before = [s.end_us for s in first if s.begin_us < speech.begin_us]
        if before and answered_us < before[-1] <= speech.begin_us:
            found.append((speech.begin_us, speech.begin_us - before[-1]))
        answered_us = speech.end_us
    return found
