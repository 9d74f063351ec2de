"""One entry of ``stages:``. Its keys are sorted into those of every stage, those of its kind and those of its
provider."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from flowkit.config.candidates import candidates_of, provider_class
from flowkit.config.keys import StageReading, call_keys, only, refuse_keys, text_of
from flowkit.config.model import StageConfig
from flowkit.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from flowkit.config.problems import Path, Problem, suggest
from flowkit.config.schema import Wiring
from flowkit.config.validate import build, keys_of
from flowkit.errors import ConfigError
from flowkit.options import Options
from flowkit.stages.base import Stage

MAX_STAGES = 100
_ENDLESS = {"unbounded", "unlimited", "infinite", "infinity", "inf", "none", ".inf"}


def read_stages(node: Node | None, root: Mapping, context: StageReading) -> tuple[StageConfig, ...]:
    """All stages that can be understood. The context's problems say what is wrong with the others."""
    if node is None:
        context.report(
            "FK104", root, (), "'stages' is missing", help="add a list of stages: stages: [{kind: mic}, ...]"
        )
        return ()
    if not isinstance(node, Sequence):
        context.report(
            "FK111", node, ("stages",), "must be a list", node.got(), "write one line `- {kind: ...}` per stage"
        )
        return ()
    if not node.items:
        context.report("FK104", node, ("stages",), "needs at least one stage")
    if len(node.items) > MAX_STAGES:
        # Wiring and checks look at every stage from every other; and no trace holds more.
        first = node.items[MAX_STAGES]
        context.report("FK110", first, ("stages", MAX_STAGES), f"more than {MAX_STAGES} stages", str(len(node.items)))
    read = [_stage(item, ("stages", i), context) for i, item in enumerate(node.items[:MAX_STAGES])]
    stages = [stage for stage in read if stage is not None]
    _refuse_equal_ids(stages, context)
    return tuple(stages)


def _refuse_equal_ids(stages: list[StageConfig], context: StageReading) -> None:
    seen: dict[str, StageConfig] = {}
    for stage in stages:
        first = seen.setdefault(stage.id, stage)
        if first is not stage:
            mark, path = stage.at("id")
            what = f"there is already a stage with the id {stage.id!r}, on line {first.mark.line}"
            context.problems.append(Problem("FK108", mark, path, what, help="give one of them another id: id: ..."))


def _stage(node: Node, path: Path, context: StageReading) -> StageConfig | None:
    if not isinstance(node, Mapping):
        context.report("FK111", node, path, "must be a mapping", node.got(), "write {kind: ...}")
        return None
    cls = _class(node, path, context)
    if cls is None:
        # Without a kind no provider is read, so nothing else would report the references of this stage.
        context.problems.extend(problem for where, problem in context.unset.items() if where[: len(path)] == path)
        return None
    kind = text_of(node.get("kind"))
    # Taken out before validation, so that FK206 explains why there is no such queue, and not an error about a number.
    unbounded, node = _without_endless_queue(node)
    before = len(context.problems)
    candidates = candidates_of(kind, node, path, context)
    _refuse_unknown(kind, cls, node, path, context)
    wiring = build(Wiring, only(node, keys_of(Wiring)), path, context.problems)
    options = build(cls.Options, only(node, keys_of(cls.Options)), path, context.problems)
    if wiring is None or options is None or len(context.problems) > before:
        return None
    sources = (wiring.source,) if isinstance(wiring.source, str) else wiring.source
    queue = (
        wiring.queue if wiring.queue.max else wiring.queue.model_copy(update={"max": _queue_max(kind, cls, context)})
    )
    return StageConfig(
        wiring.id or kind,
        kind,
        cls,
        options,
        candidates,
        sources,
        queue,
        unbounded,
        frozenset(wiring.allow),
        node,
        path,
    )


def _is_kind(key: str) -> bool:
    return key.startswith("kind:") or bool(get_close_matches(key.lower(), ["kind"], cutoff=0.75))


def _queue_max(kind: str, cls: type[Stage[Any]], context: StageReading) -> int:
    return context.catalog.habits(kind).queue if cls.queue_max is None else cls.queue_max


def _class(node: Mapping, path: Path, context: StageReading) -> type[Stage[Any]] | None:
    named = node.get("kind")
    if named is None:
        near = [key for key in node.entries if _is_kind(key)]
        refuse_keys(only(node, near), ["kind"], path, context)
        if not any(key.startswith("kind:") for key in near):  # it is there, but without its space
            help = f"add kind: one of {', '.join(context.catalog.kinds())}"
            context.report("FK104", node, path, "'kind' is missing", help=help)
        return None
    if not isinstance(named, Scalar) or not isinstance(named.value, str):
        context.report("FK111", named, (*path, "kind"), "must be text", named.got())
        return None
    try:
        return context.catalog.stage(named.value)
    except KeyError:
        what = f"unknown kind {named.got()}"
        context.report("FK102", named, (*path, "kind"), what, help=_kind_help(named.text, context.catalog.kinds()))
    except ConfigError as exc:
        code = "FK106" if "declared by" in str(exc) else "FK115"
        context.report(code, named, (*path, "kind"), str(exc), help=exc.hint)
    return None


def _without_endless_queue(node: Mapping) -> tuple[bool, Mapping]:
    """Whether the stage asks for an unbounded queue, and the stage without that key."""
    queue = node.get("queue")
    wish = queue.get("max") if isinstance(queue, Mapping) else None
    if not isinstance(queue, Mapping) or not isinstance(wish, Scalar):
        return False, node
    if not (wish.value is None or wish.value == float("inf") or str(wish.value).lower() in _ENDLESS):
        return False, node
    bounded = replace(queue, entries={k: e for k, e in queue.entries.items() if k != "max"})
    return True, replace(node, entries={**node.entries, "queue": Entry(node.entries["queue"].key, bounded)})


def _refuse_unknown(kind: str, cls: type[Stage[Any]], node: Mapping, path: Path, context: StageReading) -> None:
    known = ["kind", "provider"]
    models: list[type[Options]] = [Wiring, cls.Options]
    if context.catalog.providers(kind):
        known.append("failover")
        # With a list of problems of its own, because `candidates_of` has reported them already.
        provider = provider_class(kind, node, path, replace(context, problems=[]))
        if provider is None and (node.get("provider") is not None or context.catalog.habits(kind).provider):
            return  # its keys are unknown
        known += call_keys(cls, provider)
        models += [provider.Options] if provider else []
    refuse_keys(node, known, path, context, kind, models)


_OTHER_NAMES = {
    "stt": "asr",
    "transcriber": "asr",
    "voice": "tts",
    "speech": "tts",
    "brain": "llm",
    "model": "llm",
    "microphone": "mic",
    "input": "mic",
    "output": "speaker",
    "splitter": "chunker",
}
"""The names of the kinds in other frameworks."""


def _kind_help(text: str, kinds: tuple[str, ...]) -> str:
    """The kind that was probably meant: by its name in other frameworks, else by similar letters."""
    meant = _OTHER_NAMES.get(text.lower())
    return f"here that is kind: {meant}" if meant in kinds else suggest(text, kinds)
