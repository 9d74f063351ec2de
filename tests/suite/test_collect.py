"""Which tests are collected, and the errors for what cannot be collected."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowkit.cli import main
from flowkit.errors import UsageError
from flowkit.plan.graph import ProviderChoice
from flowkit.providers.canned import Canned
from flowkit.testing.sessions import scripted_plan, scripts_of
from tests.suite.stage import project
from tests.trace.sessions import pipeline

CASE = "  - name: {}\n    chunker: {{feed: ['One. ', 'Two.'], expect: {}}}\n"


def cases(*names: str, expect: str = "['One.', 'Two.']") -> str:
    return "tests:\n" + "".join(CASE.format(name, expect) for name in names)


def test_a_folder_without_tests_is_exit_code_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert main(["test", str(tmp_path)]) == 5
    assert "no tests found" in capsys.readouterr().err


@pytest.mark.parametrize("folder", [".venv/samples", "lib/python3.11/site-packages/flowkit/samples"])
def test_the_tests_of_installed_packages_are_not_ones_own(tmp_path: Path, folder: str) -> None:
    packages = tmp_path / folder
    packages.mkdir(parents=True)
    project(packages, text=cases("a"))
    assert main(["test", str(tmp_path)]) == 5
    assert main(["test", str(packages)]) == 0, "unless they are asked for"


def test_a_path_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(tmp_path / "x")]) == 2
    assert "there is no" in capsys.readouterr().err


def test_chunker_cases_pass_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, text=cases("a", "b"))
    assert main(["test", str(path)]) == 0
    assert "2 passed" in capsys.readouterr().out
    project(tmp_path, text=cases("a", expect="['One. Two.']"))
    assert main(["test", str(path)]) == 1
    said = capsys.readouterr().out
    assert f"again: flowkit test {path}::a" in said
    assert "- 'One. Two.'" in said


def test_one_test_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, text=cases("a", "b"))
    assert main(["test", f"{path}::b", "-v"]) == 0
    said = capsys.readouterr().out
    assert " b ... passed" in said
    assert " a ... " not in said
    assert main(["test", f"{path}::c"]) == 2
    assert "tests: a, b" in capsys.readouterr().err


def test_two_tests_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, text=cases("a", "b", "a"))
    assert main(["test", str(path)]) == 2
    assert "two tests have the name 'a'" in capsys.readouterr().out


def test_expectations_without_their_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gone.expect.yaml").write_text("expect: []\n", encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 2
    assert "there is no trace gone.jsonl beside it" in capsys.readouterr().out


def test_recordings_that_no_test_uses_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project(tmp_path, "loose", "used")
    trace = "tests:\n  - {name: a, trace: used.jsonl, expect: [{what: turns, equals: 2}]}\n"
    path.write_text(path.read_text("utf-8") + trace, encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "loose.jsonl: no test uses this recording" in said
    assert "used.jsonl: no test" not in said


def test_what_was_recorded_live_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, text=cases("a"))
    live = tmp_path / "traces" / "live"
    live.mkdir(parents=True)
    for number, said in ((1, "1 recording in {}: move it to {}"), (2, "2 recordings in {}: move one to {}")):
        (live / f"{number}.jsonl").write_text("")
        assert main(["test", str(tmp_path)]) == 0
        line = f"flowkit: {said.format(live, live.parent)} and approve it there\n"
        assert capsys.readouterr().err == line


def test_a_provider_without_virtual_time_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printing = "{kind: gate}, {kind: llm, provider: canned, text: Hi.}, {kind: chunker}, {kind: tts, provider: print}"
    test = "tests: [{name: a, expect: [{what: turns, equals: 1}]}]"
    (tmp_path / "my.yaml").write_text(f"flowkit: 1\nstages: [{printing}]\n{test}\n", "utf-8")
    assert main(["test", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert "stage 'tts' has provider 'print', which cannot run in virtual time" in said
    assert "use `scripted` in its place" in said


def test_an_inline_provider_with_a_model_is_named_too() -> None:
    """Nobody would have loaded its model."""

    class Weighty(Canned):
        @classmethod
        @asynccontextmanager
        async def load(cls, options: Any) -> AsyncIterator[str]:
            yield "weights"

    plan = scripted_plan()
    choice = ProviderChoice("weighty", Weighty, Canned.Options(text="Hi."))
    stages = tuple(replace(stage, provider=choice) if stage.kind == "llm" else stage for stage in plan.stages)
    assert scripts_of(plan)["llm"]
    with pytest.raises(UsageError, match="provider 'weighty', which cannot run in virtual time"):
        scripts_of(replace(plan, stages=stages))


def test_a_file_that_is_wrong_does_not_hide_the_tests_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project(tmp_path, text=cases("a"))
    (tmp_path / "wrong.yaml").write_text("flowkit: 1\nstages: [{kind: what}]\n", encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert f"{tmp_path / 'wrong.yaml'}:2" in said
    assert "1 passed" in said
    assert path.exists()


@pytest.mark.parametrize(
    ("test", "what"),
    [
        ("{name: a}", "needs chunker, or expect"),
        ("{name: a, expect: [{what: turns, equals: 1}], inject: [{speech: 1s}]}", "speech needs either at or after"),
        ("{name: a, expect: [{what: turns, equals: 1}], inject: [{slow: tts}]}", "needs by"),
        ("{name: a, expect: [{what: turns, equals: 1}], chunker: {feed: [], expect: []}}", "sessions"),
        ("{name: a, expect: [{what: agent, contains: x}]}", "add turn"),
        ("{name: a, expect: [{what: cost, within: 1s}]}", "an amount of money: use at_most"),
        ("{name: a, expect: [{turn: 1, what: cost.per_minute, at_most: 1}]}", "remove turn"),
        ("{name: a, expect: [{turn: 1, what: clauses, equals: 2}]}", "a list of texts: equals takes a list"),
        (
            "{name: a, expect: [{turn: 1, what: reasons, at_most: 2}]}",
            "a list of texts: use equals, contains or absent",
        ),
    ],
)
def test_tests_that_mean_nothing_are_refused_in_their_place(
    tmp_path: Path, test: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project(tmp_path)
    path.write_text(path.read_text("utf-8") + f"tests:\n  - {test}\n", encoding="utf-8")
    lines = len(path.read_text("utf-8").splitlines())
    assert main(["test", str(path)]) == 2
    said = capsys.readouterr().out
    assert what in said
    assert f"{path}:{lines}" in said


# -- which files are pipelines -------------------------------------------------------------------------------------------

TEST = {"tests": [{"name": "a", "chunker": {"feed": ["One."], "expect": ["One."]}}]}
BODY = pipeline().partition("flowkit: 1\n")[2]
WRITTEN = {
    "quoted": ("p.yaml", '"flowkit": 1\n' + BODY),
    "capitals": ("P.YAML", "flowkit: 1\n" + BODY),
    "single quotes": ("p.yaml", "'flowkit': 1\n" + BODY),
    "space before the colon": ("p.yaml", "flowkit : 1\n" + BODY),
    "explicit key": ("p.yaml", "? flowkit\n: 1\n" + BODY),
    "last": ("p.yml", BODY + "\nflowkit: 1\n"),
    "a page of comment first": ("p.yaml", "# and so on\n" * 1_000 + "flowkit: 1\n" + BODY),
    "escaped": ("p.yaml", '"flow\\u006bit": 1\n' + BODY),
    "with a byte order mark": ("p.yaml", "\ufeffflowkit: 1\n" + BODY),
    "JSON in a .yaml": ("p.yaml", json.dumps(yaml.safe_load("flowkit: 1\n" + BODY) | TEST)),
    "JSON on many lines": ("p.json", json.dumps(yaml.safe_load("flowkit: 1\n" + BODY) | TEST, indent=1)),
}


@pytest.mark.parametrize(("name", "text"), WRITTEN.values(), ids=WRITTEN)
def test_a_pipeline_is_found_however_it_is_written(
    tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text if '"tests"' in text else f"{text}\n{yaml.safe_dump(TEST)}", encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_a_version_may_stand_in_an_included_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "base.yaml").write_text(pipeline(), encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("include: base.yaml\n" + yaml.safe_dump(TEST), encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 0
    assert "1 passed" in capsys.readouterr().out


UNREADABLE = {
    "bad YAML": (b"flowkit: 1\nstages: [\n", "[FK0"),
    "a tag": (b"!!str flowkit: 1\nstages: []\n", "[FK008]"),
    "cut off JSON": (b'{"name": "x", "flowkit": 1, "stages": [', "[FK0"),
    "two documents": (b"---\nflowkit: 1\n---\nflowkit: 1\n", "[FK0"),
    "no UTF-8": (b"flowkit: 1\nname: \xff\n", "is not UTF-8"),
    "UTF-16": ("flowkit: 1\n".encode("utf-16"), "is not UTF-8"),
    "far too long": (b"flowkit: 1\n" + b"# x\n" * 300_000, "is larger than"),
    "no version, but tests": (b"stages: [{kind: mic}]\ntests: [{name: a}]\n", "'flowkit' is missing"),
}


@pytest.mark.parametrize(("raw", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_looks_like_a_pipeline_and_cannot_be_read_is_an_error(
    tmp_path: Path, raw: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, text=cases("a"))
    (tmp_path / "wrong.yaml").write_bytes(raw)
    assert main(["test", str(tmp_path)]) == 2
    printed = capsys.readouterr().out
    assert said in printed
    assert "1 passed" in printed


OTHERS = {
    "workflow.yml": "on: push\njobs: {a: {run: 'flowkit test .'}}\n",
    "broken.yaml": "{{ template }}: [flowkit\n",
    "part.yaml": "stages: [{kind: mic}]\n",
    "ci.yaml": "include: other.txt\nstages: [build, flowkit]\n",
    "package.json": '{"dependencies": {"flowkit": "1"}}',
    "result.json": '{"flowkit": 1, "counts": {}, "tests": []}',
}


def test_other_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in OTHERS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 5
    assert capsys.readouterr() == ("", "flowkit: no tests found\n")


def test_links_that_lead_nowhere_and_pipes_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, text=cases("a"))
    for name in ("a.yaml", "b.jsonl", "c.expect.yaml"):
        (tmp_path / name).symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "d.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    assert main(["test", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "1 passed" in out
    assert [line.split(":")[1].split("/")[-1] for line in err.splitlines()] == [
        "a.yaml", "b.jsonl", "c.expect.yaml", "d.yaml", "loop.yaml"
    ]  # fmt: skip
