"""The faults that the emulators can produce, and how a client selects one.

A client names a fault in its API key or its model: ``fault:stall``, or ``fault:stall:2`` for the first two requests
only. Later requests are then answered normally. An emulator can also have a fault for all its clients, or a plan with
one fault for each request.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class ServerFault(StrEnum):
    """One kind of fault. docs/providers.md says how each provider handles it."""

    NONE = "none"
    # -- before the answer
    SLOW_ACCEPT = "slow_accept"
    """Accepts after `pause_s`."""
    NEVER_ACCEPT = "never_accept"
    """Accepts the connection and sends nothing."""
    SLOW_LORIS = "slow_loris"
    """Sends an endless answer one byte at a time."""
    HTTP_400 = "http_400"
    HTTP_401 = "http_401"
    HTTP_402 = "http_402"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_429 = "http_429"
    """With `retry-after: 1`."""
    HTTP_429_DATE = "http_429_date"
    """With `retry-after` as an HTTP date, two hours from now."""
    HTTP_429_HOURS = "http_429_hours"
    """With `retry-after: 7200`."""
    HTTP_429_BARE = "http_429_bare"
    """Without `retry-after`."""
    HTTP_500 = "http_500"
    HTTP_503 = "http_503"
    HTML = "html"
    """An HTML page with status 200."""
    HTML_502 = "html_502"
    """The HTML page of a proxy, with status 502."""
    RST_ACCEPT = "rst_accept"
    """Resets the connection instead of answering."""
    # -- in the middle of an answer
    SLOW_FIRST = "slow_first"
    """Sends the first useful item after `pause_s`."""
    TRICKLE = "trickle"
    """Sends a few bytes at a time."""
    STALL = "stall"
    """Stops sending in the middle, and keeps the connection open."""
    STALL_FIRST = "stall_first"
    """Stops sending before the first useful item."""
    FIN = "fin"
    """Closes the TCP connection in the middle, without a message of its protocol."""
    RST = "rst"
    """Resets the connection in the middle."""
    CLOSE_1000 = "close_1000"
    CLOSE_1006 = "close_1006"
    CLOSE_1008 = "close_1008"
    CLOSE_1011 = "close_1011"
    CLOSE_1012 = "close_1012"
    CLOSE_1013 = "close_1013"
    CLOSE_3005 = "close_3005"
    CLOSE_3006 = "close_3006"
    CLOSE_3007 = "close_3007"
    CLOSE_3008 = "close_3008"
    CLOSE_3009 = "close_3009"
    ERROR = "error"
    """Sends the error message of its protocol in the middle."""
    ERROR_EVENT = "error_event"
    """Groq: sends an error as `event: error`."""
    ERROR_X_GROQ = "error_x_groq"
    """Groq: sends an error in `x_groq`, and then ends the stream normally."""
    NO_DONE = "no_done"
    """The stream ends without `finish_reason` and `[DONE]`."""
    EMPTY = "empty"
    """A complete answer without content."""
    CALL_CUT = "call_cut"
    """Groq: the arguments of tool calls end in the middle, as at the limit of a reply's length."""
    CALL_JSON = "call_json"
    """Groq: the arguments of tool calls are no JSON."""
    CALL_UNKNOWN = "call_unknown"
    """Groq: tool calls name a tool that the request does not have."""
    CALL_SAME_ID = "call_same_id"
    """Groq: all tool calls of an answer have one id."""
    CALL_SAME_INDEX = "call_same_index"
    """Groq: all tool calls of an answer have index 0 and come whole, as some servers send them."""
    CALL_WITH_TEXT = "call_with_text"
    """Groq: an answer has text before its tool calls."""
    CALL_REFUSED = "call_refused"
    """Groq: refuses what the model wrote as a tool call, with an error in the stream."""
    EMPTY_AFTER_CALL = "empty_after_call"
    """Groq: the answer to the outcomes of tools is empty."""
    BAD_JSON = "bad_json"
    WRONG_SCHEMA = "wrong_schema"
    """JSON with another structure."""
    MISSING_FIELD = "missing_field"
    OVERSIZED = "oversized"
    """One message of 5 MiB."""
    CONTEXT_EXPIRY = "context_expiry"
    """Cartesia: the context has expired when its second clause comes."""
    # -- unusual, but allowed
    UNKNOWN_TYPE = "unknown_type"
    EXTRA_FIELD = "extra_field"
    DUPLICATE = "duplicate"
    """Sends messages twice, where the protocol lets a client recognise that."""
    LATE = "late"
    """Sends messages of an earlier answer again."""
    SPLIT_UTF8 = "split_utf8"
    """Splits characters between two pieces."""
    ODD_PCM = "odd_pcm"
    """Sends pieces of audio that end with half a sample."""
    PLAYS_OUT = "plays_out"
    """Cartesia: sends more audio of a cancelled context."""
    NO_FLUSH_ID = "no_flush_id"
    """Cartesia: messages have no flush_id."""
    NO_FORCE = "no_force"
    """AssemblyAI: ignores ForceEndpoint."""
    SELF_ENDED = "self_ended"
    """AssemblyAI: the server ends the turn before it is forced to."""
    IDLE_CLOSE = "idle_close"
    """Closes a connection that was idle between two answers."""


_ASKED = re.compile(r"fault:([a-z0-9_]+)(?::(\d+))?")


@dataclass(slots=True)
class FaultPlan:
    """Chooses the fault of each request: the next one of `plan`; else the one that key or model names; else
    `always`."""

    always: ServerFault = ServerFault.NONE
    plan: list[ServerFault] = field(default_factory=list)
    _met: Counter[str] = field(default_factory=Counter)

    def choose(self, *asked: str) -> ServerFault:
        """The fault for one request. `asked` are its API key and its model."""
        if self.plan:
            return self.plan.pop(0)
        for text in asked:
            if match := _ASKED.search(text):
                self._met[match[0]] += 1
                return (
                    ServerFault(match[1]) if not match[2] or self._met[match[0]] <= int(match[2]) else ServerFault.NONE
                )
        return self.always

    def extend(self, faults: Iterable[ServerFault]) -> None:
        """Add faults for the next requests, one for each."""
        self.plan.extend(faults)
