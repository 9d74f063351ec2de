"""Trying a machine's microphone and speaker without a session, and the event loop's promptness: for ``flowkit doctor``."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from flowkit.clock import US_PER_S
from flowkit.errors import DeviceError
from flowkit.providers.sound.device_host import PORTAUDIO, AudioHost, Format, Wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RATE_HZ = 16_000
_FRAME_US = 20_000
_WAKES = 200
_SILENT_DB = -96.0
_PATIENCE_S = 5.0
"""Within what a device that was opened has to call; a cold one takes up to 2 s."""
_CHIRP_S, _HEARD_S = 0.25, 1.2
_WARM_UP = 25
"""Frames until both devices run steadily."""
_CLEAR = 8.0
"""How far the chirp's match must stand out of all others."""


_Queue = queue.SimpleQueue[tuple[int, bytes]]


class Level(NamedTuple):
    """What a microphone heard: the loudest 20 ms and the quietest tenth, in decibels of full scale."""

    name: str
    peak_db: float
    floor_db: float


class Trip(NamedTuple):
    """From handing a chirp to the speaker to hearing it; `us` is None if it was not heard."""

    speaker: str
    us: int | None


def wake_ups() -> tuple[int, int]:
    """How late Trio wakes from a sleep of 1 ms: median and p99, in microseconds."""

    async def sleep() -> list[int]:
        late_us = []
        for _ in range(_WAKES):
            due_s = trio.current_time() + 0.001
            await trio.sleep_until(due_s)
            late_us.append(round((trio.current_time() - due_s) * US_PER_S))
        return sorted(late_us)

    ordered = trio.run(sleep)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def listen(
    device: str | None, length_us: int, meter: Callable[[float], None] | None = None, host: AudioHost = PORTAUDIO
) -> Level:
    """Listen to a microphone for `length_us`. `meter` is called with the level of each 20 ms. Raises DeviceError."""
    blocks: _Queue = queue.SimpleQueue()
    stream = host.listen(Wanted("input", device, (_RATE_HZ,)), _keeps(blocks, host), lambda: None)
    try:
        levels = []
        for _ in range(max(1, length_us // _FRAME_US)):
            levels.append(_db(_next(blocks, stream.format.name)[1]))
            if meter is not None:
                meter(levels[-1])
    finally:
        stream.close()
    ordered = sorted(levels)
    return Level(stream.format.name, ordered[-1], ordered[len(ordered) // 10])


def round_trip(mic: str | None, speaker: str | None, host: AudioHost = PORTAUDIO) -> Trip:
    """Sound a chirp and look for it in what is heard. Raises DeviceError."""
    heard: _Queue = queue.SimpleQueue()
    sent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    began_us: list[int] = []

    def wants(underflowed: bool) -> bytes | None:
        try:
            block = sent.get_nowait()
        except queue.Empty:
            return None
        began_us.append(host.now_us())
        return block

    sounding = host.sound(Wanted("output", speaker, (_RATE_HZ,)), wants, lambda: None)
    try:
        hearing = host.listen(Wanted("input", mic, (_RATE_HZ,)), _keeps(heard, host), lambda: None)
        try:
            for _ in range(_WARM_UP):
                _next(heard, hearing.format.name)
            for block in _blocks(sounding.format):
                sent.put(block)
            recording = [_next(heard, hearing.format.name) for _ in range(int(_HEARD_S * US_PER_S) // _FRAME_US)]
        finally:
            hearing.close()
    finally:
        sounding.close()
    if not began_us:
        return Trip(sounding.format.name, None)
    at_us = _found_in([pcm for _, pcm in recording], hearing.format)
    # The time of a block is that of its end, hence the frame that is taken off.
    return Trip(sounding.format.name, None if at_us is None else recording[0][0] - _FRAME_US + at_us - began_us[0])


def _blocks(format: Format) -> list[bytes]:
    """The chirp as the device takes it; empty for one that refuses its rate."""
    import numpy as np

    chirp = _chirp()
    if format.rate_hz != _RATE_HZ:
        return []
    whole = np.pad(chirp, (0, -len(chirp) % format.block)).reshape(-1, format.block)
    return [np.repeat(block, format.channels).astype("<i2").tobytes() for block in whole]


def _found_in(recording: list[bytes], format: Format) -> int | None:
    import numpy as np

    samples = np.frombuffer(b"".join(recording), "<i2")[:: format.channels]
    return found(samples.astype(float), _chirp().astype(float)) if format.rate_hz == _RATE_HZ else None


def found(heard: NDArray[Any], chirp: NDArray[Any]) -> int | None:
    """Where the chirp begins in what was heard, in microseconds; None if it is not there."""
    import numpy as np

    match = np.abs(np.correlate(heard, chirp, "valid"))
    best = int(match.argmax())
    return best * US_PER_S // _RATE_HZ if match[best] > _CLEAR * (match.mean() + 1e-9) else None


def _chirp() -> NDArray[np.int16]:
    """A quarter of a second from 500 to 3,000 Hz, softly begun and ended."""
    import numpy as np

    times = np.arange(int(_CHIRP_S * _RATE_HZ)) / _RATE_HZ
    sweep = np.sin(2 * np.pi * (500 * times + (3_000 - 500) / (2 * _CHIRP_S) * times**2))
    return (8_000 * sweep * np.hanning(len(times))).astype(np.int16)


def _keeps(blocks: _Queue, host: AudioHost) -> Callable[[bytes, bool], bool]:
    def heard(pcm: bytes, overflowed: bool) -> bool:
        blocks.put((host.now_us(), pcm))
        return True

    return heard


def _next(blocks: _Queue, name: str) -> tuple[int, bytes]:
    """The next block, with the time at which it was complete."""
    try:
        return blocks.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise DeviceError(
            f"microphone {name} was opened but gives no sound", hint="is it muted or suspended?"
        ) from None


def _db(pcm: bytes) -> float:
    import numpy as np

    peak = int(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)).max(initial=0))
    return float(20 * np.log10(peak / 32_768)) if peak else _SILENT_DB
