"""The sound beside a trace: WAV while the session runs, for a file cut short still plays; FLAC when it has ended.

A sound is named by its role, never by a path: `NAME.input.flac` belongs to `NAME.jsonl`, and the trace holds the digest of its
samples. So no trace can point out of its folder, and a sound that was swapped is noticed.
"""

from __future__ import annotations

import os
import re
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowkit.errors import OutputError, TraceError
from flowkit.files import create
from flowkit.trace.names import MAX_AUDIO

HEADER = 44
_BLOCK = 1 << 16
ROLE = re.compile(r"input|voice-\d{4,6}")


class Sound(NamedTuple):
    """A sound beside a trace: its role (`input`, or `voice-RATE`), and of its samples rate, number and blake2b digest."""

    role: str
    rate_hz: int
    samples: int
    digest: str


class RawSound:
    """Signed 16-bit mono, written through at every call. The header's lengths say "to the end of the file"."""

    def __init__(self, trace: Path, role: str, rate_hz: int) -> None:
        self.path = sound_path(trace, role, ".wav")
        self._role = role
        self._rate_hz = rate_hz
        self._state = blake2b(digest_size=16)
        self._file = os.fdopen(create(self.path), "wb", buffering=0)
        self._file.write(_wav_header(rate_hz))
        self.samples = 0

    def write(self, pcm: bytes) -> None:
        """Append samples."""
        self._file.write(pcm)
        self._state.update(pcm)
        self.samples += len(pcm) // 2

    def pad_to(self, samples: int) -> None:
        """Append silence up to that many samples: sound that the device dropped keeps its place."""
        while self.samples < samples:
            self.write(bytes(2 * min(samples - self.samples, _BLOCK)))

    def close(self) -> Sound:
        """Turn the WAV into a FLAC and return what it holds."""
        self._file.close()
        to_flac(self.path)
        return Sound(self._role, self._rate_hz, self.samples, self._state.hexdigest())

    def abandon(self) -> None:
        """Leave the WAV as it is."""
        self._file.close()


def sound_path(trace: Path, role: str, suffix: str = ".flac") -> Path:
    """Where the sound of that role lies. Raises TraceError for a role that is none, such as a path."""
    if not ROLE.fullmatch(role):
        raise TraceError(f"{trace.name}: a sound's role is 'input' or 'voice-RATE', not {role[:60]!r}")
    return trace.with_name(f"{trace.name.removesuffix('.jsonl')}.{role}{suffix}")


def to_flac(wav: Path) -> Path:
    """Write the FLAC of a WAV that this module wrote, be it cut short, and remove the WAV. Raises OutputError if the FLAC cannot be
    written; the WAV is still there then."""
    import soundfile

    flac = wav.with_suffix(".flac")
    descriptor = create(flac)
    try:
        with wav.open("rb") as source:
            rate_hz = struct.unpack("<I", source.read(HEADER)[24:28])[0]
            with soundfile.SoundFile(descriptor, "w", rate_hz, 1, subtype="PCM_16", format="FLAC") as sink:
                while block := source.read(2 * _BLOCK):
                    sink.write(np.frombuffer(block[: len(block) // 2 * 2], "<i2"))
    except (soundfile.LibsndfileError, AssertionError) as error:
        # A write that fails for want of room is an assertion of soundfile's.
        flac.unlink()
        raise OutputError(f"cannot write {flac}: {error or 'is the disk full?'}; {wav.name} is whole") from error
    except BaseException:
        flac.unlink(missing_ok=True)
        raise
    wav.unlink()
    return flac


def sound_digest(flac: Path, role: str) -> Sound:
    """What a FLAC that this module wrote holds."""
    import soundfile

    samples, rate_hz = soundfile.read(flac, dtype="int16")
    return Sound(role, rate_hz, len(samples), blake2b(samples.tobytes(), digest_size=16).hexdigest())


def read_sound(trace: Path, sound: Sound) -> Any:
    """The samples, an int16 array. Raises TraceError if the file is missing, too long, or not what was recorded."""
    import soundfile

    path = sound_path(trace, sound.role)
    if not path.resolve().is_relative_to(trace.parent.resolve()):
        raise TraceError(f"{path.name} leads out of the trace's folder")
    if not path.is_file():
        raise TraceError(f"{path.name} is missing; the trace replays without it")
    try:
        with soundfile.SoundFile(path) as file:
            # A few bytes can stand for hours of silence: nothing is decoded that is not as long as what was recorded.
            if (file.channels, file.samplerate, file.frames) != (1, sound.rate_hz, sound.samples):
                raise TraceError(f"{path.name} is not the sound that was recorded: its length or form differs")
            if 2 * file.frames > MAX_AUDIO:
                raise TraceError(f"{path.name} is longer than {MAX_AUDIO >> 20} MiB of samples")
            samples = file.read(dtype="int16")
    except soundfile.LibsndfileError as error:
        raise TraceError(f"{path.name} cannot be read: {error}") from error
    if blake2b(samples.tobytes(), digest_size=16).hexdigest() != sound.digest:
        raise TraceError(f"{path.name} is not the sound that was recorded: its digest differs")
    return samples


def _wav_header(rate_hz: int) -> bytes:
    unknown = 0xFFFFFFFF
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    return b"RIFF" + struct.pack("<I", unknown) + b"WAVEfmt " + form + b"data" + struct.pack("<I", unknown)
