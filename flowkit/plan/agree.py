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

LEVEL = 0.95
"""The default of a VAD's `level` where words decide. With silero, the hums among recorded backchannels reached 0.93 at most,
and short words 0.98 (`tests/benchmarks/bench_interruptions.py`)."""


def agreed(stages: Sequence[PlannedStage]) -> tuple[PlannedStage, ...]:
    """The stages with options that follow from those of others. What the file says stays."""
    ignored = phrases.backchannels(_listened(stages))
    told = [_told(stage, ignored) for stage in stages]
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


def _told(stage: PlannedStage, ignored: tuple[str, ...]) -> PlannedStage:
    if not isinstance(stage.options, Gate.Options) or stage.options.ignore is not None:
        return stage
    return replace(stage, options=stage.options.model_copy(update={"ignore": ignored}))


def _reporting(stage: PlannedStage, gates: Sequence[Interrupting]) -> PlannedStage:
    """The stage of a VAD, which reports what the gates ask for."""
    options = stage.options
    if not isinstance(options, Endpointing.Options) or not gates:
        return stage
    every = {*options.lengths, *(us for gate in gates for us in lengths(gate))}
    by_words = any(rules.by_words for gate in gates for rules in rules_of(gate).values())
    level = options.level if options.level is not None else LEVEL if by_words else 0.0
    return replace(stage, options=options.model_copy(update={"lengths": tuple(sorted(every)), "level": level}))
