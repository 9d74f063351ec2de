"""Reading a recording of any form into what the pipeline hears: signed 16-bit mono at the input rate.

libsndfile decodes (8-bit to float, any channel count), soxr resamples, block by block, so that only the result is held:
32 kB a second. Channels are averaged.
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
"""A recording whose loudest 16-bit sample is no louder than this (-72 dB of full scale) holds nothing that anyone could
hear."""
_UNKNOWN_SIZE = 0xFFFFFFFF
"""What a program that streams a WAV writes for the size that it does not know yet."""


@dataclass(frozen=True, slots=True)
class WavSound:
    """`pcm`: s16le mono at the rate asked for; `notices`: what people should know of the file, a line each."""

    pcm: bytes
    notices: tuple[str, ...]


def read_recording(path: Path, rate_hz: int) -> WavSound:
    """Read `path` and bring it to `rate_hz`.

    Raises InputError, naming the file, if it is missing, empty, of no known form, cut off before its first sample, not
    between 8 and 192 kHz, or holds samples that are not numbers. What is merely odd (cut short, silent) becomes a
    notice.
    """
    return _decode(path, rate_hz, _share(path))


def look(path: Path) -> None:
    """Raises InputError as `read_recording` does, for all that can be told without decoding the samples."""
    _share(path)
    with _opened(path) as file:
        if not file.frames:
            raise InputError(f"{path}: holds no samples")


def _share(path: Path) -> float:
    """The share of its samples that the file really has."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"{path}: is a directory, not a WAV file")
        with path.open("rb") as file:
            if size == 0:
                raise InputError(f"{path}: is empty (0 bytes)")
            return _promised(file, path, size)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror}") from exc


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file as libsndfile reads it."""
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as file:
            if not LOWEST_RATE_HZ <= file.samplerate <= HIGHEST_RATE_HZ:
                raise InputError(f"{path}: its rate is {file.samplerate} Hz; flowkit reads 8000 to 192000 Hz")
            yield file
    except soundfile.LibsndfileError as exc:
        raise InputError(f"{path}: is not a WAV file that can be read: {exc.error_string}") from exc


def _promised(file: BinaryIO, path: Path, size: int) -> float:
    """The share of its samples that a RIFF file really has: 1.0 if it is whole, or of another form.

    Raises InputError if it ends before its samples begin."""
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RIFX"):
        return 1.0
    order = "<" if head[:4] == b"RIFF" else ">"
    while len(chunk := file.read(8)) == 8:
        length: int = struct.unpack(f"{order}I", chunk[4:])[0]
        if chunk[:4] == b"data":
            present = size - file.tell()
            return 1.0 if length == _UNKNOWN_SIZE or present >= length else present / length
        file.seek(length + length % 2, 1)
    raise InputError(f"{path}: is cut off before its first sample ({size} bytes)")


def _decode(path: Path, rate_hz: int, promised: float) -> WavSound:
    with _opened(path) as file:
        pcm = b"".join(_blocks(file, path, rate_hz))
    if not pcm:
        raise InputError(f"{path}: holds no samples")
    return WavSound(pcm, tuple(_notices(path, pcm, rate_hz, promised)))


def _blocks(file: Any, path: Path, rate_hz: int) -> Iterator[bytes]:
    """The file's samples as s16le, resampled without a seam between blocks."""
    import numpy as np
    import soxr

    resampler = soxr.ResampleStream(file.samplerate, rate_hz, 1, dtype="float32")
    position, last = 0, False
    while not last:
        block: Samples = file.read(_BLOCK, dtype="float32", always_2d=True)
        last = len(block) < _BLOCK
        if not np.isfinite(block).all():
            odd = position + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise InputError(f"{path}: sample {odd} is not a number")
        position += len(block)
        mono: Samples = block[:, 0] if file.channels == 1 else block.mean(axis=1, dtype=np.float32)
        if file.samplerate != rate_hz:
            mono = resampler.resample_chunk(mono, last=last)
        whole = np.rint(mono * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1)
        yield whole.astype("<i2").tobytes()


def _notices(path: Path, pcm: bytes, rate_hz: int, promised: float) -> Iterator[str]:
    import numpy as np

    if promised < 1.0:
        usable_s = len(pcm) / 2 / rate_hz
        yield f"{path}: is cut short: {usable_s:.2f} s of {usable_s / promised:.2f} s are there and are played"
    if np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)).max() <= _SILENT_PEAK:
        yield f"{path}: is silent; nobody will be heard"
