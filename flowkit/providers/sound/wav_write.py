"""Writing sound by time into a WAV file that is whole after every write: a killed process leaves what was written.

Samples go to the file's end first, then the header's two sizes; a reader that comes between sees a slightly shorter
file.
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
"""Pieces of one clause that meet within this are one stream of samples: times are whole microseconds, samples are
not."""


@dataclass(slots=True)
class _Run:
    """The clause that is being written: which piece continues it, and its resampler, None where the rates agree."""

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
    """A mono 16-bit WAV whose sample position is the session's time. Not for use from two threads at once.

    Raises OutputError if the file cannot be opened or written; what was written before stays readable. A file that is there keeps
    what it holds until ``begin``; one that is not is gone again without it."""

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
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW, PRIVATE)
        except OSError as exc:
            raise OutputError(f"{path}: cannot be written: {exc.strerror}") from exc
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OutputError(f"{path}: is not a file: a WAV's header is written again and again")

    def begin(self) -> None:
        """Throw away what the file held and write an empty WAV."""
        self._begun = True
        self._guarded(os.ftruncate, self._fd, 0)
        self._guarded(_write_all, self._fd, _header(self._rate_hz or 16_000, 0), 0)

    def write(self, pops: Sequence[Pop], until_us: int) -> None:
        """Append `pops`, and silence where nothing sounds up to `until_us`."""
        for pop in pops:
            self._sound(pop)
        if self._run is None or self._run.ends_us < until_us - _SEAM_US:
            self._end_run()
            self._silence_up_to(until_us)
        self._guarded(_write_all, self._fd, _header(self._rate_hz or 16_000, self._written), 0)

    def close(self, until_us: int) -> None:
        """End the file with the session at `until_us`."""
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
        """Write what the resampler still holds back: it lags by its filter's length."""
        run, self._run = self._run, None
        if run is not None and run.resampler is not None:
            import numpy as np

            rest: NDArray[np.int16] = run.resampler.resample_chunk(np.zeros(0, np.int16), last=True)
            self._append(rest.astype("<i2").tobytes())

    def _silence_up_to(self, t_us: int) -> None:
        """Before the first sound the rate is not known; that silence is written when it is, or at the end."""
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
    """RIFF/WAVE header of `size` bytes of 16-bit mono PCM."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + form + b"data" + struct.pack("<I", size)


def _resampler(from_hz: int, to_hz: int) -> Any:
    if from_hz == to_hz:
        return None
    import soxr

    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16")
