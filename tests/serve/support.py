"""A client of the protocol in virtual time: the protocol on top of a session on the heap pump, without a socket."""

from __future__ import annotations

import base64
import json
import math
from array import array
from dataclasses import replace
from typing import Any

from flowkit.config import load
from flowkit.config.serve import Serve
from flowkit.plan.graph import Plan
from flowkit.replay.heap import HeapPump
from flowkit.replay.rerun import Rerun
from flowkit.serve.pipeline import served
from flowkit.serve.realtime.protocol import Protocol
from flowkit.testing.sessions import scripts_of

S = 1_000_000
TALK = """flowkit: 1
name: talk
stages:
  - {kind: mic}
  - {kind: vad, provider: scripted, end: 200ms}
  - {kind: asr, provider: scripted, utterances: [How are you?, And else?, Good bye.], partial_every: 200ms}
  - {kind: gate}
  - kind: llm
    provider: scripted
    replies:
      - text: "Let me see."
        to: Where is it?
        calls: [{name: look, arguments: '{"at": 1}'}]
      - {after: look, text: "It is on the left, beside the door."}
      - {text: "Very well, thank you, it is a town on a river, with bridges and with towers."}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker}
"""
TOOL = {
    "type": "function",
    "name": "look",
    "description": "Look where it is.",
    "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}},
}


def plan_of(text: str = TALK, *settings: str) -> tuple[Plan, Serve]:
    """The plan of a served pipeline, and its `serve:` block."""
    config, plan = served(load("talk.yaml", text=text, overrides=settings))
    return plan, config.top.serve


def tone(us: int, rate_hz: int = 24_000, loud: int = 8_000) -> bytes:
    """A tone, which the scripted VAD takes for voice."""
    count = us * rate_hz // S
    return array("h", [round(loud * math.sin(n * 2 * math.pi * 440 / rate_hz)) for n in range(count)]).tobytes()


def silence(us: int, rate_hz: int = 24_000) -> bytes:
    return bytes(2 * (us * rate_hz // S))


class HeapClient:
    """A client in virtual time. `got` has every event that the server has sent. It is looked at every `step_us`."""

    step_us = 10_000

    def __init__(self, *settings: str, text: str = TALK, session: dict[str, Any] | None = None) -> None:
        self.plan, options = plan_of(text, *settings)
        # No tool of the file is called here, and what runs these is not inline.
        inline = replace(self.plan, stages=tuple(stage for stage in self.plan.stages if stage.kind != "tools"))
        self.pump = HeapPump(self.plan, scripts_of(inline))
        self.protocol = Protocol(self.plan, options, "sess_test")
        self.got: list[dict[str, Any]] = []
        self.us = self._seen = 0
        self.pump.run(until_us=0)
        self.protocol.begin(session or {})
        self.wait(0)

    def send(self, type: str, **fields: Any) -> list[dict[str, Any]]:
        """Send an event; returns what the server sends at once."""
        return self.send_text(json.dumps({"type": type, **fields}))

    def send_text(self, text: str | None) -> list[dict[str, Any]]:
        before = len(self.got)
        self.protocol.received(text, self.us)
        self.wait(0)
        return self.got[before:]

    def wait(self, us: int) -> list[dict[str, Any]]:
        """Let time pass; returns what the server sends meanwhile."""
        before, until = len(self.got), self.us + us
        self._carry_out()
        # As live: what the session does is observed before time goes on.
        while self.us < until:
            self.us = min(until, self.us + self.step_us)
            self.pump.run(until_us=self.us)
            self._carry_out()
        return self.got[before:]

    def _carry_out(self) -> None:
        journal = self.pump.engine.journal
        while True:
            rows = journal.since(self._seen)
            self._seen += len(rows)
            self.protocol.observed(rows)
            self.got += [json.loads(event) for event in self.protocol.events()]
            orders = self.protocol.orders()
            if not orders and not rows:
                return
            for to, message in orders:
                if to == "mic":
                    self.pump.push(message, self.us)
                else:
                    self.pump.tell(to, message, self.us)
            self.pump.run(until_us=self.us)

    def say(self, pcm: bytes, piece_us: int = 100_000) -> None:
        """Append sound in real time."""
        size = 2 * 24_000 * piece_us // S
        for first in range(0, len(pcm), size):
            self.send("input_audio_buffer.append", audio=base64.b64encode(pcm[first : first + size]).decode())
            self.wait(piece_us)

    def write(self, text: str) -> None:
        """Send a message of the user, and ask for a response."""
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send("response.create")

    def types(self, since: int = 0) -> list[str]:
        return [event["type"] for event in self.got[since:]]

    def of(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.got if event["type"] == type]

    def error(self) -> dict[str, Any]:
        """The last error."""
        found: dict[str, Any] = self.of("error")[-1]["error"]
        return found

    def audio(self) -> bytes:
        return b"".join(base64.b64decode(event["delta"]) for event in self.of("response.output_audio.delta"))

    def replays(self) -> bool:
        again = Rerun(self.plan, self.pump.engine.journal.rows, whole=False)
        for _ in again:
            pass
        return again.difference is None
