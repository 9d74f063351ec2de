"""Reads a recording of any format as signed 16-bit mono at the input rate.

libsndfile decodes (8-bit to float, any number of channels), and soxr resamples. Both work block by block, so that only
the result is in memory: 32 kB per second at 16 kHz. Channels are averaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from flowkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8_000, 192_000
_BLOCK = 65_536
_FULL_SCALE = 32_768
_SILENT_PEAK = 8
"""A recording counts as silent if no 16-bit sample is louder than this (-72 dB of full scale)."""
_LONGEST_S = 2 * 3600
"""The whole recording is held in memory, and a small file can hold days of silence."""
_UNKNOWN_SIZE = 0xFFFFFFFF
"""The size in the header of a WAV file that was streamed, when the size was not known yet."""


@dataclass(frozen=True, slots=True)
class WavSound:
    """A recording as s16le mono at the requested rate. `notices` are lines for the user about problems of the file."""

    pcm: bytes
    notices: tuple[str, ...]


def read_recording(path: Path, rate_hz: int) -> WavSound:
    """Read the file `path` and resample it to `rate_hz`. A truncated or silent file gives a notice.

    Raises:
        InputError: the file is missing, empty, of an unknown format, truncated before its first sample or longer than
            two hours; its rate is not between 8 and 192 kHz; or a sample is not a number.
    """
    return _decode(path, rate_hz, _share(path))


def read_channels(path: Path, rate_hz: int) -> tuple[list[bytes], tuple[str, ...]]:
    """Each channel of the file as s16le at `rate_hz`, and lines for the user. Raises InputError as `read_recording` does."""
    promised = _share(path)
    with _opened(path) as file:
        blocks = list(_blocks(file, path, rate_hz, apart=True))
        channels = [b"".join(block[channel] for block in blocks) for channel in range(file.channels)]
    if not any(channels):
        raise InputError(f"{path}: holds no samples")
    return channels, tuple(_notices(path, b"".join(channels), rate_hz * len(channels), promised))


def look(path: Path) -> None:
    """Check a file without decoding its samples. Raises InputError as `read_recording` does."""
    _share(path)
    with _opened(path) as file:
        if not file.frames:
            raise InputError(f"{path}: holds no samples")


def _share(path: Path) -> float:
    """The share of the promised samples that the file contains. Raises InputError if it cannot be read."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"{path}: is a directory, not a WAV file")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file")  # to open a FIFO would wait for whoever writes to it
        with path.open("rb") as file:
            if size == 0:
                raise InputError(f"{path}: is empty (0 bytes)")
            return _promised(file, path, size)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror}") from exc


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the file with libsndfile. Raises InputError."""
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            if not LOWEST_RATE_HZ <= file.samplerate <= HIGHEST_RATE_HZ:
                raise InputError(f"{path}: its rate is {file.samplerate} Hz; flowkit reads 8000 to 192000 Hz")
            if file.frames > _LONGEST_S * file.samplerate:
                raise InputError(f"{path}: is longer than {_LONGEST_S // 3600} hours", hint="split it")
            yield file
    except soundfile.LibsndfileError as exc:
        raise InputError(f"{path}: is not a WAV file that can be read: {exc.error_string}") from exc


def _promised(file: BinaryIO, path: Path, size: int) -> float:
    """The share of the samples promised by the header that a RIFF file contains; 1.0 for other formats.

    Raises InputError if the file ends before its samples start.
    """
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RIFX"):
        return 1.0
    order = "<" if head[:4] == b"RIFF" else ">"
    while len(chunk := file.read(8)) == 8:
        length: int = struct.unpack(f"{order}I", chunk[4:])[0]
        if chunk[:4] == b"data":
            present = size - file.tell()
            return 1.0 if length == _UNKNOWN_SIZE or present >= length else present / length
        # RIFF pads chunks to an even length.
        file.seek(length + length % 2, 1)
    raise InputError(f"{path}: is truncated before its first sample ({size} bytes)")


def _decode(path: Path, rate_hz: int, promised: float) -> WavSound:
    with _opened(path) as file:
        pcm = b"".join(channel for (channel,) in _blocks(file, path, rate_hz))
    if not pcm:
        raise InputError(f"{path}: holds no samples")
    return WavSound(pcm, tuple(_notices(path, pcm, rate_hz, promised)))


def _blocks(file: Any, path: Path, rate_hz: int, *, apart: bool = False) -> Iterator[list[bytes]]:
    """Yield the file's samples as s16le at `rate_hz`, block by block: one channel, or with `apart` all channels."""
    import numpy as np
    import soxr

    channels = file.channels if apart else 1
    resampler = soxr.ResampleStream(file.samplerate, rate_hz, channels, dtype="float32")
    position, last = 0, False
    while not last:
        block: Samples = file.read(_BLOCK, dtype="float32", always_2d=True)
        last = len(block) < _BLOCK
        if not np.isfinite(block).all():
            odd = position + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise InputError(f"{path}: sample {odd} is not a number")
        position += len(block)
        kept: Samples = block if apart else block.mean(axis=1, dtype=np.float32, keepdims=True)
        if file.samplerate != rate_hz:
            kept = resampler.resample_chunk(kept, last=last)
        whole = np.rint(kept * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
        yield [whole[:, channel].tobytes() for channel in range(channels)]


def _notices(path: Path, pcm: bytes, rate_hz: int, promised: float) -> Iterator[str]:
    import numpy as np

    if promised < 1.0:
        usable_s = len(pcm) / 2 / rate_hz
        yield f"{path}: is truncated: {usable_s:.2f} s of {usable_s / promised:.2f} s are there and are played"
    samples = np.frombuffer(pcm, "<i2")
    if max(int(samples.max()), -int(samples.min())) <= _SILENT_PEAK:
        yield f"{path}: is silent; no speech will be detected"
