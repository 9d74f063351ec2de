"""Fake sound devices that can be plugged in and out. They play and record on Trio's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from flowkit.errors import DeviceError
from flowkit.providers.sound.device_host import Device, Format, Heard, Wanted, Wants, find

HEADSET = Device(0, "USB headset", "claimed", 1, 2, 48_000, ("input", "output"))
SPEAKERS = Device(1, "Built-in speakers", "claimed", 0, 2, 44_100)


@dataclass(slots=True, eq=False)
class FakeStream:
    """An open fake device."""

    host: FakeHost
    format: Format
    direction: str
    gone: Callable[[], object]
    running: bool = True

    def alive(self) -> bool:
        return self.running

    def close(self) -> None:
        self.running = False
        if self in self.host.streams:
            self.host.streams.remove(self)

    def unplug(self) -> None:
        self.running = False
        self.gone()


@dataclass(slots=True)
class FakeHost:
    """The fake devices of a machine.

    `speech` gives the microphone's audio for a frame. `pops` is what the speaker played: (time in microseconds, block
    or None).
    """

    speech: Callable[[int], bytes]
    present: list[Device] = field(default_factory=lambda: [HEADSET])
    rate_hz: int = 16_000
    streams: list[FakeStream] = field(default_factory=list)
    callbacks: dict[FakeStream, Heard | Wants] = field(default_factory=dict)
    pops: list[tuple[int, bytes | None]] = field(default_factory=list)
    refreshed: int = 0
    zero_s: float = 0.0

    def now_us(self) -> int:
        return round((trio.current_time() - self.zero_s) * 1e6)

    def devices(self) -> list[Device]:
        return list(self.present)

    def listen(self, wanted: Wanted, heard: Heard, gone: Callable[[], object]) -> FakeStream:
        return self._open(wanted, heard, gone)

    def sound(self, wanted: Wanted, wants: Wants, gone: Callable[[], object]) -> FakeStream:
        return self._open(wanted, wants, gone)

    def refresh(self, *, even_if_used: bool) -> None:
        self.refreshed += 1

    def unplug(self) -> None:
        """Unplug all devices."""
        self.present = []
        for stream in list(self.streams):
            stream.unplug()

    def plug(self, device: Device = HEADSET) -> None:
        self.present = [device]

    async def run(self, phase_us: int = 7_000, frame_us: int = 20_000) -> None:
        """Call the callbacks as a sound card would. The first call is `phase_us` after the grid."""
        self.zero_s = trio.current_time()
        for tick in range(1 << 62):
            await trio.sleep_until(self.zero_s + (tick * frame_us + phase_us) / 1e6)
            for stream in list(self.streams):
                if stream.running:
                    self._call(stream, tick)

    def _call(self, stream: FakeStream, tick: int) -> None:
        if stream.direction == "input":
            self.callbacks[stream](self.speech(tick), False)  # type: ignore[call-arg, arg-type]
        else:
            self.pops.append((self.now_us(), self.callbacks[stream](False)))  # type: ignore[call-arg, arg-type]

    def _open(self, wanted: Wanted, callback: Heard | Wants, gone: Callable[[], object]) -> FakeStream:
        device = find(wanted, self.present)
        if wanted.channels and wanted.channels > 2:
            raise DeviceError(
                f"{device.name} cannot be opened with {wanted.channels} channels: Invalid number of channels"
            )
        format = Format(device.name, self.rate_hz, wanted.channels or 1, self.rate_hz * wanted.frame_us // 1_000_000)
        stream = FakeStream(self, format, wanted.direction, gone)
        self.streams.append(stream)
        self.callbacks[stream] = callback
        return stream


def noise(seed: int, samples: int = 320, level: int = 8_000) -> bytes:
    """A frame that any VAD takes for voice: alternating samples, because the scripted VAD looks for non-zero
    samples."""
    value = level + seed % 97
    return b"".join((value if i % 2 else -value).to_bytes(2, "little", signed=True) for i in range(samples))


def spans(*voiced: tuple[int, int]) -> Callable[[int], bytes]:
    """A user who speaks between two times in milliseconds, and is silent otherwise."""
    loud, quiet = noise(0), bytes(640)

    def at(tick: int) -> bytes:
        return loud if any(begin <= tick * 20 < end for begin, end in voiced) else quiet

    return at
