"""The protocol of one connection as a state machine: client events and journal rows in, server events and orders out.

protocol = Protocol(plan, options, "sess_1")
protocol.begin()
protocol.received(text, now_us)      # what the client has sent
protocol.observed(rows)              # what the session has done
protocol.orders(), protocol.events() # what the session is to do, and what the client is to know
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowkit.config.serve import Serve
from flowkit.engine import Fate, Row
from flowkit.figures.unreleased import Unreleased
from flowkit.messages import (
    Ask,
    ClauseEnded,
    ClauseStarted,
    EndOfReply,
    EndOfStep,
    EndOfUtterance,
    Fault,
    Filler,
    Final,
    Interrupt,
    Message,
    Partial,
    Play,
    Released,
    ReplyPlayed,
    SpeechStarted,
    Token,
    ToolCall,
    Usage,
    Utterance,
)
from flowkit.plan.graph import Plan
from flowkit.serve.http import json_bytes
from flowkit.serve.microphone import Microphone
from flowkit.serve.orders import Order
from flowkit.serve.realtime.audio import Ear
from flowkit.serve.realtime.client import HANDLERS, Hands
from flowkit.serve.realtime.conversation import Given
from flowkit.serve.realtime.dialogue import Dialogue
from flowkit.serve.realtime.errors import SERVER, EventRefused, error_event
from flowkit.serve.realtime.reply import Replies, ReplyPhase
from flowkit.serve.realtime.settings import Defaults, updated
from flowkit.serve.realtime.speech import Speech
from flowkit.stages.endpointing import least


class Protocol:
    """One connection.

    Args:
        plan: what its session runs.
        options: the file's `serve:` block.
        id: the session's id.
        session: the settings that a client secret carries.
        variables: the values of `{{name}}`.
    """

    ready, over, broken = True, False, ""
    """A session begins as soon as there is a client, and mistakes do not end it."""

    def __init__(
        self,
        plan: Plan,
        options: Serve,
        id: str,
        session: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.variables = variables or {}
        self.talk = talk = Dialogue(
            id,
            {stage.id: stage.kind for stage in plan.stages},
            _defaults(plan),
            frozenset(options.client_may_set),
            plan.input_rate_hz,
            Microphone(plan.input_rate_hz, plan.frame_us),
            options.limits.ahead,
        )
        self._session = session or {}
        self._unreleased = Unreleased(lambda row: talk.kinds.get(row.stage) in _REPLYING)
        self.reply = Replies(talk)
        self.speech = Speech(talk)
        self._hands = Hands(talk, self.reply, self.speech, Ear(talk.settings.input, talk.rate_hz))

    @property
    def replying(self) -> bool:
        """Whether there is a response, or one that still plays."""
        return self.reply.active or self.reply.engaged

    @property
    def ordering(self) -> bool:
        """Whether there are new orders."""
        return bool(self.talk.orders)

    def begin(self) -> None:
        """The session begins."""
        talk = self.talk
        refused: EventRefused | None = None
        try:
            # The one who made the secret has a token, and may set everything.
            self._hands.apply(updated(talk.settings, dict(self._session), frozenset(Serve().client_may_set)))
        except EventRefused as error:
            refused = error
        talk.send("session.created", session=talk.settings.described(talk.id, talk.defaults))
        if refused is not None:
            self._refuse(refused, None)

    def received(self, text: str | None, now_us: int) -> None:
        """Handle a message of the client, at session time `now_us`. None: one that is not text."""
        self.talk.now_us = now_us
        event: Any = None
        try:
            event = _read(text)
            _handler(event)(self._hands, event)
        except EventRefused as refused:
            id = event.get("event_id") if isinstance(event, dict) else None
            self._refuse(refused, id if isinstance(id, str) else None)

    def observed(self, rows: Iterable[Row]) -> None:
        """Handle what the session has done."""
        for row in rows:
            # Most rows are frames, their probabilities and timers.
            if type(row.message) not in _SHOWN or row.fate is not Fate.HANDLED:
                continue
            self.talk.now_us = row.handled_us
            for shown in self._unreleased.take(row):
                for kind, handler in _ROWS.get(type(shown.message), ()):
                    if kind == self.talk.kinds.get(shown.stage):
                        handler(self, shown.message)

    def failed(self, message: str, code: str = "session_failed") -> None:
        """The session ends, and not because the client wants it to."""
        self.reply.cancel("")
        self.talk.events.append({**error_event(code, message, kind=SERVER), "event_id": self.talk.new_id("event")})

    def events(self) -> list[bytes]:
        """The new events for the client, as JSON."""
        events, self.talk.events = self.talk.events, []
        return [json_bytes(event) for event in events]

    def orders(self) -> list[Order]:
        """The new orders for the session."""
        orders, self.talk.orders = self.talk.orders, []
        return orders

    def _refuse(self, refused: EventRefused, event_id: str | None) -> None:
        event = error_event(refused.code, refused.message, refused.param, event_id)
        self.talk.events.append({**event, "event_id": self.talk.new_id("event")})

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _speech_started(self, row: SpeechStarted) -> None:
        if self.talk.settings.attend.detects:
            self.speech.started(row, replying=self.reply.engaged)

    def _utterance_ended(self, row: EndOfUtterance) -> None:
        self._hands.since_us = 0
        self.speech.ended(row, replying=self.reply.engaged)

    def _interrupted(self, row: Interrupt) -> None:
        # The client learns first that the user speaks, and then that the response is over.
        if self.reply.phase is not ReplyPhase.QUIET:
            self.speech.interrupted()
        self.reply.interrupted()
        self._hands.settle()

    def _answered(self, row: Utterance) -> None:
        self.speech.answered()
        # What is asked aside leaves what waits where it is.
        if not row.aside and not row.say:
            self.talk.places.answered(row.turn)
        self.talk.places.turn = row.turn
        self.reply.begun()

    def _text(self, row: Token | Filler) -> None:
        self.reply.text(row.text)

    def _fault(self, row: Fault) -> None:
        if row.stage in ("llm", "tts", "tools"):
            self.reply.failed(row.stage)

    def _sent(self, row: EndOfReply) -> None:
        self.reply.sent()
        self._hands.settle()


def _read(text: str | None) -> Any:
    """The message as JSON. Raises EventRefused."""
    if text is None:
        raise EventRefused("invalid_message", "Messages must be text, not binary.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EventRefused("invalid_json", f"The message is not JSON: {error}.") from None


def _handler(event: Any) -> Callable[[Hands, Given], None]:
    """What handles the event. Raises EventRefused."""
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise EventRefused("missing_required_parameter", "Missing required parameter: 'type'.", "type")
    if event["type"] not in HANDLERS:
        what = f"Invalid value: '{event['type'][:80]}'. Supported values are: {', '.join(map(repr, HANDLERS))}."
        raise EventRefused("invalid_value", what, "type")
    return HANDLERS[event["type"]]


def _defaults(plan: Plan) -> Defaults:
    def name(kind: str) -> str:
        stage = plan.only(kind)
        return stage.provider.name if stage is not None and stage.provider is not None else kind

    vad, model = plan.only("vad"), plan.only("llm")
    chooses = model is not None and all(choice.cls.chooses for choice in model.choices)
    if vad is None:
        return Defaults(plan.name, name("asr"), detects=False, chooses=chooses)
    options: Any = vad.options
    return Defaults(plan.name, name("asr"), True, options.threshold, least(options.end), chooses)


_REPLYING = frozenset({"llm", "chunker", "tts", "speaker", "tools"})
_Handler = Callable[[Protocol, Any], None]
_ROWS: dict[type[Message], tuple[tuple[str, _Handler], ...]] = {
    SpeechStarted: (("gate", Protocol._speech_started),),
    EndOfUtterance: (("gate", Protocol._utterance_ended),),
    Partial: (("gate", lambda self, row: self.speech.partial(row)),),
    Final: (("gate", lambda self, row: self.speech.final(row)),),
    Interrupt: (("llm", Protocol._interrupted),),
    Utterance: (("llm", Protocol._answered),),
    Ask: (("llm", lambda self, row: self.reply.asked(row)),),
    Usage: (("llm", lambda self, row: self.reply.used(row)),),
    Token: (("chunker", Protocol._text), ("tts", Protocol._text)),
    Filler: (("chunker", Protocol._text), ("tts", Protocol._text)),
    ToolCall: (("tools", lambda self, row: self.reply.called(row)),),
    ClauseStarted: (("speaker", lambda self, row: self.reply.clause(row)),),
    ClauseEnded: (("speaker", lambda self, row: self.reply.clause_ended(row)),),
    Play: (("speaker", lambda self, row: self.reply.audio(row)),),
    EndOfStep: (("speaker", lambda self, row: self.reply.step_sent()),),
    EndOfReply: (("speaker", Protocol._sent),),
    ReplyPlayed: (("gate", lambda self, row: self.reply.played()),),
    Fault: (("gate", Protocol._fault),),
}
"""Which rows say something to the client: by message, and by the kind of the stage that handles it."""
_SHOWN = frozenset({*_ROWS, Released})
