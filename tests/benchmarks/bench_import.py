"""How well turns are found in a stereo recording with known turns, and what importing it costs.

    python -m tests.benchmarks.bench_import [MINUTES]

The recording is made by `tools/make_call.py` (about half a minute of work).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import soundfile

from flowkit.calls.call import RATE_HZ
from flowkit.calls.listen import listen
from flowkit.calls.session import write_trace
from flowkit.calls.stereo import read_stereo
from tools.make_call import AGENT, USER, long_scene, record

NEAR_US = 100_000


def main(minutes: float) -> None:
    """Print the share of turns found, and the time."""
    sound, said = record(long_scene(minutes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call.wav"
        soundfile.write(path, sound, RATE_HZ, subtype="PCM_16")
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        call = listen(read_stereo(path), path)
        session = write_trace(call, path.with_suffix(".jsonl"))
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    found = 0
    for label in said:
        side = call.user if label.who == USER else call.agent
        begins = any(abs(one.begin_us - label.start_ms * 1000) <= NEAR_US for one in side)
        ends = any(abs(one.end_us - label.end_ms * 1000) <= NEAR_US for one in side)
        found += begins and ends
    print(
        f"{call.lasts_us / 6e7:.1f} min, {sum(one.who == AGENT for one in said)} answers, {session.turns} turns in the trace"
    )
    print(f"turns within {NEAR_US // 1000} ms at both ends: {found} of {len(said)}")
    print(f"import: {wall_s:.1f} s, {cpu_s:.1f} s of processor time")
    print("\n".join(session.notices))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
