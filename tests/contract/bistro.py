"""The restaurant of ``pipelines/restaurant.yaml`` as a whole session: its tools as they ship, a model on the chat
emulator, and a user who speaks at given times. Under a clock that jumps, so that every instant is the same each time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flowkit.config import load
from flowkit.engine import Row
from flowkit.messages import Message
from flowkit.plan import require
from flowkit.plan.graph import Plan
from flowkit.providers.tools.functions import ToolContext
from flowkit.runtime.host import run_alone
from flowkit.runtime.session import SessionOutcome
from flowkit.samples import restaurant
from flowkit.testing.emulators import ChatCall, ChatReply, GroqEmulator, ServerFault
from flowkit.testing.sessions import Kept

SHIPPED = (Path(__file__).parents[2] / "pipelines/restaurant.yaml").read_text("utf-8").partition("stages:\n")[0]
STAGES = """
interrupt: {{speech_for: 60ms}}
stages:
  - {{kind: mic, provider: scripted, frame: 20ms, speech: {speech}, length: {length_ms}ms}}
  - {{kind: vad, provider: scripted, end: 100ms, start: 20ms}}
  - {{kind: asr, provider: scripted, utterances: {utterances}, final_after: 20ms}}
  - {{kind: gate}}
  - {{kind: llm, provider: openai_compatible, base_url: "{url}/v1", model: any, system: "You book tables.", {llm}}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, per_char: 20ms}}
  - {{kind: speaker, provider: memory}}
"""
QUESTION, SECOND = "A table for two at half past seven.", "And a high chair."
CALL = ChatCall("book_table", '{"people": 2, "time": "19:30"}')
GREETING = "Hello, this is the bistro. How can I help you?"
BEFORE, RESULT, ANSWER = "Let me see.", "Your table for two is booked, at half past seven.", "Of course."


def replies(messages: list[dict[str, Any]]) -> ChatReply:
    """What the emulated model says: it books at the first question, and tells the outcome."""
    if messages[-1]["role"] == "tool":
        return ChatReply(RESULT)
    return ChatReply(BEFORE, (CALL,)) if messages[-1]["content"] == QUESTION else ChatReply(ANSWER)


@dataclass(frozen=True)
class Evening:
    """A session's evidence. `booked`: the key of each booking that was really made."""

    outcome: SessionOutcome
    rows: list[Row]
    events: list[tuple[int, str, str]]
    requests: list[dict[str, Any]]
    booked: list[str]

    def at_us(self, stage: str, kind: type[Message], after_us: int = 0) -> int:
        """When `stage` handled the first message of this kind after a time."""
        times = (row.handled_us for row in self.rows if row.stage == stage and isinstance(row.message, kind))
        return next(at_us for at_us in times if at_us >= after_us)


def evening(
    monkeypatch: pytest.MonkeyPatch,
    *,
    speech_ms: Iterable[int] = (2_000,),
    utterances: Iterable[str] = (QUESTION, SECOND),
    tools: str = SHIPPED,
    takes_s: float = 2.0,
    llm: str = "",
    faults: Iterable[ServerFault] = (),
    length_ms: int = 14_000,
    reply: Callable[[list[dict[str, Any]]], ChatReply] = replies,
) -> Evening:
    """Run a session in which the user speaks at `speech_ms` for 300 ms each, and a booking takes `takes_s`."""
    restaurant._booked.clear()
    booked: list[str] = []

    async def book_table(people: int, time: str, context: ToolContext) -> dict[str, object]:
        """Book a table."""
        await trio.sleep(takes_s)
        booked.append(context.key)
        return function(people, time, context)

    function = restaurant.book_table
    monkeypatch.setattr(restaurant, "book_table", book_table)
    speech = json.dumps([{"at": f"{at}ms", "lasts": "300ms"} for at in speech_ms])
    emulator = GroqEmulator(reply=reply, token_s=0.2)
    kept = Kept()

    def plan() -> Plan:
        stages = STAGES.format(
            speech=speech,
            utterances=json.dumps(list(utterances)),
            url=emulator.url,
            llm=llm.replace("{url}", emulator.url),
            length_ms=length_ms,
        )
        return require(load("restaurant.yaml", text=tools + stages, environ={}))

    async def main() -> SessionOutcome:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: emulator.serve(task_status=task_status))
            emulator.faults.extend(faults)
            outcome = await run_alone(
                plan(), notice=lambda line: None, observers=(kept,), settled=wait_all_tasks_blocked
            )
            nursery.cancel_scope.cancel()
        return outcome

    try:
        outcome = trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        monkeypatch.setattr(restaurant, "book_table", function)
    requests = [seen.body for seen in emulator.seen if seen.path.endswith("/chat/completions")]
    return Evening(outcome, kept.all, kept.events, requests, booked)
