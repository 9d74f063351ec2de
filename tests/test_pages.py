"""The Python on the pages for authors runs, and the tests that they show pass."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import trio

from flowkit.errors import ProviderError
from flowkit.messages import Speak
from flowkit.providers.base import Provider
from flowkit.scaffold import write
from flowkit.testing.provider import FakeSession, answer, check_provider, opened
from tests.docs.packages import AUTHORS, installed
from tests.docs.pages import ROOT, blocks
from tests.docs.test_python import pass_


@pytest.fixture(params=AUTHORS)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModuleType]:
    with installed(request.param) as module:
        yield module


def test_the_tests_that_it_shows_pass(page: ModuleType) -> None:
    shown = {name: value for name, value in vars(page).items() if name.startswith(("test_", "Test"))}
    assert shown
    pass_(shown)


@pytest.fixture
def espeak(tmp_path: Path) -> Iterator[type[Provider]]:
    """The provider that runs a program."""
    with installed(AUTHORS[0]) as module:
        yield module.Espeak


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_program_that_it_shows_speaks(espeak: type[Provider]) -> None:
    check_provider(espeak, broken=[espeak.Options(voice="nobody")])


def test_the_program_ends_with_its_call(
    espeak: type[Provider], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, told = tmp_path / "espeak-ng", tmp_path / "told"
    program.write_text(f'#!/bin/sh\n[ -n "$(cat)" ] || exit 0\necho $$ > {told}\nexec sleep 600\n')
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


def test_a_wrong_voice_is_told_when_it_is_loaded(
    espeak: type[Provider], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text('#!/bin/sh\n[ "$2" = en ] || { echo "no voice $2" >&2; exit 1; }\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    async def load(voice: str) -> None:
        async with espeak.load(espeak.Options(voice=voice)):
            pass

    trio.run(load, "en")
    with pytest.raises(ProviderError, match=r"^tts espeak: no voice nobody$"):
        trio.run(load, "nobody")
    program.unlink()
    with pytest.raises(ProviderError, match="espeak-ng"):
        trio.run(load, "en")


def test_the_word_filter_is_what_a_new_stage_begins_with(tmp_path: Path) -> None:
    written = write.stage("word_filter", tmp_path) / "flowkit_word_filter.py"
    first = next(block for block in blocks("python") if block.page == AUTHORS[1])
    assert first.text == written.read_text("utf-8")


def test_every_content_and_kind_has_its_line() -> None:
    from flowkit.stages.base import CONTROL_CONTENT
    from flowkit.stages.content import CONTENT
    from flowkit.testing.provider.declared import KINDS

    stage, provider = (ROOT / AUTHORS[1]).read_text("utf-8"), (ROOT / AUTHORS[0]).read_text("utf-8")
    contents = re.search(r"### Ports\n(.*?)\n`queue_max`", stage, re.DOTALL)
    assert contents is not None
    for content, messages in CONTENT.items():
        [line] = [line for line in contents[1].splitlines() if line.startswith(f"| `{content}`")]
        assert all(f"`{message.__name__}`" in line for message in messages)
        assert ("(control)" in line) == (content in CONTROL_CONTENT)
    assert all(f"| `{kind}` |" in provider for kind in KINDS if kind != "gate")
