"""What flowkit adds to a tool: from its outcome to the model's next request, and to a filler beyond `say_after` and the voice.

One reply in real time calls a Trio function again and again, which takes 150 ms. Each call has a filler after 50 ms. A wait begins
when the function returns and ends when the llm stage makes its request. A filler is late by what passes from the call to the first
sound at the speaker's provider, less `say_after` and the time that the voice was told to take. The function itself sleeps the same
times: what it is late by is the machine's and the timers' share, and is taken off. Prints JSON; exit code 1 if a bound is not kept:
1 ms in the median, and 5 ms in the median.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import ClassVar

import trio

from flowkit import trust
from flowkit.config import load
from flowkit.engine import Row
from flowkit.figures.report import quantile
from flowkit.messages import Ask, Clause, Message, Play, ToolCall
from flowkit.options import Options
from flowkit.plan import require
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.base import Emit, Provider
from flowkit.runtime.host import run_alone
from flowkit.stages.chunking import FILLER
from flowkit.testing.sessions import Kept

CALLS = int(sys.argv[1]) if len(sys.argv) > 1 else 100
REQUEST_BOUND_MS, FILLER_BOUND_MS = 1.0, 5.0
SAY_AFTER_US, VOICE_US, TAKES_S = 50_000, 20_000, 0.08
PIPELINE = f"""
flowkit: 1
limits: {{tool_rounds: {CALLS}}}
tools: [{{call: "__main__:look", effects: none, say_after: {{after: {SAY_AFTER_US}us, text: "Hm."}}}}]
stages:
  - {{kind: mic, provider: scripted, speech: [{{at: 100ms, lasts: 300ms}}], length: 10min}}
  - {{kind: vad, provider: scripted, end: 100ms}}
  - {{kind: asr, provider: scripted, utterances: ["Look."]}}
  - {{kind: gate}}
  - kind: llm
    provider: scripted
    first_token: 5ms
    replies: [{{text: "", calls: [{{name: look}}]}}, {{after: look, text: "", calls: [{{name: look}}]}}]
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, first_audio: {VOICE_US}us, per_char: 5ms}}
  - {{kind: speaker, provider: memory}}
"""


class Ear(Provider):
    """A speaker that only notes when each clause's first sound came."""

    kind, name = "speaker", "ear"
    heard_us: ClassVar[dict[int, int]] = {}
    now_us: ClassVar[Callable[[], int]]

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        Ear.now_us = self.around.now_us
        async for item in fed:
            if isinstance(item, Play):
                self.heard_us.setdefault(item.clause, self.around.now_us())


returned_us: list[int] = []
"""When each call was over, in session time."""
bare_us: list[int] = []
"""How late a bare Trio function is that sleeps as long as the filler takes."""


async def look() -> str:
    """Look."""
    began_us = Ear.now_us()
    await trio.sleep(SAY_AFTER_US / 1e6)
    await trio.sleep(VOICE_US / 1e6)
    bare_us.append(Ear.now_us() - began_us - SAY_AFTER_US - VOICE_US)
    await trio.sleep(TAKES_S)
    returned_us.append(Ear.now_us())
    return "nothing"


def with_ear(plan: Plan) -> Plan:
    ear = ProviderChoice("ear", Ear, Options())
    return replace(plan, stages=tuple(replace(s, provider=ear) if s.kind == "speaker" else s for s in plan.stages))


def figures(values_us: list[int]) -> dict[str, float]:
    ordered = sorted(values_us)
    return {name: quantile(ordered, share) / 1000 for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1))}


def waits(rows: list[Row]) -> tuple[list[int], list[int]]:
    """From each outcome to the next request, and how late each filler was."""
    called = [row.handled_us for row in rows if row.stage == "tools" and isinstance(row.message, ToolCall)]
    asked = [row.handled_us for row in rows if isinstance(row.message, Ask) and row.message.steps]
    fillers = [
        row.message.index
        for row in rows
        if row.stage == "tts" and isinstance(row.message, Clause) and row.message.reason == FILLER
    ]
    # The model has nothing to say, so it is asked once more after its last call.
    requests = [after - before for before, after in zip(returned_us, asked[:CALLS], strict=True)]
    return requests, [Ear.heard_us[i] - at - SAY_AFTER_US - VOICE_US for i, at in zip(fillers, called, strict=True)]


def main() -> int:
    trust.allow("__main__")
    kept = Kept()
    plan = with_ear(require(load("tools.yaml", text=PIPELINE)))

    async def session() -> None:
        await run_alone(plan, notice=lambda line: print(line, file=sys.stderr), observers=(kept,), turns=1)

    trio.run(session)
    requests, late = waits(kept.all)
    beyond_ms = round(figures(late)["p50"] - figures(bare_us)["p50"], 3)
    kept_bounds = figures(requests)["p50"] <= REQUEST_BOUND_MS and beyond_ms <= FILLER_BOUND_MS
    result = {
        "name": "what flowkit adds to a tool",
        "calls": len(requests),
        "outcome_to_request_ms": {**figures(requests), "p50_bound": REQUEST_BOUND_MS},
        "filler_beyond_bare_trio_ms": {"p50": beyond_ms, "p50_bound": FILLER_BOUND_MS},
        "filler_late_ms": figures(late),
        "bare_trio_late_ms": figures(bare_us),
        "ok": kept_bounds,
    }
    print(json.dumps(result, indent=1))
    return 0 if kept_bounds else 1


if __name__ == "__main__":
    raise SystemExit(main())
