"""The sound files of a trace: WAV while the session runs, FLAC once it has ended.

A WAV file that is cut short can still be played, so a killed session loses no sound.

A sound file is found by its role, never by a stored path: `NAME.input.flac` belongs to `NAME.jsonl`. The trace holds
the digest of its samples. So a trace cannot point to files outside its folder, and a sound file that was replaced is
found out.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flowkit.errors import OutputError, TraceError
from flowkit.files import create
from flowkit.trace.names import MAX_AUDIO
from flowkit.trace.schema import ROLE, Sound

HEADER = 44
"""Bytes of a WAV header."""
_BLOCK = 1 << 16


class RawSound:
    """Writes signed 16-bit mono samples to a WAV file, unbuffered.

    The lengths in the header say "to the end of the file", so the file is valid at any moment.
    """

    def __init__(self, trace: Path, role: str, rate_hz: int) -> None:
        self.path = sound_path(trace, role, ".wav")
        self._role = role
        self._rate_hz = rate_hz
        # Of the samples alone, because the bytes of the file change when it becomes FLAC.
        self._state = blake2b(digest_size=16)
        # Unbuffered, so that a killed session loses nothing that was already passed on.
        self._file = os.fdopen(create(self.path), "wb", buffering=0)
        self._file.write(_wav_header(rate_hz))
        self.samples = 0

    def write(self, pcm: bytes) -> None:
        """Append `pcm`, signed 16-bit little-endian samples."""
        self._file.write(pcm)
        self._state.update(pcm)
        self.samples += len(pcm) // 2

    def pad_to(self, samples: int) -> None:
        """Append silence until there are `samples` samples.

        Frames that the device dropped leave a gap. Without the silence, everything after it would be too early.
        """
        # In blocks, because a gap may last for minutes.
        while self.samples < samples:
            self.write(bytes(2 * min(samples - self.samples, _BLOCK)))

    def close(self) -> Sound:
        """Convert the WAV file to FLAC and return what it holds. Raises OutputError if that fails."""
        self._file.close()
        to_flac(self.path)
        return Sound(self._role, self._rate_hz, self.samples, self._state.hexdigest())

    def abandon(self) -> None:
        """Close the WAV file without converting it."""
        self._file.close()


def sound_path(trace: Path, role: str, suffix: str = ".flac") -> Path:
    """The path of the sound file with this role.

    Raises TraceError if `role` is not ``input`` or ``voice-RATE``; it could be a path.
    """
    if not ROLE.fullmatch(role):
        raise TraceError(f"{trace.name}: a sound's role is 'input' or 'voice-RATE', not {role[:60]!r}")
    return trace.with_name(f"{trace.name.removesuffix('.jsonl')}.{role}{suffix}")


def to_flac(wav: Path) -> Path:
    """Convert a WAV file of ``RawSound``, possibly cut short, to FLAC and remove it. Returns the new path.

    Raises OutputError if the FLAC file cannot be written. The WAV file then stays.
    """
    import soundfile

    flac = wav.with_suffix(".flac")
    # A file that is made here, so that libsndfile neither follows a link nor overwrites anything.
    descriptor = create(flac)
    try:
        with wav.open("rb") as source:
            rate_hz = struct.unpack("<I", source.read(HEADER)[24:28])[0]
            with soundfile.SoundFile(descriptor, "w", rate_hz, 1, subtype="PCM_16", format="FLAC") as sink:
                while block := source.read(2 * _BLOCK):
                    # A killed session may have left half a sample at the end.
                    sink.write(np.frombuffer(block[: len(block) // 2 * 2], "<i2"))
    except (soundfile.LibsndfileError, AssertionError) as error:
        # On a full disk soundfile fails an assertion instead of raising its own error.
        flac.unlink()
        raise OutputError(f"cannot write {flac}: {error or 'is the disk full?'}; {wav.name} is whole") from error
    # Ctrl-C too must leave no torn FLAC file, because it would stand in the way of the next attempt.
    except BaseException:
        flac.unlink(missing_ok=True)
        raise
    # Last, so that at any moment one of the two files is whole.
    wav.unlink()
    return flac


def sound_digest(flac: Path, role: str) -> Sound:
    """Read a FLAC file of ``to_flac`` and describe it."""
    import soundfile

    samples, state = 0, blake2b(digest_size=16)
    with soundfile.SoundFile(flac) as file:
        while len(block := file.read(_BLOCK, dtype="int16")):
            samples += len(block)
            state.update(block.tobytes())
        return Sound(role, file.samplerate, samples, state.hexdigest())


def read_sound(trace: Path, sound: Sound) -> NDArray[np.int16]:
    """The samples of a recorded sound.

    Raises TraceError if the file is missing, is too long, or does not hold what was recorded.
    """
    blocks = _blocks(trace, sound)
    # Safe to reserve: `_blocks` has compared this number with the size of the file.
    samples, at = np.empty(sound.samples, np.int16), 0
    for block in blocks:
        samples[at : at + len(block)] = block
        at += len(block)
    return samples


def check_sound(trace: Path, sound: Sound) -> None:
    """Raise TraceError where ``read_sound`` would. The samples are not kept in memory."""
    for _ in _blocks(trace, sound):
        pass


_HEAD, _SILENCE = 1 << 16, 1024
"""A few bytes of FLAC can hold hours of silence: 652 bytes of samples per byte, as flowkit writes it. More is refused."""


def _blocks(trace: Path, sound: Sound) -> Iterator[NDArray[np.int16]]:
    """The samples of a sound, block by block. Raises TraceError if the file cannot hold what was recorded."""
    path = sound_path(trace, sound.role)
    # The trace may come from anyone: the name is safe, but the file could be a link.
    if not path.resolve().is_relative_to(trace.parent.resolve()):
        raise TraceError(f"{path.name} is a link to a file outside the trace's folder")
    if not path.is_file():
        raise TraceError(f"{path.name} is missing; the trace can be replayed without it")
    if 2 * sound.samples > min(MAX_AUDIO, _HEAD + _SILENCE * path.stat().st_size):
        raise TraceError(f"{path.name} is not the sound that was recorded: it is too small for so many samples")
    # A generator of its own, so that the checks above run at the call and not with the first block.
    return _decoded(path, sound)


def _decoded(path: Path, sound: Sound) -> Iterator[NDArray[np.int16]]:
    """The samples, block by block. After the last block, raises TraceError if they are not what was recorded."""
    import soundfile

    state = blake2b(digest_size=16)
    try:
        with soundfile.SoundFile(path) as file:
            # Before any block, because the caller has room for exactly as many samples as were recorded.
            if (file.channels, file.samplerate, file.frames) != (1, sound.rate_hz, sound.samples):
                raise TraceError(f"{path.name} is not the sound that was recorded: its length or format differs")
            while len(block := file.read(_BLOCK, dtype="int16")):
                state.update(block.tobytes())
                yield block
    except soundfile.LibsndfileError as error:
        raise TraceError(f"{path.name} cannot be read: {error}") from error
    if state.hexdigest() != sound.digest:
        raise TraceError(f"{path.name} is not the sound that was recorded: its digest differs")


def _wav_header(rate_hz: int) -> bytes:
    """The header of a mono 16-bit WAV file of unknown length."""
    unknown = 0xFFFFFFFF
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    return b"RIFF" + struct.pack("<I", unknown) + b"WAVEfmt " + form + b"data" + struct.pack("<I", unknown)
