"""What the device played, computed from the plays and silences in the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowkit.engine import Row
from flowkit.figures.layout import Layout
from flowkit.messages import Audio, Play, Silence
from flowkit.providers.sound.timeline import Pop, Timeline

Voices = dict[int, NDArray[np.int16]]
"""The voice's samples by sample rate, in the order in which the provider gave them, as a trace keeps them."""


def sounded(rows: Iterable[Row], layout: Layout, voices: Voices | None = None) -> list[Pop]:
    """Every piece of audio that was played, in order.

    The pieces have samples if `voices` holds those of their rate.
    """
    speaker, voice, frame_us = layout.only("speaker"), layout.only("tts"), layout.frame_us
    timeline, sound, pops = Timeline(), _Sound(voices or {}), list[Pop]()
    for row in rows:
        message = row.message
        if row.stage == voice and isinstance(message, Audio) and row.call:
            sound.came(row.epoch, message)
        elif row.stage == speaker and isinstance(message, Play | Silence):
            # A command takes effect at the device's next tick. Everything before that was popped.
            pops += timeline.pop_until(-(-row.handled_us // frame_us) * frame_us)
            if isinstance(message, Play):
                timeline.play(sound.of(message))
            else:
                timeline.silence(message.at_us)
    return pops + timeline.pop_until(timeline.ends_us() + frame_us)


class _Sound:
    """Finds the samples of a piece. A trace keeps the samples of a whole session in one array per rate."""

    def __init__(self, voices: Voices) -> None:
        self._voices = voices
        self._read = dict.fromkeys(voices, 0)
        self._pieces: dict[tuple[int, int], list[tuple[int, int, int]]] = {}

    def came(self, epoch: int, audio: Audio) -> None:
        """Note that the voice gave this piece."""
        begin = self._read.get(audio.rate_hz, 0)
        self._read[audio.rate_hz] = begin + audio.samples
        pieces = self._pieces.setdefault((epoch, audio.clause), [])
        pieces.append((audio.first_sample, begin, audio.samples))

    def of(self, play: Play) -> Play:
        """The piece with its samples, if they were kept. A piece that is resumed may begin and end anywhere in the clause."""
        samples = self._voices.get(play.rate_hz)
        if samples is None:
            return play
        first, last = play.first_sample, play.first_sample + play.samples
        parts = [
            samples[begin + max(0, first - start) : begin + min(many, last - start)]
            for start, begin, many in self._pieces.get((play.epoch, play.clause), ())
            if start < last and first < start + many
        ]
        return replace(play, pcm=np.concatenate(parts).astype("<i2").tobytes()) if parts else play
