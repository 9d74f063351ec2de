"""Converts playback's pieces into blocks for a speaker: resamples them, copies them to all channels, splits them into
blocks.

A *run* is audio without a gap. It has one resampler, and its times follow from the number of samples. So the rounding
of thousands of pieces to whole microseconds does not add up to a drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowkit.clock import US_PER_S
from flowkit.messages import Play
from flowkit.providers.sound.device_host import Format
from flowkit.providers.sound.device_ring import DueBlock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

_SEAM_US = 2_000
"""Pieces whose times differ by at most this belong to one run. Times are rounded to microseconds; samples are not."""
_FLUSH_US = 60_000
"""If no piece has followed this long before the end of a run, the resampler is flushed. It holds back at most 33 ms."""


@dataclass(slots=True)
class _Run:
    """A run of audio.

    `made` counts the samples that are in chunks, and `rest` holds those that do not fill a block yet. `ends_us` is the
    end of the last piece. `resampler` is None if the rates are equal, and after the flush.
    """

    at_us: int
    rate_hz: int
    epoch: int
    clause: int
    ends_us: int
    resampler: Any
    rest: Samples
    made: int = 0


class SpeakerFeed:
    """Makes chunks for a device of `format`. Times are session times in microseconds."""

    def __init__(self, format: Format) -> None:
        self._format = format
        self._run: _Run | None = None

    def play(self, play: Play) -> list[DueBlock]:
        """Add a piece. Returns the blocks that are now complete."""
        import numpy as np

        run = self._run
        chunks: list[DueBlock] = []
        if run is None or abs(play.at_us - run.ends_us) > _SEAM_US or play.epoch != run.epoch:
            chunks = self.end()
            run = self._run = self._begin(play, play.at_us)
        elif run.rate_hz != play.rate_hz:
            # The old resampler still holds samples that come before this piece.
            self._flush(run)
            run.rate_hz, run.resampler = play.rate_hz, self._resampler(play.rate_hz)
        run.clause = play.clause
        run.ends_us = play.at_us + play.samples * US_PER_S // play.rate_hz
        samples = np.frombuffer(play.pcm, "<i2")
        if run.resampler is None and run.rate_hz != self._format.rate_hz:
            run.resampler = self._resampler(run.rate_hz)
        if run.resampler is not None:
            samples = run.resampler.resample_chunk(samples)
        run.rest = np.concatenate((run.rest, samples.astype(np.int16)))
        return [*chunks, *self._cut(run)]

    def next_us(self) -> int | None:
        """When to call ``step``, to flush the resampler or to end the run; None if there is no run."""
        if self._run is None:
            return None
        return self._run.ends_us - (_FLUSH_US if self._run.resampler is not None else self._block_us)

    def step(self, now_us: int) -> list[DueBlock]:
        """Flush or end the run if no piece has followed in time. Returns its last chunks."""
        run = self._run
        if run is None or now_us < (self.next_us() or 0):
            return []
        if run.resampler is not None:
            self._flush(run)
            return self._cut(run)
        return self.end()

    def end(self) -> list[DueBlock]:
        """End the run. Returns its last chunks, the last one filled up with silence."""
        import numpy as np

        run, self._run = self._run, None
        if run is None:
            return []
        self._flush(run)
        chunks = self._cut(run)
        if len(run.rest):
            padding = np.zeros(self._format.block - len(run.rest), np.int16)
            chunks.append(self._chunk(run, np.concatenate((run.rest, padding))))
        return chunks

    def silence(self, at_us: int) -> list[DueBlock]:
        """Drop the audio that is due at `at_us` or later and end the run. Returns the chunks that are due before."""
        run = self._run
        if run is None:
            return []
        self._flush(run)
        chunks = self._cut(run)
        keep = (at_us - self._due_us(run)) * self._format.rate_hz // US_PER_S
        run.rest = run.rest[: max(0, keep)]
        return [chunk for chunk in (*chunks, *self.end()) if chunk.due_us < at_us]

    @property
    def _block_us(self) -> int:
        return self._format.block * US_PER_S // self._format.rate_hz

    def _begin(self, play: Play, at_us: int) -> _Run:
        import numpy as np

        resampler = self._resampler(play.rate_hz)
        return _Run(at_us, play.rate_hz, play.epoch, play.clause, at_us, resampler, np.zeros(0, np.int16))

    def _resampler(self, rate_hz: int) -> Any:
        if rate_hz == self._format.rate_hz:
            return None
        import soxr

        return soxr.ResampleStream(rate_hz, self._format.rate_hz, 1, dtype="int16")

    def _flush(self, run: _Run) -> None:
        """Take the samples that the resampler holds back. It lags by the length of its filter."""
        import numpy as np

        if run.resampler is not None:
            held = run.resampler.resample_chunk(np.zeros(0, np.int16), last=True)
            run.rest = np.concatenate((run.rest, held.astype(np.int16)))
            run.resampler = None

    def _cut(self, run: _Run) -> list[DueBlock]:
        chunks = []
        while len(run.rest) >= self._format.block:
            block, run.rest = run.rest[: self._format.block], run.rest[self._format.block :]
            chunks.append(self._chunk(run, block))
        return chunks

    def _due_us(self, run: _Run) -> int:
        return run.at_us + run.made * US_PER_S // self._format.rate_hz

    def _chunk(self, run: _Run, block: Samples) -> DueBlock:
        due_us, first = self._due_us(run), run.made == 0
        run.made += len(block)
        return DueBlock(due_us, run.epoch, run.clause, first, on_channels(block, self._format.channels))


def on_channels(samples: Samples, channels: int) -> bytes:
    """Mono samples as s16le with the same audio on each of `channels` channels, interleaved."""
    import numpy as np

    return (samples if channels == 1 else np.repeat(samples, channels)).astype("<i2").tobytes()
