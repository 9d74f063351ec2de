"""What can be wrong with a graph: names, ports, cycles, stages without input, budgets, policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowkit.config import Config, Problem, StageConfig
from flowkit.config.nodes import Scalar
from flowkit.config.nodes import Sequence as ListNode
from flowkit.config.problems import Path, suggest
from flowkit.config.text import Mark
from flowkit.plan.budgets import check_budgets
from flowkit.plan.lints import LINTS
from flowkit.plan.wiring import Station, Wire, cycle, reached

LOSSY = frozenset({"audio", "voice", "tokens", "clauses"})
"""Content that a queue may drop. Everything else is a marker or a transcript, whose loss would break the turn."""


def check(config: Config, stations: Sequence[Station], wires: Sequence[Wire]) -> list[Problem]:
    """Every problem of the graph, each at the key that causes it."""
    circle = cycle(stations, wires)
    problems = [p for stage in config.stages for p in _sources(stage, config, wires, circle)]
    problems += [
        p for stage in config.stages for p in (*_allow(stage), *_policy(stage, wires), *_no_queue(stage, wires))
    ]
    problems += _cycle(config, circle)
    # After a wrong `from`, stages seem to be unreached that are not.
    if not problems:
        problems += _reach(config, stations, wires)
        problems += [p for stage in config.stages if stage.kind == "gate" for p in _gate(stage, config, wires)]
    return problems + check_budgets(config)


def _sources(stage: StageConfig, config: Config, wires: Sequence[Wire], circle: list[str]) -> Iterator[Problem]:
    """`from` names stages that exist, and whose outputs the stage takes."""
    ids = [other.id for other in config.stages]
    for index, name in enumerate(stage.sources or ()):
        mark, path = _source_at(stage, index)
        if name not in ids:
            yield Problem("FK120", mark, path, f"there is no stage {name!r}", help=suggest(name, ids, "stages"))
        elif name in circle and stage.id in circle:
            continue  # reported as such
        elif not any(w.source == name and w.target == stage.id and not w.control for w in wires):
            gives = ", ".join(config.stage(name).cls.outputs.values()) or "nothing"
            takes = ", ".join(sorted(_taken(stage))) or "nothing"
            what = f"{name!r} does not fit: it gives {gives}, and {stage.id!r} takes {takes}"
            yield Problem("FK123", mark, path, what)


def _source_at(stage: StageConfig, index: int) -> tuple[Mark, Path]:
    node = stage.node.get("from")
    if isinstance(node, ListNode):
        return node.items[index].mark, (*stage.path, "from", index)
    return stage.at("from")


def _allow(stage: StageConfig) -> Iterator[Problem]:
    mark, path = stage.at("allow")
    for code in sorted(stage.allow):
        if code not in LINTS:
            help = suggest(code, LINTS, "lint rules")
            yield Problem(
                "FK127", mark, path, f"{code!r} is not a lint rule; only lint rules can be allowed", help=help
            )


def _policy(stage: StageConfig, wires: Sequence[Wire]) -> Iterator[Problem]:
    contents = [w.content for w in wires if w.target == stage.id and not w.control]
    policy = stage.queue.when_full.value
    if policy.startswith("drop") and contents and not LOSSY & set(contents):
        mark, path = stage.at("queue", "when_full")
        what = f"nothing that waits for {stage.id!r} may be dropped ({', '.join(dict.fromkeys(contents))})"
        yield Problem("FK125", mark, path, what, policy, "write block or error")


def _no_queue(stage: StageConfig, wires: Sequence[Wire]) -> Iterator[Problem]:
    if stage.node.get("queue") is not None and not stage.cls.takes_data():
        mark, path = stage.at("queue")
        help = "the microphone's buffer is bounded by ring: 1s" if stage.kind == "mic" else ""
        yield Problem(
            "FK125", mark, path, f"{stage.id!r} takes nothing from other stages, so it has no queue", help=help
        )


def _cycle(config: Config, names: list[str]) -> list[Problem]:
    if not names:
        return []
    inside = [stage for stage in config.stages if stage.id in names]
    first = next((stage for stage in inside if set(stage.sources or ()) & set(names)), inside[0])
    mark, path = first.at("from")
    start = names.index(first.id)
    ring = " -> ".join([*names[start:], *names[:start], first.id])
    return [
        Problem(
            "FK121",
            mark,
            path,
            f"the stages feed each other in a circle: {ring}",
            help="remove this 'from', or name an earlier stage",
        )
    ]


def _reach(config: Config, stations: Sequence[Station], wires: Sequence[Wire]) -> list[Problem]:
    """Stages that get no data. A pipeline begins with a source, or with the gate, which takes typed lines. A stage that
    takes control messages only needs a stage that sends them."""
    origins = {stage.id for stage in config.stages if not stage.cls.inputs}
    origins |= {w.target for w in wires if w.control and not config.stage(w.target).cls.takes_data()}
    if config.stages and config.stages[0].kind == "gate":
        origins.add(config.stages[0].id)
    found = reached(stations, wires, origins)
    return [_unreached(stage, config) for stage in config.stages if stage.id not in found]


def _taken(stage: StageConfig) -> set[str]:
    return {kind for kinds in stage.cls.inputs.values() for kind in kinds}


def _unreached(stage: StageConfig, config: Config) -> Problem:
    kinds = sorted(_taken(stage) - {"turn", "speech", "progress"})
    givers = [kind for kind in config.catalog.kinds() if set(config.catalog.stage(kind).outputs.values()) & set(kinds)]
    help = f"put a stage before it that gives {' or '.join(kinds)}" + (f": {', '.join(givers)}" if givers else "")
    return Problem("FK122", stage.mark, stage.path, f"nothing reaches {stage.id!r}", help=help)


def _gate(stage: StageConfig, config: Config, wires: Sequence[Wire]) -> Iterator[Problem]:
    """A gate needs transcripts, and something that reports the end of an utterance."""
    contents = {w.content for w in wires if w.target == stage.id}
    # A gate at the beginning takes typed lines, and so needs no transcript.
    if stage is config.stages[0]:
        return
    if "transcript" not in contents:
        yield Problem("FK126", stage.mark, stage.path, f"{stage.id!r} gets no transcript", help="put an asr before it")
    release = getattr(stage.options, "release", None)
    if "endpoint" not in contents and release == "end_of_utterance":
        mark, path = stage.at("release")
        what = f"nothing tells {stage.id!r} when an utterance has ended"
        help = "add a vad before the asr, or trust the ASR's own finals: release: asr_final"
        yield Problem("FK126", mark, path, what, _written(stage), help)


def _written(stage: StageConfig) -> str:
    node = stage.node.get("release")
    return node.got() if isinstance(node, Scalar) else ""
