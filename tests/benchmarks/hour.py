"""An hour's scripted conversation as a trace: 300 turns, 20 ms frames, one barge-in in ten turns. Shared by the benchmarks."""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.config import load
from flowkit.engine import Row
from flowkit.figures.layout import layout_of
from flowkit.figures.queues import queue_reports
from flowkit.plan import Plan, resolve
from flowkit.plan.show import show
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripts_of
from flowkit.trace import names
from flowkit.trace.journal import JournalWriter
from flowkit.trace.redact import Redactor
from flowkit.trace.tape import json_text
from flowkit.trace.writer import ROOT, SpanWriter, open_new

REPLIES = (
    "The capital of France is Paris. It is a lovely town on the Seine with many bridges.",
    "Yes, of course. I can do that for you tomorrow at nine, if that suits you.",
    "There are three ways to go: by train, which takes two hours; by bus, which is cheap; or by car.",
)


def conversation(turns: int, seed: int = 1) -> tuple[Plan, str]:
    """The plan of a conversation of so many turns, and its configuration's text."""
    dice = random.Random(seed)
    at_ms, speech, heard = 400, [], []
    for turn in range(turns):
        lasts = dice.randrange(600, 2400, 20)
        speech.append(f"{{at: {at_ms}ms, lasts: {lasts}ms}}")
        heard.append(f"Question number {turn}, please?")
        at_ms += lasts + (3000 if turn % 10 == 9 else dice.randrange(9000, 11500, 20))
    lines = [
        "flowkit: 1",
        "name: hour",
        "stages:",
        f"  - {{kind: mic, provider: scripted, speech: [{', '.join(speech)}]}}",
        "  - {kind: vad, provider: scripted}",
        f"  - {{kind: asr, provider: scripted, utterances: {heard!r}}}",
        "  - {kind: gate}",
        f"  - {{kind: llm, provider: scripted, replies: [{', '.join(f'{{text: {text!r}}}' for text in REPLIES)}]}}",
        "  - {kind: chunker}",
        "  - {kind: tts, provider: scripted}",
        "  - {kind: speaker}",
    ]
    plan = resolve(load("hour.yaml", text="\n".join(lines) + "\n"))
    # What the fakes were told is no part of a real configuration; only the stages are built from it.
    plain = [line.partition(", speech:")[0].partition(", utterances:")[0].partition(", replies:")[0] for line in lines]
    config = load(
        "hour.yaml",
        text="\n".join(line if line.endswith("}") or "{" not in line else line + "}" for line in plain) + "\n",
    )
    return plan, show(config, resolve(config))


def write_trace(path: Path, plan: Plan, text: str, rows: list[Row], pump: HeapPump) -> None:
    """Write rows as a recorder would have written them, without sound."""
    layout = layout_of(plan)
    writer = SpanWriter(open_new(path), "bench", 0, Redactor().scrub)
    head = {
        names.FORMAT_VERSION: names.FORMAT,
        names.NAME: plan.name,
        names.CONFIG: text,
        names.LAYOUT: json_text(layout.to_json()),
        names.RATE: plan.input_rate_hz,
        names.VERSIONS: "{}",
        names.SESSION_ID: "bench",
        names.BASE: 0,
    }
    writer.span(names.START, 0, 0, head)
    journal = JournalWriter(layout)
    for i in range(0, len(rows), 1000):
        journal.write(writer, rows[i : i + 1000])
    journal.finish(writer)
    queues = [
        [q.stage, q.max, q.when_full, q.high_water, q.dropped, q.blocked_us]
        for q in queue_reports(pump.engine.inboxes())
    ]
    end = {
        names.REASON: pump.engine.finished or "closed",
        names.DIGEST: journal.digest(),
        names.ROWS: journal.rows,
        names.QUEUES: json_text(queues),
        names.AUDIO: "[]",
    }
    writer.span(names.SESSION, 0, journal.now_us, end, key=ROOT)
    writer.close()


def record_hour(path: Path, turns: int = 300) -> int:
    """Run and write such a conversation; returns its length in microseconds."""
    plan, text = conversation(turns)
    pump = HeapPump(plan, scripts_of(plan))
    pump.run()
    rows: list[Row] = list(pump.engine.journal)
    write_trace(path, plan, text, rows, pump)
    return rows[-1].handled_us
