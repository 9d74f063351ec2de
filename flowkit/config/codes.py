"""The codes of problems, each with the page that ``flowkit explain`` shows. The pages are data: ``codes.yaml``."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flowkit.config.nodes import plain
from flowkit.config.parse import parse
from flowkit.config.problems import Problem
from flowkit.config.text import NamedText


@dataclass(frozen=True, slots=True)
class Page:
    """What a code means. `wrong` is a file with the problem, `right` is the same file without it; both are empty if
    YAML alone cannot show it. `severity` is that of the problem unless something makes up for it."""

    code: str
    title: str
    why: str
    wrong: str = ""
    right: str = ""
    severity: str = "error"

    def markdown(self, level: str = "#") -> str:
        """The page as Markdown, with a heading of this level."""
        text = f"{level} {self.code}: {self.title}\n\n{_WEIGHT[self.severity]}\n\n{self.why}\n"
        if self.wrong:
            text += f"\nWrong:\n\n```yaml wrong\n{self.wrong}```\n\nRight:\n\n```yaml\n{self.right}```\n"
        return text


_WEIGHT = {
    "error": "An error: exit code 2.",
    "warning": "A warning: exit code 0, or 2 with `check --deny-warnings`.",
    "notice": "A notice of `check`: exit code 0.",
}


@cache
def pages() -> Map[str, Page]:
    """Every page by code."""
    path = Path(__file__).with_name("codes.yaml")
    problems: list[Problem] = []
    node = parse(NamedText(path.name, path.read_text(encoding="utf-8")), problems)
    assert node is not None
    assert not problems, problems
    return {code: Page(code, **page) for code, page in plain(node).items()}
