"""The commands that the pages show are commands: each has its options, and those of the tutorial print what it says."""

from __future__ import annotations

import argparse
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowkit.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r" *(`{3,})(.*)")


def blocks(page: str) -> Iterator[str]:
    """The lines of blocks without a language or of consoles, and indented lines."""
    language: str | None = None
    for line in page.replace("\\\n", "").splitlines():
        if fence := _FENCE.match(line):
            language = fence[2].strip() if language is None else None
        elif language in ("", "console") or (language is None and line.startswith("    ")):
            yield line


def commands(page: str) -> Iterator[list[str]]:
    """The words of each line of a block that calls flowkit, without its comment and what it is piped into."""
    for line in blocks(page):
        if found := re.match(r" *(?:\$ )?flowkit ([a-z].*)", line):
            words = shlex.split(found[1], comments=True)
            yield words[: words.index("|")] if "|" in words else words


SHOWN = [(page.stem, words) for page in PAGES for words in commands(page.read_text("utf-8"))]


@pytest.mark.parametrize("words", [pytest.param(words, id=f"{page}: {' '.join(words)}"[:80]) for page, words in SHOWN])
def test_the_command_has_these_options(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="flowkit")
    importlib.import_module(COMMANDS[words[0]][0]).add(parser.add_subparsers())
    parser.parse_args(words)


def test_the_agent_of_the_tutorial_says_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    file = tmp_path / "my.yaml"
    file.write_text(re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0], "utf-8")
    talk = re.search(r"^\$ flowkit run my\.yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert talk is not None
    said = re.findall(r"^> (.*)$", talk[1], re.MULTILINE)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(said) + "\n"))
    assert main(["run", str(file), "--no-trace"]) == 0
    assert capsys.readouterr().out == talk[1]


def test_a_command_is_found_without_its_comment() -> None:
    page = "```\n$ flowkit run a.yaml --set 'b=[c, d]'   # why\nagent: hello\n```\n\n    flowkit check a.yaml\n"
    assert list(commands(page)) == [["run", "a.yaml", "--set", "b=[c, d]"], ["check", "a.yaml"]]
