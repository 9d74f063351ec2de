"""Microphone and speaker of this machine, as in ``flowkit run FILE``.

    stages:
      - {kind: mic, provider: device}
      - {kind: speaker, provider: device, device: "USB"}

A device that goes away does not end the session: the microphone hears silence, the speaker sounds none, both are looked
for once a second, and what happened is recorded.
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
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.loading import imported, lone_error
from flowkit.providers.sound.device_cutter import FrameCutter
from flowkit.providers.sound.device_feed import SpeakerFeed
from flowkit.providers.sound.device_host import (
    INSTALL,
    NOUNS,
    PORTAUDIO,
    WITHOUT,
    Format,
    Host,
    Stream,
    Wanted,
    available,
)
from flowkit.providers.sound.device_ring import Block, DueBlock, MicRing, SpeakerRing
from flowkit.providers.sound.echo import Aec, canceller

STALLED_S = 2.0
"""A device whose callback has not come for so long is gone, whatever its driver says. A cold sink may take 1.9 s."""
RETRY_S = 1.0
FORCE_EVERY = 5
"""Of so many attempts to find a lost device one starts PortAudio anew even if the other device is at work: only then
does it see a device that was plugged in again, and the other one is silent for a tenth of a second."""


class Waker:
    """Wakes the event loop from a device's thread, at most once until it has looked."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def wake(self) -> bool:
        """From any thread. False if the loop has ended. (``from_thread.run_sync`` waits for the loop: 284 ms seen.)"""
        try:
            self._token.run_sync_soon(self._set, idempotent=True)
        except trio.RunFinishedError:
            return False
        return True

    def _set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Until woken; whoever waits alone looks at everything afterwards."""
        await self._event.wait()
        self._event = trio.Event()


class Held:
    """A device that is held open as long as the session lasts, and looked for when it has gone."""

    def __init__(self, wanted: Wanted, around: Surroundings, opens: Callable[[Wanted], Stream], host: Host) -> None:
        self._wanted = wanted
        self._around = around
        self._opens = opens
        self._host = host
        self._noun = NOUNS[wanted.direction]
        self.stream: Stream | None = None

    async def open(self) -> Format:
        """Open it. Raises DeviceError."""
        self.stream = await trio.to_thread.run_sync(self._opens, self._wanted)
        return self.stream.format

    async def close(self) -> None:
        """Close it, if it is open; waits for its callback to end."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(stream.close)

    def alive(self) -> bool:
        return self.stream is not None and self.stream.alive()

    async def again(self) -> Format:
        """Told that it has gone: look for it until it is back."""
        gone_us = self._around.now_us()
        self._around.event(gone_us, f"{self._noun} lost", "")
        self._around.notice(f"the {self._noun} has gone; looking for it")
        await self.close()
        attempt = 0
        while True:
            attempt += 1
            look = partial(self._host.refresh, even_if_used=attempt % FORCE_EVERY == 0)
            try:
                await trio.to_thread.run_sync(look)
                format = await self.open()
            except DeviceError:  # still away: that it went was said, that it is back will be
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
    """The machine's microphone."""

    kind = "mic"
    name = "device"
    requires = ("sounddevice", "soxr", "numpy")
    install = INSTALL
    host: Host = PORTAUDIO

    class Options(opt.Options):
        device: int | str | None = None
        """Its number or (part of its) name as `flowkit doctor` lists them; the machine's default, if not given."""
        rate: int | None = Field(default=None, ge=8_000, le=192_000)
        """Rate in Hz to open it with; by default 16 kHz where it takes that, else its own."""
        channels: int | None = Field(default=None, ge=1, le=32)
        """Channels to open; they are averaged. By default one where it takes that."""
        aec: Aec = Aec.NONE
        """`webrtc`: take the agent's own voice out, for open speakers; `none`: for a headset."""

    options: Options

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
        cutter = FrameCutter(self._format, self.around.input_rate_hz, self.around.frame_us, self._ring.clear())
        while True:
            with trio.move_on_after(STALLED_S) as stalled:
                await self._waker.wait()
            while (block := self._ring.take()) is not None:
                await self._hear(cutter, block, emit)
            self._told_overflows(cutter)
            if stalled.cancelled_caught or not self._held.alive():
                await self._without(cutter, emit)

    async def _hear(self, cutter: FrameCutter, block: Block, emit: Emit) -> None:
        frames = cutter.cut(block)
        if cutter.lost:
            self.around.event(self.around.now_us(), "microphone overrun", f"{cutter.lost} frames before {cutter.index}")
        for index, pcm in frames:
            await emit(Frames(index, 1, pcm if self._canceller is None else self._canceller.clean(pcm)))

    def _told_overflows(self, cutter: FrameCutter) -> None:
        if overflows := self._ring.overflows:
            self._ring.overflows -= overflows
            detail = f"the device dropped sound {overflows} times before frame {cutter.index}"
            self.around.event(self.around.now_us(), "microphone overrun", detail)

    async def _without(self, cutter: FrameCutter, emit: Emit) -> None:
        """The device has gone: go on with silence, in time, until it is back. Whoever was speaking has stopped."""
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
                    await trio.sleep_until(begun_s + due * self.around.frame_us / US_PER_S)
                    await emit(Frames(cutter.skip(), 1, silence))
        self._format = back[0]
        cutter.restart(self._format, self._ring.clear())


def said(format: Format) -> str:
    """A device in words."""
    channels = "mono" if format.channels == 1 else f"{format.channels} channels"
    return f"{format.name}, {format.rate_hz} Hz, {channels}"


# -- speaker -----------------------------------------------------------------------------------------------------------


class DeviceSpeaker(Provider):
    """The machine's speaker."""

    kind = "speaker"
    name = "device"
    requires = ("sounddevice", "soxr", "numpy")
    install = INSTALL
    host: Host = PORTAUDIO

    class Options(opt.Options):
        device: int | str | None = None
        """Its number or (part of its) name as `flowkit doctor` lists them; the machine's default, if not given."""
        rate: int | None = Field(default=None, ge=8_000, le=192_000)
        """Rate in Hz to open it with; its own, if not given."""
        channels: int | None = Field(default=None, ge=1, le=32)
        """Channels to open; all sound the same. By default one where it takes that."""
        if_any: bool = False
        """Do without where the machine has no speaker at all. Set where the file leaves the speaker open."""

    options: Options

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        super().__init__(options, around, model)
        self._zero_us = 0
        self._held: Held | None = None
        self._format: Format | None = None

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open the device and let it run, so that it is warm when the first reply comes. Raises DeviceError."""
        await imported("numpy", "soxr")
        if self.options.if_any and not await trio.to_thread.run_sync(available, "output", self.host):
            self.around.notice(f"no speaker: nothing will sound; {WITHOUT['output']}")
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
        """The session's time in the device's thread: the host's clock against a zero that ``call`` takes."""
        return self.host.now_us() - self._zero_us

    def _wants(self, underflowed: bool) -> bytes | None:
        """In the device's thread."""
        pcm = self._ring.wants(underflowed)
        if (format := self._format) is not None:
            self.around.far_end.put(pcm, format.rate_hz, format.channels, format.block)
        return pcm

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if self._held is None or self._format is None:
            async for _ in fed:
                pass
            return
        self._feed = SpeakerFeed(self._format)
        await self._sound(self._held, fed)

    async def _sound(self, held: Held, fed: AsyncIterator[Message]) -> None:
        self._zero_us = self.host.now_us() - self.around.now_us()
        self._ring.told.clear()  # of before the session, such as a slow start while models load
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
                self.around.event(self.around.now_us(), "speaker late", f"dropped {late} late blocks at a silence")
        self._stepped.set()

    def _push(self, chunks: list[DueBlock]) -> None:
        for chunk in chunks:
            self._ring.push(chunk)

    async def _keep_feeding(self) -> None:
        """Hand over what the feed holds back when nothing follows in time."""
        while True:
            next_us = self._feed.next_us()
            with trio.move_on_at(float("inf") if next_us is None else self.around.at_s(next_us)):
                await self._stepped.wait()
            self._stepped = trio.Event()
            self._push(self._feed.step(self.around.now_us()))

    async def _watch(self, held: Held) -> None:
        """Tell what the callback saw, and look for the device when it has gone."""
        while True:
            calls = self._ring.calls
            with trio.move_on_after(STALLED_S) as stalled:
                await self._waker.wait()
            self._tell()
            if not held.alive() or (stalled.cancelled_caught and calls == self._ring.calls):
                format = await held.again()
                if format != self._format:
                    self._format, self._feed = format, SpeakerFeed(format)

    def _tell(self) -> None:
        while self._ring.told:
            happening = self._ring.told.popleft()
            self.around.event(happening.t_us, f"speaker {happening.what}", happening.detail)
