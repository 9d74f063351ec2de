"""No command overwrites an existing file, with its inputs and outputs swapped or with a name that is in use."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from flowkit.cli import main
from tests.suite.stage import project

ROOT = Path(__file__).parents[2]
FILES = """flowkit: 1
stages:
  - {kind: mic, provider: wav, path: q.wav}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted, utterances: [Hello.]}
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: "One."}]}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: wav, path: OUT}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one file of each kind: pipelines, a question, a recording with audio, expectations, and links to
    some of them."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path, "t", "loose", text="tests:\n  - {name: a, chunker: {feed: [One.], expect: [One.]}}\n")
    Path("t.expect.yaml").write_text("expect: [{what: turns, equals: 1}]\n")
    shutil.copy(ROOT / "pipelines/audio/question.wav", "q.wav")
    for name in ("t.input.flac", "talk.input.wav", "talk.jsonl"):
        Path(name).write_bytes(b"somebody's")
    Path("f.yaml").write_text(FILES.replace("OUT", "r.wav"))
    Path("same.yaml").write_text(FILES.replace("OUT", "q.wav"))
    Path("base.yaml").write_text(FILES.replace("OUT", "r.wav"))
    Path("over.yaml").write_text("include: base.yaml\n")
    Path("tested.yaml").write_text(
        "include: base.yaml\ntests:\n  - {name: a, chunker: {feed: [One.], expect: [One.]}}\n"
    )
    Path("old.wav").write_bytes(b"an old reply")
    Path("notes.json").write_text('{"somebody": "else\'s"}')
    for name, to in (
        ("link.wav", "q.wav"),
        ("link.html", "t.jsonl"),
        ("nowhere.html", "gone"),
        ("link.yaml", "f.yaml"),
    ):
        Path(name).symlink_to(to)
    Path("hard.jsonl").hardlink_to("t.jsonl")
    return tmp_path


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


SWAPPED = [
    "run f.yaml --input q.wav --output q.wav",
    "run f.yaml --input q.wav --output ./q.wav --overwrite",
    "run f.yaml --input q.wav --output link.wav --overwrite",
    "run f.yaml --output q.wav --overwrite",
    "run f.yaml --output f.yaml --overwrite",
    "run link.yaml --output f.yaml --overwrite",
    "run over.yaml --output base.yaml --overwrite",
    "run f.yaml --output old.wav",
    "run f.yaml --output new.wav --trace new.wav",
    "run f.yaml --output new.input.wav --trace new.jsonl",
    "run f.yaml --output new.voice-16000.flac --trace new",
    "run f.yaml --trace f.yaml",
    "run f.yaml --trace q.wav",
    "run f.yaml --trace talk",
    "run f.yaml --trace talk.jsonl",
    "run f.yaml --trace t",
    "run f.yaml --trace nowhere.html",
    "run same.yaml --no-trace",
    "report t.jsonl -o t.jsonl",
    "report t.jsonl -o ./t.jsonl",
    "report t.jsonl -o hard.jsonl",
    "report t.jsonl -o link.html",
    "report t.jsonl -o nowhere.html",
    "report t.jsonl -o t.input.flac",
    "report t.jsonl loose.jsonl -o loose.jsonl",
    "report t.jsonl --pipeline p.yaml -o p.yaml",
    "test t.jsonl --report json=t.jsonl",
    "test t.jsonl --report json=hard.jsonl",
    "test t.jsonl --report json=t.expect.yaml",
    "test t.jsonl --report json=t.input.flac",
    "test p.yaml --report junit=p.yaml",
    "test . --report markdown=link.yaml",
    "test p.yaml --report junit=x --report json=x",
    "trace repair t.jsonl -o t.jsonl",
    "trace redact t.jsonl -o t.jsonl",
    "trace redact t.jsonl -o talk.jsonl",
    "trace redact t.jsonl -o talk",
    "trace redact t.jsonl -o nowhere.html",
    "trace export t.jsonl -o t.jsonl",
    "trace export t.jsonl -o nowhere.html",
    "schema -o nowhere.html",
    "schema -o f.yaml",
    "schema -o notes.json",
    "report t.jsonl -o notes.json",
    "report t.jsonl -o old.wav",
    "report t.jsonl --pipeline over.yaml -o base.yaml",
    "test p.yaml --report junit=notes.json",
    "test p.yaml --report json=notes.json",
    "test p.yaml --report markdown=notes.json",
    "test tested.yaml --report json=base.yaml",
]


@pytest.mark.parametrize("command", SWAPPED)
def test_nothing_that_was_there_is_lost(here: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(here)
    code = main(command.split())
    said = capsys.readouterr()
    assert contents(here) == before, said
    assert code == (0 if "repair" in command else 2), said
    assert "internal error" not in said.err


def test_a_second_run_takes_another_name_or_is_told_to_overwrite(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "f.yaml", "--no-trace", "--duration", "300ms", "--output", "new/r.wav"]
    assert main(command) == 0
    first = Path("new/r.wav").read_bytes()
    assert main(command) == 2
    assert "new/r.wav already exists\n    help: give another name, or --overwrite" in capsys.readouterr().err
    assert Path("new/r.wav").read_bytes() == first
    assert main([*command, "--overwrite"]) == 0
    assert Path("new/r.wav").read_bytes()[:4] == b"RIFF"


@pytest.mark.parametrize(
    "command",
    [
        "schema -o {}",
        "report t.jsonl -o {}",
        "test p.yaml --report junit={}",
        "test p.yaml --report json={}",
        "test p.yaml --report markdown={}",
    ],
)
def test_what_flowkit_wrote_it_writes_again(here: Path, command: str) -> None:
    """A report is made anew with every run; nobody's work is lost with the old one. The same holds for an empty file."""
    (here / "empty").touch()
    for name in ("empty", "new/out"):
        if not command.startswith("schema"):
            assert main(command.format(name).split()) == 0
            first = Path(name).read_bytes()
            assert main(command.format(name).split()) == 0
            assert len(Path(name).read_bytes()) > 0 < len(first)
    assert main(command.format("empty").split()) == 0


def test_where_a_report_cannot_be_written_no_test_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (f"{READ_ONLY}/r.json", "f.yaml/r.json", "old.wav/deep/r.json"):
        assert main(["test", "p.yaml", "--report", f"json={place}"]) == 2
        said = capsys.readouterr()
        assert "p.yaml" not in said.out
        assert "cannot" in said.err


def test_a_run_that_never_began_leaves_no_output(here: Path) -> None:
    Path("f.yaml").write_text(Path("f.yaml").read_text().replace("q.wav", "gone.wav"))
    assert main(["run", "f.yaml", "--no-trace"]) == 2
    assert not Path("r.wav").exists()


def test_overwrite_needs_an_output(here: Path) -> None:
    assert main(["run", "f.yaml", "--overwrite"]) == 2


READ_ONLY = "/proc/self/none"
"""Where nobody can write, root neither."""


@pytest.mark.parametrize(
    "command",
    [
        f"run f.yaml --output {READ_ONLY}/r.wav",
        f"run f.yaml --trace {READ_ONLY}/t.jsonl",
        "run f.yaml --trace f.yaml/t.jsonl",
        "run f.yaml --output f.yaml/t.wav",
        f"report t.jsonl -o {READ_ONLY}/r.html",
        "report t.jsonl -o f.yaml/r.html",
        f"test p.yaml --report json={READ_ONLY}/r.json",
        f"trace redact t.jsonl -o {READ_ONLY}/r.jsonl",
        f"trace export t.jsonl -o {READ_ONLY}/r.jsonl",
        f"schema -o {READ_ONLY}/s.json",
        f"report t.jsonl -o {'x' * 300}",
    ],
)
def test_a_place_that_cannot_be_written_is_an_error_of_one_line(
    here: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    assert "cannot write" in said or "cannot be written" in said or "cannot be made" in said
    assert "internal error" not in said


def test_what_a_test_leaves_is_not_written_through_a_link(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", "t.jsonl", "--yes"]) == 0
    text = Path("t.expect.yaml").read_text().replace("ttfa_ms: ", "ttfa_ms: 1")
    Path("t.expect.yaml").write_text(text)
    Path("victim").write_text("kept")
    Path("t.new").symlink_to("victim")
    assert main(["test", "t.jsonl"]) == 1
    assert "note: t.new is a link" in capsys.readouterr().out
    assert Path("victim").read_text() == "kept"
    Path("t.new").unlink()
    Path("t.new").mkdir()
    assert main(["test", "t.jsonl"]) == 1
    assert "t.new: it is a folder" in capsys.readouterr().out


@pytest.mark.parametrize("victim", ["plain.yaml", "t.jsonl"])
def test_no_report_is_written_over_a_file_that_was_looked_into(
    here: Path, victim: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It need not hold a test."""
    Path("plain.yaml").write_text(FILES.replace("OUT", "r.wav"))
    before = Path(victim).read_bytes()
    assert main(["test", ".", "--report", f"json={victim}"]) == 2
    assert Path(victim).read_bytes() == before
    assert victim in capsys.readouterr().err
