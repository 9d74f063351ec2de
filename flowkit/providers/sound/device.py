"""The microphone and the speaker of this machine, as ``flowkit run FILE`` uses them.

    stages:
      - {kind: mic, provider: device}
      - {kind: speaker, provider: device, device: "USB"}

A lost device does not end the session. The microphone then yields silence, and the speaker plays nothing. Once a second
flowkit looks for the device. The trace records its loss and its return.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from pydantic import Field

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.errors import DeviceError
from flowkit.messages import Frames, Message, Play, Silence
from flowkit.plural import counted
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.loading import imported, lone_error
from flowkit.providers.sound.device_cutter import FrameCutter
from flowkit.providers.sound.device_feed import SpeakerFeed
from flowkit.providers.sound.device_host import (
    INSTALL,
    NOUNS,
    PORTAUDIO,
    WITHOUT,
    AudioHost,
    Format,
    Stream,
    Wanted,
    available,
    find,
)
from flowkit.providers.sound.device_ring import Block, DueBlock, MicRing, SpeakerRing
from flowkit.providers.sound.echo import Aec, canceller

STALLED_S = 2.0
"""If a device's callback is not called for this long, the device counts as lost. A speaker may take 1.9 s to start."""
RETRY_S = 1.0
FORCE_EVERY = 5
"""Every fifth attempt to find a lost device restarts PortAudio even if the other device is in use. PortAudio sees a
newly connected device only then. The other device is silent for a tenth of a second."""


class Waker:
    """Wakes the event loop from a device's thread. Several calls before the loop runs wake it once."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def wake(self) -> bool:
        """Wake the loop, from any thread. Returns False if the loop has ended."""
        try:
            # Not from_thread.run_sync, which waits for the loop: up to 284 ms were measured.
            self._token.run_sync_soon(self._set, idempotent=True)
        except trio.RunFinishedError:
            return False
        return True

    def _set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Wait until the loop is woken. Only one task may wait."""
        await self._event.wait()
        self._event = trio.Event()


class Held:
    """A device that stays open for the session, and is looked for when it is lost."""

    def __init__(
        self, wanted: Wanted, around: Surroundings, opens: Callable[[Wanted], Stream], host: AudioHost
    ) -> None:
        self._wanted = wanted
        self._around = around
        self._opens = opens
        self._host = host
        self._noun = NOUNS[wanted.direction]
        self.stream: Stream | None = None

    async def open(self) -> Format:
        """Open the device. Raises DeviceError."""
        self.stream = await trio.to_thread.run_sync(self._opens, self._wanted)
        return self.stream.format

    async def close(self) -> None:
        """Close the device if it is open, and wait until its callback has ended."""
        stream, self.stream = self.stream, None
        if stream is not None:
            # A callback that still runs would use a session that has ended.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(stream.close)

    def alive(self) -> bool:
        return self.stream is not None and self.stream.alive()

    async def again(self) -> Format:
        """Close the lost device and look for it until it can be opened. Returns its format, which may differ."""
        gone_us = self._around.now_us()
        self._around.event(gone_us, f"{self._noun} lost", "")
        self._around.notice(f"the {self._noun} is lost; looking for it")
        await self.close()
        attempt = 0
        while True:
            attempt += 1
            look = partial(self._host.refresh, even_if_used=attempt % FORCE_EVERY == 0)
            try:
                await trio.to_thread.run_sync(look)
                format = await self.open()
            except DeviceError:  # still lost
                await trio.sleep(RETRY_S)
                continue
            now_us = self._around.now_us()
            self._around.event(
                now_us, f"{self._noun} back", f"after {(now_us - gone_us) / US_PER_S:.1f} s: {format.name}"
            )
            self._around.notice(f"the {self._noun} is back: {format.name}")
            return format


# -- microphone --------------------------------------------------------------------------------------------------------


class DeviceMic(Provider):
    """A microphone of this machine."""

    kind = "mic"
    name = "device"
    requires = ("sounddevice", "soxr", "numpy")
    install = INSTALL
    licences = (("sounddevice", "MIT"),)
    host: AudioHost = PORTAUDIO

    class Options(opt.Options):
        device: int | str | None = None
        """Number or name (or part of the name) of the device, as `flowkit doctor` lists them. Default: the machine's
        default."""
        rate: int | None = Field(default=None, ge=8_000, le=192_000)
        """Sample rate in Hz to open the device with. Default: 16 kHz if the device supports it, otherwise its own."""
        channels: int | None = Field(default=None, ge=1, le=32)
        """Number of channels to open; they are averaged. Default: one if the device supports it."""
        aec: Aec = Aec.NONE
        """Echo canceller. `webrtc` removes the agent's own voice, for open speakers; `none` is for a headset."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises DeviceError if there is no such device."""
        find(Wanted("input", options.device), cls.host.devices())

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._canceller = canceller(self.options.aec, around.far_end, around.input_rate_hz)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open the device. Raises DeviceError."""
        await imported("numpy", "soxr")
        self._waker = Waker()
        bound = max(2, self.around.ring_us // self.around.frame_us)
        self._ring = MicRing(bound, self.host.now_us, self._waker.wake)
        rates_hz = (self.options.rate,) if self.options.rate else (self.around.input_rate_hz,)
        wanted = Wanted("input", self.options.device, rates_hz, self.options.channels, self.around.frame_us)
        opens = lambda wanted: self.host.listen(wanted, self._ring.heard, self._waker.wake)  # noqa: E731
        self._held = Held(wanted, self.around, opens, self.host)
        self._format = await self._held.open()
        self.around.notice(f"microphone: {said(self._format)}")
        try:
            yield
        finally:
            await self._held.close()

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        # Blocks from the time of loading would make all later audio late.
        cutter = FrameCutter(self._format, self.around.input_rate_hz, self.around.frame_us, self._ring.clear())
        while True:
            with trio.move_on_after(STALLED_S) as stalled:
                await self._waker.wait()
            while (block := self._ring.take()) is not None:
                await self._hear(cutter, block, emit)
            self._report_overflows(cutter)
            if stalled.cancelled_caught or not self._held.alive():
                await self._without(cutter, emit)

    async def _hear(self, cutter: FrameCutter, block: Block, emit: Emit) -> None:
        frames = cutter.cut(block)
        if cutter.lost:
            self.around.event(
                self.around.now_us(), "microphone overrun", f"{counted(cutter.lost, 'frame')} before {cutter.index}"
            )
        for index, pcm in frames:
            await emit(Frames(index, 1, pcm if self._canceller is None else self._canceller.clean(pcm)))

    def _report_overflows(self, cutter: FrameCutter) -> None:
        if overflows := self._ring.overflows:
            # Not set to 0: the callback may have counted another one meanwhile.
            self._ring.overflows -= overflows
            detail = f"the device dropped audio {counted(overflows, 'time')} before frame {cutter.index}"
            self.around.event(self.around.now_us(), "microphone overrun", detail)

    async def _without(self, cutter: FrameCutter, emit: Emit) -> None:
        """Emit silence in real time until the lost device is back."""
        back: list[Format] = []

        async def look() -> None:
            back.append(await self._held.again())
            nursery.cancel_scope.cancel()

        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(look)
                begun_s = trio.current_time()
                silence = bytes(2 * self.around.input_rate_hz * self.around.frame_us // US_PER_S)
                for due in range(1, 1 << 62):
                    # Counted from the beginning, because small delays would add up.
                    await trio.sleep_until(begun_s + due * self.around.frame_us / US_PER_S)
                    await emit(Frames(cutter.skip(), 1, silence))
        self._format = back[0]
        cutter.restart(self._format, self._ring.clear())


def said(format: Format) -> str:
    """A device's name and format as text for people."""
    channels = "mono" if format.channels == 1 else f"{format.channels} channels"
    return f"{format.name}, {format.rate_hz} Hz, {channels}"


# -- speaker -----------------------------------------------------------------------------------------------------------


class DeviceSpeaker(Provider):
    """A speaker of this machine."""

    kind = "speaker"
    name = "device"
    requires = ("sounddevice", "soxr", "numpy")
    install = INSTALL
    licences = (("sounddevice", "MIT"),)
    host: AudioHost = PORTAUDIO

    class Options(opt.Options):
        device: int | str | None = None
        """Number or name (or part of the name) of the device, as `flowkit doctor` lists them. Default: the machine's
        default."""
        rate: int | None = Field(default=None, ge=8_000, le=192_000)
        """Sample rate in Hz to open the device with. Default: its own."""
        channels: int | None = Field(default=None, ge=1, le=32)
        """Number of channels to open; all play the same. Default: one if the device supports it."""
        if_any: bool = False
        """Run without a speaker if the machine has none. It is set when the pipeline file names no speaker."""

    options: Options

    @classmethod
    def check(cls, options: Any) -> None:
        """Raises DeviceError if there is no such device, and one is needed."""
        if not options.if_any:
            find(Wanted("output", options.device), cls.host.devices())

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._zero_us = 0
        self._held: Held | None = None
        self._format: Format | None = None

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open and start the device, so that it is running when the first reply comes. Raises DeviceError."""
        await imported("numpy", "soxr")
        if self.options.if_any and not await trio.to_thread.run_sync(available, "output", self.host):
            self.around.notice(f"no speaker: nothing will be played; {WITHOUT['output']}")
            yield
            return
        self._waker = Waker()
        self._ring = SpeakerRing(self.around.frame_us, self._session_us, self._waker.wake)
        rates_hz = (self.options.rate,) if self.options.rate else ()
        wanted = Wanted("output", self.options.device, rates_hz, self.options.channels, self.around.frame_us)
        opens = lambda wanted: self.host.sound(wanted, self._wants, self._waker.wake)  # noqa: E731
        self._held = Held(wanted, self.around, opens, self.host)
        self._format = await self._held.open()
        self.around.notice(f"speaker: {said(self._format)}")
        try:
            yield
        finally:
            await self._held.close()

    def _session_us(self) -> int:
        """The session's time, callable in the device's thread. ``call`` sets the zero of the host's clock."""
        return self.host.now_us() - self._zero_us

    def _wants(self, underflowed: bool) -> bytes | None:
        """The next block for the device's callback, or None for silence. Runs in the device's thread."""
        pcm = self._ring.wants(underflowed)
        if (format := self._format) is not None:
            # Silence too: microphone and speaker are aligned by counting samples.
            self.around.far_end.put(pcm, format.rate_hz, format.channels, format.block)
        return pcm

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if self._held is None or self._format is None:
            # What is fed must be taken, or the stage would wait.
            async for _ in fed:
                pass
            return
        self._feed = SpeakerFeed(self._format)
        await self._sound(self._held, fed)

    async def _sound(self, held: Held, fed: AsyncIterator[Message]) -> None:
        self._zero_us = self.host.now_us() - self.around.now_us()
        self._ring.happenings.clear()  # events from before the session, such as an underrun while models load
        self._stepped = trio.Event()
        with lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_feeding)
                nursery.start_soon(self._watch, held)
                async for item in fed:
                    self._take(item)
                nursery.cancel_scope.cancel()
        self._ring.silence(self.around.now_us())
        self._tell()

    def _take(self, item: Message) -> None:
        if isinstance(item, Play):
            self._push(self._feed.play(item))
            self._ring.until_us = item.at_us + item.samples * US_PER_S // item.rate_hz
        elif isinstance(item, Silence):
            late = self._ring.silence(item.at_us)
            rest = self._feed.silence(item.at_us)
            if not late:
                self._push(rest)
            else:
                self.around.event(
                    self.around.now_us(), "speaker late", f"dropped {counted(late, 'late block')} when silenced"
                )
        self._stepped.set()

    def _push(self, chunks: list[DueBlock]) -> None:
        for chunk in chunks:
            self._ring.push(chunk)

    async def _keep_feeding(self) -> None:
        """Push the audio that the feed holds back when no more audio comes in time."""
        while True:
            next_us = self._feed.next_us()
            with trio.move_on_at(float("inf") if next_us is None else self.around.at_s(next_us)):
                await self._stepped.wait()
            self._stepped = trio.Event()
            self._push(self._feed.step(self.around.now_us()))

    async def _watch(self, held: Held) -> None:
        """Record the callback's events, and look for the device when it is lost."""
        while True:
            calls = self._ring.calls
            with trio.move_on_after(STALLED_S) as stalled:
                await self._waker.wait()
            self._tell()
            # The ring wakes this task only for events, so a long quiet alone does not mean that the device is lost.
            if not held.alive() or (stalled.cancelled_caught and calls == self._ring.calls):
                format = await held.again()
                if format != self._format:
                    self._format, self._feed = format, SpeakerFeed(format)

    def _tell(self) -> None:
        while self._ring.happenings:
            happening = self._ring.happenings.popleft()
            self.around.event(happening.t_us, f"speaker {happening.what}", happening.detail)
