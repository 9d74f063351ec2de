"""The site: every page is in its menu, and its links and diagrams are those of the repository. `make docs` builds it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from tools import site_hooks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class Loader(yaml.SafeLoader):
    """Reads tools/mkdocs.yml, which names a function."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda loader, suffix, node: suffix)
SITE = yaml.load((ROOT / "tools/mkdocs.yml").read_text("utf-8"), Loader)


def in_menu(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        yield from (page for below in entry.values() for page in in_menu(below))
    else:
        yield from (page for below in entry for page in in_menu(below))


def shown(markdown: str, page: str = "turns.md") -> str:
    return site_hooks.on_page_markdown(markdown, SimpleNamespace(file=SimpleNamespace(src_path=page)))


def test_every_page_is_in_the_menu_once() -> None:
    menu, left_out = sorted(in_menu(SITE["nav"])), SITE["exclude_docs"].split()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - set(left_out)
    pages |= set(site_hooks.ROOT_FILES.values())
    assert sorted(pages) == menu, (
        "add each page of docs/ to `nav:` in tools/mkdocs.yml, under what a reader would look for"
    )


def test_the_first_pipelines_that_one_reads_are_narrow() -> None:
    """A phone shows some 45 characters of a block; what is a little wider is still read without losing the line."""
    for page in ("tutorial.md", "reference/head.md"):
        blocks = re.findall(r"^```yaml.*?\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
        assert blocks
        assert [line for block in blocks for line in block.splitlines() if len(line) > 60] == []


def test_words_for_the_tests_do_not_keep_a_block_from_being_one() -> None:
    """MkDocs takes a block for text if anything but its language follows the ticks."""
    assert shown("```yaml wrong\na: 1\n```\n\n```sh\nls\n```") == "```yaml\na: 1\n```\n\n```sh\nls\n```"


def test_markdown_that_a_page_shows_is_found() -> None:
    for html in ("<p>```yaml wrong</p>", "<p>These:\n- one\n- two</p>"):
        assert site_hooks.unrendered(html)
    assert not site_hooks.unrendered("<p>One - two</p>\n<ul>\n<li>one</li>\n</ul>")


def test_nothing_is_loaded_from_another_machine() -> None:
    assert SITE["theme"]["font"] is False
    namespace = "http://www.w3.org/2000/svg"
    texts = [path.read_text("utf-8").replace(namespace, "") for path in (DOCS / "pictures").iterdir()]
    assert not [text for text in texts if "//" in text]


def test_links_out_of_docs_lead_into_the_site_or_nowhere() -> None:
    assert shown("[changes](../CHANGELOG.md)") == "[changes](internals/changes.md)"
    assert (
        shown("[traces](../../traces/README.md#names)", "internals/seeded-bugs.md")
        == "[traces](../internals/traces.md#names)"
    )
    assert shown("[format](../docs/trace-format.md)", "internals/traces.md") == "[format](../trace-format.md)"
    assert shown("see [code](../flowkit/clock.py).") == "see code."
    assert (
        shown("[a](barge-in.md#words) [b](https://x.org) [c](#here)")
        == "[a](barge-in.md#words) [b](https://x.org) [c](#here)"
    )


def test_the_search_asks_for_pages_that_there_are() -> None:
    """`make docs` asks the built index itself (tools/site_search.mjs)."""
    wanted = re.findall(
        r'^  "[^"]+": "([^"]+)\.html",$', (ROOT / "tools/site_search.mjs").read_text("utf-8"), re.MULTILINE
    )
    assert len(wanted) >= 10
    assert {f"{page}.md" for page in wanted} <= set(in_menu(SITE["nav"]))
    for path in site_hooks.BOOSTS:
        assert any(page.startswith(path) for page in in_menu(SITE["nav"])), path


def test_the_turn_table_is_a_table() -> None:
    table = shown((DOCS / "turns.md").read_text("utf-8"))
    assert "mermaid" not in table
    arrows = re.findall(r"^ +\w+ --> \w+: .*$", (DOCS / "turns.md").read_text("utf-8"), re.MULTILINE)
    assert len(re.findall(r"^\| \w+ \| \w+ \| \w+ \|", table, re.MULTILINE)) == len(arrows)
    assert "| thinking | speech | held | hold |" in table


def test_anchors_are_those_of_github() -> None:
    assert site_hooks.slug("When the user's turn is over", "-") == "when-the-users-turn-is-over"
    assert site_hooks.slug("kind: asr, provider: groq (the default)", "-") == "kind-asr-provider-groq-the-default"
