"""What is wrong with a configuration: problems with place, path, code and hint, collected so that one run shows all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from flowkit.config.text import Mark
from flowkit.errors import ConfigError

Path = tuple[str | int, ...]
"""Where in the configuration: ``("stages", 2, "provider")``."""


class Severity(StrEnum):
    """`error`: the pipeline cannot run (exit code 2). `warning`: it can, but probably not as intended. `notice`: worth
    knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `what` is a sentence without the value. `got` is the value as it may be shown, or empty."""

    code: str
    mark: Mark
    path: Path
    what: str
    got: str = ""
    help: str = ""
    severity: Severity = Severity.ERROR

    @property
    def message(self) -> str:
        """What is wrong, with the value that was found."""
        return f"{self.what} (got {self.got})" if self.got else self.what

    def concise(self) -> str:
        """``file:line:col: path: what (got X) [FKnnn]``."""
        where = f"{dotted(self.path)}: " if self.path else ""
        kind = "" if self.severity is Severity.ERROR else f"{self.severity}: "
        return f"{self.mark}: {kind}{where}{self.message} [{self.code}]"

    def __str__(self) -> str:
        return self.concise()

    def full(self) -> str:
        """The concise line and the help line, if there is help."""
        return f"{self.concise()}\n    help: {self.help}" if self.help else self.concise()


class InvalidConfig(ConfigError):
    """The configuration has errors; `problems` holds every one. Raised by ``config.load`` and ``plan.resolve``."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(problem.full() for problem in self.problems))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Without duplicates, by file and place."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.mark.source.name, p.mark.line, p.mark.column, p.code)))


def without_echoes(problems: Iterable[Problem]) -> list[Problem]:
    """Without keys that are missing only because they are misspelt. The misspelling is reported anyway."""
    found = list(problems)
    misspelt = {(p.path[:-1], p.help.partition("?")[0]) for p in found if p.code == "FK101"}
    return [
        p
        for p in found
        if p.code != "FK104" or (p.path, f"did you mean {p.what.partition(' ')[0].rstrip(':')}") not in misspelt
    ]


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those that prevent the pipeline from running."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def dotted(path: Path) -> str:
    """``("stages", 2, "queue", "max")`` -> ``stages[2].queue.max``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-30:]}"


def suggest(word: str, known: Iterable[str], what: str = "available") -> str:
    """Help for an unknown name: the nearest known one, and the list."""
    names = sorted(set(known))
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6) or [
        name for name in names if len(word) > 2 and name.startswith(word.lower())
    ]
    listed = f"{what}: {', '.join(names)}" if names else f"none {what}"
    return f"did you mean {near[0]!r}? {listed}" if near else listed
