"""Blocks in all other languages are read by what they are for, and output that no command of the page prints is the real one."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flowkit import trust
from flowkit.messages import Audio, EndOfReply, Message, Speak
from flowkit.serve.server import _ROUTES
from flowkit.serve.variables import asked_for
from flowkit.stages.base import NOTHING
from flowkit.testing.provider import Faults, check_provider
from flowkit.testing.stage import check_stage
from flowkit.testing.turns.labels import checked
from tests.docs.packages import AUTHORS, installed
from tests.docs.pages import PAGES, ROOT, Block, blocks, indented, is_made, name
from tests.docs.test_python import shown_in

RUN_HERE = ("yaml", "python", "sh", "console")
"""Languages of which `test_yaml`, `test_python` and `test_shell` run every block."""
READ_BY = {
    "caddy": "tests/serve/test_behind_proxies.py",
    "dockerfile": "tests/serve/test_deploying.py",
    "ini": "tests/serve/test_deploying.py",
    "json": __name__,
    "mermaid": "tests/stages/test_turn.py",
    "nginx": "tests/serve/test_behind_proxies.py",
    "toml": __name__,
    "xml": __name__,
}
"""The test that reads the blocks of another language."""
PICTURES = {
    "docs/regression-tests.md": "checksum of what was sent to llm:",  # what a bug of the past looked like
    "docs/three-handoffs.md": "what",  # partial transcripts, one below the other
    "docs/trace-format.md": "[first_row,",  # names for what stands there
}
"""Text that nothing prints, by its beginning."""
PRINTED_HERE = {"CONTRIBUTING.md": "flowkit/cli/", AUTHORS[0]: "tts provider", AUTHORS[1]: "stage 'word_filter'"}
"""Text that a test below compares, by its beginning."""


def text_of(page: str) -> str:
    [block] = [block for block in blocks("text") if block.page == page and block.text.startswith(PRINTED_HERE[page])]
    return block.text


def of_page(page: str, language: str) -> list[str]:
    return [block.text for block in blocks(language) if block.page == page]


# -- every block has a test --------------------------------------------------------------------------------------------


def of_people() -> Iterator[Block]:
    """The blocks that somebody wrote. tests/docs/test_made.py compares the others with the code."""
    return (block for block in blocks() if not is_made(ROOT / block.page))


def test_every_block_has_a_language_that_a_test_runs() -> None:
    assert {block.language for block in of_people()} - {*RUN_HERE, *READ_BY, "text"} == set()
    assert set(READ_BY) <= {block.language for block in of_people()}
    for path in set(READ_BY.values()) - {__name__}:
        assert (ROOT / path).exists()


def test_every_text_is_printed_or_said_to_be_a_picture() -> None:
    printed = {output for page in {b.page for b in blocks("python")} for _, output in shown_in(page)}
    texts = [block for block in of_people() if block.language == "text" and block.text not in printed]
    known = [*PICTURES.items(), *PRINTED_HERE.items()]
    assert [
        str(b) for b in texts if not any(b.page == page and b.text.startswith(start) for page, start in known)
    ] == []
    assert len(known) == len(texts)


@pytest.mark.parametrize("page", [page for page in PAGES if not is_made(page)], ids=name)
def test_blocks_are_fenced(page: Path) -> None:
    assert indented(page.read_text("utf-8")) == []


def test_a_block_that_is_indented_is_seen() -> None:
    page = "- item\n\n    of the item\n\nNow:\n\n    code\n    more\n\n```sh\n\n    inside\n```\n"
    assert indented(page) == ["    code"]


# -- other languages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["docs/embedding.md", "docs/tools.md"])
def test_the_project_file_allows_what_it_names(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [text] = of_page(page, "toml")
    for package in (named := tomllib.loads(text)["tool"]["flowkit"]["tools"]):
        assert not trust.allows(package)
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    assert named
    assert all(trust.allows(package) and trust.starts(package) for package in named)


def test_labels_are_labels() -> None:
    turns, interruptions = (
        checked(json.loads(text), "turn-taking.md") for text in of_page("docs/turn-taking.md", "json")
    )
    assert turns.turns[0].pauses
    assert [said.kind.value for said in interruptions.interruptions] == ["take_over", "backchannel"]


def test_the_stream_of_a_call_leads_to_the_server_and_gives_a_value() -> None:
    [text] = of_page("docs/telephone.md", "xml")
    [stream] = ElementTree.fromstring(text).iter("Stream")
    assert "/" + stream.attrib["url"].split("/", 3)[3] in _ROUTES
    assert asked_for({p.attrib["name"]: p.attrib["value"] for p in stream.iter("Parameter")}) == {"name": "Ann"}


# -- output ------------------------------------------------------------------------------------------------------------


def test_the_layout_is_that_of_the_repository() -> None:
    for names in re.findall(r"^((?:\S+, )*\S+[^\s,])(?:\s|$)", text_of("CONTRIBUTING.md"), re.MULTILINE):
        first, *others = names.split(", ")
        assert [path for path in (first, *(f"flowkit/{other}" for other in others)) if not (ROOT / path).exists()] == []


LONG = 300
"""Characters of a clause that no chunker makes."""


def test_what_check_provider_finds_looks_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(AUTHORS[0]) as module:
        call = module.Hum.call

        async def broken(self: Any, request: Speak, fed: Any, emit: Any) -> None:
            async def forgetful(item: Audio) -> None:
                await emit(replace(item, first_sample=0) if item.first_sample == module.PIECE else item)

            await call(self, request, fed, forgetful if len(request.text) > LONG else emit)

        monkeypatch.setattr(module.Hum, "call", broken)
        with pytest.raises(Faults) as found:
            check_provider(module.Hum)
    assert str(found.value).strip() == text_of(AUTHORS[0]).strip()


def test_what_check_stage_finds_looks_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(AUTHORS[1]) as module:
        step = module.WordFilter.step

        def broken(self: Any, state: None, message: Message, now_us: int) -> Any:
            return NOTHING if isinstance(message, EndOfReply) else step(self, state, message, now_us)

        monkeypatch.setattr(module.WordFilter, "step", broken)
        with pytest.raises(Faults) as found:
            check_stage(module.WordFilter, examples=1)
    shown, _, end = text_of(AUTHORS[1]).strip().partition("...")
    assert str(found.value).startswith(shown)
    assert str(found.value).endswith(end)


# -- prices ------------------------------------------------------------------------------------------------------------


def test_prices_are_said_to_be_examples() -> None:
    """Nobody can read a price list while the tests run, so no page may look as if its prices were today's."""
    priced = [page for page in PAGES if re.search(r"price: \{\w+: \d", page.read_text("utf-8"))]
    assert len(priced) >= 2
    assert [name(page) for page in priced if "examples and not quoted" not in page.read_text("utf-8")] == []


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_program_that_is_named_is_there(page: Path) -> None:
    """A figure names the program that measured it."""
    named = re.findall(r"(?:tests|tools)/[\w/]+\.py|\bbench_\w+\.py", page.read_text("utf-8"))
    assert [one for one in named if not (ROOT / one).exists() and not (ROOT / "tests/benchmarks" / one).exists()] == []
