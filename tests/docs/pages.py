"""The blocks of the pages, for the tests that run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
AGENT = """\
flowkit: 1
name: blue-door
greeting: {text: "Hello, this is the Blue Door restaurant. How can I help you?"}
stages:
  - {kind: mic}
  - {kind: vad, provider: silero, end: 400ms}
  - {kind: asr, provider: moonshine}
  - {kind: gate}
  - {kind: llm, provider: llamacpp}
  - {kind: chunker}
  - {kind: tts, provider: piper}
  - {kind: speaker}
"""
"""The agent of the pages on calls and on CI, whose call is pipelines/audio/call.wav."""
_FENCE = re.compile(r" *(`{3,})(.*)")
_ITEM = re.compile(r" *(?:[-*]|\d+\.) ")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page, the number of its first line, its language, the words after that, and its text."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def is_made(page: Path) -> bool:
    """Whether the page is made from the code; tests/docs/test_made.py compares it with the code."""
    return page.read_text("utf-8").startswith("<!-- Made by")


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if (opened := _FENCE.fullmatch(line)) is None:
            continue
        body: list[str] = []
        for _, inside in lines:
            if (closed := _FENCE.fullmatch(inside)) and closed[1].startswith(opened[1]) and not closed[2]:
                break
            body.append(inside)
        language, *words = opened[2].split() or [""]
        yield Block(page, number + 1, language, tuple(words), dedent("\n".join(body)) + "\n")


@cache
def every_block() -> tuple[Block, ...]:
    return tuple(block for page in PAGES for block in blocks_of(name(page), page.read_text("utf-8")))


def blocks(*languages: str) -> list[Block]:
    """The blocks of all pages in these languages; without languages, all of them."""
    return [block for block in every_block() if not languages or block.language in languages]


def indented(text: str) -> list[str]:
    """The first lines of blocks that are indented instead of fenced, in which no language can be named."""
    found, fence, before, in_list = [], "", "", False
    for line in text.splitlines():
        if (mark := _FENCE.fullmatch(line)) and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and line.strip():
            in_list = bool(_ITEM.match(line)) or (in_list and line.startswith(" "))
            if line.startswith("    ") and not before.strip() and not in_list:
                found.append(line)
        before = line
    return found
