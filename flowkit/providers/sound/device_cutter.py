"""From a microphone's blocks to the pipeline's frames: channels averaged, rate converted without a seam, numbered.

A frame's index counts the device's own time: blocks that were lost leave a gap, so that whoever counts frames counts
silence and speech as long as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowkit.clock import US_PER_S
from flowkit.providers.sound.device_host import Format
from flowkit.providers.sound.device_ring import Block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FrameCutter:
    """Cuts for a device of `format`, whose next block has number `first`. `lost`: blocks missing before the last one."""

    def __init__(self, format: Format, rate_hz: int, frame_us: int, first: int) -> None:
        self._rate_hz = rate_hz
        self._size = 2 * (rate_hz * frame_us // US_PER_S)
        self.index = 0
        self.lost = 0
        self.restart(format, first)

    def restart(self, format: Format, first: int) -> None:
        """Another device, or the same again: nothing of the old sound goes on."""
        self._format = format
        self._expected = first
        self._resampler: Any = None
        self._rest = b""

    def skip(self) -> int:
        """The index of a frame that is made up by the caller."""
        self.index += 1
        return self.index - 1

    def cut(self, block: Block) -> list[tuple[int, bytes]]:
        """The frames, with their indexes, that are whole with this block."""
        self.lost = block.number - self._expected
        if self.lost:
            self.restart(self._format, block.number)
            self.index += self.lost
        self._expected = block.number + 1
        self._rest += self._converted(block.pcm)
        frames = []
        while len(self._rest) >= self._size:
            frames.append((self.index, self._rest[: self._size]))
            self._rest = self._rest[self._size :]
            self.index += 1
        return frames

    def _converted(self, pcm: bytes) -> bytes:
        if self._format.channels == 1 and self._format.rate_hz == self._rate_hz:
            return pcm
        import numpy as np

        samples: NDArray[np.int16] = np.frombuffer(pcm, "<i2")
        if self._format.channels > 1:
            every = samples.reshape(-1, self._format.channels)
            samples = every.mean(axis=1, dtype=np.float32).round().astype(np.int16)
        if self._format.rate_hz != self._rate_hz:
            if self._resampler is None:
                import soxr

                self._resampler = soxr.ResampleStream(self._format.rate_hz, self._rate_hz, 1, dtype="int16")
            samples = self._resampler.resample_chunk(samples)
        return bytes(samples.astype("<i2").tobytes())
