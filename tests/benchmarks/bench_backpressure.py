"""Five thousand tokens at once into a slow voice: nothing piles up anywhere, and the LLM's stream is held back.

The reply is there at its first instant; the voice makes half a second of sound in half a second and speaks it in real
time. At every virtual second: how many tokens the pipeline has accepted, what waits on every edge, and how much memory
the session holds beyond its journal.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.messages import Token
from flowkit.plan.graph import Plan
from flowkit.replay.heap import HeapPump
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import Broken, bounds_hold, nothing_is_hoarded
from flowkit.testing.sessions import scripted_plan, scripts_of

TOKENS = 5_000
SECONDS = 60
FLAT_KB = 64
SENTENCE = ["This ", "voice ", "takes ", "its ", "time ", "and ", "says ", "one ", "word. ", "Then "]


def main() -> None:
    tokens = tuple(SENTENCE[i % len(SENTENCE)] for i in range(TOKENS))
    plan = scripted_plan(
        mic={"speech": [{"at": "0ms", "lasts": "200ms"}], "length": f"{SECONDS + 5}s"},
        asr={"utterances": ("Tell me everything.",)},
        llm={"replies": ({"tokens": tokens},), "first_token": "0ms", "per_token": "0ms"},
        tts={"first_audio": "500ms", "per_piece": "20ms"},
    )
    evidence = Evidence(plan)
    pump = HeapPump(evidence.onto(plan), scripts_of(plan))
    evidence.attach(pump.engine)
    accepted, edges, outboxes = [], 0, 0
    for second in range(1, SECONDS + 1):
        pump.run(until_us=second * 1_000_000)
        rows = pump.engine.journal.rows
        accepted.append(sum(1 for row in rows if row.stage == "llm" and isinstance(row.message, Token)))
        edges = max(edges, *(len(inbox.queue) for _, inbox in pump.engine.inboxes()))
        outboxes = max(outboxes, *(len(slot.outbox) for slot in pump.engine._slots))
    kept = broken(evidence)
    growth_kb = memory_growth_kb(plan)
    result = {
        "name": "5,000 tokens at once into a slow voice: tokens accepted after a minute",
        "value": accepted[-1],
        "unit": "tokens",
        "bound": TOKENS // 2,
        "ok": accepted[-1] < TOKENS // 2 and not kept and growth_kb <= FLAT_KB,
        "accepted_by_second": {str(s): accepted[s - 1] for s in (1, 2, 5, 10, 20, 30, 60)},
        "high_water": {f"{s}.{i.port}": f"{i.high_water} of {i.bound.max}" for s, i in pump.engine.inboxes()},
        "longest_queue": edges,
        "longest_outbox": outboxes,
        "broken_bounds": kept,
        "memory_growth_kb_from_20_s_to_60_s": growth_kb,
        "rows": len(pump.engine.journal),
    }
    print(json.dumps(result, indent=1))


def broken(evidence: Evidence) -> str:
    """The first bound that was not kept, inside a stage or between two; empty if all were."""
    for promise in (bounds_hold, nothing_is_hoarded):
        try:
            promise(evidence)
        except Broken as error:
            return str(error)
    return ""


def memory_growth_kb(plan: Plan) -> float:
    """What the session holds at the end beyond what it held after a third, its journal handed on as it is live."""
    pump = HeapPump(plan, scripts_of(plan))
    tracemalloc.start()
    held = []
    for second in range(1, SECONDS + 1):
        pump.run(until_us=second * 1_000_000)
        pump.engine.journal.take()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return round((max(held[40:]) - max(held[:20])) / 1024, 1)


if __name__ == "__main__":
    main()
