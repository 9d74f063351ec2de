"""Interrupts at random instants, thousands of them: not one frame of an interrupted reply reaches the device, and none
sounds later than one frame after the decision, whatever the device's phase and drift."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from flowkit.config import load
from flowkit.messages import Hold, Interrupt, Message, Play, Silence
from flowkit.plan import Plan, require
from flowkit.providers.inline import InlineCall, Script
from flowkit.providers.sound.device_feed import SpeakerFeed
from flowkit.providers.sound.device_host import Format
from flowkit.providers.sound.device_ring import SpeakerRing
from flowkit.providers.sound.timeline import Timeline
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripts_of

FRAME_US = 20_000
INTERRUPTS = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 2_000
SESSIONS = 20 if INTERRUPTS == 2_000 else 1_000
TALK = "I will tell you a long story, one clause after another, about a dog, a cat, and a mouse. " * 3


@dataclass
class Card(Script):
    """A speaker with two timelines: one on playback's own grid, and one of a device with its own clock."""

    phase_us: int
    drift_ppm: int
    pump: HeapPump | None = None
    timeline: Timeline = field(default_factory=Timeline)
    on_grid: list[tuple[int, int]] = field(default_factory=list)
    on_device: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clock_us = 0
        self._ticks = 0
        self._ring = SpeakerRing(FRAME_US, lambda: self._clock_us, lambda: True)
        self._feed = SpeakerFeed(Format("claimed", 16_000, 1, 320))

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        assert self.pump is not None
        now_us = self.pump.engine.now_us
        self.run_until(now_us)
        if isinstance(item, Play):
            self.timeline.play(item)
            for chunk in self._feed.play(item):
                self._ring.push(chunk)
            self._ring.until_us = item.at_us + item.samples * 1_000_000 // item.rate_hz
        elif isinstance(item, Silence):
            self.timeline.silence(item.at_us)
            late = self._ring.silence(item.at_us)
            for chunk in () if late else self._feed.silence(item.at_us):
                self._ring.push(chunk)
        return ()

    def run_until(self, until_us: int) -> None:
        """Everything that was played before `until_us`, without a tick at that time."""
        grid_us = until_us // FRAME_US * FRAME_US
        self.on_grid += [(pop.t_us, pop.epoch) for pop in self.timeline.pop_until(grid_us)]
        while (tick_us := self._tick_us()) < until_us:
            self._clock_us = tick_us
            for chunk in self._feed.step(tick_us):
                self._ring.push(chunk)
            sounding = self._ring._chunks[0].epoch if self._ring.waiting() else -1
            if self._ring.wants(False) is not None:
                self.on_device.append((tick_us, sounding))
            self._ticks += 1

    def _tick_us(self) -> int:
        return round((self._ticks * FRAME_US + self.phase_us) * (1 + self.drift_ppm / 1e6))


def talkative(random_: random.Random, utterances: int) -> Plan:
    """A user who speaks at random times, mostly while the agent speaks."""
    at_ms, spans = 300, []
    for _ in range(utterances):
        lasts_ms = random_.randrange(240, 700, 20)
        spans.append(f"{{at: {at_ms}ms, lasts: {lasts_ms}ms}}")
        at_ms += lasts_ms + random_.randrange(400, 1_600)
    words = ", ".join(['"Go on."'] * utterances)
    text = f"""
flowkit: 1
stages:
  - {{kind: mic, provider: scripted, speech: [{", ".join(spans)}]}}
  - {{kind: vad, provider: scripted, end: 200ms}}
  - {{kind: asr, provider: scripted, utterances: [{words}]}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, first_token: 60ms, per_token: 8ms, replies: [{{text: "{TALK}"}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, first_audio: 40ms, per_piece: 3ms}}
  - {{kind: speaker}}
"""
    return require(load("talkative.yaml", text=text, environ={}))


def held(seed: int) -> tuple[int, int, int]:
    """Run one session.

    Returns the number of its interrupts, and the number of stale frames on the grid and on the device.
    """
    random_ = random.Random(seed)
    plan = talkative(random_, INTERRUPTS // SESSIONS + 15)
    card = Card(random_.randrange(FRAME_US), random_.randrange(-200, 200))
    scripts: dict[str, Script] = scripts_of(plan) | {"speaker": card}
    card.pump = HeapPump(plan, scripts)
    card.pump.run()
    card.run_until(card.pump.engine.now_us + 10_000_000)
    interrupts = grid = device = 0
    decided_us: int | None = None
    for row in card.pump.engine.journal.rows:
        if row.stage != "speaker" or row.fate:
            continue
        if isinstance(row.message, Hold):
            decided_us = row.handled_us
        if isinstance(row.message, Interrupt):
            interrupts += 1
            silent_us = decided_us if decided_us is not None else row.handled_us
            cut_us = -(-silent_us // FRAME_US) * FRAME_US
            grid += sum(1 for at_us, epoch in card.on_grid if at_us >= cut_us and epoch < row.epoch)
            device += sum(1 for at_us, epoch in card.on_device if at_us > silent_us + FRAME_US and epoch < row.epoch)
            decided_us = None
    return interrupts, grid, device


@pytest.mark.parametrize("part", range(4))
def test_no_frame_of_an_interrupted_reply_is_popped(part: int) -> None:
    """A quarter of the interrupts, so that the parts can run in parallel."""
    total = 0
    for seed in range(part, 2 * SESSIONS, 4):
        interrupts, grid, device = held(seed)
        assert (grid, device) == (0, 0), f"seed {seed}"
        total += interrupts
        if total >= INTERRUPTS // 4:
            return
    raise AssertionError(f"only {total} interrupts came about")
