"""A pipeline file whose agent books a table, with scripted tools, for tests of what is shown and kept of tools."""

from __future__ import annotations

from pathlib import Path

from flowkit.config import load
from flowkit.plan import resolve
from flowkit.plan.show import show
from tests.trace.recording import record

BISTRO = """
flowkit: 1
name: bistro
tools:
  - {{call: "bistro.tables:book", say_after: {{after: 500ms, text: "One moment, I am looking."}}}}
  - {{call: "bistro.tables:look", effects: none}}
stages:
  - {{kind: mic, provider: scripted, speech: {speech}, length: 12s}}
  - {{kind: vad, provider: scripted}}
  - {{kind: asr, provider: scripted, utterances: ["A table for two.", "And a high chair."]}}
  - {{kind: gate}}
  - kind: llm
    provider: scripted
    replies:
      - text: "Let me see."
        calls: [{{name: look, arguments: '{{"time": "19:30"}}'}}, {{name: book, arguments: '{{"people": 2}}'}}]
      - {{text: "Of course."}}
      - {{after: look, text: "Your table is booked."}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker, provider: memory}}
  - kind: tools
    provider: scripted
    outcomes:
      - {{tool: book, after: 1500ms, says: "table 7"}}
      - {{tool: look, after: 700ms, says: "full", fails: true}}
"""
ONCE, CUT_OFF = "[{at: 300ms, lasts: 800ms}]", "[{at: 300ms, lasts: 800ms}, {at: 3s, lasts: 600ms}]"


def bistro(speech: str = ONCE) -> str:
    """The file. With `CUT_OFF` the user interrupts while the tools run."""
    return BISTRO.format(speech=speech)


def record_as_real(path: Path, text: str) -> Path:
    """Record a session of the file `text` with its scripted tools, as if the file had called its own."""
    real = load("bistro.yaml", text=text.partition("  - kind: tools")[0])
    record(path, resolve(load("bistro.yaml", text=text)), config=show(real, resolve(real)), audio=False)
    return path
