"""What one message costs the engine: mailboxes, bounds, order and journal, without pump and provider.

The stimuli of a scripted conversation are recorded once and handed to a fresh engine again and again; CPU time over rows. The
machine may be shared, so the best of several runs counts, and a bare Python loop beside it says how fast the machine is.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.engine import Effect, Engine, Stimulus
from flowkit.plan.graph import Plan
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripted_plan, scripts_of

BOUND_US = 10.0
TURNS = 30
RUNS = 7
REPLY = "The capital of France is Paris. It is a lovely town on the Seine with many bridges. Come and see it soon."

Call = tuple[int, tuple[Stimulus, ...]]


def conversation(turns: int) -> Plan:
    """Two seconds of question every ten seconds, each answered in three sentences."""
    return scripted_plan(
        mic={"speech": [{"at": f"{10 * i}s", "lasts": "2s"} for i in range(turns)]},
        asr={"utterances": tuple(f"Question {i}" for i in range(turns))},
        llm={"replies": ({"text": REPLY},)},
    )


def recorded(plan: Plan) -> list[Call]:
    """Every call of ``advance`` in a session on the heap pump."""
    pump, calls = HeapPump(plan, scripts_of(plan)), list[Call]()
    advance = pump.engine.advance

    def spy(now_us: int, stimuli: Iterable[Stimulus] = ()) -> list[Effect]:
        calls.append((now_us, tuple(stimuli)))
        return advance(now_us, stimuli)

    pump.engine.advance = spy  # type: ignore[method-assign]
    pump.run()
    return calls


def cost_us(plan: Plan, calls: list[Call]) -> tuple[float, int]:
    """Microseconds of CPU a row, and the number of rows."""
    engine = Engine(plan)
    engine.begin(0)
    gc.collect()
    gc.disable()  # as timeit does: the rows of a whole session at once are more than a live one ever holds
    start = time.process_time()
    for now_us, stimuli in calls:
        engine.advance(now_us, stimuli)
    spent = time.process_time() - start
    gc.enable()
    return spent * 1e6 / len(engine.journal), len(engine.journal)


def machine_us() -> float:
    """A million rounds of an empty loop, per hundred rounds: how fast this machine runs Python just now."""
    start = time.process_time()
    for _ in range(1_000_000):
        pass
    return (time.process_time() - start) * 1e6 / 10_000


def main() -> None:
    plan = conversation(TURNS)
    calls = recorded(plan)
    runs = [(*cost_us(plan, calls), machine_us()) for _ in range(RUNS)]
    best, rows, _ = min(runs)
    result = {
        "name": "engine: one message",
        "value": round(best, 2),
        "unit": "us",
        "bound": BOUND_US,
        "ok": best <= BOUND_US,
        "rows": rows,
        "runs_us": [round(us, 2) for us, _, _ in runs],
        "hundred_empty_loops_us": round(min(loop for _, _, loop in runs), 2),
        "in_hundreds_of_empty_loops": round(min(us / loop for us, _, loop in runs), 2),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
