"""A caller in virtual time: plays what Twilio would, with a delay on both ways, and returns marks when they were played."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from flowkit.messages import Play
from flowkit.serve.realtime.audio import _SAMPLES, AudioFormat, Mouth
from flowkit.serve.twilio.line import PhoneLine
from flowkit.serve.twilio.protocol import PhoneCall
from tests.serve.support import TALK, HeapSession, S, plan_of, silence, tone

AUTH = "an-auth-token-of-twilio"
PHONE = (f"serve.twilio.auth_token={AUTH}",)
CALL, STREAM_SID = "CA0123", "MZ0123"
MULAW = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


def mu_law(pcm: bytes, rate_hz: int = 24_000) -> bytes:
    return Mouth(AudioFormat.PCMU, rate_hz).sound(pcm, last=True)


VOICE, QUIET = mu_law(tone(600_000)), mu_law(silence(600_000))


class HeapCaller(HeapSession):
    """Twilio and the caller behind it. `line_us`: how long a message takes, one way. `heard`: mu-law that has sounded, with the
    time at which each frame began. `piece_us`: the length of the sound in a message; Twilio's have 20 ms."""

    piece_us = 20_000

    def __init__(self, *settings: str, line_us: int = 40_000, text: str = TALK, starts: bool = True) -> None:
        plan, options = plan_of(text, *PHONE, *settings)
        self.phone = PhoneCall(plan, options, lambda call, ticket: (call, ticket) == (CALL, "good"))
        super().__init__(plan, self.phone)
        self.line_us = line_us
        self.heard: list[tuple[int, bytes]] = []
        self.cleared: list[int] = []
        self._sequence = self._taken = 0
        self._inbound: deque[tuple[int, dict[str, Any]]] = deque()
        self._buffer: deque[tuple[int, bytes | str]] = deque()
        """What Twilio is to play, with the time until which each part sounds."""
        self._until_us = 0
        self._marks: deque[tuple[int, str]] = deque()
        if starts:
            self.twilio("connected", protocol="Call", version="1.0.0")
            self.start()
            self.begin()

    # -- messages -------------------------------------------------------------------------------------------------------

    def twilio(self, event: str, content: dict[str, Any] | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Twilio sends a message; returns what the server sends at once."""
        self._sequence += 1
        known = {} if event == "connected" else {"sequenceNumber": str(self._sequence), "streamSid": STREAM_SID}
        return self.send_text(json.dumps({"event": event, **known, event: content or {}, **fields}))

    def start(self, **changed: Any) -> list[dict[str, Any]]:
        content = {
            "streamSid": STREAM_SID, "callSid": CALL, "accountSid": "AC0123", "tracks": ["inbound"],
            "mediaFormat": MULAW, "customParameters": {"ticket": "good"},
        }  # fmt: skip
        self._sequence = 0
        return self.twilio("start", {**content, **changed})

    def say(self, sound: bytes) -> None:
        """Speak in real time, one message at a time."""
        size = 8_000 * self.piece_us // S
        for first in range(0, len(sound), size):
            payload = base64.b64encode(sound[first : first + size]).decode()
            self.twilio("media", {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": payload})
            self.wait(self.piece_us)

    def listen(self, us: int) -> None:
        """Say nothing: the line is still open."""
        self.say(b"\xff" * (us * 8_000 // S))

    def press(self, digit: str) -> None:
        self.twilio("dtmf", {"track": "inbound_track", "digit": digit})

    # -- what Twilio does -------------------------------------------------------------------------------------------------

    def passed(self) -> None:
        for event in self.got[self._taken :]:
            self._inbound.append((self.us + self.line_us, event))
        self._taken = len(self.got)
        while self._inbound and self._inbound[0][0] <= self.us:
            self._take(*self._inbound.popleft())
        while self._buffer and self._buffer[0][0] <= self.us:
            at_us, one = self._buffer.popleft()
            if isinstance(one, str):
                self._marks.append((at_us + self.line_us, one))
            else:
                self.heard.append((at_us - 20_000, one))
        while self._marks and self._marks[0][0] <= self.us:
            self.twilio("mark", {"name": self._marks.popleft()[1]})

    def _take(self, at_us: int, event: dict[str, Any]) -> None:
        if event["event"] == "media":
            self._until_us = max(self._until_us, at_us) + 20_000
            self._buffer.append((self._until_us, base64.b64decode(event["media"]["payload"])))
        elif event["event"] == "mark":
            self._buffer.append((max(self._until_us, at_us), event["mark"]["name"]))
        else:
            # Twilio returns the marks of what it discards.
            self.cleared.append(at_us)
            self._marks += [(at_us + self.line_us, one) for _, one in self._buffer if isinstance(one, str)]
            self._buffer.clear()
            self._until_us = 0

    # -- looking at it ----------------------------------------------------------------------------------------------------

    def sounded_us(self) -> int:
        """How long something sounded."""
        return 20_000 * len(self.heard)

    def names(self) -> list[str]:
        return [event["event"] for event in self.got]


def told_and_sent(plays: list[tuple[int, int]], rate_hz: int) -> list[tuple[float, int]]:
    """For each mark how long the sound was that it tells of, and how long what was sent before it; in microseconds. `plays`:
    whether a new clause begins, and how many samples come."""
    line, clause, lengths, sent_us = PhoneLine(), 0, {0: 0}, 0
    found = []

    def take(parts: Iterable[bytes | str]) -> None:
        nonlocal sent_us
        for part in parts:
            if isinstance(part, bytes):
                sent_us += 20_000
                continue
            played = line.returned(part)
            assert played is not None
            before = sum(length for at, length in lengths.items() if at < played.clause)
            found.append(((before + played.sample) * S / rate_hz, sent_us))

    line.begin()
    for new, count in plays:
        if new and lengths[clause]:
            clause += 1
            lengths[clause] = 0
        take(line.play(Play(0, clause, lengths[clause], count, rate_hz, 1, bytes(2 * count))))
        lengths[clause] += count
    take(line.flush())
    return found


def loudness(sound: bytes) -> float:
    """The mean power of mu-law."""
    samples = _SAMPLES[AudioFormat.PCMU][np.frombuffer(sound, np.uint8)].astype(float)
    return float((samples**2).mean())
