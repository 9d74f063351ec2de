"""The Python on the pages for authors runs, and the tests that they show pass."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import trio

from flowkit.messages import Speak
from flowkit.providers.base import Provider
from flowkit.scaffold import write
from flowkit.testing.provider import FakeSession, answer, check_provider, opened

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("writing-a-provider.md", "writing-a-stage.md")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@contextmanager
def module_of(page: str, folder: Path) -> Iterator[ModuleType]:
    """The blocks of a page, joined into a module."""
    name = page.removesuffix(".md").replace("-", "_")
    path = folder / f"{name}.py"
    path.write_text("\n\n".join(_BLOCK.findall((DOCS / page).read_text("utf-8"))), "utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModuleType]:
    with module_of(request.param, tmp_path) as module:
        yield module


def test_the_tests_that_it_shows_pass(page: ModuleType) -> None:
    shown = [test for name, test in vars(page).items() if name.startswith("test_")]
    assert shown
    for test in shown:
        test()


@pytest.fixture
def espeak(tmp_path: Path) -> Iterator[type[Provider]]:
    """The provider that runs a program."""
    with module_of(PAGES[0], tmp_path) as module:
        yield module.Espeak


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_program_that_it_shows_speaks(espeak: type[Provider]) -> None:
    check_provider(espeak)


def test_the_program_ends_with_its_call(
    espeak: type[Provider], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, told = tmp_path / "espeak-ng", tmp_path / "told"
    program.write_text(f"#!/bin/sh\necho $$ > {told}\nexec sleep 600\n")
    program.chmod(0o755)
    os.mkfifo(told)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    async def main() -> int:
        async with opened(espeak, espeak.Options(), FakeSession().around()) as provider, trio.open_nursery() as nursery:
            nursery.start_soon(answer, provider, Speak(1, "Hello."))
            pid = int(await trio.to_thread.run_sync(told.read_text, abandon_on_cancel=True))
            os.kill(pid, 0)
            nursery.cancel_scope.cancel()
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(trio.run(main), 0)


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
