"""What a sweep and a shrink cost. The figure for 100 settings on 100 minutes is extrapolated from a part of it, or
measured: `--whole` sweeps as many copies of the trace as make 100 minutes, on all cores, which takes five minutes on two.

python -m tests.benchmarks.bench_sweep TRACE [--whole]    # a trace of some minutes, such as an imported call
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import copyfile
from statistics import median

from flowkit.calls.shrink import condition, shrink
from flowkit.calls.sweep import SweepJob, points_of, tallied
from flowkit.figures.report import Report, TurnReport
from flowkit.replay.predict import WORLDS
from flowkit.trace.reader import read_trace
from tests.calls.support import talk

BOTH = condition(["{what: user, contains: alpha}", "{what: user, contains: omega}"])


class Second:
    """Shown by the second turn alone in the figures of the whole session. A replay shows it with both turns only."""

    def __init__(self) -> None:
        self.whole: tuple[TurnReport, ...] = ()

    def __call__(self, report: Report) -> bool:
        self.whole = self.whole or report.turns
        if all(turn in self.whole for turn in report.turns):
            return any("omega" in turn.user for turn in report.turns)
        return BOTH(report)


POINTS = points_of(["stages.vad.end=300ms..1s/100ms"])


def whole(trace: str) -> None:
    """Print what the command takes for 100 settings on 100 minutes, each in one world."""
    minutes = read_trace(trace).rows()[-1][5] / 6e7
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count := math.ceil(100 / minutes)):
            copyfile(trace, Path(folder) / f"{number}.jsonl")
        settings = ["--set", "stages.vad.end=300ms..1200ms/100ms", "--set", "stages.vad.start=60ms..240ms/20ms"]
        began_s = time.perf_counter()
        command = [sys.executable, "-m", "flowkit", "sweep", folder, "--worlds", "0", "--format", "json", *settings]
        swept = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        took_s = time.perf_counter() - began_s
    points = len(json.loads(swept)["points"])
    print(f"sweep: {points} settings on {count * minutes:.0f} min in {took_s:.0f} s, {os.cpu_count()} cores")


def main(trace: str) -> None:
    """Print the processor time of both."""
    tallied(SweepJob(trace, None, tuple(POINTS[:1])))  # a worker reads a trace once
    took_s: list[float] = []
    for point in POINTS:
        began_s = time.process_time()
        tallied(SweepJob(trace, None, (point,)))
        took_s.append(time.process_time() - began_s)
    each_s = median(took_s)
    known = read_trace(trace)
    minutes = known.rows()[-1][5] / 6e7
    print(f"sweep: {each_s:.2f} s for a setting on {minutes:.1f} min, {60 * minutes / each_s:.0f} times real time")
    print(f"       100 settings on 100 minutes: {100 * 100 / minutes * each_s:.0f} s, shared by the cores")
    said = [f"Question number {number}." for number in range(400)]
    said[137], said[301] = "The word is alpha.", "The word is omega."
    began_s = time.process_time()
    tallied(SweepJob(trace, None, tuple(POINTS[:1]), WORLDS))
    print(f"       a setting of the front, with {WORLDS} worlds: {time.process_time() - began_s:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        session = read_trace(talk(Path(folder) / "many.jsonl", said, every_ms=5000))
        for name, shows in (("both show it", BOTH), ("one shows it", Second())):
            began_s = time.process_time()
            found = shrink(session, shows)
            took_s = time.process_time() - began_s
            print(f"shrink, {name}: turns {found.turns} of {found.of}, {found.replays} replays, {took_s:.1f} s")
    began_s = time.process_time()
    for _ in range(3_000_000):
        pass
    print(f"bare loop: {time.process_time() - began_s:.2f} s")


if __name__ == "__main__":
    (whole if "--whole" in sys.argv else main)(sys.argv[1])
