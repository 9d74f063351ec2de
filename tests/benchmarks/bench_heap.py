"""How much faster than life the heap pump is: an hour's conversation, frame by frame, at least 500 times.

CPU time of the whole replay: engine, pump, stages and scripts, journal in memory. The best of several runs counts, because the
machine may be shared.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripts_of
from tests.benchmarks.bench_engine import conversation, machine_us

BOUND = 500.0
TURNS = 360
RUNS = 3


def main() -> None:
    plan, speeds, rows, virtual_s, digests = conversation(TURNS), list[float](), 0, 0.0, set[str]()
    for _ in range(RUNS):
        pump = HeapPump(plan, scripts_of(plan))
        gc.collect()
        start = time.process_time()
        pump.run()
        spent = time.process_time() - start
        rows, virtual_s = len(pump.engine.journal), pump.engine.now_us / 1e6
        speeds.append(virtual_s / spent)
        digests.add(pump.engine.journal.digest())
    result = {
        "name": "heap pump: an hour's conversation",
        "value": round(max(speeds)),
        "unit": "times real time",
        "bound": BOUND,
        "ok": max(speeds) >= BOUND and len(digests) == 1,
        "rows": rows,
        "virtual_s": round(virtual_s),
        "us_a_row": round(virtual_s / max(speeds) * 1e6 / rows, 2),
        "runs": [round(speed) for speed in speeds],
        "hundred_empty_loops_us": round(machine_us(), 2),
        "digest": sorted(digests),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
