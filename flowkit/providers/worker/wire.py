"""What a voice's worker process and its parent say to each other: length-prefixed binary frames on two pipes.

A frame is a header (payload length, kind, request number; big-endian) and its payload. Requests are numbered from 1 and
rise; 0 is the process itself. The stream needs no resynchronisation: a damaged one ends the process.
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
"""No payload is larger: a clause's text, or 100 ms of sound."""


class FrameKind(IntEnum):
    """What a frame is. Payloads in brackets."""

    SETUP = 1
    """Parent: load the voice (JSON object)."""
    READY = 2
    """Worker: loaded; sample rate and resident memory (JSON object)."""
    SPEAK = 3
    """Parent: speak (UTF-8 text)."""
    CANCEL = 4
    """Parent: this request and all before it are no longer wanted."""
    AUDIO = 5
    """Worker: the clause's samples in all, 0 if not known yet (4 bytes), then s16le mono."""
    DONE = 6
    """Worker: the request is complete, or was cancelled."""
    FAILED = 7
    """Worker: the request, or with number 0 the loading, failed (UTF-8 reason)."""
    PING = 8
    """Parent: are you there?"""
    PONG = 9
    """Worker: it is, whatever it is busy with."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing said about request `request`."""

    kind: FrameKind
    request: int
    payload: bytes = b""

    def packed(self) -> bytes:
        """The frame as it goes over the pipe."""
        return _HEADER.pack(len(self.payload), self.kind, self.request) + self.payload


def audio(request: int, total: int, pcm: bytes) -> Frame:
    """An AUDIO frame."""
    return Frame(FrameKind.AUDIO, request, _TOTAL.pack(total) + pcm)


def total_and_pcm(frame: Frame) -> tuple[int, bytes]:
    """What an AUDIO frame carries: the clause's samples in all (0: not known), and some of them."""
    return _TOTAL.unpack_from(frame.payload)[0], frame.payload[_TOTAL.size :]


class Unpacker:
    """Cuts a stream of bytes into frames. Raises ValueError for what cannot be a frame."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now."""
        self._pending += data
        while len(self._pending) >= _HEADER.size:
            length, kind, request = _HEADER.unpack_from(self._pending)
            if length > LARGEST:
                raise ValueError(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[_HEADER.size : end])
            del self._pending[:end]
            yield Frame(FrameKind(kind), request, payload)


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame of a blocking stream; None at its end, also in mid-frame."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    length, kind, request = _HEADER.unpack(header)
    payload = stream.read(length)
    return Frame(FrameKind(kind), request, payload) if len(payload) == length else None
