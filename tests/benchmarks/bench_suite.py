"""How long 100 stored traces of one minute take to be tested, on two processes; and the page of a ten-minute session.

    python tests/benchmarks/bench_suite.py [TRACES]

Prints one JSON object. Traces are recorded first, in virtual time, and approved.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from flowkit.cli import main
from flowkit.config import load
from flowkit.plan import Plan, resolve
from flowkit.plan.show import show
from flowkit.report.page import of_trace, page
from flowkit.trace.reader import read_trace

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.trace.recording import record
from tests.trace.sessions import pipeline

REPLIES = (
    "It is a lovely town on the river, with many bridges and towers. You should come and see it in spring.",
    "Well, there are three of them, and all are open until ten in the evening.",
    "Yes. I would take the train, because it is faster than the bus and you can work on the way.",
)
_EVERY_MS = 9_500
_DISTINCT = 10
"""So many conversations are recorded; the others are copies, for recording takes far longer than testing."""


def minute(number: int, minutes: int = 1) -> str:
    """A pipeline whose user speaks every nine seconds or so for `minutes`, and seldom interrupts."""
    count = minutes * 60_000 // _EVERY_MS
    spans = ", ".join(
        f"{{at: {300 + i * _EVERY_MS - (i % 5 == 4) * 4_000 + number}ms, lasts: 1400ms}}" for i in range(count)
    )
    heard = tuple(f"This is question {i} of conversation {number}?" for i in range(count))
    return pipeline(
        spans, heard=heard, replies=REPLIES, llm=f"first_token: {150 + number}ms", mic=f"length: {60 * minutes}s"
    )


def recorded(path: Path, text: str, *, audio: bool) -> Plan:
    """Record the session of `text` to `path`."""
    config = load("p.yaml", text=text)
    plan = resolve(config)
    record(path, plan, config=show(config, plan), audio=audio)
    return plan


def timed_test(folder: Path, jobs: int) -> float:
    """Seconds that ``flowkit test`` takes, from start to exit, in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "flowkit", "test", str(folder), "-j", str(jobs)]
    code = subprocess.call(command, stdout=subprocess.DEVNULL)
    assert code == 0, code
    return time.perf_counter() - started


def bench(count: int) -> dict[str, object]:
    """All figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.pop("CI", None)
        for number in range(min(count, _DISTINCT)):
            recorded(folder / f"t{number:03}.jsonl", minute(number), audio=False)
        with redirect_stdout(StringIO()):
            assert main(["approve", str(folder), "-y"]) == 0
        for number in range(_DISTINCT, count):
            for suffix in (".jsonl", ".expect.yaml"):
                shutil.copy(folder / f"t{number % _DISTINCT:03}{suffix}", folder / f"t{number:03}{suffix}")
        seconds = {jobs: min(timed_test(folder, jobs) for _ in range(3)) for jobs in (1, 2)}
        size = sum(path.stat().st_size for path in folder.glob("*.jsonl")) / count
        recorded(folder / "long.jsonl", minute(0, 10), audio=True)
        started = time.perf_counter()
        text = page([of_trace(read_trace(folder / "long.jsonl"))])
        made = time.perf_counter() - started
    return {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "traces": count,
        "bytes_a_trace": round(size),
        "seconds_one_process": round(seconds[1], 2),
        "seconds_two_processes": round(seconds[2], 2),
        "page_of_ten_minutes_mb": round(len(text.encode()) / 1e6, 2),
        "page_of_ten_minutes_made_s": round(made, 2),
    }


if __name__ == "__main__":
    print(json.dumps(bench(int(sys.argv[1]) if len(sys.argv) > 1 else 100), indent=1))
