"""What the agent says, as server events: rows of the LLM, the tools and the speaker.

A reply of the engine and a response of the protocol are not the same. A response is over when all of its sound has been
sent, which is up to `lead` before the reply has been played. And a reply that calls a client's tools is two responses, with the
client's turn between them. ``TABLE`` has both sides.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from flowkit import history
from flowkit.clock import US_PER_S
from flowkit.messages import Ask, ClauseEnded, ClauseStarted, Play, ToolCall, ToolOutcome, ToolStatus, Usage
from flowkit.serve.realtime.audio import Mouth, unsent
from flowkit.serve.realtime.dialogue import Dialogue
from flowkit.serve.realtime.items import function_call, message
from flowkit.serve.realtime.settings import AUDIO, TEXT
from flowkit.stages.playback import heard_of

_DELTA_US, _AHEAD_US = 100_000, 200_000
"""Sound for a client that has more than 200 ms to play goes 100 ms at a time: a delta costs as much as the sound in it."""
_SPOKEN = 4
"""So many spoken messages can be truncated. A slow client tells of one when the next reply speaks already."""


class ReplyPhase(Enum):
    """Where the reply is. In ASKED and RUNNING there is a response that is not done."""

    QUIET = auto()
    """Nothing is being said."""
    ASKED = auto()
    """The client has asked for a response, and the engine has not begun it."""
    RUNNING = auto()
    CALLING = auto()
    """The response has called the client's tools. The reply goes on when the client asks for it."""
    PLAYING = auto()
    """The response is done, and the last of its sound still plays."""


class ReplyEvent(Enum):
    """What can happen to it."""

    ASK = auto()
    """The client asks for a response."""
    BEGIN = auto()
    """The engine begins a reply."""
    CALL = auto()
    """All that was said before the client's tools were called has been sent."""
    SENT = auto()
    """All of the reply has been sent."""
    PLAYED = auto()
    STOP = auto()
    """It was interrupted, or the client has cancelled it."""


_P, _S = ReplyPhase, ReplyEvent
TABLE: dict[tuple[ReplyPhase, ReplyEvent], ReplyPhase] = {
    (_P.QUIET, _S.ASK): _P.ASKED,
    (_P.QUIET, _S.BEGIN): _P.RUNNING,
    (_P.QUIET, _S.SENT): _P.QUIET,
    (_P.QUIET, _S.PLAYED): _P.QUIET,
    (_P.QUIET, _S.STOP): _P.QUIET,
    (_P.ASKED, _S.BEGIN): _P.RUNNING,
    # The reply before it ends, or is interrupted. What was asked for still comes.
    (_P.ASKED, _S.SENT): _P.ASKED,
    (_P.ASKED, _S.PLAYED): _P.ASKED,
    (_P.ASKED, _S.STOP): _P.ASKED,
    (_P.RUNNING, _S.BEGIN): _P.RUNNING,
    (_P.RUNNING, _S.CALL): _P.CALLING,
    (_P.RUNNING, _S.SENT): _P.PLAYING,
    (_P.RUNNING, _S.PLAYED): _P.QUIET,
    (_P.RUNNING, _S.STOP): _P.QUIET,
    (_P.CALLING, _S.ASK): _P.RUNNING,
    (_P.CALLING, _S.BEGIN): _P.RUNNING,
    (_P.CALLING, _S.SENT): _P.PLAYING,
    (_P.CALLING, _S.PLAYED): _P.QUIET,
    (_P.CALLING, _S.STOP): _P.QUIET,
    (_P.PLAYING, _S.ASK): _P.ASKED,
    (_P.PLAYING, _S.BEGIN): _P.RUNNING,
    (_P.PLAYING, _S.SENT): _P.PLAYING,
    (_P.PLAYING, _S.PLAYED): _P.QUIET,
    (_P.PLAYING, _S.STOP): _P.QUIET,
}
ACTIVE = frozenset({ReplyPhase.ASKED, ReplyPhase.RUNNING})


@dataclass(slots=True)
class Voiced:
    """A clause of the message, and how many samples of it were sent, or kept to be sent."""

    clause: ClauseStarted
    samples: int = 0
    rate_hz: int = 0
    total: int = 0


@dataclass(slots=True)
class Response:
    """A response that was created. `message`: its open message item, which follows item `before`. `said`: the text of that.
    `calls`: of the client's tools. `voiced`: the message's clauses, for a truncation. `fault`: the stage that failed. `tools`: the
    names of the client's tools, if it has its own."""

    id: str
    modality: str
    metadata: Any = None
    aside: bool = False
    output: list[dict[str, Any]] = field(default_factory=list)
    message: dict[str, Any] | None = None
    before: str | None = None
    said: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    voiced: list[Voiced] = field(default_factory=list)
    mouth: Mouth | None = None
    kept: bytes = b""
    """Sound at the rate of `mouth` that waits for more of it."""
    fault: str = ""
    tools: frozenset[str] | None = None
    used: list[Usage] = field(default_factory=list)
    """What each request to the model has used: counted, until its provider reports it."""

    def heard_until(self, ms: int) -> tuple[str, int]:
        """The text that has sounded when `ms` milliseconds of its message have, and the message's length in milliseconds."""
        text, before_ms = "", 0.0
        for voiced in self.voiced:
            length_ms = voiced.samples * 1000 / voiced.rate_hz if voiced.rate_hz else 0.0
            played = min(voiced.samples, round((ms - before_ms) * voiced.rate_hz / 1000)) if voiced.rate_hz else 0
            if played > 0:
                text += heard_of(voiced.clause, (), played, voiced.total, voiced.rate_hz)
            before_ms += length_ms
        return text, round(before_ms)


class Replies:
    """Follows the agent's replies in one session."""

    def __init__(self, talk: Dialogue) -> None:
        self._talk = talk
        self.phase = ReplyPhase.QUIET
        self.response: Response | None = None
        """The response that is not done."""
        self.spoken: deque[Response] = deque(maxlen=_SPOKEN)
        """The newest responses that have said something, done or not."""
        self.engaged = False
        """Whether the engine is replying: a voice may be an interruption."""
        self.calls: dict[str, ToolCall] = {}
        """The calls of the client's tools for which the reply waits."""
        self.outputs: dict[str, str] = {}
        """What the client has given for them. It is passed on when it asks for the response."""
        self.called_in: set[int] = set()
        """The turns in which tools of the client were called."""
        self.late: set[str] = set()
        """Calls of replies that are over, and that the client may still answer."""

    @property
    def active(self) -> bool:
        """Whether there is a response that is not done."""
        return self.phase in ACTIVE

    def _step(self, step: ReplyEvent) -> None:
        self.phase = TABLE[self.phase, step]

    # -- what the client does -----------------------------------------------------------------------------------------

    def create(self, modality: str, metadata: Any, *, aside: bool, tools: frozenset[str] | None = None) -> None:
        """A response that the client has asked for. It must not ask while one is active."""
        self._step(ReplyEvent.ASK)
        self._open(modality, metadata, aside=aside, tools=tools)

    def pass_outputs(self) -> None:
        """Pass the outcomes of the client's tools on. A call without one has failed, as far as the model knows."""
        for id in self.calls:
            if (given := self.outputs.get(id)) is None:
                self._talk.order(ToolOutcome(id, ToolStatus.ERROR.value, "The client gave no output."), "tools")
            else:
                self._talk.order(ToolOutcome(id, ToolStatus.RESULT.value, given), "tools")
        self.calls, self.outputs = {}, {}

    def answer(self, id: str, output: str) -> bool:
        """The client gives the output of a call. Returns False if there is no such call."""
        if id in self.calls:
            self.outputs[id] = output
        elif id in self.late:
            self.late.discard(id)
            self._talk.order(ToolOutcome(id, ToolStatus.RESULT.value, output), "tools")
        else:
            return False
        return True

    def cancel(self, reason: str = "client_cancelled") -> None:
        """The response is done, now. Does nothing without one."""
        self._close("cancelled", reason)
        self.phase = ReplyPhase.QUIET

    @property
    def last(self) -> Response | None:
        """The newest response that has said something."""
        return self.spoken[-1] if self.spoken else None

    # -- rows ---------------------------------------------------------------------------------------------------------

    def begun(self) -> None:
        """The engine begins a reply, which may be the one that was asked for."""
        asked = self.phase is ReplyPhase.ASKED
        self._close("cancelled", "turn_detected", unless=asked)
        self._step(ReplyEvent.BEGIN)
        self.engaged, self.calls, self.outputs = True, {}, {}
        if not asked:
            self._open(self._talk.settings.modality, None, aside=False)

    def asked(self, row: Ask) -> None:
        """The model gets a request."""
        if self.response is not None:
            self.response.used.append(Usage(input_tokens=history.size_of(row), estimated=True))

    def used(self, row: Usage) -> None:
        """The model's provider reports what the request has used."""
        if self.response is not None and self.response.used and not row.estimated:
            self.response.used[-1] = row

    def text(self, text: str) -> None:
        """A token of the model, or what is said while a tool runs."""
        response = self.response
        if response is None or self.phase is not ReplyPhase.RUNNING:
            return
        # What is counted gives way to what the provider reports, which may come before the last token is passed on.
        if response.used and (counted := response.used[-1]).estimated:
            response.used[-1] = replace(counted, output_tokens=counted.output_tokens + 1)
        if response.modality == TEXT and text:
            self._message(response)
            response.said += text
            self._part("response.output_text.delta", response, delta=text)

    def clause(self, row: ClauseStarted) -> None:
        """The sound that follows says this."""
        response = self.response
        if response is None or response.modality != AUDIO or self.phase is not ReplyPhase.RUNNING:
            return
        self._message(response)
        response.voiced.append(Voiced(row))
        text = row.text or row.spoken
        if text := text if response.said else text.lstrip():
            response.said += text
            self._part("response.output_audio_transcript.delta", response, delta=text)

    def audio(self, row: Play) -> None:
        """Sound for the client."""
        response = self.response
        if response is None or self.phase is not ReplyPhase.RUNNING:
            return
        voiced = next((one for one in reversed(response.voiced) if one.clause.clause == row.clause), None)
        if voiced is None or not (pcm := unsent(row, voiced.samples)):
            return
        voiced.samples, voiced.rate_hz = max(voiced.samples, row.first_sample + row.samples), row.rate_hz
        if response.mouth is None or response.mouth.rate_hz != row.rate_hz:
            self._deliver(response)
            response.mouth = Mouth(self._talk.settings.output, row.rate_hz)
        response.kept += pcm
        kept_us = len(response.kept) // 2 * US_PER_S // row.rate_hz
        if kept_us >= _DELTA_US or row.at_us - self._talk.now_us <= _AHEAD_US:
            self._deliver(response)

    def _deliver(self, response: Response, *, last: bool = False) -> None:
        """Send the sound that is kept; with `last` also what the resampler keeps."""
        kept, response.kept = response.kept, b""
        if response.mouth is not None and (delta := response.mouth.say(kept, last=last)):
            self._part("response.output_audio.delta", response, delta=delta)

    def clause_ended(self, row: ClauseEnded) -> None:
        """A clause has been sent, and its length is known. None of its sound waits for that of the next, which may be long in
        coming."""
        if self.response is None:
            return
        for voiced in self.response.voiced:
            if voiced.clause.clause == row.clause:
                voiced.total = row.samples
        self._deliver(self.response)

    def called(self, row: ToolCall) -> None:
        """The model calls a tool. One of the client is passed on after what was said before."""
        response = self.response
        if response is None:
            return
        names = response.tools
        if row.name in ({tool["name"] for tool in self._talk.settings.tools} if names is None else names):
            response.calls.append(row)
            self.called_in.add(self._talk.places.turn)

    def step_sent(self) -> None:
        """What the model said before it called tools has been sent."""
        if self.response is None or not self.response.calls or self.phase is not ReplyPhase.RUNNING:
            return
        self.calls = {call.id: call for call in self.response.calls}
        self._close("completed")
        self._step(ReplyEvent.CALL)

    def sent(self) -> None:
        """All of the reply has been sent."""
        if self.phase is ReplyPhase.RUNNING:
            self._close("failed" if self.response is not None and self.response.fault else "completed")
        self._step(ReplyEvent.SENT)

    def played(self) -> None:
        """The reply has been played."""
        self.engaged = False
        if self.phase is ReplyPhase.RUNNING:
            self._close("completed")
        self._step(ReplyEvent.PLAYED)

    def interrupted(self) -> None:
        """The reply was interrupted."""
        self.engaged = False
        if self.phase is ReplyPhase.RUNNING:
            self._close("cancelled", "turn_detected")
        if self.phase is ReplyPhase.CALLING:
            # The next request holds what is known by then, and says of the others that they still run.
            self.late |= self.calls.keys() - self.outputs.keys()
            self.calls = {id: call for id, call in self.calls.items() if id in self.outputs}
            self.pass_outputs()
        self._step(ReplyEvent.STOP)

    def failed(self, stage: str) -> None:
        """A stage could not do its work in this reply."""
        if self.response is not None:
            self.response.fault = stage

    # -- events -------------------------------------------------------------------------------------------------------

    def _open(self, modality: str, metadata: Any, *, aside: bool, tools: frozenset[str] | None = None) -> None:
        self.response = Response(self._talk.new_id("resp"), modality, metadata, aside, tools=tools)
        self._talk.send("response.created", response=self._described(self.response, "in_progress"))

    def _message(self, response: Response) -> None:
        """The message item of the response, which begins with its first word."""
        if response.message is not None:
            return
        talk = self._talk
        self.spoken.append(response)
        item = response.message = message(talk.new_id("item"), "assistant", [], "in_progress")
        index = len(response.output)
        response.output.append(item)
        talk.send("response.output_item.added", response_id=response.id, output_index=index, item=dict(item))
        if not response.aside:
            response.before = talk.add_item(item, done=False)
            talk.places.agent(item["id"])
        part = {"type": "text", "text": ""} if response.modality == TEXT else {"type": "audio", "transcript": ""}
        self._part("response.content_part.added", response, part=part)

    def _part(self, type: str, response: Response, **fields: Any) -> None:
        assert response.message is not None
        index, item_id = response.output.index(response.message), response.message["id"]
        self._talk.send(
            type, response_id=response.id, item_id=item_id, output_index=index, content_index=0, **fields
        )  # fmt: skip

    def _close(self, status: str, reason: str = "", *, unless: bool = False) -> None:
        """The response is done."""
        response = self.response
        if response is None or unless:
            return
        self.response = None
        self._close_message(response, status)
        for call in response.calls if status == "completed" else []:
            self._call(response, call)
        self._talk.send("response.done", response=self._described(response, status, reason))

    def _close_message(self, response: Response, status: str) -> None:
        item = response.message
        if item is None:
            return
        if response.modality == TEXT:
            self._part("response.output_text.done", response, text=response.said)
            content, part = {"type": "output_text", "text": response.said}, {"type": "text", "text": response.said}
        else:
            if status != "cancelled":
                self._deliver(response, last=True)
            self._part("response.output_audio.done", response)
            self._part("response.output_audio_transcript.done", response, transcript=response.said)
            content, part = (
                {"type": "output_audio", "transcript": response.said},
                {"type": "audio", "transcript": response.said},
            )
        self._part("response.content_part.done", response, part=part)
        item["content"], item["status"] = [content], "completed" if status == "completed" else "incomplete"
        self._item_done(response, item, response.before)

    def _item_done(self, response: Response, item: dict[str, Any], before: str | None) -> None:
        talk, index = self._talk, response.output.index(item)
        if not response.aside:
            talk.send("conversation.item.done", previous_item_id=before, item=dict(item))
        talk.send("response.output_item.done", response_id=response.id, output_index=index, item=dict(item))

    def _call(self, response: Response, call: ToolCall) -> None:
        talk = self._talk
        item = function_call(talk.new_id("item"), call.id, call.name, "", "in_progress")
        where = {"response_id": response.id, "output_index": len(response.output)}
        response.output.append(item)
        talk.send("response.output_item.added", **where, item=dict(item))
        before = talk.add_item(item, done=False)
        of_call = {**where, "item_id": item["id"], "call_id": call.id}
        talk.send("response.function_call_arguments.delta", **of_call, delta=call.arguments)
        talk.send("response.function_call_arguments.done", **of_call, name=call.name, arguments=call.arguments)
        item["arguments"], item["status"] = call.arguments, "completed"
        self._item_done(response, item, before)

    def _described(self, response: Response, status: str, reason: str = "") -> dict[str, Any]:
        done = status != "in_progress"
        return {
            "object": "realtime.response",
            "id": response.id,
            "status": status,
            "status_details": _details(status, reason, response.fault) if done else None,
            "output": [dict(item) for item in response.output],
            "conversation_id": None if response.aside else f"conv_{self._talk.id.removeprefix('sess_')}",
            "output_modalities": [response.modality],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": self._talk.settings.output.described, "voice": "default"}},
            "usage": _usage(response) if done else None,
            "metadata": response.metadata,
        }


def _details(status: str, reason: str, fault: str) -> dict[str, Any]:
    if status == "failed":
        what = f"The reply failed at the stage '{fault}'."
        return {"type": status, "error": {"type": "server_error", "code": "reply_failed", "message": what}}
    return {"type": status, "reason": reason} if reason else {"type": status}


def _usage(response: Response) -> dict[str, Any]:
    """As the model's provider reports it. What it does not report is an estimate."""
    whole = Usage()
    for used in response.used:
        whole += used
    asked, said = whole.input_tokens, whole.output_tokens
    return {
        "total_tokens": asked + said,
        "input_tokens": asked,
        "output_tokens": said,
        "input_token_details": {"text_tokens": asked, "audio_tokens": 0, "cached_tokens": whole.cached_tokens},
        "output_token_details": {"text_tokens": said, "audio_tokens": 0},
    }
