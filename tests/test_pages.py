"""The Python on the pages for authors runs, and the tests that they show pass."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flowkit.scaffold import write

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("writing-a-provider.md", "writing-a-stage.md")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The blocks of a page, joined into a module."""
    name = request.param.removesuffix(".md").replace("-", "_")
    path = tmp_path_factory.mktemp("pages") / f"{name}.py"
    path.write_text("\n\n".join(_BLOCK.findall((DOCS / request.param).read_text("utf-8"))), "utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_the_tests_that_it_shows_pass(page: ModuleType) -> None:
    shown = [test for name, test in vars(page).items() if name.startswith("test_")]
    assert shown
    for test in shown:
        test()


def test_the_word_filter_is_what_a_new_stage_begins_with(tmp_path: Path) -> None:
    written = write.stage("word_filter", tmp_path) / "flowkit_word_filter.py"
    first = _BLOCK.search((DOCS / "writing-a-stage.md").read_text("utf-8"))
    assert first is not None
    assert first[1] == written.read_text("utf-8")


def test_every_content_and_kind_has_its_line() -> None:
    from flowkit.stages.base import CONTROL_CONTENT
    from flowkit.stages.content import CONTENT
    from flowkit.testing.provider.declared import KINDS

    stage, provider = (DOCS / PAGES[1]).read_text("utf-8"), (DOCS / PAGES[0]).read_text("utf-8")
    contents = re.search(r"### Ports\n(.*?)\n`queue_max`", stage, re.DOTALL)
    assert contents is not None
    for content, messages in CONTENT.items():
        [line] = [line for line in contents[1].splitlines() if line.startswith(f"| `{content}`")]
        assert all(f"`{message.__name__}`" in line for message in messages)
        assert ("(control)" in line) == (content in CONTROL_CONTENT)
    assert all(f"| `{kind}` |" in provider for kind in KINDS if kind != "gate")
