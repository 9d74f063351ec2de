"""The OpenTelemetry spans of a session: turns and provider calls, which any viewer shows as a waterfall.

Names and attributes follow OpenTelemetry's GenAI conventions where there are any: `invoke_agent` for a turn, `chat` for the
LLM, `execute_tool NAME` for a tool (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/). The others are
`speech_to_text` and `text_to_speech`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from flowkit.figures.cost import used_by
from flowkit.figures.records import CallEnd, CallRecord, Ended, SpeechRecord, ToolRecord, TurnRecord
from flowkit.messages import Ask, Speak, ToolStatus

Value = str | int | float | bool
EXECUTE_TOOL = "execute_tool"


@dataclass(frozen=True, slots=True)
class SpanPlan:
    """A span to write. Times are microseconds since the session started."""

    name: str
    begin_us: int
    end_us: int
    turn: int = 0
    """Number of the turn whose child the span is; 0: none."""
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str = ""
    """What failed; empty if nothing did."""


def spans_of(ended: Ended) -> Iterator[SpanPlan]:
    """The spans of a record. The span of a turn comes after those of its calls."""
    if isinstance(ended, SpeechRecord):
        yield from _transcription(ended, 0)
        return
    if isinstance(ended, ToolRecord):
        yield _tool(ended)
        return
    for reply in ended.replies():
        for speech in reply.speech:
            yield from _transcription(speech, ended.number)
        for call in reply.calls.values():
            yield _call(call, reply)
    yield _turn(ended)


def _transcription(speech: SpeechRecord, turn: int) -> Iterator[SpanPlan]:
    """The span of a transcription, if there was one."""
    if speech.began_us is not None and speech.final_us is not None:
        yield SpanPlan("speech_to_text", speech.began_us, speech.final_us, turn)


def _call(call: CallRecord, turn: TurnRecord) -> SpanPlan:
    attributes: dict[str, Value] = {"flowkit.items": call.items}
    if call.first_item_us is not None:
        attributes["flowkit.first_item_ms"] = (call.first_item_us - call.opened_us) / 1000
    if isinstance(call.request, Speak):
        attributes["flowkit.clause"] = call.request.clause
        attributes["flowkit.clause.characters"] = len(call.request.text)
    if call.end is CallEnd.CANCELLED:
        attributes["flowkit.cancelled"] = True
    name = "chat" if isinstance(call.request, Ask) else "text_to_speech"
    if name == "chat" and call.reported:
        used = used_by(call)[-1]
        attributes |= {
            "gen_ai.usage.input_tokens": used.input_tokens,
            "gen_ai.usage.output_tokens": used.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": used.cached_tokens,
        }
    # A session that was killed leaves calls without an end, and a span needs one.
    ended_us = call.ended_us or turn.ended_us or call.opened_us
    return SpanPlan(name, call.opened_us, ended_us, turn.number, attributes, call.what)


def _tool(tool: ToolRecord) -> SpanPlan:
    """The span of a tool call. It may end after the span of its turn, which is its parent all the same."""
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": EXECUTE_TOOL,
        "gen_ai.tool.name": tool.name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": tool.id,
        "gen_ai.tool.call.arguments": tool.arguments,
        "gen_ai.tool.call.result": tool.content,
        "flowkit.tool.status": tool.status,
    }
    if tool.interrupted:
        attributes["flowkit.interrupted"] = True
    failed = tool.status not in (ToolStatus.RESULT, ToolStatus.ENDED, ToolStatus.RUNNING)
    if failed:
        attributes["error.type"] = tool.status
    ended_us = tool.called_us if tool.ended_us is None else tool.ended_us
    error = tool.content if failed else ""
    return SpanPlan(f"{EXECUTE_TOOL} {tool.name}", tool.called_us, ended_us, tool.turn, attributes, error)


def _turn(turn: TurnRecord) -> SpanPlan:
    replies = turn.replies()
    asked = replies[0]
    # A turn begins with the user's speech. Speech without words, such as a cough before it, does not count.
    begin_us = min([asked.released_us, *(s.began_us for s in asked.speech if s.text and s.began_us is not None)])
    attributes: dict[str, Value] = {"flowkit.end_reason": turn.end.value}
    ending = next((speech.ending for speech in reversed(asked.speech) if speech.end is not None), None)
    if ending is not None:
        attributes |= {f"flowkit.user_turn_ended.{name}": value for name, value in ending._asdict().items()}
    if (sound := next((reply.sound for reply in replies if reply.sound is not None), None)) is not None:
        attributes["flowkit.first_sound_ms"] = (sound[1] - begin_us) / 1000
    return SpanPlan("invoke_agent", begin_us, turn.ended_us or begin_us, turn.number, attributes, turn.fault)
