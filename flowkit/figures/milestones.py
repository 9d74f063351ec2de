"""The milestones between the end of the user's voice and the first sound of the reply, each with the part of TTFA that it ends.

What a tool delays is a part of its own: while the reply waits for tools, the model is not asked. The request that called
them and the one that knows their outcomes are both the model's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowkit.figures.records import ClauseRecord, ToolRecord, TurnRecord
from flowkit.messages import Ask
from flowkit.stages.chunking import FILLER

Milestone = tuple[str, int | None]
"""A part of TTFA and when it ended. None: no such time is known."""


def milestones_of(replies: Sequence[TurnRecord], sounded: TurnRecord) -> tuple[Milestone, ...] | None:
    """The milestones from the decision that the utterance has ended to the first sound, each with the part that it ends.

    The sound may belong to a later reply of the same turn than the one that was asked for first.
    """
    if sounded.sound is None:
        return None
    played, sounded_us = sounded.sound
    of = sounded.clauses.get(played)
    waits = _waits([tool for reply in replies for tool in reply.tools], sounded_us if of is None else of.cut_us)
    until_us = waits[-1][1] if waits else None
    return (
        ("endpointing", replies[0].voice.decided_us),
        ("asr_final", replies[0].released_us),
        *(wait for called, ended in waits for wait in (("llm_first_token", called), ("tool_wait", ended))),
        ("llm_first_token", sounded.first_token_us if until_us is None else _token_us(sounded, of, until_us)),
        ("clause_fill", None if of is None else of.cut_us),
        ("queue_wait", None if of is None else of.taken_us),
        ("tts_first_audio", None if of is None else of.first_audio_us),
        ("playback_start", sounded_us),
    )


def _waits(tools: Iterable[ToolRecord], until_us: int) -> list[tuple[int, int]]:
    """When the reply waited for tools before `until_us`. Tools that ran side by side are one wait."""
    waits: list[tuple[int, int]] = []
    for tool in sorted(tools, key=lambda tool: tool.called_us):
        ended_us = until_us if tool.ended_us is None else min(tool.ended_us, until_us)
        if tool.called_us >= until_us:
            continue
        if waits and tool.called_us <= waits[-1][1]:
            waits[-1] = (waits[-1][0], max(waits[-1][1], ended_us))
        else:
            waits.append((tool.called_us, ended_us))
    return waits


def _token_us(reply: TurnRecord, of: ClauseRecord | None, since_us: int) -> int | None:
    """When the first token after `since_us` came. A filler needs none."""
    if of is not None and of.clause.reason == FILLER:
        return None
    asked = (call for call in reply.calls.values() if isinstance(call.request, Ask) and call.opened_us >= since_us)
    return next((call.first_item_us for call in asked if call.first_item_us is not None), None)


def answer_us_of(reply: TurnRecord) -> int | None:
    """When the first words sounded that the model said with the outcome of a tool."""
    asked = (call for call in reply.calls.values() if isinstance(call.request, Ask) and call.request.steps)
    if (first := next(asked, None)) is None:
        return None
    since_us = first.opened_us
    told = (of for of in reply.clauses.values() if of.cut_us > since_us and of.clause.reason != FILLER)
    return min((of.sound_us for of in told if of.sound_us is not None), default=None)
