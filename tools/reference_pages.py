"""The pages of the reference that are made from the code: commands, Python, messages, metrics.

``docs/reference/build.py`` writes them, and a test says if they are not up to date.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import flowkit
import flowkit.replay
from flowkit import messages
from flowkit.cli import COMMANDS
from flowkit.config.budgets import PARTS, Parts
from flowkit.config.docs import field_docs
from flowkit.figures.report import Report, TurnReport
from flowkit.messages import Message
from flowkit.runtime.gauges import Gauges, QueueDepth
from flowkit.serve.metrics import Metrics, of_workers

_COMMANDS = """\
`flowkit COMMAND --help` says the same. Exit code 0 means that all is well, 1 that something was found, 2 that the command cannot do
what it was asked. `FLOWKIT_DEBUG=1` shows the traceback of an internal error.
"""
_PYTHON = """\
The public names of `import flowkit`. [What is stable](../stability.md) says what you can rely on, and [embedding](../embedding.md)
shows them in use. `flowkit.messages` has [a page of its own](messages.md).
"""
_TTFA = """\
TTFA counts from the end of the user's last voiced frame to the first frame of the reply that the device has taken. A typed turn
counts from the release of its line. The parts add up to it, and a part that did not happen is 0. A turn that never sounds has no
TTFA, and not one of 0. [Tuning the delay](../tuning-latency.md) says what makes each part shorter.
"""
_REPORT = """\
The figures of a session: `outcome.figures.report()`, and `report` of a replay. Times whose names end in `_us` are in microseconds.
"""
_TURN = "The figures of one turn: one of `report.turns`, and what `await session.reply()` returns.\n"
MADE = "<!-- Made by docs/reference/build.py from the code. -->\n"
_LANES = {"C": "control", "D": "data", "P": "to the provider"}


def pages() -> dict[str, str]:
    """The text of each page, by its name in docs/reference/."""
    return {
        "commands.md": _page(_commands()),
        "python.md": _page(_python()),
        "messages.md": _page(_messages()),
        "metrics.md": _page(_metrics()),
    }


def _page(lines: Iterator[str]) -> str:
    return MADE + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("``", "`")


# -- commands ----------------------------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    yield _COMMANDS
    yield "| command | does |\n|---|---|"
    yield from (f"| [`{name}`](#flowkit-{name}) | {_cell(text)} |" for name, (_, text) in COMMANDS.items())
    for name, (module, _) in COMMANDS.items():
        made = argparse.ArgumentParser(prog="flowkit").add_subparsers()
        importlib.import_module(module).add(made)
        yield from _command(f"flowkit {name}", made.choices[name], 2)


def _command(title: str, parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"\n{'#' * level} {title}\n"
    yield _cell(parser.description or "") + "\n"
    # Written by hand where a command has several forms, which the list of arguments cannot show.
    yield from (f"- `{form.strip()}`" for form in (parser.usage or "").splitlines())
    yield ""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    shown = [action for action in parser._actions if action not in below and action.help != argparse.SUPPRESS]
    rows = [_option(action, parser) for action in shown if action.dest != "help"]
    if rows:
        yield "| argument | does |\n|---|---|"
        yield from rows
    for action in below:
        for name, inner in action.choices.items():
            yield from _command(f"{title} {name}", inner, level + 1)


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(parser.prog)
    value = (
        "" if action.nargs == 0 else formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    )
    name = ", ".join(action.option_strings)
    if not name:
        name, value = formatter._format_args(action, formatter._get_default_metavar_for_positional(action)), ""
    return f"| `{_cell(f'{name} {value}'.strip())}` | {_cell(formatter._expand_help(action) if action.help else '')} |"


# -- Python ------------------------------------------------------------------------------------------------------------


def _python() -> Iterator[str]:
    yield "# Python\n"
    yield _PYTHON
    for name in flowkit.__all__:
        found = getattr(flowkit, name)
        if inspect.isclass(found):
            yield from _class(name, found)
        elif inspect.isfunction(found):
            yield from _function(f"flowkit.{name}", found, 2)
    for name in flowkit.replay.__all__:
        found = getattr(flowkit.replay, name)
        yield from (
            _class(f"replay.{name}", found) if inspect.isclass(found) else _function(f"flowkit.replay.{name}", found, 2)
        )
    yield from _figures()


def _class(name: str, cls: type) -> Iterator[str]:
    yield f"\n## flowkit.{name}\n"
    yield _prose(inspect.getdoc(cls) or "")
    for attribute, found in _members(cls).items():
        if attribute.startswith("_") or not inspect.getdoc(found):
            continue
        if isinstance(found, property):
            yield f"\n**`{attribute}`**: {_first(inspect.getdoc(found) or '')}"
        elif inspect.isfunction(found) or isinstance(found, (classmethod, staticmethod)):
            function = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
            yield from _function(attribute, function, 3)


def _members(cls: type) -> dict[str, Any]:
    """The members of a class, and those that it inherits from classes of flowkit which have no section of their own."""
    public = {getattr(flowkit, name) for name in flowkit.__all__ if inspect.isclass(getattr(flowkit, name))} - {cls}
    bases = [base for base in cls.__mro__ if base.__module__.startswith("flowkit.") and base not in public]
    return {name: member for base in reversed(bases) for name, member in vars(base).items()}


def _figures() -> Iterator[str]:
    """The figures of a session: `report` has them, and so does what `reply` returns."""
    for cls, text in ((Report, _REPORT), (TurnReport, _TURN)):
        yield f"\n## {cls.__name__}\n"
        yield text
        yield from _fields(cls)


def _fields(cls: type) -> Iterator[str]:
    """The fields of a dataclass as a table."""
    docs = field_docs(cls)
    yield "| field | type | |\n|---|---|---|"
    yield from (
        f"| `{f.name}` | `{_cell(str(f.type))}` | {_cell(docs.get(f.name, ''))} |" for f in dataclasses.fields(cls)
    )


def _function(name: str, function: Any, level: int) -> Iterator[str]:
    yield f"\n{'#' * level} {name}\n"
    # A default that is an object shows its address, which is another in each run.
    signature = re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "...", str(inspect.signature(function)).replace("'", ""))
    kind = "async def " if inspect.iscoroutinefunction(function) else "def "
    yield f"```\n{kind}{name.rpartition('.')[2]}{signature}\n```\n"
    yield _prose(inspect.getdoc(function) or "")


def _first(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split())


def _prose(doc: str) -> str:
    """A docstring as Markdown: its sections become lists."""
    lines: list[str] = []
    for line in doc.replace("``", "`").splitlines():
        section = line.strip().rstrip(":") if line.strip() in ("Args:", "Raises:", "Returns:") else ""
        if section:
            lines += ["", f"{'Arguments' if section == 'Args' else section}:", ""]
        elif line.startswith("        "):
            lines.append("  " + line.strip())
        elif line.startswith("    ") and lines:
            name, colon, text = line.strip().partition(":")
            lines.append(f"- `{name}`:{text}" if colon and " " not in name else f"- {line.strip()}")
        else:
            lines.append(line)
    return "\n".join(lines).strip() + "\n"


# -- messages ----------------------------------------------------------------------------------------------------------


def _messages() -> Iterator[str]:
    yield "# Messages\n"
    yield _prose(inspect.getdoc(messages) or "")
    by_module: dict[str, list[type[Message]]] = {}
    for name in messages.__all__:
        found = getattr(messages, name)
        if inspect.isclass(found) and issubclass(found, Message) and found is not Message:
            by_module.setdefault(found.__module__, []).append(found)
    for module, classes in by_module.items():
        yield f"\n## {module.rpartition('.')[2].capitalize()}\n"
        yield _prose(inspect.getdoc(importlib.import_module(module)) or "")
        for cls in classes:
            yield f"\n### {cls.__name__}\n"
            yield f"Lane: {_LANES[cls.lane]}{', may be dropped' if cls.lossy else ''}.\n"
            yield _prose(inspect.getdoc(cls) or "")
            if dataclasses.fields(cls):
                yield from _fields(cls)


# -- metrics -----------------------------------------------------------------------------------------------------------


def _metrics() -> Iterator[str]:
    yield "# Metrics\n"
    yield "## Time to first audio\n"
    yield _TTFA
    yield "| part | what it is |\n|---|---|"
    docs = field_docs(Parts)
    yield from (f"| `{part}` | {_cell(docs[part])} |" for part in PARTS)
    yield "\n## Interrupts\n"
    yield "| figure | what it is |\n|---|---|"
    yield "| `decision_to_silence` | from the decision to interrupt to the last frame that sounds |"
    yield "| `speech_to_silence` | from the first voiced frame of the interruption to the last frame that sounds |"
    yield "| `stale_frames` | audio that reached the speaker's stage after the interrupt. It is not played; 0 is right |"
    yield "| `discarded` | tokens, clauses and frames that were made in vain |"
    yield "\n## Cost\n"
    yield "See [what a session costs](../cost.md).\n"
    yield "## Prometheus\n"
    yield "`/metrics` of [`flowkit serve`](../serving.md). Counters and histograms count since the server began.\n"
    yield "| metric | type | |\n|---|---|---|"
    gauges = Gauges(0, 0, 0, 0, 0, 0, 0, (QueueDepth("tts", 0, 0, 1),))
    for family in (*Metrics(lambda: gauges, 1).families(), *of_workers(0, 0)):
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        yield f"| `{name}` | {family.kind} | {_cell(family.help)} |"
