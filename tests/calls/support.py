"""Long sessions of scripted providers for these tests, as traces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from flowkit.calls.call import ImportedCall
from flowkit.calls.reports.read import read_report
from flowkit.calls.reports.report import call_of
from flowkit.config import load
from flowkit.plan import resolve
from flowkit.plan.show import show
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripts_of
from flowkit.trace import open_recorder


def talk(path: Path, said: Sequence[str], every_ms: int = 3000) -> Path:
    """Write the trace of a session in which the user says these things, and each gets an answer that repeats it."""
    stages = [
        {
            "kind": "mic",
            "provider": "scripted",
            "speech": [{"at": f"{300 + every_ms * n}ms", "lasts": "600ms"} for n in range(len(said))],
        },
        {"kind": "vad", "provider": "scripted", "end": "300ms"},
        {"kind": "asr", "provider": "scripted", "utterances": list(said)},
        {"kind": "gate"},
        {"kind": "llm", "provider": "scripted", "replies": [{"text": f"You said: {text}"} for text in said]},
        {"kind": "chunker"},
        {"kind": "tts", "provider": "scripted", "per_char": "20ms"},
        {"kind": "speaker", "provider": "memory"},
    ]
    text = yaml.safe_dump({"flowkit": 1, "name": path.stem, "stages": stages}, width=100_000)
    config = load(f"{path.stem}.yaml", text=text)
    plan = resolve(config)
    pump = HeapPump(plan, scripts_of(plan))
    pump.run()
    recorder = open_recorder(path, plan, config=show(config, plan), audio=False)
    recorder.begin(1_700_000_000_000_000)
    recorder.rows(list(pump.engine.journal))
    recorder.close(pump.engine.finished or "closed")
    return path


def call_from(path: Path) -> ImportedCall:
    """The call of a report, without sound."""
    return call_of(read_report(path), path)
