"""The stages and tools that ``tests:`` names. A test that names an unknown one would fail only when it is run, or never."""

from __future__ import annotations

from collections.abc import Iterator

from flowkit.config import Config, Problem
from flowkit.config.faults import parse_fault
from flowkit.config.merge import with_overrides
from flowkit.config.nodes import Mapping, Scalar, Sequence
from flowkit.config.problems import Path, suggest
from flowkit.config.tests import Case
from flowkit.tools import Tools, names_of


def check_cases(config: Config) -> Iterator[Problem]:
    """Every stage and tool that a test names and that the pipeline, with the settings of the test, does not have."""
    for index, case in enumerate(config.top.tests):
        where: Path = ("tests", index)
        tree, refused = _as_set(config, case, where)
        yield from refused
        # A setting that was refused may be the reason why a stage is missing.
        if not refused:
            kinds = _kinds(tree)
            yield from _slowed(config, case, kinds, where)
            yield from _faulty(config, case, kinds, where)
            yield from _measured(config, case, kinds, where)
            yield from _tools(config, case, where)


def _as_set(config: Config, case: Case, where: Path) -> tuple[Mapping, list[Problem]]:
    """The tree with the test's settings, and the settings that name nothing."""
    tree, refused = config.root, []
    for index, setting in enumerate(case.set):
        found: list[Problem] = []
        # One by one, so that each refusal gets the place of its own setting.
        tree = with_overrides(tree, [setting], found)
        path = (*where, "set", index)
        refused += [Problem(p.code, config.at(path), path, p.what, p.got, p.help) for p in found]
    return tree, refused


def _kinds(tree: Mapping) -> dict[str, str]:
    """The kind of each stage by its id."""
    listed = tree.get("stages")
    kinds: dict[str, str] = {}
    for stage in listed.items if isinstance(listed, Sequence) else ():
        kind = stage.get("kind") if isinstance(stage, Mapping) else None
        named = stage.get("id") if isinstance(stage, Mapping) else None
        if isinstance(kind, Scalar):
            kinds[named.text if isinstance(named, Scalar) else kind.text] = kind.text
    return kinds


def _slowed(config: Config, case: Case, kinds: dict[str, str], where: Path) -> Iterator[Problem]:
    pure = {stage.kind for stage in config.stages if not (stage.candidates or config.catalog.habits(stage.kind).serves)}
    able = [stage for stage, kind in kinds.items() if kind not in pure]
    for index, injection in enumerate(case.inject):
        if injection.tool is None and injection.slow is not None and injection.slow not in able:
            path = (*where, "inject", index, "slow")
            what = f"no stage {injection.slow!r} has a provider that can be slowed down"
            yield Problem("FK128", config.at(path), path, what, help=suggest(injection.slow, able, "stages"))


def _faulty(config: Config, case: Case, kinds: dict[str, str], where: Path) -> Iterator[Problem]:
    names = _tool_names(config, case)["inject"]
    for index, injection in enumerate(case.inject):
        if injection.fault is not None and names is not None:
            target, path = parse_fault(injection.fault).target, (*where, "inject", index, "fault")
            if target not in kinds and target not in names:
                what = f"there is no stage or tool {target!r} that could be faulty"
                help = suggest(target, [*kinds, *names], "stages and tools")
                yield Problem("FK128", config.at(path), path, what, help=help)


def _measured(config: Config, case: Case, kinds: dict[str, str], where: Path) -> Iterator[Problem]:
    deaf = {stage.kind for stage in config.stages if not stage.cls.inputs}
    able = [stage for stage, kind in kinds.items() if kind not in deaf]
    for index, assertion in enumerate(case.expect):
        parts = (assertion.what or "").split(".")
        if parts[0] == "queues" and parts[1] not in able:
            path = (*where, "expect", index, "what")
            what = f"there is no queue before {parts[1]!r}"
            yield Problem("FK128", config.at(path), path, what, help=suggest(parts[1], able, "stages"))


def _tool_names(config: Config, case: Case) -> dict[str, tuple[str, ...] | None]:
    """The tools that each key of a test may name; None if that is not known."""
    # The settings of a test may add tools.
    if any("tools" in setting.partition("=")[0] for setting in case.set):
        return {"inject": None, "expect": None}
    tools = [tool for stage in config.stages if isinstance(stage.options, Tools) for tool in stage.options.tools]
    # What is built in is over at once, and nothing can be injected into it.
    return {"inject": names_of(tool for tool in tools if tool.builtin is None), "expect": names_of(tools)}


def _tools(config: Config, case: Case, where: Path) -> Iterator[Problem]:
    able = _tool_names(config, case)
    named = [("inject", index, injection.tool) for index, injection in enumerate(case.inject)]
    named += [("expect", index, assertion.tool) for index, assertion in enumerate(case.expect)]
    told = {"inject": "there is no tool {!r} that an outcome can be injected for", "expect": "there is no tool {!r}"}
    for key, index, name in named:
        known = able[key]
        if name is not None and known is not None and name not in known:
            path = (*where, key, index, "tool")
            help = suggest(name, known, "tools")
            yield Problem("FK128", config.at(path), path, told[key].format(name), help=help)
