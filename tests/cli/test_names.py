"""Every command takes files and folders whose names are not UTF-8, or contain control characters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowkit.cli import main
from tests.suite.stage import project

NAMES = [b"p\xff\xfe", b"e\x1b[2J\x07", "日本 é".encode(), b"a\nb", b"-x"]


@pytest.fixture(params=NAMES, ids=[name.decode("ascii", "backslashreplace") for name in NAMES])
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a folder in the current folder. It contains a pipeline and a trace of that name."""
    monkeypatch.chdir(tmp_path)
    named = os.fsdecode(request.param)
    Path(named).mkdir()
    project(Path(named), named, text="tests:\n  - {name: a, chunker: {feed: [One.], expect: [One.]}}\n")
    Path(named, "p.yaml").rename(Path(named, f"{named}.yaml"))
    return f"./{named}/{named}"


COMMANDS: list[tuple[list[str], int]] = [
    (["check", "{}.yaml"], 0),
    (["check", "--format", "json", "{}.yaml"], 0),
    (["check", "--format", "github", "{}.yaml"], 0),
    (["check", "--format", "sarif", "{}.yaml"], 0),
    (["check", "{}.gone.yaml"], 2),
    (["show", "{}.yaml", "--resolved", "--origin"], 0),
    (["graph", "{}.yaml"], 0),
    (["graph", "{}.yaml", "--format", "svg"], 0),
    (["test", "."], 0),
    (["test", "{}.yaml", "--report", "junit={}.xml", "--report", "json={}.json", "--report", "markdown={}.md"], 0),
    (["approve", "{}.jsonl", "--yes"], 0),
    (["report", "{}.jsonl"], 0),
    (["report", "{}.jsonl", "-o", "{}.html"], 0),
    (["report", "{}.gone.jsonl"], 2),
    (["replay", "{}.jsonl"], 0),
    (["replay", "{}.jsonl", "--format", "json"], 0),
    (["replay", "{}.jsonl", "--exact"], 0),
    (["diff", "{}.jsonl", "{}.jsonl", "--format", "json"], 0),
    (["bench", "turns", "{}.jsonl"], 2),
    (["label", "{}.gone.jsonl"], 2),
    (["trace", "info", "{}.jsonl"], 0),
    (["trace", "info", "{}.jsonl", "--format", "json"], 0),
    (["trace", "redact", "{}.jsonl", "-o", "{}.redacted.jsonl"], 0),
    (["trace", "export", "{}.jsonl", "-o", "{}.rows"], 0),
    (["run", "{}.yaml", "--duration", "200ms", "--trace", "{}.new.jsonl"], 0),
    (["run", "{}.yaml", "--duration", "200ms", "--format", "json"], 0),
    (["run", "{}.yaml", "--duration", "200ms", "--output", "{}.wav", "--no-trace"], 0),
    (["run", "{}.yaml", "--input", "{}.gone.wav", "--no-trace"], 2),
]


@pytest.mark.parametrize(("command", "code"), COMMANDS, ids=[" ".join(args[:3]) for args, _ in COMMANDS])
def test_a_name_is_only_a_name(
    name: str, command: list[str], code: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main([part.replace("{}", name) for part in command]) == code, capfdbinary.readouterr()
    said = capfdbinary.readouterr()
    for text in (said.out, said.err):
        assert b"internal error" not in text
        assert b"\x1b" not in text
        assert text.decode("utf-8") or not text


def test_a_setting_that_is_no_text_is_refused_where_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project(tmp_path)
    assert main(["run", str(path), "--set", "trace.dir=a\udcff"]) == 2
    assert capsys.readouterr().err.startswith("--set:1:1: 'trace.dir=a\\udcff' is not text [FK031]")
