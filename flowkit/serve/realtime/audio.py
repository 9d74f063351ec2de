"""The three audio formats of the protocol: PCM at 24 kHz, and mu-law and A-law (ITU-T G.711) at 8 kHz."""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum
from typing import Any

import numpy as np

from flowkit.messages import Play
from flowkit.serve.realtime.errors import EventRefused
from flowkit.serve.realtime.resample import Resampler


class AudioFormat(StrEnum):
    """A format, by its name in the protocol."""

    PCM = "audio/pcm"
    """Signed 16-bit little-endian mono at 24 kHz."""
    PCMU = "audio/pcmu"
    """G.711 mu-law, 8 kHz."""
    PCMA = "audio/pcma"
    """G.711 A-law, 8 kHz."""

    @property
    def rate_hz(self) -> int:
        """Its sample rate."""
        return 24_000 if self is AudioFormat.PCM else 8_000

    @property
    def described(self) -> dict[str, Any]:
        """As a session object has it."""
        return {"type": self.value, "rate": 24_000} if self is AudioFormat.PCM else {"type": self.value}


def _mu_law() -> Any:
    """The sample of each byte. G.711, table 2."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, 0x84 - size, size - 0x84).astype(np.int16)


def _a_law() -> Any:
    """The sample of each byte. G.711, table 1."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    size = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _codes(samples: Any) -> Any:
    """For each 16-bit sample, shifted to 0 to 65535, the byte whose sample is nearest."""
    order = np.argsort(samples, kind="stable")
    known = samples[order].astype(np.int32)
    middles = (known[1:] + known[:-1]) / 2
    return order[np.searchsorted(middles, np.arange(-32_768, 32_768))].astype(np.uint8)


_SAMPLES = {AudioFormat.PCMU: _mu_law(), AudioFormat.PCMA: _a_law()}
_CODES = {format: _codes(samples) for format, samples in _SAMPLES.items()}


class Ear:
    """Turns what a client appends into PCM at `rate_hz`. A change of the format begins a new stream."""

    def __init__(self, format: AudioFormat, rate_hz: int) -> None:
        self.format = format
        self._stream = Resampler(format.rate_hz, rate_hz)

    def hear(self, text: str) -> tuple[bytes, int]:
        """The PCM of Base64 text, and the length of the appended audio in microseconds. The resampler keeps back a few
        milliseconds. Raises EventRefused if it is malformed."""
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise EventRefused("invalid_audio", f"The audio is not Base64: {error}.", "audio") from None
        if self.format is AudioFormat.PCM:
            if len(data) % 2:
                what = f"The audio has {len(data)} bytes, and samples of 16 bits have an even number."
                raise EventRefused("invalid_audio", what, "audio")
            samples = np.frombuffer(data, "<i2")
        else:
            samples = _SAMPLES[self.format][np.frombuffer(data, np.uint8)]
        return self._stream(samples).astype("<i2").tobytes(), len(samples) * 1_000_000 // self.format.rate_hz


class Mouth:
    """Turns the PCM of a reply into Base64 text of the client's format. `rate_hz` is the voice's."""

    def __init__(self, format: AudioFormat, rate_hz: int) -> None:
        self.format = format
        self.rate_hz = rate_hz
        self._stream = Resampler(rate_hz, format.rate_hz)

    def sound(self, pcm: bytes, *, last: bool = False) -> bytes:
        """The next piece in the client's format; with `last` also what the resampler has kept back."""
        samples = self._stream(np.frombuffer(pcm, "<i2"), last=last)
        if self.format is not AudioFormat.PCM:
            return bytes(_CODES[self.format][samples.astype(np.int32) + 32_768].tobytes())
        return bytes(samples.astype("<i2").tobytes())

    def say(self, pcm: bytes, *, last: bool = False) -> str:
        """The same as Base64 text. Empty if nothing is ready yet."""
        return base64.b64encode(self.sound(pcm, last=last)).decode()


def unsent(row: Play, sent: int) -> bytes:
    """The part of `row` that a client does not have yet, who has `sent` samples of the clause. After a hold the engine sends again
    what had not sounded."""
    return row.pcm[2 * max(0, sent - row.first_sample) :]
