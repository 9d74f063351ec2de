"""How much an hour's session grows: a scripted conversation on the live pump, recorded, followed and shown as ``flowkit run`` does
it, under a clock that jumps. Prints JSON.

Memory is the process's own, resident. What is loaded comes within the first minutes; the hour may grow by 5 MB beyond the fifth.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from pathlib import Path

import trio
import trio.testing
from hour import conversation
from rich.console import Console

from flowkit.engine import Row
from flowkit.engine.observer import Observer
from flowkit.report.live import LiveView
from flowkit.runtime.echo import EchoWatch
from flowkit.runtime.host import run_alone
from flowkit.trace.recorder import Recorder, open_recorder

TURNS_A_MINUTE = 6
"""Enough of them; the session is closed when the time is over."""
MINUTE_US = 60_000_000


class Probe(Observer):
    """Notes the memory and draws the picture every minute of the session's time. It waits for the recorder's thread, which a clock
    that jumps outruns."""

    def __init__(self, view: LiveView, recorder: Recorder) -> None:
        self.bytes: list[int] = []
        self._view = view
        self._recorder = recorder

    def rows(self, rows: list[Row]) -> None:
        self._recorder.flush()
        if rows and rows[-1].handled_us >= MINUTE_US * len(self.bytes):
            self._view.picture()
            self.bytes.append(resident())


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=60)
    minutes = parser.parse_args().minutes
    plan, text = conversation(minutes * TURNS_A_MINUTE)
    view = LiveView(plan, console=Console(file=io.StringIO(), width=100, height=40))
    with tempfile.TemporaryDirectory() as folder:
        recorder = open_recorder(Path(folder) / "a.jsonl", plan, config=text)
        probe = Probe(view, recorder)
        observers = (EchoWatch(plan, view.say), recorder, view.state, probe)
        outcome = trio.run(
            lambda: run_alone(
                plan,
                notice=view.say,
                observers=observers,
                started=view.started,
                duration_us=minutes * MINUTE_US,
                settled=trio.testing.wait_all_tasks_blocked,
            ),
            clock=trio.testing.MockClock(autojump_threshold=0),
        )
        recording = recorder.close(outcome.reason)
    assert not recording.lost, recording.lost
    settled = min(5, len(probe.bytes) - 1)
    found = {
        "minutes": minutes,
        "turns": len(outcome.figures.report().turns),
        "rows": recording.rows,
        "mb_at_minute": {m: round(probe.bytes[m] / 1e6, 2) for m in range(0, len(probe.bytes), 5)},
        "mb_grown_since_minute_5": round((probe.bytes[-1] - probe.bytes[settled]) / 1e6, 2),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
