"""The documents: every YAML block does what it is shown for."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from flowkit.config import Outside, Unset
from flowkit.config.catalog import INSTALLED
from flowkit.config.load import read_text
from flowkit.config.markdown import YamlBlock, yaml_blocks
from flowkit.config.parse import parse
from flowkit.config.problems import Problem, errors
from flowkit.config.text import NamedText
from flowkit.plan import vet
from tests.docs.packages import AUTHORS, installed

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks() -> list[YamlBlock]:
    return [
        block
        for page in PAGES
        for block in yaml_blocks(NamedText(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"), page))
    ]


@pytest.mark.parametrize("block", blocks(), ids=lambda b: f"{b.source.name}:{b.source.first_line}")
def test_every_yaml_block_is_sound_or_marked_as_wrong(block: YamlBlock) -> None:
    found: list[Problem] = []
    if block.is_pipeline or "wrong" in block.words:
        outside = Outside(unset=Unset.ERROR if "wrong" in block.words else Unset.KEEP)
        with installed(block.source.name) if block.source.name in AUTHORS else nullcontext():
            found += vet(read_text(block.source, (), outside, INSTALLED, []), installed=False).problems
    else:
        parse(block.source, found)
    assert bool(errors(found) or found) == ("wrong" in block.words), [str(p) for p in found]
    # Any part of a pipeline is wrong as a whole one. Only the pages on errors show what is not even a part.
    assert block.is_pipeline or "wrong" not in block.words or "errors" in block.source.name


def test_a_block_knows_its_lines_and_its_mark() -> None:
    page = NamedText(
        "x.md", "# x\n\n   ~~~yaml wrong\n   flowkit: 1\n   a: 1\n   a: 2\n   ~~~\n```python\nflowkit: 1\n```\n"
    )
    (block,) = yaml_blocks(page)
    problems: list[Problem] = []
    parse(block.source, problems)
    assert (block.words, block.is_pipeline, problems[0].mark.line) == (("wrong",), True, 6)


def test_the_schema_is_json() -> None:
    assert json.loads((ROOT / "docs" / "flowkit.schema.json").read_text(encoding="utf-8"))["type"] == "object"
