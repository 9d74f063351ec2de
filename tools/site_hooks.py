"""What MkDocs does besides its own for ``make docs``: links as GitHub has them, files of the root, the turn table as a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROOT_FILES = {
    "CHANGELOG.md": "internals/changes.md",
    "CONTRIBUTING.md": "internals/contributing.md",
    "traces/README.md": "internals/traces.md",
}
"""Pages that lie outside of docs/, and where the site has them."""
BOOSTS = {
    "errors.md": 0.5,
    "dependencies.md": 0.5,
    "reference/": 0.5,
    "internals/": 0.2,
    "migrating-": 0.7,
    "tools.md": 1.5,
    "turn-taking.md": 1.5,
    "writing-a-provider.md": 1.5,
}
"""How much the pages whose path begins so count in the search; all others 1. Readers ask for a page that explains. The reference
has the words of the code in hundreds of headings, and would stand before it."""
_LINKED = re.compile(r"(\[[^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")
_DIAGRAM = re.compile(r"^```mermaid\nstateDiagram-v2\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^( *```\w+) .*$", re.MULTILINE)
"""The begin of a block with words for the tests behind its language."""
_UNRENDERED = re.compile(r"```|<p>(?:(?!</p>|<code).)*\n[-*] ", re.DOTALL)
_ARROW = re.compile(r"^ +(\w+) --> (\w+): (\w+)(?: / (\w+))?$", re.MULTILINE)


def slug(heading: str, separator: str) -> str:
    """The anchor of a heading as GitHub spells it, so that links work in both places."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", separator)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie outside of docs/."""
    from mkdocs.structure.files import File

    for source, target in ROOT_FILES.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave docs/ lead to the page of the site, or become plain text if it has none. Blocks lose the words that are for
    the tests."""
    source = next((source for source, target in ROOT_FILES.items() if target == page.file.src_path), None)
    here = (ROOT / "docs" / page.file.src_path if source is None else ROOT / source).parent
    linked = _LINKED.sub(lambda match: _link(match, here, page), markdown)
    return _FENCE.sub(r"\1", _DIAGRAM.sub(_table, linked))


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Tell the search how much the page counts. Raises PluginError if the page shows Markdown."""
    if found := unrendered(html):
        from mkdocs.exceptions import PluginError

        raise PluginError(f"{page.file.src_path}: Markdown that the site does not render: {found!r}")
    boost = next((boost for path, boost in BOOSTS.items() if page.file.src_path.startswith(path)), 1.0)
    page.meta["search"] = {"boost": boost}
    return html


def unrendered(html: str) -> str:
    """Markdown that was taken for text: a block, or a list within a paragraph. Empty if there is none."""
    found = _UNRENDERED.search(html)
    return "" if found is None else found[0][-80:]


def _link(match: re.Match[str], here: Path, page: Any) -> str:
    text, path, anchor = match[1], match[2], match[3] or ""
    if not path or "://" in path:
        return match[0]
    target = (here / path).resolve()
    inside = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else ""
    placed = ROOT_FILES.get(inside, inside.removeprefix("docs/") if inside.startswith("docs/") else "")
    if not placed:
        return f"{text}]".removeprefix("[").removesuffix("]")
    up = "../" * page.file.src_path.count("/")
    return f"{text}]({up}{placed}{anchor})"


def _table(diagram: re.Match[str]) -> str:
    """A state diagram as a table: without a drawing library, and readable on a phone."""
    lines = ["| state | event | next state | the gate does |", "|---|---|---|---|"]
    for state, then, event, does in _ARROW.findall(diagram[1]):
        lines.append(f"| {state} | {event} | {then} | {does.replace('_', ' ')} |")
    return "\n".join(lines)
