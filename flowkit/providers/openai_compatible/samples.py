"""Samples from a stream of bytes: raw, or a WAV file whose length nobody knows yet.

A server that streams a WAV file writes a length of 0 or 2^32 - 1 into its header, so what follows the header is taken
to be audio until the stream ends. http://soundfile.sapp.org/doc/WaveFormat/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from flowkit.providers.cloud.faults import CloudError, Trouble, schema

_PIECES_A_S = 10
_LONGEST_HEADER = 65_536
_OTHERS = {b"ID3": "MP3", b"\xff\xfb": "MP3", b"\xff\xf3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC", b"\xff\xf1": "AAC"}
"""How compressed formats begin."""


class Samples:
    """Cuts bytes into pieces of s16le mono, of at most 100 ms each. `rate_hz` is the rate of raw samples."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._waiting = b""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that `data` completes. Half a sample waits for its other half. Raises CloudError for another
        format."""
        self._waiting += data
        if not self._begun and not self._begin():
            return
        size = 2 * (self.rate_hz // _PIECES_A_S)
        whole = len(self._waiting) // 2 * 2
        pcm, self._waiting = self._waiting[:whole], self._waiting[whole:]
        for place in range(0, whole, size):
            yield pcm[place : place + size]

    def _begin(self) -> bool:
        """Look at the beginning. Returns whether the audio begins at what waits now."""
        if len(self._waiting) < 4:
            return False
        if self._waiting.startswith(b"RIFF"):
            return self._skip_header()
        for mark, name in _OTHERS.items():
            if self._waiting.startswith(mark):
                raise CloudError(
                    Trouble.REQUEST,
                    f"the server answers with {name} instead of raw samples",
                    hint="a server that can give neither `pcm` nor `wav` cannot be used",
                )
        self._begun = True
        return True

    def _skip_header(self) -> bool:
        """Skip the chunks of a WAV file up to its samples."""
        place, data = 12, self._waiting
        while len(data) >= place + 8:
            name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
            if name == b"data":
                self._waiting, self._begun = data[place + 8 :], True
                return True
            if name == b"fmt " and len(data) >= place + 24:
                self._format(data[place + 8 : place + 24])
            place += 8 + size + size % 2
        if place > _LONGEST_HEADER or len(data) > _LONGEST_HEADER:
            raise schema("a WAV file without samples")
        return False

    def _format(self, fields: bytes) -> None:
        _, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", fields)
        if (channels, bits) != (1, 16) or not 8_000 <= rate_hz <= 48_000:
            raise schema(f"a WAV file with {channels} channels of {bits} bits at {rate_hz} Hz; 1 of 16 bits is needed")
        self.rate_hz = rate_hz
