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
from flowkit.serve.connection import ClientProtocol
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


class HeapSession:
    """A session and its client's protocol in virtual time. `got` has every event that the server has sent. It is looked at every
    `step_us`."""

    step_us = 10_000

    def __init__(self, plan: Plan, protocol: ClientProtocol) -> None:
        self.plan = plan
        # No tool of the file is called here, and what runs these is not inline.
        inline = replace(plan, stages=tuple(stage for stage in plan.stages if stage.kind != "tools"))
        self.pump = HeapPump(plan, scripts_of(inline))
        self.talk = protocol
        self.got: list[dict[str, Any]] = []
        self.us = self._seen = 0
        self.pump.run(until_us=0)

    def begin(self) -> None:
        self.talk.begin()
        self.wait(0)

    def send_text(self, text: str | None) -> list[dict[str, Any]]:
        """Send a message; returns what the server sends at once."""
        before = len(self.got)
        self.talk.received(text, self.us)
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
            self.passed()
        return self.got[before:]

    def passed(self) -> None:
        """A step of time has passed."""

    def _carry_out(self) -> None:
        journal = self.pump.engine.journal
        while True:
            rows = journal.since(self._seen)
            self._seen += len(rows)
            self.talk.observed(rows)
            self.got += [json.loads(event) for event in self.talk.events()]
            orders = self.talk.orders()
            if not orders and not rows:
                return
            for to, message in orders:
                if to == "mic":
                    self.pump.push(message, self.us)
                else:
                    self.pump.tell(to, message, self.us)
            self.pump.run(until_us=self.us)

    def messages(self, kind: type) -> list[Any]:
        """The messages of this kind that were handled."""
        return [row.message for row in self.pump.engine.journal.rows if type(row.message) is kind and not row.fate]

    def replays(self) -> bool:
        again = Rerun(self.plan, self.pump.engine.journal.rows, whole=False)
        for _ in again:
            pass
        return again.difference is None


class HeapClient(HeapSession):
    """A client of the Realtime protocol."""

    def __init__(self, *settings: str, text: str = TALK, session: dict[str, Any] | None = None) -> None:
        plan, options = plan_of(text, *settings)
        self.protocol = Protocol(plan, options, "sess_test", session)
        super().__init__(plan, self.protocol)
        self.begin()

    def send(self, type: str, **fields: Any) -> list[dict[str, Any]]:
        """Send an event; returns what the server sends at once."""
        return self.send_text(json.dumps({"type": type, **fields}))

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
