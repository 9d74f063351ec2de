"""What stages take over from each other when the plan is made: the language of the agent, and lengths of a voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowkit import phrases
from flowkit.plan.graph import PlannedStage
from flowkit.stages.chunking import Chunking
from flowkit.stages.endpointing import Endpointing
from flowkit.stages.gate import Gate
from flowkit.stages.interrupting import Interrupting, lengths, rules_of
from flowkit.stages.llm import LlmTurn
from flowkit.stages.preempting import Preempt

LEVEL = 0.95
"""The default of a VAD's `level` where words decide. With silero, the hums among recorded backchannels reached 0.93 at most,
and short words 0.98 (`tests/benchmarks/bench_interruptions.py`)."""


def agreed(stages: Sequence[PlannedStage]) -> tuple[PlannedStage, ...]:
    """The stages with options that follow from those of others. What the file says stays."""
    ignored = phrases.backchannels(_listened(stages))
    wishes = (stage.options.preempt for stage in stages if isinstance(stage.options, LlmTurn.Options))
    preempt = next((wish for wish in wishes if wish is not None), None)
    told = [_told(stage, ignored, preempt) for stage in stages]
    gates = [stage.options for stage in told if isinstance(stage.options, Gate.Options)]
    return tuple(_reporting(stage, gates) for stage in told)


def spoken(stages: Sequence[PlannedStage]) -> set[str]:
    """The languages that the agent speaks, as far as that is known: the chunker's, or else those of the voice."""
    named = {s.options.language for s in stages if isinstance(s.options, Chunking.Options)} - {"auto"}
    return {base(code) for code in named} or _known(stages, "tts")


def _known(stages: Sequence[PlannedStage], kind: str) -> set[str]:
    """The languages of the first providers of a kind, if they tell them."""
    chosen = [stage.provider for stage in stages if stage.kind == kind and stage.provider]
    return {base(code) for choice in chosen for code in choice.cls.languages(choice.options)}


def _listened(stages: Sequence[PlannedStage]) -> set[str]:
    """The language that the user speaks: the agent's, or else that of an ASR that knows only one."""
    only = _known(stages, "asr")
    return spoken(stages) or (only if len(only) == 1 else set())


def base(code: str) -> str:
    """The language of a code such as `en-GB`."""
    return code.replace("_", "-").partition("-")[0].lower()


def _told(stage: PlannedStage, ignored: tuple[str, ...], preempt: Preempt | None) -> PlannedStage:
    """A gate that knows what it ignores, and when it asks before a turn is over."""
    options = stage.options
    if not isinstance(options, Gate.Options):
        return stage
    ignore = ignored if options.ignore is None else options.ignore
    return replace(stage, options=options.model_copy(update={"ignore": ignore, "preempt": options.preempt or preempt}))


def _reporting(stage: PlannedStage, gates: Sequence[Interrupting]) -> PlannedStage:
    """The stage of a VAD, which reports what the gates ask for."""
    options = stage.options
    if not isinstance(options, Endpointing.Options) or not gates:
        return stage
    every = {*options.lengths, *(us for gate in gates for us in lengths(gate))}
    by_words = any(rules.by_words for gate in gates for rules in rules_of(gate).values())
    level = options.level if options.level is not None else LEVEL if by_words else 0.0
    return replace(stage, options=options.model_copy(update={"lengths": tuple(sorted(every)), "level": level}))
