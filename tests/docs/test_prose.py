"""The documentation reads well: plain words, short sentences, links that lead somewhere. Docstrings too."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "traces").glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROSE = [page for page in PAGES if page.name != "CHANGELOG.md"]  # a list of changes, not running text
SOURCES = sorted((ROOT / "flowkit").rglob("*.py"))
"""Files whose docstrings and comments are checked."""
LONGEST = 40  # words

PLAIN = {  # words that only this project would use so, and the plain ones
    "anew": "again",
    "brain": "LLM",
    "ear": "ASR",
    "ears": "ASR, microphone",
    "house": "flowkit, package",
    "mend": "fix, repair",
    "mends": "fixes, repairs",
    "mended": "fixed, repaired",
    "passages": "rows",
    "relays": "rows",
    "rooms": "packages",
    "ruler": "reference detector",
    "stretches": "rows",
    "takings": "what a provider has taken",
    "whoever": "who",
}

IN_CODE = PLAIN | {
    "somebody": "someone, a third party",
    "told": "recorded, passed, reported",
    "untold": "not reported",
}
"""The same in docstrings and comments, where more of them had crept in."""

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def without_blocks(page: str) -> str:
    """The page without fenced blocks and comments, their lines left empty."""
    return re.sub(r"^( *)(```|~~~).*?^\1\2 *$|<!--.*?-->", "\n", page, flags=re.DOTALL | re.MULTILINE)


def paragraphs(page: str) -> list[str]:
    """The running text: paragraphs and list items, each on one line; no headings, tables or indented code."""
    found, open_ = [""], False
    for line in without_blocks(page).splitlines():
        if not line.strip() or (re.match(r"#|\||    +\S", line) and not (open_ and line.startswith("  "))):
            open_ = False
            continue
        item = re.match(r" *(?:[-*]|\d+\.) +", line)
        if item or not open_:
            found.append("")
        found[-1] += " " + (line[item.end() :] if item else line.strip())
        open_ = True
    return [text.strip() for text in found if text.strip()]


def sentences(page: str) -> list[str]:
    """The sentences of a page, a piece of code counted as one word."""
    plain = [re.sub(r"`[^`]+`", "CODE", LINK.sub("link", text)) for text in paragraphs(page)]
    return [part for text in plain for part in re.split(r"(?<=[.?!])[)*\"']*\s+", text) if part]


def docstrings(source: str) -> Iterator[str]:
    """The docstrings of a module: of itself, its classes and functions, and those below an assignment."""
    for node in ast.walk(ast.parse(source)):
        for child in ast.iter_child_nodes(node):
            if (
                isinstance(child, ast.Expr)
                and isinstance(child.value, ast.Constant)
                and isinstance(child.value.value, str)
            ):
                yield inspect.cleandoc(child.value.value)


def comments(source: str) -> Iterator[str]:
    """The comments of a module, the lines of one joined."""
    for block in re.findall(r"^ *# .*$(?:\n *# .*$)*", source, re.MULTILINE):
        yield " ".join(line.strip().removeprefix("#").strip() for line in block.splitlines())


def anchors(page: str) -> set[str]:
    """What a link may name in a page after ``#``: its headings as GitHub spells them."""
    heads = (re.sub(r"[^\w\- ]", "", head.lower()) for head in HEADING.findall(without_blocks(page)))
    return {head.strip().replace(" ", "-") for head in heads}


def dead_links(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(without_blocks(page.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            found.append(link)
    return found


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PROSE, ids=name)
def test_no_sentence_is_too_long(page: Path) -> None:
    assert [text for text in sentences(page.read_text("utf-8")) if len(text.split()) > LONGEST] == []


@pytest.mark.parametrize("page", PROSE, ids=name)
def test_words_are_plain(page: Path) -> None:
    words = re.findall(r"[a-z]+", without_blocks(page.read_text("utf-8")).lower())
    assert {word: PLAIN[word] for word in words if word in PLAIN} == {}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_docstrings_and_comments_have_short_sentences_and_plain_words(path: Path) -> None:
    source = path.read_text("utf-8")
    texts = [*docstrings(source), *comments(source)]
    assert [part for text in texts for part in sentences(text) if len(part.split()) > LONGEST] == []
    words = re.findall(r"[a-z]+", " ".join(texts).lower())
    assert {word: IN_CODE[word] for word in words if word in IN_CODE} == {}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_sentences_are_found_in_paragraphs_and_lists_alone() -> None:
    text = "# A heading\n\nOne `a b. c` two. And\nthree [four](five.md)?\n- An item\n  goes on.\n"
    page = f"{text}\n| a | table. |\n\n    code. code.\n"
    assert sentences(page) == ["One CODE two.", "And three link?", "An item goes on."]


def test_docstrings_and_comments_are_found() -> None:
    source = '''"""Module."""\n\nA = 1\n"""Of A."""\n\n\ndef f() -> None:\n    """Of f."""\n    # One\n    # two.\n'''
    assert sorted(docstrings(source)) == ["Module.", "Of A.", "Of f."]
    assert list(comments(source)) == ["One two."]


def test_a_long_sentence_a_strange_word_and_a_dead_link_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Why so\n\n[a](#why-so) [b](page.md#why-so) [c](#why) [d](no.md) [e](https://x.org)\n", "utf-8")
    assert dead_links(page) == ["#why", "no.md"]
