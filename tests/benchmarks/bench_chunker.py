"""What the chunker costs: microseconds a token, and milliseconds until the first text is in.

A token: over the English cases' prose and over 5,000 words without a mark, as `chunker_peers.py` measures every chunker.
The start: fresh interpreters that import, make and feed one, in turns with interpreters that do nothing, whose median is taken
off. Once as this environment starts Python, where a development install has already imported `re` and `enum`, and once
without `site`, where they count. All is processor time, so that a busy machine does not count. Prints JSON.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from chunker_peers import cost

from flowkit.testing.score import chunk, load

ROOT = Path(__file__).resolve().parents[2]
RUNS = 25
BOUND_US, BOUND_MS = 10.0, 5.0
IMPORT = "from flowkit import Chunker"
MAKE = f"{IMPORT}; chunker = Chunker()"
FEED = f"{MAKE}; chunker.feed('Sure! Yes, of course: I can help you with that today. ')"
STEPS = {
    "bare": "pass",
    "import": IMPORT,
    "make": MAKE,
    "feed": FEED,
    "feed_markup": f"{FEED}; chunker.feed('See **the total** now. It is fine. ')",
}


def cpu_ms(command: list[str]) -> float:
    """The processor time of one process, which keeps what it compiles, as an installation does."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment | {"PYTHONPATH": str(ROOT)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def start(*options: str) -> dict[str, float]:
    """The milliseconds of each step, those of the steps before it taken off."""
    took: dict[str, list[float]] = {name: [] for name in STEPS}
    for _ in range(RUNS + 1):
        for name, program in STEPS.items():
            took[name].append(cpu_ms([sys.executable, *options, "-c", program]))
    medians = [median(times[1:]) for times in took.values()]  # the first round may compile
    steps = [now - before for before, now in zip([0.0, *medians], medians, strict=False)]
    return {f"{name}_ms": round(step, 2) for name, step in zip(STEPS, steps, strict=True)}


def main() -> None:
    figures = cost(chunk, load(ROOT / "tests" / "chunker" / "cases" / "open.jsonl"))
    starts = {"as_installed": start(), "without_site": start("-S")}
    installed = starts["as_installed"]
    ready_ms = round(installed["import_ms"] + installed["make_ms"], 2)
    within = max(figures["prose_us"] or 0, figures["plain_5000_us"] or 0) <= BOUND_US and ready_ms <= BOUND_MS
    print(
        json.dumps(
            {"python": platform.python_version(), **figures, "start": starts, "ready_ms": ready_ms, "within": within},
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
