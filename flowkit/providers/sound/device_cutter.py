"""Converts a microphone's blocks into the pipeline's frames: averages channels, converts the rate, numbers the frames.

The index of a frame follows the device's own time. Lost blocks leave a gap in the indexes, so that a stage that counts
frames measures silence and speech correctly.
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
    """Converts the blocks of one device.

    `index` is the index of the next frame, and `lost` the number of blocks missing before the last one.

    Args:
        format: What the device was opened with.
        rate_hz: Sample rate of the frames in Hz.
        frame_us: Length of a frame in microseconds.
        first: The number of the device's next block.
    """

    def __init__(self, format: Format, rate_hz: int, frame_us: int, first: int) -> None:
        self._rate_hz = rate_hz
        self._size = 2 * (rate_hz * frame_us // US_PER_S)
        self.index = 0
        self.lost = 0
        self.restart(format, first)

    def restart(self, format: Format, first: int) -> None:
        """Continue with a newly opened device, or after lost blocks. The incomplete frame is dropped."""
        self._format = format
        self._expected = first
        self._resampler: Any = None
        self._rest = b""

    def skip(self) -> int:
        """The index for a frame that the caller makes itself."""
        self.index += 1
        return self.index - 1

    def cut(self, block: Block) -> list[tuple[int, bytes]]:
        """Add a block. Returns the frames that are now complete, each as (index, s16le mono)."""
        self.lost = block.number - self._expected
        if self.lost:
            # The resampler and the incomplete frame hold audio from before the gap.
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
