"""Speed of exact and simulated replay of an hour's conversation, loading included, on one core; and byte-identity.

Prints JSON. Each replay is a process of its own with a random hash seed, as a user's would be; its time is CPU time from reading
the file to the last figure, without the interpreter's start and imports.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from hour import record_hour

RUNS = 200
CHILD = """
import sys, time
from pathlib import Path
from flowkit.replay.rerun import exactly
from flowkit.replay.simulate import simulate
from flowkit.config.catalog import INSTALLED
mode, path = sys.argv[1], Path(sys.argv[2])
if len(sys.argv) > 3:  # what the first configuration costs once in a process is not the trace's
    exactly(Path(sys.argv[3]))
begin = time.process_time()
if mode == "simulated":
    report = simulate(path).report
else:
    result = exactly(path)
    assert result.same, result.difference
    report = result.report
spent = time.process_time() - begin
print(spent, report.digest, report.messages, report.audio_us)
"""


def replayed(mode: str, path: Path, warm: Path | None, python: str = sys.executable) -> tuple[float, str, int, int]:
    """CPU seconds, digest, messages, microseconds of audio."""
    seed = str(random.randrange(1, 2**32))
    words = [python, "-c", CHILD, mode, str(path), *([str(warm)] if warm else [])]
    out = subprocess.run(
        words, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    ).stdout.split()
    return float(out[0]), out[1], int(out[2]), int(out[3])


def main() -> None:
    """Measure and print."""
    runs = int(os.environ.get("RUNS", RUNS))
    with tempfile.TemporaryDirectory() as folder:
        hour, short = Path(folder) / "hour.jsonl", Path(folder) / "short.jsonl"
        length_us = record_hour(hour)
        record_hour(short, turns=3)
        found: dict[str, object] = {
            "hour_s": length_us / 1e6,
            "bytes_per_minute": hour.stat().st_size / (length_us / 60e6),
        }
        for mode in ("exact", "simulated"):
            timed = [replayed(mode, hour, short) for _ in range(3)]
            best = min(timed)
            found[mode] = {"cpu_s": best[0], "times_real_time": length_us / 1e6 / best[0], "messages": best[2]}
        digests = {replayed("exact", short, None)[1] for _ in range(runs)}
        found["exact_runs"] = runs
        found["exact_digests"] = sorted(digests)
        found["simulated_digests"] = sorted({replayed("simulated", short, None)[1] for _ in range(20)})
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
