"""The Python of each page is one program, in the order of the page, and runs. Tests that it shows pass."""

from __future__ import annotations

import ast
import io
import json
import shutil
import sys
from collections.abc import Callable, Coroutine
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import TestCase

import pytest
import trio
from hypothesis import settings

from tests.docs.packages import AUTHORS
from tests.docs.pages import ROOT, Block, blocks
from tests.docs.test_shell import run

ELSEWHERE = {
    **dict.fromkeys(AUTHORS, "tests/test_pages.py"),
    "docs/embedding.md": "tests/runtime/test_threaded.py",
    "docs/serving.md": "tests/serve/clients/openai_sdk.py",  # needs the openai package
}
"""Pages whose Python another test runs, because it takes more than running it."""
ABROAD = {"from pipecat.": "tests/calls/test_pipecat.py"}
"""What a block has in it that another test runs in an environment of its own."""
FEW = settings(max_examples=100, stateful_step_count=25, deadline=None, derandomize=True, database=None)
"""Of a state machine that sets no number of its own."""


class Job:
    """What LiveKit hands to an entrypoint, with the report of a session that took place."""

    def add_shutdown_callback(self, callback: Callable[[], Coroutine[Any, Any, None]]) -> None:
        trio.run(callback)

    def make_session_report(self) -> Any:
        report = json.loads((ROOT / "tests/calls/livekit.json").read_text("utf-8"))
        return SimpleNamespace(to_dict=lambda: report)


GIVEN: dict[str, dict[str, Any]] = {"docs/calls.md": {"ctx": Job()}}
"""What the Python of a page takes for granted."""
TOOLS = "docs/tools.md"
PAGES = sorted({block.page for block in blocks("python")} - set(ELSEWHERE))


def shown_in(page: str) -> list[tuple[Block, str]]:
    """Each block of Python, with the output that the page shows behind it."""
    of_page = [block for block in blocks() if block.page == page]
    follows = {
        one.line: other.text
        for one, other in pairwise(of_page)
        if other.language == "text" and other.line == one.line + len(one.text.splitlines()) + 3
    }
    return [
        (block, follows.get(block.line, ""))
        for block in of_page
        if block.language == "python" and not any(one in block.text for one in ABROAD)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    shutil.copy(ROOT / "pipelines/scripted.yaml", tmp_path / "pipelines/mine.yaml")
    if page == TOOLS:
        bistro(tmp_path, monkeypatch)
    defined: dict[str, Any] = {"__name__": "shown", **GIVEN.get(page, {})}
    for block, output in shown_in(page):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile("\n" * (block.line - 1) + block.text, ROOT / page, "exec"), defined)
        assert printed.getvalue() == output
        pass_(defined)


def pass_(defined: dict[str, Any]) -> None:
    """Run the tests that are defined."""
    for name in [name for name in defined if name.startswith(("test_", "Test"))]:
        test = defined.pop(name)
        if isinstance(test, type) and issubclass(test, TestCase):
            if "settings" not in vars(test):
                test.settings = FEW  # type: ignore[attr-defined]
            test("runTest").debug()
        else:
            test()


def test_the_report_that_is_saved_is_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test_the_python_of_a_page_runs("docs/calls.md", tmp_path, monkeypatch)
    assert run("flowkit import report.json -o reported.jsonl").code == 0


def bistro(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the function that the page shows, and the pipeline that calls it, into the current folder."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    for name in ("bistro", "bistro.tables"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (folder / "bistro").mkdir()
    (folder / "bistro/tables.py").write_text(shown_in(TOOLS)[0][0].text, "utf-8")
    [pipeline] = [block.text for block in blocks("yaml") if block.page == TOOLS and "{after: book," in block.text]
    (folder / "booking.yaml").write_text(pipeline, "utf-8")


def test_the_function_that_is_shown_is_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bistro(tmp_path, monkeypatch)
    done = run("flowkit run booking.yaml --allow-tools --no-trace", "A table for two.\n")
    assert done.code == 0
    assert 'book: result {"booked": true, "people": 2, "time": "19:30"}' in done.out
    assert "Booked." in done.out


@pytest.mark.parametrize(
    ("then", "now"),
    [("return {", "raise ValueError(time)\n    return {"), ("time: str", "at: str, time: str"), ("True", "False")],
)
def test_the_test_that_is_shown_finds_a_broken_function(
    then: str, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bistro(tmp_path, monkeypatch)
    function = tmp_path / "bistro/tables.py"
    function.write_text(function.read_text("utf-8").replace(then, now), "utf-8")
    defined: dict[str, Any] = {"__name__": "shown"}
    exec(shown_in(TOOLS)[-1][0].text, defined)
    with pytest.raises(AssertionError):
        defined["test_a_table_is_booked"]()


def test_the_other_pages_have_python() -> None:
    assert set(ELSEWHERE) <= {block.page for block in blocks("python")}


def test_every_function_for_programs_is_called() -> None:
    test = (ROOT / ELSEWHERE["docs/embedding.md"]).read_text("utf-8")
    defined = [node for block, _ in shown_in("docs/embedding.md") for node in ast.parse(block.text).body]
    functions = [node.name for node in defined if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert functions
    assert [name for name in functions if f'page["{name}"]' not in test] == []
