"""What recording costs: CPU in the writing thread, the longest job, how long exports hold the event loop's
thread, bytes a minute. Prints JSON.

A scripted conversation's hand-overs, every 250 ms of it, are given to a recorder's tape one by one, timed each. A bare Python loop
beside it says how fast the machine is just now. For the hold, this thread does nothing but look at the clock while the writing
thread writes a hand-over every 10 ms. As the writer's doing counts the part of a gap in which the writer ran.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hour import conversation

from flowkit.engine import Row
from flowkit.messages import Frames
from flowkit.replay.heap import HeapPump
from flowkit.runtime.realtime import in_real_time
from flowkit.testing.sessions import scripts_of
from flowkit.trace.recorder import Recorder, open_recorder
from flowkit.trace.tape import Job

TURNS = 30
HAND_OVER_US = 250_000


def jobs(recorder: Recorder, batches: list[list[Row]], pcm: bytes) -> list[float]:
    """Seconds of the writing thread's CPU for each hand-over; each input frame brings `pcm`, if it is not empty."""
    recorder.begin()
    # The work is done in this thread; the recorder's own ends, since it has nothing to look after.
    recorder._thread.remove(recorder._backlog)
    spent: list[float] = []
    for batch in batches:
        job = Job(with_sound(batch, pcm), [])
        begin = time.thread_time()
        recorder._tape.job(job)
        spent.append(time.thread_time() - begin)
    assert not recorder._tape.lost, recorder._tape.lost
    return spent


def with_sound(rows: list[Row], pcm: bytes) -> list[Row]:
    """The rows, with `pcm` in each input frame."""
    return [row._replace(message=replace(row.message, pcm=pcm)) if type(row.message) is Frames else row for row in rows]


def main() -> None:
    """Measure and print."""
    plan, text = conversation(TURNS)
    pump = HeapPump(plan, scripts_of(plan))
    pump.run()
    rows = list(pump.engine.journal)
    batches: dict[int, list[Row]] = {}
    for row in rows:
        batches.setdefault(row.handled_us // HAND_OVER_US, []).append(row)
    with tempfile.TemporaryDirectory() as folder:
        # The input's levels and its WAV file are sound, not messages: measured apart.
        recorder = open_recorder(Path(folder) / "rows.jsonl", plan, config=text)
        rows_only = jobs(recorder, list(batches.values()), pcm=b"")
        recorder.close()
        path = Path(folder) / "a.jsonl"
        recorder = open_recorder(path, plan, config=text)
        spent = jobs(recorder, list(batches.values()), pcm=bytes(640))
        length_s = rows[-1][5] / 1e6
        recorder.close()
        size = path.stat().st_size
        recorder = open_recorder(Path(folder) / "held.jsonl", plan, config=text)
        recorder.begin()
        writing = recorder._thread._thread
        assert writing is not None
        clock = time.pthread_getcpuclockid(writing.ident or 0)
        alone = _gaps_ms(lambda _: None, len(batches), clock)
        written = _gaps_ms(lambda i: recorder.rows(held[i]), len(held := list(batches.values())), clock)
        recorder.close()
    ordered = sorted(spent)
    begin = time.thread_time()
    sum(i for i in range(3_000_000))
    loop_s = time.thread_time() - begin
    found = {
        "rows": len(rows),
        "us_a_message": 1e6 * sum(rows_only) / len(rows),
        "us_a_message_with_sound": 1e6 * sum(spent) / len(rows),
        "share_of_a_core": sum(spent) / length_s,
        "job_ms": {
            "median": 1e3 * ordered[len(ordered) // 2],
            "p99": 1e3 * ordered[int(0.99 * len(ordered))],
            "max": 1e3 * ordered[-1],
        },
        "loop_held_ms": {
            "by_the_writer": _worst([own for _, own in written]),
            "writing": _worst([gap for gap, _ in written]),
            "nobody_writes": _worst([gap for gap, _ in alone]),
        },
        "bytes_per_minute": size / (length_s / 60),
        "python_loop_of_3M_s": loop_s,
    }
    print(json.dumps(found, indent=1))


def _gaps_ms(hand_over: Callable[[int], object], count: int, clock: int) -> list[tuple[float, float]]:
    """Looks at the clock all the time, handing over `count` times, every 10 ms. Returns the longest gap between two looks in each
    of the times between, and the longest that the thread with that CPU `clock` ran in a gap, for on a shared machine a gap may be
    somebody else's doing. The interpreter is as a session has it."""
    found: list[tuple[float, float]] = []
    with in_real_time():
        for i in range(count):
            hand_over(i)
            gap = own = 0.0
            last, ran = time.perf_counter(), time.clock_gettime(clock)
            end = last + 0.01
            while last < end:
                now, runs = time.perf_counter(), time.clock_gettime(clock)
                gap, own = max(gap, now - last), max(own, min(now - last, runs - ran))
                last, ran = now, runs
            found.append((1e3 * gap, 1e3 * own))
    return found


def _worst(gaps_ms: list[float]) -> dict[str, float]:
    ordered = sorted(gaps_ms)
    return {"median": ordered[len(ordered) // 2], "p99": ordered[int(0.99 * len(ordered))], "max": ordered[-1]}


if __name__ == "__main__":
    sys.exit(main())
