"""A telephone call as a state machine: Twilio's messages and journal rows in, messages and orders out.

A caller's sound is the microphone, keys are messages to the gate, and marks tell the speaker what was played. An interruption
is a `clear`. Twilio has no message for errors, so whatever breaks the protocol ends the call, and the close says why.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any

from flowkit.config.serve import Serve
from flowkit.engine import Fate, Row
from flowkit.messages import EndOfReply, Interrupt, Keys, Message, Play, Played, ReplyPlayed, Utterance
from flowkit.plan.graph import Plan
from flowkit.serve.http import json_bytes
from flowkit.serve.microphone import Microphone
from flowkit.serve.orders import Order
from flowkit.serve.realtime.audio import AudioFormat, Ear
from flowkit.serve.realtime.errors import EventRefused
from flowkit.serve.twilio.line import PhoneLine, payload
from flowkit.serve.twilio.webhook import TICKET
from flowkit.serve.variables import ValuesRefused, asked_for

LAST_KEY = "#"
"""Passes on the keys before it at once, and is not one of them."""
_MOST_KEYS = 32
_DIGITS = "0123456789*#ABCD"
Values = Callable[[Mapping[str, Any]], Mapping[str, str]]


class CallPhase(Enum):
    """Where the call is."""

    OPENED = auto()
    CONNECTED = auto()
    """Twilio has said which protocol it speaks."""
    STARTED = auto()
    """The stream has been admitted."""
    OVER = auto()


_P = CallPhase
TABLE: dict[tuple[CallPhase, str], CallPhase] = {
    (_P.OPENED, "connected"): _P.CONNECTED,
    (_P.CONNECTED, "start"): _P.STARTED,
    (_P.STARTED, "media"): _P.STARTED,
    (_P.STARTED, "mark"): _P.STARTED,
    (_P.STARTED, "dtmf"): _P.STARTED,
    (_P.STARTED, "stop"): _P.OVER,
}
"""What may come when. Anything else that Twilio is known to send breaks the protocol."""
_NAMES = frozenset(event for _, event in TABLE)


class CallBroken(Exception):
    """Twilio's messages are not as documented, or the stream is not admitted. Ends the call; the reason is in its close."""


class PhoneCall:
    """The protocol of one call.

    Args:
        plan: what its session runs.
        options: the file's `serve:` block, which has `twilio`.
        admits: whether a stream of this CallSid may begin, with this ticket.
        values: the session's values of `{{name}}`, given those of the stream. May raise ValuesRefused.
    """

    def __init__(self, plan: Plan, options: Serve, admits: Callable[[str, str], bool], values: Values = dict) -> None:
        self.variables: Mapping[str, str] = {}
        self.phase = CallPhase.OPENED
        self.broken = ""
        """Why the connection must be closed; empty if it need not."""
        self.replying = False
        """Whether the agent says something, or is about to."""
        self._admits = admits
        self._values = values
        assert options.twilio is not None
        self._pause_us = options.twilio.key_pause
        self._ahead_us = options.limits.ahead
        self._ear = Ear(AudioFormat.PCMU, plan.input_rate_hz)
        self._mic = Microphone(plan.input_rate_hz, plan.frame_us)
        self._kinds = {stage.id: stage.kind for stage in plan.stages}
        self._line = PhoneLine()
        self._stream = ""
        self._number = 0
        """The number of the newest message."""
        self._heard_us = 0
        self._keys = ""
        self._keys_us = 0
        """When the last key was pressed."""
        self._events: list[dict[str, Any]] = []
        self._orders: list[Order] = []

    @property
    def ready(self) -> bool:
        """Whether the session may begin."""
        return self.phase is CallPhase.STARTED

    @property
    def over(self) -> bool:
        """Whether the caller has hung up."""
        return self.phase is CallPhase.OVER

    def begin(self) -> None:
        """The session has begun. From now on the marks tell what was played."""
        self._orders.append(Order("speaker", Played(0, 0)))

    def received(self, text: str | None, now_us: int) -> None:
        """Handle a message of Twilio, at session time `now_us`. None: one that is not text."""
        if self.broken or self.over:
            return
        try:
            self._handle(_read(text), now_us)
        except (CallBroken, EventRefused, ValuesRefused) as error:
            self.broken = str(error)
        # Sound comes all the time, so no clock of its own is needed.
        if self._keys and now_us - self._keys_us >= self._pause_us:
            self._pass_keys()

    def observed(self, rows: Iterable[Row]) -> None:
        """Handle what the session has done."""
        for row in rows:
            if row.fate is Fate.HANDLED:
                kind, handler = _ROWS.get(type(row.message), ("", None))
                if handler is not None and kind == self._kinds.get(row.stage):
                    handler(self, row.message)

    def failed(self, message: str) -> None:
        """The session ends, and not because the caller wants it to. Twilio has no message for that."""

    def events(self) -> list[bytes]:
        """The new messages for Twilio, as JSON."""
        events, self._events = self._events, []
        return [json_bytes(event) for event in events]

    def orders(self) -> list[Order]:
        """The new orders for the session."""
        orders, self._orders = self._orders, []
        return orders

    @property
    def ordering(self) -> bool:
        """Whether there are any."""
        return bool(self._orders)

    # -- messages of Twilio ---------------------------------------------------------------------------------------------

    def _handle(self, event: Mapping[str, Any], now_us: int) -> None:
        name = event.get("event")
        if not isinstance(name, str) or name not in _NAMES:
            return  # what is not documented yet must not end calls
        after = TABLE.get((self.phase, name))
        if after is None:
            raise CallBroken(f"{name} is out of place")
        if name != "connected" and not self._follows(event):
            return
        if (handler := _HANDLERS.get(name)) is not None:
            handler(self, _object(event.get(name), name), now_us)
        self.phase = after

    def _follows(self, event: Mapping[str, Any]) -> bool:
        """Whether this is newer than what came before, and of this stream. What is not is left out."""
        number = _number(event.get("sequenceNumber"), "sequenceNumber")
        if number <= self._number or (self._stream and event.get("streamSid") != self._stream):
            return False
        self._number = number
        return True

    def _start(self, start: Mapping[str, Any], now_us: int) -> None:
        format = _object(start.get("mediaFormat"), "start.mediaFormat")
        if (format.get("encoding"), str(format.get("sampleRate"))) != ("audio/x-mulaw", "8000"):
            raise CallBroken("the stream is not mu-law at 8000 Hz")
        stream, call = start.get("streamSid"), start.get("callSid")
        if not isinstance(stream, str) or not stream or not isinstance(call, str):
            raise CallBroken("start has no streamSid or no callSid")
        parameters = _object(start.get("customParameters", {}), "start.customParameters")
        if not self._admits(call, str(parameters.get(TICKET, ""))):
            raise CallBroken("the stream has no valid ticket")
        self.variables = self._values(asked_for(parameters))
        self._stream = stream

    def _media(self, media: Mapping[str, Any], now_us: int) -> None:
        # A stream that is opened with other TwiML may have the agent's own sound too.
        if media.get("track", "inbound") != "inbound":
            return
        if not isinstance(sound := media.get("payload"), str):
            raise CallBroken("media has no payload")
        if self._heard_us - now_us > self._ahead_us:
            raise CallBroken("there is too much sound ahead of its time (serve.limits.ahead)")
        pcm, us = self._ear.hear(sound)
        self._heard_us += us
        self._orders += [Order("mic", frames) for frames in self._mic.hear(pcm, now_us)]

    def _mark(self, mark: Mapping[str, Any], now_us: int) -> None:
        if (played := self._line.returned(str(mark.get("name")))) is not None:
            self._orders.append(Order("speaker", played))

    def _dtmf(self, dtmf: Mapping[str, Any], now_us: int) -> None:
        key = dtmf.get("digit")
        if not isinstance(key, str) or len(key) != 1 or key not in _DIGITS:
            raise CallBroken("dtmf has no digit")
        self._keys_us = now_us
        if key != LAST_KEY:
            self._keys += key
        if key == LAST_KEY or len(self._keys) >= _MOST_KEYS:
            self._pass_keys()

    def _pass_keys(self) -> None:
        if self._keys:
            self._orders.append(Order("gate", Keys(self._keys)))
        self._keys = ""

    # -- rows -----------------------------------------------------------------------------------------------------------

    def _send(self, sound: Iterable[bytes | str]) -> None:
        for one in sound:
            if isinstance(one, bytes):
                self._event("media", {"payload": payload(one)})
            else:
                self._event("mark", {"name": one})

    def _event(self, name: str, content: Mapping[str, Any] | None = None) -> None:
        event = {"event": name, "streamSid": self._stream}
        self._events.append({**event, name: content} if content else event)

    def _begun(self, row: Utterance) -> None:
        self.replying = True
        self._line.begin()

    def _interrupted(self, row: Interrupt) -> None:
        self.replying = False
        # What waits to be sent is of the old reply too.
        self._events = [event for event in self._events if event["event"] not in ("media", "mark")]
        if self._line.stop():
            self._event("clear")

    def _played(self, row: ReplyPlayed) -> None:
        self.replying = False


_HANDLERS: dict[str, Callable[[PhoneCall, Mapping[str, Any], int], None]] = {
    "start": PhoneCall._start,
    "media": PhoneCall._media,
    "mark": PhoneCall._mark,
    "dtmf": PhoneCall._dtmf,
}


_ROWS: dict[type[Message], tuple[str, Callable[[PhoneCall, Any], None]]] = {
    Utterance: ("llm", PhoneCall._begun),
    Play: ("speaker", lambda call, row: call._send(call._line.play(row))),
    EndOfReply: ("speaker", lambda call, row: call._send(call._line.flush())),
    Interrupt: ("speaker", PhoneCall._interrupted),
    ReplyPlayed: ("gate", PhoneCall._played),
}
"""Which rows say something to the caller: by message, and by the kind of the stage that handles it."""


def _read(text: str | None) -> Mapping[str, Any]:
    try:
        event = json.loads(text or "")
    except (ValueError, RecursionError):
        raise CallBroken("a message is not JSON") from None
    return _object(event, "a message")


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CallBroken(f"{what} is not an object")
    return value


def _number(value: Any, what: str) -> int:
    """Twilio writes numbers as strings."""
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise CallBroken(f"{what} is not a number as a string")
    return int(value)
