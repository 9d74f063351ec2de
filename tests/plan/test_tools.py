"""``check`` and the functions that a file names as tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit import trust
from flowkit.config import InvalidConfig
from flowkit.config.codes import pages
from flowkit.config.load import read
from flowkit.config.problems import Problem
from flowkit.plan import require, vet

FILE = """
flowkit: 1
tools: [{call: %s, timeout: 5s, say_after: {after: %s, text: One moment.}}]
stages: [{kind: gate}, {kind: llm, provider: canned, text: Hello.}]
"""


@pytest.fixture(autouse=True)
def bistro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the current folder, which may be imported."""
    (tmp_path / "bistro.py").write_text("def book(people: int) -> None: ...\ndef look(time): ...\nSEATS = 12\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(trust, "_allowed", {"bistro"})


def problems(call: str, after: str = "1s") -> list[Problem]:
    return [p for p in vet(read("a.yaml", text=FILE % (call, after))).problems if p.path[:1] == ("tools",)]


def test_a_function_is_a_tool() -> None:
    assert problems("bistro:book") == []


@pytest.mark.parametrize(
    ("call", "code", "what"),
    [
        ("bistro:look", "FK115", "parameter 'time' has no annotation"),
        ("bistro:pay", "FK115", "cannot be imported"),
        ("bistro:SEATS", "FK115", "is no function but a int"),
        ("bistro.tables:book", "FK115", "cannot be imported"),
        ("os:getcwd", "FK130", "the module 'os' may not be imported"),
    ],
)
def test_what_is_no_tool_is_told_at_its_line(call: str, code: str, what: str) -> None:
    (problem,) = problems(call)
    assert (problem.code, problem.mark.line) == (code, 3)
    assert problem.severity == pages()[code].severity
    assert what in problem.what


def test_a_filler_that_would_never_be_said_is_an_error() -> None:
    (problem,) = problems("bistro:book", after="5s")
    assert "would never be said" in problem.what


def test_the_users_own_pyproject_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_allowed", set())
    assert [p.code for p in problems("bistro:book")] == ["FK130"]
    Path("pyproject.toml").write_text('[tool.flowkit]\ntools = ["bistro"]\n')
    assert problems("bistro:book") == []


@pytest.mark.parametrize(
    ("call", "help"),
    [
        ("bistro:bok", "did you mean 'book'?"),
        (
            "bistr.tables:book",
            "modules are found in the current folder and in the environment, not beside the pipeline file",
        ),
    ],
)
def test_a_tool_that_is_not_found_says_where_to_look(call: str, help: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_allowed", {"bistro", "bistr"})
    (problem,) = problems(call)
    assert problem.help == help


def test_what_is_a_notice_for_check_is_an_error_for_a_run() -> None:
    config = read("a.yaml", text=FILE % ("os:getcwd", "1s")).config
    assert vet(read("a.yaml", text=FILE % ("os:getcwd", "1s"))).errors == []
    with pytest.raises(InvalidConfig) as raised:
        require(config)
    assert "a.yaml:3:" in str(raised.value)
    assert 'help: allow it in the pyproject.toml of the current folder: [tool.flowkit] tools = ["os"]; or' in str(
        raised.value
    )
    assert "with `flowkit run --allow-tools`" in str(raised.value)
