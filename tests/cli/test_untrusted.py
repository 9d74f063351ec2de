"""Traces and test folders from other people are only data.

Reading them opens no other file, follows no path out of their folder, writes through no link, and runs no module of
theirs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.config import load
from flowkit.plan import resolve
from flowkit.plan.show import show
from tests.suite.stage import project
from tests.trace.recording import record
from tests.trace.sessions import pipeline

SECRET = "the-reader-s-own-words"
CASE = "tests:\n  - {name: a, chunker: {feed: [One., ' Two.'], expect: [One., Two.]}}\n"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder from other people, inside a folder with the user's own files."""
    (tmp_path / "own.txt").write_text(SECRET)
    (tmp_path / "own.yaml").write_text(pipeline())
    os.mkfifo(tmp_path / "pipe")
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


@pytest.fixture
def flowkit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], theirs: Path) -> Run:
    monkeypatch.chdir(theirs)
    monkeypatch.setenv("READER", SECRET)

    def run(*args: str) -> tuple[int, str]:
        code = main(args)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def recorded_with(folder: Path, name: str) -> None:
    """A trace whose configuration has `name` as the pipeline's name."""
    config = load("p.yaml", text=pipeline())
    plan = resolve(config)
    shown, count = re.subn(r"(?m)^name: .*$", lambda _: f"name: {name}", show(config, plan))
    assert count == 1
    record(folder / "t.jsonl", plan, config=shown, audio=False)


@pytest.mark.parametrize(
    "prompt", ['"${file:../own.txt}"', '"${file:../pipe}"', '"${file:/proc/self/environ}"', '"${READER}"']
)
@pytest.mark.parametrize(
    "command", ["report t.jsonl", "report t.jsonl -o t.html", "replay t.jsonl", "replay t.jsonl --exact", "diff t.jsonl", "test .",
                "approve t.jsonl --yes", "trace info t.jsonl"]
)  # fmt: skip
def test_a_trace_s_configuration_opens_nothing_of_the_reader_s(
    theirs: Path, flowkit: Run, prompt: str, command: str
) -> None:
    recorded_with(theirs, prompt)
    Path("t.expect.yaml").write_text("expect: []\n")
    before = set(theirs.iterdir())
    code, said = flowkit(*command.split())
    assert code in (0, 1), said
    made = [path.read_text("utf-8", "replace") for path in set(theirs.iterdir()) - before]
    assert SECRET not in said + "".join(made)
    assert "internal error" not in said


@pytest.mark.parametrize("value", ['"${file:../own.txt}"', '"${file:../pipe}"'])
def test_a_pipeline_under_test_opens_no_file(theirs: Path, flowkit: Run, value: str) -> None:
    path = project(theirs, text=CASE)
    path.write_text(re.sub(r"(?m)^name: .*$", lambda _: f"name: {value}", path.read_text("utf-8")), "utf-8")
    for options in ((), ("--env",)):
        code, said = flowkit("test", ".", *options)
        assert (code, SECRET in said) == (0, False), said


def test_variables_are_handed_over_when_asked(theirs: Path, flowkit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project(theirs, text=CASE)
    text = path.read_text("utf-8")
    path.write_text(text.replace("{kind: chunker}", '{kind: chunker, max_tokens: "${MOST}"}'), "utf-8")
    assert path.read_text("utf-8") != text
    monkeypatch.setenv("MOST", "7")
    code, said = flowkit("test", ".")
    assert code == 2
    assert "${MOST} has no value in a test" in said
    assert "flowkit test --env" in said
    assert flowkit("test", ".", "--env")[0] == 0
    monkeypatch.delenv("MOST")
    path.write_text(path.read_text("utf-8") + "# changed\n", "utf-8")
    assert "the variable is not set" in flowkit("test", ".", "--env")[1]


def test_a_session_test_says_why_a_variable_has_no_value(
    theirs: Path, flowkit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project(theirs, text="tests:\n  - {name: a, expect: [{what: turns, equals: 2}]}\n")
    path.write_text(
        path.read_text("utf-8").replace("{kind: chunker}", '{kind: chunker, max_tokens: "${MOST}"}'), "utf-8"
    )
    monkeypatch.setenv("MOST", "70")
    code, said = flowkit("test", ".")
    assert code == 2
    assert "tests get no environment variables" in said
    assert flowkit("test", ".", "--env")[0] == 0


@pytest.mark.parametrize(
    "named", ["../own.yaml", "/etc/hostname", "../own.txt", "link.yaml", "../theirs/../own.yaml", "/proc/self/environ"]
)
def test_expectations_name_no_file_out_of_their_folder(theirs: Path, flowkit: Run, named: str) -> None:
    project(theirs, "t")
    Path("link.yaml").symlink_to("../own.yaml")
    Path("t.expect.yaml").write_text(f"pipeline: {named}\n")
    for folder in (".", "t.jsonl"):
        code, said = flowkit("test", folder)
        assert code == 2
        assert "leads out of" in said or "which is not a .yaml" in said


@pytest.mark.parametrize("named", ["../own.jsonl", "/proc/self/environ", "../own.txt", "link.jsonl"])
def test_a_test_names_no_recording_out_of_its_folder(theirs: Path, flowkit: Run, named: str) -> None:
    Path("link.jsonl").symlink_to("../own.txt")
    project(theirs, text=f"tests:\n  - {{name: a, trace: {named}, expect: [{{what: turns, equals: 2}}]}}\n")
    code, said = flowkit("test", "p.yaml")
    assert code == 2
    assert "leads out of" in said or "which is not a .jsonl" in said
    assert SECRET not in said


def test_folders_beside_each_other_are_one_where_both_are_named(
    theirs: Path, flowkit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (theirs / "traces").mkdir()
    project(theirs / "traces", "t")
    (theirs / "traces" / "p.yaml").rename(theirs / "p.yaml")
    (theirs / "traces" / "t.expect.yaml").write_text("pipeline: ../p.yaml\nexpect: [{what: turns, equals: 2}]\n")
    assert flowkit("test", "traces")[0] == 0, "the current folder holds both"
    monkeypatch.chdir("/")
    assert flowkit("test", str(theirs))[0] == 0
    code, said = flowkit("test", str(theirs / "traces"))
    assert code == 2
    assert "name the folder that holds both" in said


def test_links_out_of_the_folder_are_left_out(theirs: Path, flowkit: Run) -> None:
    project(theirs, text=CASE)
    Path("other.yaml").symlink_to("../own.yaml")
    code, said = flowkit("test", ".")
    assert code == 0
    assert "other.yaml: a link that leads out of ." in said


def test_repair_copies_no_sound_that_is_a_link(theirs: Path, flowkit: Run) -> None:
    project(theirs, "t")
    whole = Path("t.jsonl").read_bytes().splitlines(keepends=True)
    Path("t.jsonl").write_bytes(b"".join(whole[:-1]))
    Path("t.input.wav").symlink_to("../own.txt")
    code, said = flowkit("trace", "repair", "t.jsonl")
    assert code == 0, said
    assert not Path("t.repaired.input.flac").exists()
    assert SECRET not in "".join(path.read_text("utf-8", "replace") for path in theirs.glob("t.repaired*"))


def test_a_pipeline_s_name_does_not_leave_the_folder_of_traces(theirs: Path, flowkit: Run) -> None:
    for name in ("../../x", "/tmp/x", "..", "a/b", "x" * 300, "."):
        path = project(theirs, text="trace: {dir: kept}\n")
        path.write_text(re.sub(r"(?m)^name: .*$", f"name: {name}", path.read_text("utf-8")), "utf-8")
        code, said = flowkit("run", "p.yaml", "--duration", "100ms")
        assert code == 0, said
    made = {path.name[-8:] for path in theirs.parent.iterdir()}
    assert made == {"own.txt", "own.yaml", "pipe", "theirs"}
    assert len([path for path in Path("kept").iterdir() if path.suffix == ".jsonl"]) >= 1
    assert Path("kept").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in Path("kept").iterdir()} == {0o600}


@pytest.mark.parametrize("module", ["multiprocessing", "concurrent", "trio", "flowkit", "json", "site", "yaml"])
def test_no_module_of_the_current_folder_is_run(theirs: Path, module: str) -> None:
    project(theirs, *(f"t{number}" for number in range(5)))
    for number in range(5):
        (theirs / f"t{number}.expect.yaml").write_text("expect: [{what: turns, equals: 2}]\n")
    (theirs / f"{module}.py").write_text("open('/dev/stderr', 'w').write('I was run')\nraise SystemExit(99)\n")
    command = [str(Path(sys.executable).parent / "flowkit"), "test", ".", "-j2"]
    done = subprocess.run(command, cwd=theirs, capture_output=True, text=True, timeout=60)
    assert "I was run" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    assert "5 passed" in done.stdout
