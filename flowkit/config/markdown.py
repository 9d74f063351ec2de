"""YAML blocks inside a Markdown page, with their line numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from flowkit.config.discover import holds_pipeline
from flowkit.config.text import NamedText

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>.*)")


@dataclass(frozen=True, slots=True)
class YamlBlock:
    """One fenced block. `words` are the words after ``yaml`` on the fence. A block marked ``wrong`` is expected to have
    errors."""

    source: NamedText
    words: tuple[str, ...]

    @property
    def is_pipeline(self) -> bool:
        """True for a whole pipeline, which begins with the version. Of other blocks only the YAML is checked."""
        return holds_pipeline(self.source)


def yaml_blocks(page: NamedText) -> Iterator[YamlBlock]:
    """The YAML blocks of a page, in order. Lines are counted in the page; columns do not include the indent of the
    fence."""
    # One iterator for both loops, so that the outer loop goes on behind the block.
    lines = iter(enumerate(page.lines, start=page.first_line))
    for number, line in lines:
        opened = _FENCE.fullmatch(line)
        if opened is None:
            continue
        body: list[str] = []
        for _, inside in lines:
            closed = _FENCE.fullmatch(inside)
            if closed and closed["fence"].startswith(opened["fence"]) and not closed["info"].strip():
                break
            body.append(inside)
        language, *words = opened["info"].split() or [""]
        if language.lower() in ("yaml", "yml"):
            text = dedent("\n".join(body)) + "\n"
            yield YamlBlock(NamedText(page.name, text, page.path, first_line=number + 1), tuple(words))
