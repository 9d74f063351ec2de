"""Every pipeline that a page shows, and every part of one, holds a conversation in virtual time.

What a part leaves out comes from a pipeline of scripted providers. Providers that need a network, a model or a device are
replaced by scripted ones, after their own options were read. All else of the block stays.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowkit.cli import main
from flowkit.config import Outside
from flowkit.config.catalog import INSTALLED
from flowkit.config.kinds import find
from flowkit.config.load import read_text
from flowkit.config.markdown import YamlBlock
from flowkit.config.nodes import plain
from flowkit.config.parse import parse
from flowkit.config.problems import Problem, errors
from flowkit.config.schema import APART, Top
from flowkit.config.text import NamedText
from flowkit.config.validate import keys_of
from flowkit.figures.metrics import measure
from flowkit.plan import vet
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.plan.resolve import draw
from flowkit.plan.variants import with_playback
from flowkit.testing.sessions import PIPELINE, SCRIPTED, heap_session
from flowkit.tools import Tools
from tests.config.test_docs import blocks
from tests.docs.packages import AUTHORS, installed
from tests.docs.pages import ROOT

KEYS = {*keys_of(Top), *APART}
ASKED, ANSWER = "What does it cost?", "It costs 3.50 euros. Come and see."
SAID: dict[str, dict[str, Any]] = {
    "mic": {"speech": [{"at": "3s", "lasts": "600ms"}]},
    "asr": {"utterances": [ASKED]},
    "llm": {"replies": [{"text": ANSWER}]},
}
BASE = [
    {"kind": kind, **({"provider": "scripted"} | SAID.get(kind, {}) if kind in SCRIPTED else {})} for kind in PIPELINE
]
BISTRO = "flowkit.samples.restaurant"
TOOLS = [
    {"call": f"{BISTRO}:free_tables"},
    {"call": f"{BISTRO}:book_table"},
    {"name": "end_call", "builtin": "end_session"},
]
BOOKS = [
    {"calls": [{"name": "free_tables", "arguments": '{"people": 2}'}]},
    {"after": "free_tables", "calls": [{"name": "book_table", "arguments": '{"people": 2, "time": "19:30"}'}]},
    {"after": "book_table", "text": ANSWER},
    {"text": ANSWER},
]
TESTED: dict[str, Any] = {
    "tools": TOOLS,
    "stages": [
        {"kind": "mic", "provider": "scripted", "speech": [{"at": f"{at}s", "lasts": "600ms"} for at in (3, 10)]},
        {"kind": "asr", "provider": "scripted", "utterances": [ASKED, ASKED]},
        {"kind": "llm", "provider": "scripted", "replies": BOOKS},
        {"kind": "speaker", "provider": "memory"},
    ],
}
"""What tests without a pipeline are about."""


def tree_of(block: YamlBlock) -> Any:
    found: list[Problem] = []
    node = parse(block.source, found)
    assert node is not None
    assert not found, found
    return plain(node)


def keys_in(block: YamlBlock) -> set[str]:
    """The keys of the top level. A list of stages is what stands under `stages`."""
    tree = tree_of(block)
    return {"stages"} if isinstance(tree, list) else set(tree)


def whole(tree: Any) -> dict[str, Any]:
    """The pipeline with all stages of a conversation. Those that are missing are put where they belong."""
    top = {"stages": tree} if isinstance(tree, list) else tree
    if "tests" in top and "stages" not in top:
        top = TESTED | top
    stages = list(top.get("stages", ()))
    for base in reversed(BASE):
        behind = PIPELINE[PIPELINE.index(base["kind"]) + 1 :]
        if all(stage["kind"] != base["kind"] for stage in stages):
            at = next((n for n, stage in enumerate(stages) if stage["kind"] in behind), len(stages))
            stages.insert(at, base)
    return {"flowkit": 1, **top, "stages": stages}


def acted(stage: PlannedStage, called: list[str]) -> PlannedStage:
    """The stage with a scripted provider in place of its own. The model calls the tools."""
    if (cls := SCRIPTED.get(stage.kind)) is None or (not stage.choices and stage.kind != "mic"):
        return stage
    said = SAID.get(stage.kind, {})
    if called and stage.kind == "llm":
        calls = {"calls": [{"name": name} for name in called]}
        said = {"replies": [calls, {"after": called[0], "text": ANSWER}]}
    # The stage of a voice that takes whole replies is another than that of the scripted one, which takes clauses.
    choice = ProviderChoice("scripted", cls, cls.Options.model_validate(said))
    return replace(stage, cls=find(stage.kind), provider=choice, failover=())


def called_in(plan: Plan) -> list[str]:
    """The tools that the plan names."""
    runner = plan.only("tools")
    if runner is None or not isinstance(runner.options, Tools):
        return []
    return [name for tool in runner.options.tools for name in (tool.only or (tool.title,)) if name]


def planned(block: YamlBlock) -> Plan:
    source = NamedText(block.source.name, json.dumps(whole(tree_of(block))), block.source.path)
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", source.text), "x" * 20)
    reading = read_text(source, (), Outside(variables), INSTALLED, [])
    found = errors(vet(reading, installed=False).problems)
    assert not found, [str(problem) for problem in found]
    plan = draw(with_playback(reading.config), installed=False).plan
    called = called_in(plan)
    return replace(plan, stages=tuple(acted(stage, called) for stage in plan.stages))


SHOWN = [block for block in blocks() if "wrong" not in block.words]
OURS = [block for block in SHOWN if keys_in(block) <= KEYS]
TESTS = [block for block in SHOWN if {"tests", "expect"} & keys_in(block) and "pipeline" not in keys_in(block)]
ELSEWHERE = {
    "docs/ci.md": {"jobs": "test_shell.py"},
    "docs/deploying.md": {"apiVersion": "test_deploying.py", "groups": "test_deploying.py"},
    "docs/regression-tests.md": {"pipeline": "test_expectations_that_are_shown_are_met"},
}
"""Blocks that are no part of a pipeline, by a key that they have, and the test that runs them."""


def where(block: YamlBlock) -> str:
    return f"{block.source.name}:{block.source.first_line}"


@pytest.fixture(autouse=True)
def packages(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a page for authors shows is installed where its blocks run."""
    block = request.node.callspec.params["block"] if hasattr(request.node, "callspec") else None
    with installed(block.source.name) if block and block.source.name in AUTHORS else nullcontext():
        yield


@pytest.mark.parametrize("block", OURS, ids=where)
def test_what_is_shown_of_a_pipeline_holds_a_conversation(block: YamlBlock) -> None:
    plan = planned(block)
    figures = measure(heap_session(plan).journal.rows, plan=plan)
    last = figures.turns[-1]
    assert (last.user, last.agent, last.end_reason) == (ASKED, ANSWER, "completed")
    assert last.ttfa_us
    assert [tool.name for tool in figures.tools] == called_in(plan)


@pytest.mark.parametrize("block", TESTS, ids=where)
def test_tests_that_are_shown_pass(block: YamlBlock, tmp_path: Path) -> None:
    tree = tree_of(block)
    if "expect" in tree:
        tree = {"tests": [{"name": "as expected", **tree}]}
    text = json.dumps(whole(tree))
    (tmp_path / "shown.yaml").write_text(text, "utf-8")
    assert main(["test", str(tmp_path / "shown.yaml")]) == 0


def test_expectations_that_are_shown_are_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [block] = [block for block in SHOWN if "pipeline" in keys_in(block)]
    for name in ("pipelines/busy.yaml", "traces/busy.jsonl"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "traces/busy.expect.yaml").write_text(block.source.text, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["test", "traces"]) == 0


def test_every_other_block_is_run_elsewhere() -> None:
    others = [(block.source.name, keys_in(block)) for block in SHOWN if block not in (*OURS, *TESTS)]
    known = [(page, key) for page, keys in ELSEWHERE.items() for key in keys]
    assert [page for page, keys in others if not any(page == at and key in keys for at, key in known)] == []
    assert [(at, key) for at, key in known if not any(page == at and key in keys for page, keys in others)] == []
