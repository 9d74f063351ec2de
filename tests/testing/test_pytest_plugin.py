"""The pytest plugin: the tests of ``flowkit test`` as pytest items, alone and on several workers, and the fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.suite.stage import project

ROOT = Path(__file__).parents[2]
CASES = """tests:
  - {name: good, chunker: {feed: ["One. ", "Two."], expect: ["One.", "Two."]}}
  - {name: bad, chunker: {feed: ["One. ", "Two."], expect: ["One. Two."]}}
  - {name: spoken, expect: [{turn: 1, what: agent, contains: Paris}]}
"""
FIXTURES = """
import trio
from hypothesis import given, settings, strategies as st

def test_replay(flowkit_replay):
    before, after = flowkit_replay("a.jsonl"), flowkit_replay("a.jsonl", "stages.vad.end=500ms")
    assert after.turns[0].ttfa_us - before.turns[0].ttfa_us == 100_000

@settings(max_examples=3, deadline=None)
@given(text=st.sampled_from(("Paris.", "Well, no.")))
def test_session(scripted_session, text):
    engine = scripted_session(llm={"replies": ({"text": text},)}, mic={"speech": [{"at": "0s", "lasts": "300ms"}]})
    assert engine.finished == "input_ended"

def test_clock(virtual_clock):
    async def sleeps():
        await trio.sleep(3600)
        return trio.current_time()
    assert virtual_clock(sleeps) >= 3600
"""


def pytest_in(folder: Path, *args: str) -> tuple[int, str]:
    """Run pytest in a folder with this plugin and other named ones, independent of what is installed."""
    plugins = ["-p", "flowkit.testing.pytest_plugin", "-p", "xdist", "-p", "_hypothesis_pytestplugin"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(folder), "-q", *plugins, *args]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_it_collects_the_tests_that_flowkit_test_runs(tmp_path: Path) -> None:
    project(tmp_path, text=CASES)
    code, said = pytest_in(tmp_path, "--flowkit", "-rA", "p.yaml")
    assert code == 1
    assert "2 passed" in said
    assert "1 failed" in said
    assert "- 'One. Two.'" in said
    assert "again: flowkit test" in said
    assert "p.yaml::bad" in said


def test_without_the_option_it_collects_nothing(tmp_path: Path) -> None:
    project(tmp_path, text=CASES)
    assert pytest_in(tmp_path)[0] == 5


def test_a_file_that_is_wrong_is_a_failure_and_workers_share_the_rest(tmp_path: Path) -> None:
    project(tmp_path, text=CASES)
    (tmp_path / "wrong.yaml").write_text("flowkit: 1\nstages: [{kind: what}]\n", encoding="utf-8")
    code, said = pytest_in(tmp_path, "--flowkit", "-n", "2")
    assert code == 1
    assert "2 failed, 2 passed" in said
    assert "unknown kind" in said


def test_the_fixtures(tmp_path: Path) -> None:
    project(tmp_path, "a")
    (tmp_path / "test_mine.py").write_text(FIXTURES, encoding="utf-8")
    code, said = pytest_in(tmp_path, "test_mine.py")
    assert code == 0, said
    assert "3 passed" in said


def test_plugins_that_look_at_every_items_function_find_one(tmp_path: Path) -> None:
    project(tmp_path, text=CASES)
    (tmp_path / "conftest.py").write_text(
        "import inspect\n"
        "def pytest_collection_modifyitems(items):\n"
        "    assert not any(inspect.iscoroutinefunction(i.obj) or hasattr(i.obj, 'hypothesis') for i in items)\n"
    )
    code, said = pytest_in(tmp_path, "--flowkit", "p.yaml")
    assert (code, "2 passed" in said) == (1, True), said


def test_it_is_declared_as_pytests_entry_point() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    assert declared == {"flowkit": "flowkit.testing.pytest_plugin"}
