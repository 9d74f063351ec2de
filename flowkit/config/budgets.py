"""What ``budgets:`` may contain: how fast a pipeline has to be, and what it may cost."""

from __future__ import annotations

from pydantic import Field

from flowkit import options as opt


class Quantiles(opt.Options):
    """Upper bounds of a duration."""

    p50: opt.Duration | None = None
    """Half of the turns stay below this."""
    p95: opt.Duration | None = None
    """95 in 100 turns stay below this."""
    max: opt.Duration | None = None
    """Every turn stays below this."""


class Parts(opt.Options):
    """Budgets for the parts of the time to first audio, in their order."""

    endpointing: Quantiles = Quantiles()
    """From the last voiced frame to the decision that the utterance has ended."""
    asr_final: Quantiles = Quantiles()
    """Until the final transcript is released."""
    model_wait: Quantiles = Quantiles()
    """While a call of `asr`, `llm` or `tts` waited for a local model that other sessions use. The parts of these stages
    do not contain it."""
    llm_first_token: Quantiles = Quantiles()
    """Until the first token, without the time in which tools ran."""
    tool_wait: Quantiles = Quantiles()
    """Until the outcomes of tools that the first sound waited for, or until a filler."""
    clause_fill: Quantiles = Quantiles()
    """Until the first clause is cut."""
    queue_wait: Quantiles = Quantiles()
    """Until the TTS takes it."""
    tts_first_audio: Quantiles = Quantiles()
    """Until its first audio."""
    playback_start: Quantiles = Quantiles()
    """Until the first frame is popped by the device."""


PARTS = tuple(Parts.model_fields)
"""TTFA's parts, in the order of their milestones."""


class CostBudget(opt.Options):
    """Upper bounds of what a session costs, in the file's `currency`. At least one provider needs a `price`."""

    per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """A minute of a session, on average."""
    per_turn: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Every turn."""


class Budgets(opt.Options):
    """How fast the pipeline has to be, and what it may cost. Reports and tests check it."""

    ttfa: Quantiles = Quantiles()
    """Time to first audio: from the user's last voiced frame to the agent's first frame."""
    parts: Parts = Parts()
    """Its parts."""
    greeting: Quantiles = Quantiles()
    """From the begin of the session to the first frame of its greeting. It is a turn too, whose `ttfa` is the same time."""
    decision_to_silence: Quantiles = Quantiles()
    """From the decision to interrupt to the last frame that sounds."""
    speech_to_silence: Quantiles = Quantiles()
    """From the first voiced frame of the interruption to the last frame that sounds."""
    cost: CostBudget = CostBudget()
    """What a session may cost."""
