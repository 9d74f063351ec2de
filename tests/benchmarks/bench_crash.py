"""Fifty sessions, each killed (SIGKILL) at a random moment: every file must be readable, at most a second lost, and what is there
must replay exactly. Prints JSON."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.replay.rerun import exactly
from flowkit.trace.reader import read_trace
from flowkit.trace.rewrite import repair

KILLS = 50
AT_ONCE = 5
CHILD = """
import sys, trio
from pathlib import Path
from flowkit.config import load
from flowkit.plan import resolve
from flowkit.plan.show import show
from flowkit.runtime.host import run_alone
from flowkit.trace.recorder import open_recorder

def told(engine, figures):  # says what time it is in the session whenever something happens
    advance = engine.advance
    def said(now_us, stimuli=()):
        print(now_us, flush=True)
        return advance(now_us, stimuli)
    engine.advance = said

config = load(sys.argv[1])
plan = resolve(config)
recorder = open_recorder(Path(sys.argv[2]), plan, config=show(config, plan))
trio.run(lambda: run_alone(plan, notice=print, observers=(recorder,), started=told))
"""
PIPELINE = Path(__file__).resolve().parents[2] / "pipelines" / "scripted.yaml"


def killed(folder: Path, numbers: range, dice: random.Random) -> list[dict[str, float]]:
    """Start some sessions, kill each at its time, look at what they left."""
    running = []
    for number in numbers:
        path = folder / f"{number}.jsonl"
        environment = {**os.environ, "PYTHONPATH": str(PIPELINE.parents[1])}
        out = (folder / f"{number}.out").open("w+")
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(PIPELINE), str(path)], stdout=out, env=environment)
        running.append((path, out, child, dice.uniform(0.2, 11.0)))
    found = []
    begun: dict[int, float] = {}
    left = list(running)
    while left:
        time.sleep(0.01)
        for entry in list(left):
            path, out, child, after_s = entry
            if child.pid not in begun and Path(out.name).stat().st_size:
                begun[child.pid] = time.monotonic()
            if child.poll() is not None or time.monotonic() - begun.get(child.pid, time.monotonic()) > after_s:
                child.send_signal(signal.SIGKILL)
                child.wait()
                left.remove(entry)
                found.append(looked_at(path, out))
    return found


def looked_at(path: Path, out: object) -> dict[str, float]:
    """What a killed session left."""
    out.seek(0)  # type: ignore[attr-defined]
    said = [
        int(line) for line in out.read().splitlines(keepends=True) if line.endswith("\n") and line.strip().isdigit()
    ]  # type: ignore[attr-defined]
    trace = read_trace(path)
    rows = trace.rows()
    last_us = rows[-1].handled_us if rows else 0
    mended = path.with_suffix(".mended.jsonl")
    repair(trace, mended)
    exact = exactly(trace).same
    return {
        "seconds": said[-1] / 1e6,
        "lost_s": (said[-1] - last_us) / 1e6,
        "exact": exact,
        "torn": any("torn" in notice for notice in trace.notices),
        "mended": read_trace(mended).row_count == len(rows) if mended.exists() else True,
    }


def main() -> None:
    """Kill and count."""
    kills, dice = int(os.environ.get("KILLS", KILLS)), random.Random(6)
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, kills, AT_ONCE):
            found += killed(Path(folder), range(first, min(kills, first + AT_ONCE)), dice)
    lost = sorted(one["lost_s"] for one in found)
    print(
        json.dumps(
            {
                "kills": len(found),
                "readable": len(found),
                "exact": sum(bool(one["exact"]) for one in found),
                "mended": sum(bool(one["mended"]) for one in found),
                "torn_lines": sum(bool(one["torn"]) for one in found),
                "lost_s": {"median": lost[len(lost) // 2], "max": lost[-1]},
                "killed_between_s": [min(one["seconds"] for one in found), max(one["seconds"] for one in found)],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
