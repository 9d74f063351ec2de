"""The mistakes that make voice agents slow or deaf, as rules on the resolved plan. They look at ports and declarations,
not at names, so they also catch a custom stage. Each finding belongs to the stage that receives the edge, or should
receive it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from flowkit import chunker
from flowkit.config.prices import PRICED_BY, TOKENS
from flowkit.config.problems import Severity
from flowkit.plan.agree import base, spoken
from flowkit.plan.graph import Edge, Plan, PlannedStage
from flowkit.stages.base import CONTROL_CONTENT as CONTROL
from flowkit.stages.chunking import Chunking
from flowkit.stages.endpointing import Endpointing, Silences
from flowkit.stages.gate import Gate
from flowkit.stages.llm import LlmTurn
from flowkit.tools import Tools, tool_named
from flowkit.words import has_words


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule that the plan breaks, at a stage. `key` is the stage's key that shows it best. `follows`: the code of a
    rule that, if broken anywhere in the plan, already implies this finding."""

    code: str
    stage: str
    what: str
    help: str
    key: tuple[str, ...] = ()
    follows: str = ""


@dataclass(frozen=True, slots=True)
class Lint:
    """A rule and its severity."""

    severity: Severity
    find: Callable[[Plan], Iterator[BrokenRule]]


def lint(plan: Plan) -> list[BrokenRule]:
    """Every finding that its stage does not allow, without those that follow from another."""
    found = [finding for rule in LINTS.values() for finding in rule.find(plan)]
    found = [finding for finding in found if finding.code not in plan.stage(finding.stage).allow]
    # Without those that are allowed: such a finding is not shown, so it explains no other.
    broken = {finding.code for finding in found}
    return [finding for finding in found if finding.follows not in broken]


def content(plan: Plan, edge: Edge) -> str:
    """The kind of content of an edge."""
    return plan.stage(edge.source).cls.outputs[edge.output]


def _into(plan: Plan, kind_of_content: str) -> Iterator[PlannedStage]:
    """Stages that receive that content."""
    # A stage that is fed twice is reported once. A dict keeps the order of the file, which a set would not.
    targets = dict.fromkeys(edge.target for edge in plan.edges if content(plan, edge) == kind_of_content)
    return (plan.stage(target) for target in targets)


def _whole_reply(plan: Plan) -> Iterator[BrokenRule]:
    """FK201. A stage declares it with the option ``mode: reply`` or the class attribute ``awaits_reply``. A token
    provider that cannot stream declares ``streams = False``."""
    for stage in _into(plan, "tokens"):
        if getattr(stage.options, "mode", None) == "reply" or stage.cls.awaits_reply:
            what = f"{stage.id!r} waits for the LLM's whole reply before anything is spoken"
            yield BrokenRule("FK201", stage.id, what, "cut clauses: mode: clause", ("mode",))
    for stage in plan.stages:
        if stage.provider and "tokens" in stage.cls.outputs.values() and not stage.provider.cls.streams:
            what = f"provider {stage.provider.name!r} gives its whole reply at once"
            yield BrokenRule("FK201", stage.id, what, "use a provider that streams", ("provider",))


def _ungated(plan: Plan) -> Iterator[BrokenRule]:
    """FK202. A transcript, which may be partial, reaches a stage that begins a reply."""
    for stage in _into(plan, "transcript"):
        if stage.cls.replying:
            what = f"partial transcripts reach {stage.id!r} without a gate: it would answer half a sentence"
            yield BrokenRule("FK202", stage.id, what, "put a gate between the asr and it", ("from",))


def _unchunked(plan: Plan) -> Iterator[BrokenRule]:
    """FK203. Single tokens reach a stage that makes audio of them."""
    for stage in _into(plan, "tokens"):
        if "voice" in stage.cls.outputs.values():
            what = f"single tokens reach {stage.id!r} without a chunker: a voice needs clauses to sound human"
            yield BrokenRule("FK203", stage.id, what, "put a chunker between the llm and it", ("from",))


def _uninterruptible(plan: Plan) -> Iterator[BrokenRule]:
    """FK204. A stage of the reply that no interrupt reaches, or a gate that gets no speech events although there is
    audio input."""
    told = {edge.target for edge in plan.edges if content(plan, edge) == "turn"}
    for stage in plan.stages:
        if stage.cls.replying and stage.id not in told:
            what = f"no interrupt reaches {stage.id!r}: it would go on when the user speaks"
            if "turn" not in _taken(stage):
                yield BrokenRule("FK204", stage.id, what, "it has no input for `turn`")
            else:  # a plan without a gate
                yield BrokenRule("FK204", stage.id, what, "add a gate, which sends interrupts", follows="FK202")
    hearing = {edge.target for edge in plan.edges if content(plan, edge) == "speech"}
    # Typed lines bring no speech events, so without sound a gate needs none.
    sound = any("audio" in stage.cls.outputs.values() for stage in plan.stages)
    for stage in plan.stages:
        if sound and "turn" in stage.cls.outputs.values() and stage.id not in hearing:
            what = f"{stage.id!r} is not told when the user begins to speak: it interrupts only at a final transcript"
            yield BrokenRule("FK204", stage.id, what, "add a vad")


def _taken(stage: PlannedStage) -> set[str]:
    return {kind for kinds in stage.cls.inputs.values() for kind in kinds}


def _blocking(plan: Plan) -> Iterator[BrokenRule]:
    """FK205. A provider that declares ``blocks``."""
    for stage in plan.stages:
        for choice in (*([stage.provider] if stage.provider else []), *stage.failover):
            if choice.cls.blocks:
                what = f"provider {choice.name!r} blocks the event loop while it works: every other stage waits"
                yield BrokenRule(
                    "FK205", stage.id, what, "use a provider that works in a thread or process", ("provider",)
                )


def _unbounded(plan: Plan) -> Iterator[BrokenRule]:
    """FK206. A data edge without a bound."""
    endless = [e for e in plan.edges if e.bound is None and content(plan, e) not in CONTROL]
    for target in dict.fromkeys(edge.target for edge in endless):
        what = f"what waits for {target!r} has no bound: a slow stage would fall behind without limit"
        yield BrokenRule("FK206", target, what, "write queue: {max: 50, when_full: block}", ("queue",))


def _contradicting(plan: Plan) -> Iterator[BrokenRule]:
    """FK207. Chunker rules that contradict each other."""
    for stage in plan.stages:
        if isinstance(stage.options, Chunking.Options):
            for what in chunker.lint(stage.options.rules()):
                yield BrokenRule("FK207", stage.id, what, "change one of the two, or leave both at their defaults")


def _never_matching(plan: Plan) -> Iterator[BrokenRule]:
    """FK208. An ignored word that no transcript can contain."""
    for stage in plan.stages:
        if isinstance(stage.options, Gate.Options):
            for phrase in stage.options.ignore or ():
                if not has_words(phrase):
                    what = f"{phrase!r} in `ignore` contains no word, so no transcript ever matches it"
                    yield BrokenRule(
                        "FK208", stage.id, what, "write it as a user says it: ignore: [uh-huh, got it]", ("ignore",)
                    )


def _unheld(plan: Plan) -> Iterator[BrokenRule]:
    """FK209. A hold that ends before a voice is long enough to interrupt."""
    longest = max((s.options.speech_for for s in plan.stages if isinstance(s.options, Endpointing.Options)), default=0)
    for stage in plan.stages:
        if isinstance(stage.options, Gate.Options) and stage.options.resume_after < longest:
            what = "the agent resumes before a voice has lasted for `speech_for`: no voice would interrupt it"
            yield BrokenRule("FK209", stage.id, what, "raise `resume_after` above `speech_for`", ("resume_after",))


def _foreign(plan: Plan) -> Iterator[BrokenRule]:
    """FK210. A provider that cannot hear or speak the language of the agent. That is the chunker's, or else the
    language of the voice."""
    wanted = spoken(plan.stages)
    for stage in plan.stages:
        does = "speaks" if stage.kind == "tts" else "hears"
        for choice in (*([stage.provider] if stage.provider else []), *stage.failover):
            known = sorted({base(code) for code in choice.cls.languages(choice.options)})
            if known and wanted and not wanted & set(known):
                what = f"{choice.name!r} {does} {', '.join(known)}, and the agent speaks {', '.join(sorted(wanted))}"
                yield BrokenRule(
                    "FK210", stage.id, what, "use another provider, model or voice, or change `language`", ("provider",)
                )


def _toolless(plan: Plan) -> Iterator[BrokenRule]:
    """FK211. A model that cannot call the tools that the file has."""
    if any(isinstance(stage.options, Tools) and stage.options.tools for stage in plan.stages):
        for stage in plan.stages:
            if stage.provider is not None and (why := stage.provider.cls.no_tools(stage.provider.options)):
                yield BrokenRule("FK211", stage.id, why, "use another model, or remove `tools`", ("model",))


def _unasked(plan: Plan) -> Iterator[BrokenRule]:
    """FK212. Predictors whose answers change nothing, or silences and early answers that wait for none."""
    predictors = list(_into(plan, "prediction"))
    early = [
        (stage, stage.options.preempt)
        for stage in plan.stages
        if isinstance(stage.options, Gate.Options) and stage.options.preempt is not None
    ]
    for stage in plan.stages:
        if isinstance(stage.options, Endpointing.Options):
            chosen, asked = isinstance(stage.options.end, Silences), stage in predictors
            if asked and not chosen and not early:
                what = "one silence ends every utterance, so what the stages of kind 'turn' say changes nothing"
                help = "write end: {complete: 200ms, unsure: 500ms, incomplete: 1200ms}, or leave the stages out"
                yield BrokenRule("FK212", stage.id, what, help, ("end",))
            elif chosen and not asked:
                what = "no predictor says how complete a turn is, so every utterance ends after `unsure`"
                yield BrokenRule(
                    "FK212", stage.id, what, "add {kind: turn} behind the asr, or write one duration", ("end",)
                )
    # Typed lines are whole, so a gate that hears nobody needs no predictor.
    hearing = list(_into(plan, "transcript"))
    for gate, wish in early:
        if gate in hearing and gate not in predictors and wish.at > 0:
            models = (stage for stage in plan.stages if isinstance(stage.options, LlmTurn.Options))
            stage = next((model for model in models if getattr(model.options, "preempt", None) == wish), gate)
            what = "no predictor says that a turn is likely to be over, so no answer is begun early"
            help = "add {kind: turn} behind the asr, or write preempt: {at: 0}, and every transcript begins one"
            yield BrokenRule("FK212", stage.id, what, help, ("preempt",))


def _unpriced(plan: Plan) -> Iterator[BrokenRule]:
    """FK213. A server without a price, in a pipeline where others have one: the cost is too low."""
    asked = [(stage, choice) for stage in plan.stages for choice in stage.choices if stage.kind in PRICED_BY]
    if any(choice.price is not None for _, choice in asked):
        for stage, choice in asked:
            if choice.cls.remote and choice.price is None:
                what = f"provider {choice.name!r} has no price, so what it costs is in no figure"
                keys = " or ".join(f"{key}: ..." for key in PRICED_BY[stage.kind] if key != "per")
                yield BrokenRule(
                    "FK213", stage.id, what, f"write price: {{{keys}}}, or 0 if it costs nothing", ("provider",)
                )


def _untold(plan: Plan) -> Iterator[BrokenRule]:
    """FK215. A price of tokens, of a provider that does not tell how many there were: nothing is ever charged."""
    for stage in plan.stages:
        for choice in stage.choices if stage.kind != "llm" else ():
            keys = [key for key in TOKENS if choice.price is not None and getattr(choice.price, key)]
            wanted = choice.cls.tells_tokens
            unset = {key: value for key, value in (wanted or {}).items() if getattr(choice.options, key) != value}
            if keys and (wanted is None or unset):
                others = ", ".join(key for key in PRICED_BY[stage.kind] if key not in (*TOKENS, "per"))
                ways = [*(f"{key}: {value}" for key, value in unset.items()), f"a price by {others}"]
                what = f"provider {choice.name!r} does not tell how many tokens it has used, so `{keys[0]}` charges nothing"
                yield BrokenRule("FK215", stage.id, what, f"write {', or '.join(ways)}", ("price",))


def _uncallable(plan: Plan) -> Iterator[BrokenRule]:
    """FK214. A reply that is written in the file calls a tool that the file does not have."""
    declared = [t for stage in plan.stages if isinstance(stage.options, Tools) for t in stage.options.tools]
    names = sorted(title for tool in declared for title in tool.titles)
    for stage in plan.stages:
        for choice in stage.choices:
            for name in sorted(choice.cls.calls_tools(choice.options)):
                if tool_named(declared, name) is None:
                    near = get_close_matches(name, names, n=1)
                    help = f"did you mean {near[0]!r}?" if near else f"tools: {', '.join(names) or 'none'}"
                    yield BrokenRule("FK214", stage.id, f"a reply calls {name!r}, and there is no such tool", help)


LINTS: Mapping[str, Lint] = {
    "FK201": Lint(Severity.WARNING, _whole_reply),
    "FK202": Lint(Severity.ERROR, _ungated),
    "FK203": Lint(Severity.ERROR, _unchunked),
    "FK204": Lint(Severity.WARNING, _uninterruptible),
    "FK205": Lint(Severity.WARNING, _blocking),
    "FK206": Lint(Severity.ERROR, _unbounded),
    "FK207": Lint(Severity.WARNING, _contradicting),
    "FK208": Lint(Severity.WARNING, _never_matching),
    "FK209": Lint(Severity.WARNING, _unheld),
    "FK210": Lint(Severity.WARNING, _foreign),
    "FK211": Lint(Severity.ERROR, _toolless),
    "FK212": Lint(Severity.WARNING, _unasked),
    "FK213": Lint(Severity.WARNING, _unpriced),
    "FK214": Lint(Severity.WARNING, _uncallable),
    "FK215": Lint(Severity.WARNING, _untold),
}
