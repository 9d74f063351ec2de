"""The protocol between a TTS worker process and its parent: length-prefixed binary frames on two pipes.

A frame is a header (payload length, kind, request number; big-endian) and a payload. Request numbers start at 1 and
rise; 0 is the process itself. A malformed frame ends the process, so there is no resynchronisation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

_HEADER = struct.Struct(">IBI")
_TOTAL = struct.Struct(">I")
LARGEST = 1 << 20
"""Largest payload in bytes. Payloads are the text of a clause or 100 ms of audio."""


class FrameKind(IntEnum):
    """The kinds of frames, each with its sender and, in brackets, its payload."""

    SETUP = 1
    """Parent: load the voice (JSON object)."""
    READY = 2
    """Worker: the voice is loaded (JSON object with `rate_hz`, the sample rate)."""
    SPEAK = 3
    """Parent: speak (UTF-8 text)."""
    CANCEL = 4
    """Parent: cancel this request."""
    AUDIO = 5
    """Worker: audio (4 bytes with the number of samples in the whole clause, 0 if not known yet; then s16le mono)."""
    DONE = 6
    """Worker: the request is complete or was cancelled."""
    FAILED = 7
    """Worker: the request failed, or with number 0 the loading (UTF-8 reason)."""
    PING = 8
    """Parent: asks for a PONG."""
    PONG = 9
    """Worker: the answer to a PING."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame about the request number `request`."""

    kind: FrameKind
    request: int
    payload: bytes = b""

    def packed(self) -> bytes:
        """The frame as bytes."""
        return _HEADER.pack(len(self.payload), self.kind, self.request) + self.payload


def audio(request: int, total: int, pcm: bytes) -> Frame:
    """Make an AUDIO frame. `total` is the number of samples in the whole clause, or 0."""
    return Frame(FrameKind.AUDIO, request, _TOTAL.pack(total) + pcm)


def total_and_pcm(frame: Frame) -> tuple[int, bytes]:
    """The content of an AUDIO frame: the number of samples in the whole clause (0: not known), and PCM (s16le mono)."""
    return _TOTAL.unpack_from(frame.payload)[0], frame.payload[_TOTAL.size :]


class Unpacker:
    """Splits a stream of bytes into frames. ``feed`` raises ValueError for a frame that is too large or of an unknown
    kind."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes, and yield the frames that are now complete."""
        self._pending += data
        while len(self._pending) >= _HEADER.size:
            length, kind, request = _HEADER.unpack_from(self._pending)
            # A damaged length would make the reader wait for gigabytes.
            if length > LARGEST:
                raise ValueError(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[_HEADER.size : end])
            del self._pending[:end]
            yield Frame(FrameKind(kind), request, payload)


def read_frame(stream: BinaryIO) -> Frame | None:
    """Read the next frame from a blocking stream. Returns None at its end, even within a frame."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    length, kind, request = _HEADER.unpack(header)
    payload = stream.read(length)
    return Frame(FrameKind(kind), request, payload) if len(payload) == length else None
