"""What a device sounded, from a journal's rows: playback's own reducer folded over its rows, popped on the device's grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from flowkit.messages import (
    Audio,
    ClauseEnded,
    ClauseStarted,
    EndOfReply,
    Hold,
    Interrupt,
    Play,
    Resume,
    Silence,
    Timer,
    WordTimes,
)
from flowkit.providers.sound.timeline import Pop, Timeline
from flowkit.stages.base import Action, Feed
from flowkit.stages.playback import Playback
from flowkit.trace.layout import Layout
from flowkit.trace.rows import RowTuple

_HANDLED = (Audio, ClauseStarted, ClauseEnded, EndOfReply, Hold, Interrupt, Resume, Timer, WordTimes)
Voices = dict[int, NDArray[np.int16]]
"""The voice's sound by rate, in the order in which the provider gave it, as a trace keeps it."""


def sounded(rows: Iterable[RowTuple], layout: Layout, voices: Voices | None = None) -> list[Pop]:
    """Every piece that sounded, in order, with its samples where `voices` has them."""
    speaker, voice = layout.only("speaker"), layout.only("tts")
    stage, device, sound = Playback(Playback.Options(), layout.frame_us), _Device(layout.frame_us), _Sound(voices or {})
    state = stage.fresh()
    for row in rows:
        message = row[9]
        if row[0] == voice and isinstance(message, Audio) and not row[2]:
            sound.came(row[7], message)
        if row[0] != speaker or row[10] != "" or not isinstance(message, _HANDLED):
            continue
        if isinstance(message, Audio):
            message = sound.of(row[7], message)
        device.told(stage.step(state, message, row[5]), row[5], row[7])
        if isinstance(message, Interrupt):
            state = stage.reset(state)
    return device.rest()


class _Device:
    """Pops at the ticks of its grid what it was handed."""

    def __init__(self, frame_us: int) -> None:
        self._frame_us = frame_us
        self._timeline = Timeline()
        self._pops: list[Pop] = []

    def told(self, actions: Sequence[Action], now_us: int, epoch: int) -> None:
        """What the stage feeds it at `now_us`."""
        for action in actions:
            if isinstance(action, Feed):
                self._pops += self._timeline.pop_until(-(-now_us // self._frame_us) * self._frame_us)
                if isinstance(action.item, Play):
                    self._timeline.play(action.item.of_epoch(epoch))
                elif isinstance(action.item, Silence):
                    self._timeline.silence(action.item.at_us)

    def rest(self) -> list[Pop]:
        """All that sounded, what is still held included."""
        self._pops += self._timeline.pop_until(self._timeline.ends_us() + self._frame_us)
        return self._pops


class _Sound:
    """Finds a piece's samples: a trace keeps those of the whole session one behind the other, by rate."""

    def __init__(self, voices: Voices) -> None:
        self._voices = voices
        self._read = dict.fromkeys(voices, 0)
        self._pieces: dict[tuple[int, int, int], tuple[int, int]] = {}

    def came(self, epoch: int, audio: Audio) -> None:
        """The voice gave this piece."""
        begin = self._read.get(audio.rate_hz, 0)
        self._read[audio.rate_hz] = begin + audio.samples
        self._pieces[epoch, audio.clause, audio.first_sample] = (audio.rate_hz, begin)

    def of(self, epoch: int, audio: Audio) -> Audio:
        """The piece with its samples, if they were kept."""
        rate_hz, begin = self._pieces.get((epoch, audio.clause, audio.first_sample), (0, 0))
        samples = self._voices.get(rate_hz)
        if samples is None:
            return audio
        pcm = samples[begin : begin + audio.samples].astype("<i2").tobytes()
        return Audio(audio.clause, audio.first_sample, audio.samples, audio.rate_hz, audio.total, pcm)
