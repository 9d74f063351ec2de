"""Bounds hold, and no stage hides messages from them."""

from __future__ import annotations

from flowkit.clock import US_PER_S
from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    EndOfReply,
    Interrupt,
    Revoke,
    Token,
    Utterance,
)
from flowkit.providers.sound.timeline import Pop
from flowkit.stages.base import Cancel, Open
from flowkit.stages.unspoken import SpokenText
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants.record import emitted, hold, steps, us

_CHARS_PER_TOKEN = 12
"""No text has more characters per token of the chunker's estimate, except within one unfinished word."""
_LONGEST_WORD = 80


def bounds_hold(evidence: Evidence) -> None:
    """No edge ever holds more than its bound, according to the queue's own count and to the record."""
    for stage, inbox in evidence.engine.inboxes():
        hold(inbox.high_water <= inbox.bound.max, f"{inbox.high_water} waited before {stage}, bound {inbox.bound.max}")
    hold(not evidence.breaches, f"beyond the bound: {evidence.breaches}")


def nothing_is_hoarded(evidence: Evidence) -> None:
    """No stage keeps messages inside that a bound should count.

    The TTS stage has at most one clause, the LLM stage no token, the chunker one unfinished clause, and playback its
    lead and one piece.
    """
    _tts_has_one_clause(evidence)
    _chunker_has_one_clause(evidence)
    _playback_keeps_its_lead(evidence)
    spoken, repeats = SpokenText(), False
    for step in steps(evidence, "llm"):
        if isinstance(step.message, Utterance):
            repeats = bool(step.message.said)  # words that were heard already are left out
        tokens = sum(isinstance(message, Token) for message in emitted(step))
        if isinstance(step.message, Token):
            due = int(bool(spoken.feed(step.message.text)) or not step.message.text)
        elif isinstance(step.message, Utterance) and step.message.say:
            due, spoken = 1, SpokenText()
        else:
            due, spoken = int(bool(spoken.end())), SpokenText()
            if tokens > due and any(isinstance(action, Open) for action in step.actions):
                due += 1  # the line break between a reply without words and the next
        kept = tokens != due and not (repeats and tokens <= 1)
        hold(not kept, f"the LLM stage kept a token at {step.at_us} us")


def _tts_has_one_clause(evidence: Evidence) -> None:
    inside, revoked_ahead = 0, False
    for step in steps(evidence, "tts"):
        match step.message:
            case Interrupt():
                inside, revoked_ahead = 0, False
            case Revoke():
                # The clause ends with its call. If it has not come yet, it will not be taken.
                left = any(isinstance(action, Cancel) for action in step.actions)
                inside, revoked_ahead = inside - left, not left
            case Clause() | Token():
                inside += not (revoked_ahead and not step.actions)
                revoked_ahead = False
        inside -= sum(isinstance(message, ClauseEnded) for message in emitted(step))
        hold(inside <= 1, f"{inside} clauses inside the TTS stage at {step.at_us} us")
        if isinstance(step.message, EndOfReply):
            hold(inside == 0, f"a clause was not ended before the reply was, at {step.at_us} us")


def _chunker_has_one_clause(evidence: Evidence) -> None:
    planned = evidence.plan.only("chunker")
    if planned is None or getattr(planned.options, "mode", "") == "reply":
        return
    most = planned.options.max_tokens * _CHARS_PER_TOKEN + _LONGEST_WORD  # type: ignore[attr-defined]
    waiting = 0
    for step in steps(evidence, "chunker"):
        if isinstance(step.message, (Interrupt, EndOfReply)):
            waiting = 0
        elif isinstance(step.message, Token):
            waiting += len(step.message.text.strip())
        waiting = max(0, waiting - sum(len(m.text) for m in emitted(step) if isinstance(m, Clause)))
        hold(waiting <= most, f"{waiting} characters inside the chunker at {step.at_us} us, {most} allowed")


def _playback_keeps_its_lead(evidence: Evidence) -> None:
    """The audio that the stage has taken and the device has not played is at most the lead, one piece and one frame."""
    planned = evidence.plan.only("speaker")
    if planned is None:
        return
    lead_us, taken = planned.options.lead, list(steps(evidence, "speaker"))  # type: ignore[attr-defined]
    pops, sounded_us, taken_us, longest_us, epoch = iter(evidence.sound()), 0, 0, 0, 0
    rows = {row.n: row.epoch for row in evidence.rows if row.stage == "speaker"}
    pop = next(pops, None)
    for step in taken:
        if rows.get(step.n, epoch) != epoch or isinstance(step.message, Interrupt):
            epoch, taken_us, sounded_us = rows.get(step.n, epoch), 0, 0
        if not isinstance(step.message, Audio):
            continue
        taken_us += us(step.message.samples, step.message.rate_hz)
        longest_us = max(longest_us, us(step.message.samples, step.message.rate_hz))
        while pop is not None and (pop.epoch < epoch or (pop.epoch == epoch and pop.t_us < step.at_us)):
            if pop.epoch == epoch:
                part_us = min(us(pop.samples, pop.rate_hz), step.at_us - pop.t_us)
                sounded_us += part_us
                if part_us < us(pop.samples, pop.rate_hz):
                    pop = pop_after(pop, part_us)
                    break
            pop = next(pops, None)
        kept_us = taken_us - sounded_us
        most_us = lead_us + longest_us + evidence.plan.frame_us
        hold(kept_us <= most_us, f"{kept_us} us of audio inside playback at {step.at_us} us, {most_us} allowed")


def pop_after(pop: Pop, us: int) -> Pop:
    """The rest of a pop without its first `us` microseconds."""
    gone = us * pop.rate_hz // US_PER_S
    return Pop(pop.t_us + us, pop.epoch, pop.clause, pop.first_sample + gone, pop.samples - gone, pop.rate_hz, b"")
