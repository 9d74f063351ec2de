"""Reads a call from a sound file with two channels: the user and the agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowkit.calls.call import RATE_HZ
from flowkit.errors import InputError
from flowkit.providers.sound.wav_read import read_channels

_SAME = 0.98
"""Channels that correlate more than this hold the same sound."""
_MOST_DRIFT = 0.02


@dataclass(frozen=True, slots=True)
class Stereo:
    """The two sides of a call: s16le mono at `RATE_HZ`, equally long."""

    user: bytes
    agent: bytes
    notices: tuple[str, ...] = ()


def read_stereo(path: Path, *, swap: bool = False, drift: float = 0.0) -> Stereo:
    """Read a file whose first channel is the user and whose second is the agent.

    Args:
        path: the file, in any format and at any rate that ``wav_read`` reads.
        swap: the first channel is the agent.
        drift: by which share the agent's clock is slow: 0.001 says that its channel is 0.1 % too long.

    Raises:
        InputError: the file cannot be read, does not have two channels, has the same sound on both, or `drift` is over 2 %.
    """
    if abs(drift) > _MOST_DRIFT:
        raise InputError(f"a drift of {drift:.1%} is none of a clock", hint="clocks are off by less than 0.1 %")
    channels, notices = read_channels(path, RATE_HZ)
    if len(channels) != 2:
        what = "one channel" if len(channels) == 1 else f"{len(channels)} channels"
        raise InputError(
            f"{path}: has {what}; a call needs two, the user's and the agent's",
            hint="record both sides apart (most telephone services call it dual-channel); "
            "voices that were mixed cannot be told apart",
        )
    user, agent = (np.frombuffer(channel, "<i2") for channel in (channels[::-1] if swap else channels))
    if _alike(user, agent):
        raise InputError(
            f"{path}: both channels hold the same sound, so it was recorded in mono",
            hint="record both sides apart (most telephone services call it dual-channel)",
        )
    return Stereo(user.tobytes(), _stretched(agent, drift, len(user)).tobytes(), notices)


def _alike(one: NDArray[np.int16], other: NDArray[np.int16]) -> bool:
    a, b = one.astype(np.float32), other.astype(np.float32)
    power = float(np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b)))
    return power > 0 and abs(float(np.dot(a, b))) / power > _SAME


def _stretched(pcm: NDArray[np.int16], drift: float, samples: int) -> NDArray[np.int16]:
    """The sound without its drift, as long as the other channel."""
    if drift:
        import soxr

        pcm = soxr.resample(pcm, RATE_HZ * (1 + drift), RATE_HZ)
    return np.pad(pcm[:samples], (0, max(0, samples - len(pcm))))
