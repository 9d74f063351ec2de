"""Scripted sessions for these tests: from a pipeline's YAML to the whole journal, by the heap pump."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flowkit.config import load
from flowkit.engine import Row
from flowkit.figures.reference import Reference
from flowkit.messages import Message
from flowkit.plan import Plan, resolve
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripts_of

PARIS = "The capital of France is Paris. It is a lovely town on the Seine with many bridges. Come and see it soon."


@dataclass
class Session:
    """A session that has run: its plan, engine and rows, and the reference detector over what the user said."""

    plan: Plan
    pump: HeapPump
    rows: list[Row]
    reference: Reference


class Overheard(Script):
    """A source's script, overheard by the reference detector."""

    def __init__(self, inner: Script, reference: Reference) -> None:
        self._inner = inner
        self._reference = reference

    def open(self, request: Message) -> InlineCall:
        inner = self._inner.open(request)
        return InlineCall(opened=lambda: self._heard(inner.opened()))

    def _heard(self, answers: Iterable[tuple[int, Message]]) -> Iterator[tuple[int, Message]]:
        for delay_us, item in answers:
            if pcm := getattr(item, "pcm", b""):
                self._reference.add(item.index, pcm)  # type: ignore[attr-defined]
            yield delay_us, item


def pipeline(
    speech: str = "{at: 280ms, lasts: 820ms}, {at: 2780ms, lasts: 1s}",
    *,
    heard: tuple[str, ...] = ("What is the capital of France?", "And of Spain?"),
    replies: tuple[str, ...] = (PARIS, "Madrid."),
    **stages: str,
) -> str:
    """A scripted pipeline's YAML; `stages` adds options to a stage by kind, such as ``tts="piece: 20ms"``."""
    fixed = {
        "mic": f"speech: [{speech}]",
        "vad": "",
        "asr": f"utterances: {list(heard)!r}",
        "llm": "replies: [" + ", ".join(f"{{text: {reply!r}}}" for reply in replies) + "]",
        "tts": "",
    }
    lines = ["flowkit: 1", "name: test", "stages:"]
    for kind in (
        "mic",
        "vad",
        "asr",
        *(["turn"] if "turn" in stages else []),
        "gate",
        "llm",
        "chunker",
        "tts",
        "speaker",
    ):
        options = [fixed.get(kind, ""), stages.get(kind, "")]
        provider = "provider: scripted" if kind in fixed or kind == "turn" else ""
        lines.append("  - {" + ", ".join(part for part in (f"kind: {kind}", provider, *options) if part) + "}")
    return "\n".join(lines) + "\n"


def planned(text: str) -> Plan:
    """The plan of a pipeline's YAML."""
    return resolve(load("test.yaml", text=text))


def run(text: str) -> Session:
    """Run a scripted pipeline to its end."""
    plan = planned(text)
    reference = Reference(plan.input_rate_hz * plan.frame_us // 1_000_000)
    made = scripts_of(plan)
    made["mic"] = Overheard(made["mic"], reference)
    pump = HeapPump(plan, made)
    pump.run()
    return Session(plan, pump, pump.engine.journal.rows, reference)
