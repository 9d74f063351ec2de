"""What each client event does. ``HANDLERS`` has one function for each type of event.

A handler checks everything first and changes nothing if it refuses. What it does are events for the client and orders for
the session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flowkit.clock import whole_ms
from flowkit.config.serve import Settable
from flowkit.messages import (
    Attend,
    ClearInput,
    CommitInput,
    HeardUntil,
    Instruct,
    Mute,
    Respond,
    StopReply,
)
from flowkit.serve.realtime import conversation
from flowkit.serve.realtime.audio import Ear
from flowkit.serve.realtime.conversation import UNANSWERED, Given, text_of
from flowkit.serve.realtime.dialogue import Dialogue
from flowkit.serve.realtime.errors import EventRefused, unsupported
from flowkit.serve.realtime.reply import Replies, ReplyPhase
from flowkit.serve.realtime.settings import TEXT, Settings, choice_of, modality_of, offered, tools_in, updated
from flowkit.serve.realtime.speech import Speech
from flowkit.stages.llm import NO_TOOLS

_LEAST_COMMIT_US = 100_000
"""The contract's shortest utterance of a client."""


@dataclass(slots=True)
class Hands:
    """What the handlers work with, and the client's side of the audio. `sent_us`: all the audio that was appended; `since_us`: of
    it, since the last utterance ended. `lent`: tools are taken that only one response has."""

    talk: Dialogue
    reply: Replies
    speech: Speech
    ear: Ear
    sent_us: int = 0
    since_us: int = 0
    muted: bool = False
    lent: bool = False

    def apply(self, settings: Settings) -> None:
        """Make these settings hold."""
        talk, before = self.talk, self.talk.settings
        talk.settings = settings
        if settings.attend != before.attend:
            talk.order(settings.attend, "vad", "gate")
        if settings.instruct != before.instruct:
            self.instruct()
        if settings.input is not self.ear.format:
            self.ear = Ear(settings.input, talk.rate_hz)
        if not self.reply.active:
            self.mute(settings.modality)

    def instruct(self) -> None:
        """Pass on what the model and the tools have to know."""
        talk = self.talk
        instruct = talk.settings.instruct
        if talk.system:
            text = "\n\n".join(part for part in (instruct.instructions, *talk.system) if part)
            instruct = replace(instruct, instructions=text)
        talk.order(instruct, "llm", "tools")

    def stop(self) -> None:
        """Give up the reply."""
        self.reply.cancel()
        self.talk.order(StopReply(), "gate")
        self.settle()

    def settle(self) -> None:
        """The response is over: what it had for itself no longer holds."""
        if not self.reply.active:
            self.mute(self.talk.settings.modality)
            if self.lent:
                self.lent = False
                self.talk.order(self.talk.settings.instruct, "tools")

    def lend(self, tools: tuple[Mapping[str, Any], ...]) -> None:
        """Take calls of a response's own tools too."""
        known = {tool["name"]: tool for tool in (*self.talk.settings.tools, *tools)}
        if self.lent or len(known) > len(self.talk.settings.tools):
            self.lent = True
            self.talk.order(Instruct(tools=offered(known.values())), "tools")

    def may(self, what: Settable, path: str) -> None:
        """Raises EventRefused if the file does not let clients set this."""
        if what not in self.talk.allowed:
            raise EventRefused("not_allowed", f"This server does not let clients set {what.value}.", path)

    def mute(self, modality: str) -> None:
        """Speak, or do not."""
        if (wanted := modality == TEXT) is not self.muted:
            self.muted = wanted
            self.talk.order(Mute(wanted), "tts")


# -- the session ---------------------------------------------------------------------------------------------------------


def _session_update(hands: Hands, event: Given) -> None:
    talk = hands.talk
    settings = updated(talk.settings, event.get("session"), talk.allowed)
    _can_choose(hands, settings.choice, "session.tool_choice")
    if settings.attend.detects and not talk.defaults.detects:
        settings = _without_vad(settings)
    hands.apply(settings)
    talk.send("session.updated", session=talk.settings.described(talk.id, talk.defaults))


def _without_vad(settings: Settings) -> Settings:
    """A pipeline without a VAD leaves the ends of utterances to its ASR. Nothing can be set there."""
    return replace(settings, attend=Attend())


# -- sound ---------------------------------------------------------------------------------------------------------------


def _append(hands: Hands, event: Given) -> None:
    audio, talk = event.get("audio"), hands.talk
    if not isinstance(audio, str):
        raise EventRefused("missing_required_parameter", "Missing required parameter: 'audio'.", "audio")
    if hands.sent_us - talk.now_us > talk.ahead_us:
        what = f"There is more than {whole_ms(talk.ahead_us)} ms of audio ahead of its time (serve.limits.ahead)."
        raise EventRefused("audio_ahead_of_time", what, "audio")
    pcm, us = hands.ear.hear(audio)
    hands.sent_us += us
    hands.since_us += us
    for frames in talk.mic.hear(pcm, talk.now_us):
        talk.order(frames, "mic")


def _commit(hands: Hands, event: Given) -> None:
    detects = hands.talk.settings.attend.detects
    if detects and not hands.talk.defaults.detects:
        raise unsupported("input_audio_buffer.commit in a pipeline without a VAD")
    if hands.since_us < _LEAST_COMMIT_US or (detects and hands.speech.current is None):
        what = (
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has "
            f"{0 if detects else hands.since_us / 1000:.2f}ms of audio."
        )
        raise EventRefused("input_audio_buffer_commit_empty", what)
    hands.since_us = 0
    hands.talk.order(CommitInput(), "mic")


def _clear(hands: Hands, event: Given) -> None:
    hands.since_us = 0
    hands.talk.mic.clear()
    hands.talk.order(ClearInput(), "mic")
    hands.talk.send("input_audio_buffer.cleared")


def _clear_output(hands: Hands, event: Given) -> None:
    if not hands.reply.engaged:
        raise EventRefused("response_cancel_not_active", "Nothing is being played.")
    last = hands.reply.response or hands.reply.last
    hands.stop()
    hands.talk.send("output_audio_buffer.cleared", response_id=last.id if last is not None else "")


# -- the conversation ----------------------------------------------------------------------------------------------------


def _truncate(hands: Hands, event: Given) -> None:
    reply, talk, item_id, ms = hands.reply, hands.talk, event.get("item_id"), event.get("audio_end_ms")
    if talk.items.get(item_id) is None:
        raise EventRefused("item_truncate_invalid_item_id", f"There is no item {str(item_id)[:80]!r}.", "item_id")
    if not isinstance(ms, int) or isinstance(ms, bool) or ms < 0:
        raise EventRefused("invalid_value", "audio_end_ms must be an integer that is not negative.", "audio_end_ms")
    turn, before = talk.places.of.get(str(item_id), UNANSWERED), ""
    for spoken in reply.spoken:
        if (item := spoken.message) is None or talk.places.of.get(item["id"], UNANSWERED) != turn:
            continue
        if item["id"] == item_id and spoken.modality != TEXT:
            break
        before = f"{before}{spoken.said.strip()} "
    else:
        raise unsupported("Truncating any item but the last ones that were spoken", "item_id")
    text, length_ms = spoken.heard_until(ms)
    if ms > length_ms:
        what = f"Audio content of {length_ms}ms is already shorter than {ms}ms."
        raise EventRefused("invalid_value", what, "audio_end_ms")
    # The client has stopped playing. So this reply stops, if it has not already; but not the next one, which has begun since.
    if reply.engaged and turn == talk.places.turn:
        hands.stop()
    talk.order(HeardUntil(f"{before}{text}", turn), "gate", "llm")
    # Of its text the item keeps what was heard, as the model's history does.
    item["content"] = [{"type": "output_audio", "transcript": text.strip()}]
    talk.send("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=ms)


# -- responses -----------------------------------------------------------------------------------------------------------

_PLAIN = {"max_output_tokens": (None, "inf"), "max_response_output_tokens": (None, "inf"), "prompt": (None,)}
"""Fields of a response that have to be as in the session."""
_IGNORED = frozenset({"voice", "audio", "temperature", "reasoning", "parallel_tool_calls", "output_audio_format"})


def _create_response(hands: Hands, event: Given) -> None:
    reply, talk = hands.reply, hands.talk
    asked = event.get("response") or {}
    if not isinstance(asked, dict):
        raise EventRefused("invalid_type", "response must be an object.", "response")
    if reply.active:
        what = "Conversation already has an active response. Wait until the response is finished before creating a new one."
        raise EventRefused("conversation_already_has_active_response", what)
    respond, modality, tools = _respond(hands, asked)
    calling = reply.phase is ReplyPhase.CALLING
    if calling and respond != Respond():
        # The reply goes on, with what it has begun with.
        raise unsupported("A response of its own while function calls wait for their outputs")
    hands.mute(modality)
    names = None if tools is None else frozenset(tool["name"] for tool in tools)
    reply.create(modality, asked.get("metadata"), aside=respond.aside, tools=names)
    if calling:
        reply.pass_outputs()
        return
    if tools:
        hands.lend(tools)
    talk.order(respond, "gate")


def _respond(hands: Hands, asked: Given) -> tuple[Respond, str, tuple[Mapping[str, Any], ...] | None]:
    """What the gate is asked for, the modality, and the response's own tools, if it has any. Raises EventRefused."""
    modality, aside, text, choice = hands.talk.settings.modality, False, "", ""
    instructions, tools = asked.get("instructions") or "", None
    for name, value in asked.items():
        path = f"response.{name}"
        if name in _PLAIN:
            if value not in _PLAIN[name]:
                raise unsupported(f"{path} other than the session's", path)
        elif name in ("output_modalities", "modalities"):
            modality = modality if value is None else modality_of(value, path)
        elif name == "conversation":
            aside = value == "none"
        elif name == "tools":
            tools = None if value is None else tools_in(value, path)
        elif name == "tool_choice":
            choice = choice_of(value, path)
        elif name == "input":
            text = "" if value is None else _input(value)
        elif name not in ("instructions", "metadata") and name not in _IGNORED:
            raise EventRefused("unknown_parameter", f"Unknown parameter: '{path}'.", path)
    if not isinstance(instructions, str):
        raise EventRefused("invalid_type", "response.instructions must be a string.", "response.instructions")
    if instructions:
        hands.may(Settable.INSTRUCTIONS, "response.instructions")
    if modality != hands.talk.settings.modality:
        hands.may(Settable.OUTPUT_MODALITIES, "response.output_modalities")
    if text and not aside:
        raise unsupported("response.input with the default conversation", "response.input")
    if tools is not None or choice:
        hands.may(Settable.TOOLS, "response.tools")
    _can_choose(hands, choice, "response.tool_choice")
    own = "" if tools is None else offered(tools)
    return Respond(instructions, aside, text, own, choice), modality, tools


def _can_choose(hands: Hands, choice: str, path: str) -> None:
    if choice not in ("", NO_TOOLS) and not hands.talk.defaults.chooses:
        raise unsupported(f"{path} other than 'auto' and 'none', with this pipeline's model,", path)


def _input(items: Any) -> str:
    """The text of the items that a response outside the conversation gets."""
    if not isinstance(items, list):
        raise EventRefused("invalid_type", "response.input must be an array.", "response.input")
    texts = []
    for item in items:
        if not isinstance(item, dict) or item.get("type") != "message":
            raise unsupported("An item in response.input that is no message", "response.input")
        texts.append(text_of(item, ("input_text", "output_text", "text"), "response.input.content"))
    return "\n".join(texts)


def _cancel(hands: Hands, event: Given) -> None:
    reply, id = hands.reply, event.get("response_id")
    if not reply.active or (id is not None and reply.response is not None and id != reply.response.id):
        raise EventRefused("response_cancel_not_active", "Cancellation failed: no active response found.")
    hands.stop()


HANDLERS: dict[str, Callable[[Hands, Given], None]] = {
    "session.update": _session_update,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "output_audio_buffer.clear": _clear_output,
    "conversation.item.create": conversation.create,
    "conversation.item.truncate": _truncate,
    "conversation.item.retrieve": conversation.retrieve,
    "conversation.item.delete": conversation.delete,
    "response.create": _create_response,
    "response.cancel": _cancel,
}
