"""The faults that the emulators know, and how a client asks for one.

A client names a fault in its API key or its model: ``fault:stall``, or ``fault:stall:2`` for the first two requests only
(what comes behind them is answered well). An emulator can also be told for all its clients, or be handed a plan: one
fault a request, in order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class ServerFault(StrEnum):
    """One way to fail. What each provider makes of it stands in docs/providers.md."""

    NONE = "none"
    # -- before anything is answered
    SLOW_ACCEPT = "slow_accept"
    """Answers after `pause`."""
    NEVER_ACCEPT = "never_accept"
    """Takes the connection and says nothing."""
    SLOW_LORIS = "slow_loris"
    """Answers a byte at a time, for ever."""
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
    """A page of HTML with status 200."""
    HTML_502 = "html_502"
    """A proxy's page of HTML."""
    RST_ACCEPT = "rst_accept"
    """Resets the connection instead of answering."""
    # -- in the middle of an answer
    SLOW_FIRST = "slow_first"
    """The first useful item comes after `pause`."""
    TRICKLE = "trickle"
    """A few bytes at a time."""
    STALL = "stall"
    """Goes silent in the middle, and keeps the connection."""
    STALL_FIRST = "stall_first"
    """Goes silent before the first useful item."""
    FIN = "fin"
    """Ends the connection in the middle, in TCP's order, without a word of its protocol."""
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
    """The protocol's own error message, in the middle."""
    ERROR_EVENT = "error_event"
    """Groq: as `event: error`."""
    ERROR_X_GROQ = "error_x_groq"
    """Groq: inside `x_groq`, behind which the stream ends in good order."""
    NO_DONE = "no_done"
    """The stream ends without `finish_reason` and `[DONE]`."""
    EMPTY = "empty"
    """A whole answer without content."""
    BAD_JSON = "bad_json"
    WRONG_SCHEMA = "wrong_schema"
    """JSON of another shape."""
    MISSING_FIELD = "missing_field"
    OVERSIZED = "oversized"
    """One message of 5 MiB."""
    CONTEXT_EXPIRY = "context_expiry"
    """Cartesia: the context is gone when its second clause comes."""
    # -- odd, but to be borne
    UNKNOWN_TYPE = "unknown_type"
    EXTRA_FIELD = "extra_field"
    DUPLICATE = "duplicate"
    """Each message comes twice, where the protocol tells them apart."""
    LATE = "late"
    """Messages of an earlier answer come again."""
    SPLIT_UTF8 = "split_utf8"
    """Characters are cut between two pieces."""
    ODD_PCM = "odd_pcm"
    """Pieces of audio with half a sample at the end."""
    PLAYS_OUT = "plays_out"
    """Cartesia: a cancelled context goes on to its end."""
    NO_FLUSH_ID = "no_flush_id"
    """Cartesia: messages bear no flush_id."""
    NO_FORCE = "no_force"
    """AssemblyAI: ForceEndpoint is passed over."""
    SELF_ENDED = "self_ended"
    """AssemblyAI: the server has ended the turn before it is forced."""
    IDLE_CLOSE = "idle_close"
    """Closes a connection that has been idle between two answers."""


_ASKED = re.compile(r"fault:([a-z0-9_]+)(?::(\d+))?")


@dataclass(slots=True)
class FaultPlan:
    """Decides which fault a request meets. `plan` goes first, one a request; then what key or model ask for; then `always`."""

    always: ServerFault = ServerFault.NONE
    plan: list[ServerFault] = field(default_factory=list)
    _met: Counter[str] = field(default_factory=Counter)

    def choose(self, *asked: str) -> ServerFault:
        """The fault for one request whose key and model are `asked`."""
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
        """Let the next requests meet these, one each."""
        self.plan.extend(faults)
