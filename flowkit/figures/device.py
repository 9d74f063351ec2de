"""The events of a speaker's device. Playback computes times on a grid of its own, but a device pops frames by its own clock. So
the device's times of when sound began and ended replace those that playback planned."""

from __future__ import annotations

import re

from flowkit.figures.records import TurnRecord

BEGAN, ENDED = "speaker began", "speaker ended"
"""Names of events: a speaker's device popped the first block after silence, or the first silence after sound."""
_STOP_US = 500_000
"""A silence of the device that follows a decision to stop within this time is its effect."""
_BEGAN = re.compile(r"\bepoch=(\d+)\b.*\blate_us=(-?\d+)\b")


class DeviceEvents:
    """Keeps the device's events until the reply that they belong to is complete."""

    def __init__(self) -> None:
        self._late_us: dict[int, int] = {}
        """How much later than planned the reply began to sound, by epoch."""
        self._silent_us: list[int] = []

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Keep an event of the device. Ignores all others."""
        if name == ENDED:
            self._silent_us.append(at_us)
        elif name == BEGAN and (found := _BEGAN.search(detail)) is not None:
            # The first one counts, because a reply that is resumed begins to sound again in the same epoch.
            self._late_us.setdefault(int(found[1]), int(found[2]))

    def apply(self, reply: TurnRecord) -> None:
        """Put the events about a reply's sound into its record, and forget them and earlier ones."""
        reply.late_us = self._late_us.get(reply.epoch, 0)
        self._late_us = {epoch: us for epoch, us in self._late_us.items() if epoch > reply.epoch}
        if (interrupt := reply.interrupt) is not None:
            after_us = [us for us in self._silent_us if 0 <= us - interrupt.decided_us <= _STOP_US]
            interrupt.popped_us = min(after_us, default=None)
        self._silent_us = [us for us in self._silent_us if us > (reply.ended_us or 0)]
