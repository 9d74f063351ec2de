"""How near a simulated replay comes to the live session: TTFA of each turn of a real-time session with scripted providers, against
its replay. A hundred turns take some ten minutes of wall time, for a live session is live. Prints JSON."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import trio

from flowkit.config import load
from flowkit.figures.metrics import measure
from flowkit.figures.queues import queue_reports
from flowkit.plan import resolve
from flowkit.plan.show import show
from flowkit.replay.simulate import simulate
from flowkit.runtime.host import run_alone
from flowkit.trace.reader import read_trace
from flowkit.trace.recorder import open_recorder

TURNS = 100
EVERY_MS = 3000


def pipeline(turns: int) -> str:
    """Short questions every three seconds, short answers."""
    speech = ", ".join(f"{{at: {400 + EVERY_MS * i}ms, lasts: 400ms}}" for i in range(turns))
    heard = [f"Question {i}?" for i in range(turns)]
    return f"""flowkit: 1
name: fidelity
stages:
  - {{kind: mic, provider: scripted, speech: [{speech}]}}
  - {{kind: vad, provider: scripted}}
  - {{kind: asr, provider: scripted, utterances: {heard!r}}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, replies: [{{text: "It is so. Yes."}}, {{text: "No, it is not."}}, {{text: "Perhaps."}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker}}
"""


def main() -> None:
    """Run live, replay, compare."""
    turns = int(os.environ.get("TURNS", TURNS))
    with tempfile.TemporaryDirectory() as folder:
        config = load("fidelity.yaml", text=pipeline(turns))
        plan, path = resolve(config), Path(folder) / "live.jsonl"
        recorder = open_recorder(path, plan, config=show(config, plan))
        outcome = trio.run(lambda: run_alone(plan, notice=lambda line: None, observers=(recorder,)))
        recorder.close(outcome.reason, queue_reports(outcome.inboxes))
        trace = read_trace(path)
        live = measure(trace.rows(), plan=trace.layout, voiced=trace.reference)
        replayed = simulate(trace).report
        pairs = list(zip(live.turns, replayed.turns, strict=True))
        errors = sorted(abs(a.ttfa_us - b.ttfa_us) for a, b in pairs if a.ttfa_us is not None and b.ttfa_us is not None)
        found = {
            "turns": len(errors),
            "ttfa_error_ms": {
                "median": errors[len(errors) // 2] / 1000,
                "p99": errors[int(0.99 * (len(errors) - 1))] / 1000,
                "max": errors[-1] / 1000,
            },
            "stalls_over_20ms": outcome.figures.stalls.held,
            "bytes_per_minute": path.stat().st_size / (trace.rows()[-1][5] / 60e6),
        }
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
