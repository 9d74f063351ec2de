"""Collects the stalls of the event loop, by the place in the provider that caused them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trio

from flowkit.clock import whole_ms
from flowkit.providers.base import Provider
from flowkit.runtime.watchdog import Stall

LIMIT_US = 50_000
"""A step of the event loop that takes longer is a fault. In a session the watchdog reports 20 ms already."""
_AGAIN = 3
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line \d+, in (?P<name>\S+)')
_KIT = str(Path(__file__).parent)
_TRIO = str(Path(trio.__file__).parent)


@dataclass
class _Place:
    where: str
    lasted_us: list[int] = field(default_factory=list)

    def told(self) -> str:
        middle_us = sorted(self.lasted_us)[len(self.lasted_us) // 2]
        return f"for {whole_ms(middle_us)} ms ({self.where})"


class StallLog:
    """The stalls of one provider.

    One stall is no fault, because on a busy machine anything may be slow once. While the provider is loaded, only stalls in its own
    code count: an author cannot avoid those that a library causes from a thread.
    """

    def __init__(self, cls: type[Provider]) -> None:
        self._files = {inspect.getsourcefile(base) for base in cls.__mro__ if issubclass(base, Provider)}
        self._files.discard(inspect.getsourcefile(Provider))
        self._calling: dict[str, _Place] = {}
        self._loading: dict[str, _Place] = {}

    def stalled(self, stall: Stall, *, calling: bool) -> None:
        """Record a stall. `calling`: a call was running."""
        # Other processes had the cores, for which the provider is not to blame.
        if not stall.held:
            return
        frames = list(_FRAME.finditer(stall.stack))
        own = [n for n, frame in enumerate(frames) if frame["file"] in self._files]
        if calling:
            if not own and frames and frames[-1]["file"].startswith(_KIT):
                return  # the kit itself, which checks the answers of another session
            shown = frames[own[-1] if own else -1] if frames else None
            self._note(self._calling, shown, stall)
        elif own and not any(frame["file"].startswith(_TRIO) for frame in frames[own[-1] :]):
            self._note(self._loading, frames[own[-1]], stall)

    def _note(self, places: dict[str, _Place], frame: re.Match[str] | None, stall: Stall) -> None:
        key = f"{frame['file']} {frame['name']}" if frame else ""
        where = frame.group() if frame else "during a call; the place was not seen"
        places.setdefault(key, _Place(where)).lasted_us.append(stall.lasted_us)

    def in_calls(self) -> Iterator[str]:
        """Yield a fault for each place in a call that stalled several times since the last time."""
        places, self._calling = self._calling, {}
        again = {key: place for key, place in places.items() if len(place.lasted_us) >= _AGAIN}
        for key, place in again.items():
            # A stall whose place was not seen adds nothing where a place is known.
            if key or len(again) == 1:
                yield f"blocks the event loop {place.told()}"

    def while_loaded(self) -> Iterator[str]:
        """Yield a fault for each place that stalled whenever it was loaded."""
        for place in self._loading.values():
            if len(place.lasted_us) >= _AGAIN:
                yield f"blocks the event loop while it is loaded or made ready, {place.told()}"
