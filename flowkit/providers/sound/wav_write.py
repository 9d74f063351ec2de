"""Writes audio by time into a WAV file that is valid after every write, even if the process is killed.

Each write appends samples first and then updates the two sizes in the header. A reader in between sees a slightly
shorter file.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit.clock import US_PER_S
from flowkit.errors import OutputError
from flowkit.files import PRIVATE
from flowkit.providers.sound.timeline import Pop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADER_BYTES = 44
_LARGEST = 0xFFFFFFFF - HEADER_BYTES
_SILENCE_BLOCK = 1 << 16
_SEAM_US = 2_000
"""Pieces of a clause whose times differ by at most this are written without a gap. Times are rounded to microseconds;
samples are not."""


@dataclass(slots=True)
class _Run:
    """The clause that is being written: the position of its next piece, and its resampler (None if the rates are
    equal)."""

    epoch: int
    clause: int
    next_sample: int
    ends_us: int
    rate_hz: int
    resampler: Any

    def continued_by(self, pop: Pop) -> bool:
        same = (self.epoch, self.clause, self.next_sample, self.rate_hz)
        meets = abs(pop.t_us - self.ends_us) <= _SEAM_US
        return meets and same == (pop.epoch, pop.clause, pop.first_sample, pop.rate_hz)

    def extend(self, pop: Pop) -> None:
        self.next_sample = pop.first_sample + pop.samples
        self.ends_us = pop.t_us + pop.samples * US_PER_S // pop.rate_hz


class WavWriter:
    """A mono 16-bit WAV file in which a sample's position is its session time. Do not use it in two threads at once.

    An existing file is unchanged until ``begin``. A new file is removed by ``close`` if ``begin`` was not called.

    Raises OutputError if the file cannot be opened or written. What was written before stays readable.

    Args:
        path: The file.
        rate_hz: Its sample rate in Hz. None: the rate of the first audio.
    """

    def __init__(self, path: Path, rate_hz: int | None) -> None:
        self.path = path
        self._rate_hz = rate_hz
        self._written = 0
        self._run: _Run | None = None
        self._begun = False
        self._new = not path.exists()
        if path.is_symlink():
            raise OutputError(f"{path}: is a link; nothing is written through links")
        try:
            # Without O_NONBLOCK a FIFO would wait for a reader. O_NOFOLLOW: a link may have been made since the
            # check.
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW, PRIVATE)
        except OSError as exc:
            raise OutputError(f"{path}: cannot be written: {exc.strerror}") from exc
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OutputError(f"{path}: is not a regular file, which a WAV file must be")

    def begin(self) -> None:
        """Empty the file and write the header."""
        self._begun = True
        self._guarded(os.ftruncate, self._fd, 0)
        self._guarded(_write_all, self._fd, _header(self._rate_hz or 16_000, 0), 0)

    def write(self, pops: Sequence[Pop], until_us: int) -> None:
        """Append `pops`, and silence up to session time `until_us` where no audio was played."""
        for pop in pops:
            self._sound(pop)
        if self._run is None or self._run.ends_us < until_us - _SEAM_US:
            self._end_run()
            self._silence_up_to(until_us)
        self._guarded(_write_all, self._fd, _header(self._rate_hz or 16_000, self._written), 0)

    def close(self, until_us: int) -> None:
        """Add silence up to session time `until_us` and close the file."""
        try:
            if self._begun:
                self._end_run()
                self._silence_up_to(until_us)
                self._guarded(_write_all, self._fd, _header(self._rate_hz or 16_000, self._written), 0)
            elif self._new:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(self._fd)

    def _sound(self, pop: Pop) -> None:
        import numpy as np

        self._rate_hz = self._rate_hz or pop.rate_hz
        if self._run is None or not self._run.continued_by(pop):
            self._end_run()
            self._silence_up_to(pop.t_us)
            self._run = _Run(pop.epoch, pop.clause, 0, 0, pop.rate_hz, _resampler(pop.rate_hz, self._rate_hz))
        self._run.extend(pop)
        samples = np.frombuffer(pop.pcm, "<i2")
        if self._run.resampler is not None:
            samples = self._run.resampler.resample_chunk(samples)
        self._append(samples.astype("<i2").tobytes())

    def _end_run(self) -> None:
        """Write the samples that the resampler holds back. It lags by the length of its filter."""
        run, self._run = self._run, None
        if run is not None and run.resampler is not None:
            import numpy as np

            rest: NDArray[np.int16] = run.resampler.resample_chunk(np.zeros(0, np.int16), last=True)
            self._append(rest.astype("<i2").tobytes())

    def _silence_up_to(self, t_us: int) -> None:
        """Append silence up to session time `t_us`. Without a rate it waits until the first audio gives one."""
        if self._rate_hz is None:
            return
        gap = max(0, 2 * round(t_us * self._rate_hz / US_PER_S) - self._written)
        while gap > 0:
            self._append(bytes(min(gap, _SILENCE_BLOCK)))
            gap -= _SILENCE_BLOCK

    def _append(self, pcm: bytes) -> None:
        if self._written + len(pcm) > _LARGEST:
            raise OutputError(f"{self.path}: is full: a WAV file holds at most 4 GiB")
        self._guarded(_write_all, self._fd, pcm, HEADER_BYTES + self._written)
        self._written += len(pcm)

    def _guarded(self, act: Any, *arguments: Any) -> None:
        try:
            act(*arguments)
        except OSError as exc:
            kept_s = self._written / 2 / (self._rate_hz or 16_000)
            raise OutputError(
                f"{self.path}: cannot be written: {exc.strerror}; the first {kept_s:.1f} s are intact"
            ) from exc


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def _header(rate_hz: int, size: int) -> bytes:
    """The RIFF/WAVE header for `size` bytes of 16-bit mono PCM."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + form + b"data" + struct.pack("<I", size)


def _resampler(from_hz: int, to_hz: int) -> Any:
    if from_hz == to_hz:
        return None
    import soxr

    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16")
