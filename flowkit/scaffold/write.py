"""Writes a package with a provider or a stage: a renamed template, its entry point, a test, and a pipeline that uses
it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from flowkit.config import kinds
from flowkit.errors import OutputError, UsageError
from flowkit.providers import registry

KINDS = ("mic", "vad", "asr", "llm", "tts", "speaker")
"""The kinds of providers that have a template."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TEMPLATES = "flowkit.scaffold.templates"
_TEMPLATES_IMPORT = re.compile(rf"^from {_TEMPLATES}\..*\n", re.MULTILINE)
_FAKES: Mapping[str, str] = {
    "mic": "scripted, speech: [{at: 500ms, lasts: 1s}]",
    "vad": "scripted",
    "asr": "scripted, utterances: [Hello?]",
    "llm": "canned",
    "tts": "scripted",
    "speaker": "memory",
}
_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{package}"
version = "0.1.0"
description = "{title} for flowkit."
requires-python = ">=3.11"
dependencies = ["flowkit-voice"]

[project.optional-dependencies]
dev = ["pytest>=9", "hypothesis>=6.150"]

# How flowkit finds it.
[project.entry-points."{group}"]
"{entry}" = "{module}:{cls}"

[tool.setuptools]
py-modules = ["{module}"]
"""
_README = """\
# {package}

{title} for flowkit.

```
pip install -e '.[dev]'
pytest                        # checks the {what} with flowkit's kit
flowkit run pipeline.yaml     # with fakes for everything else
```

`{module}.py` is a working example. Replace its code by your own. `docs/{page}` of flowkit describes how.
"""


def provider(kind: str, name: str, into: Path) -> Path:
    """Write a package with provider `name` for stages of `kind`. Returns its folder, a new one in `into`.

    Raises:
        UsageError: there is no template for the kind, or the name is not valid or is taken.
        OutputError: the folder already exists or cannot be written.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"kinds: {', '.join(KINDS)}"
        raise UsageError(f"there is no template for a provider of kind {kind!r}", hint=hint)
    _check(name)
    if name in registry.names(kind):
        raise UsageError(f"there is a {kind} provider {name!r} already", hint="give yours another name")
    stem = f"{kind}_{name}"
    pipeline = _pipeline({kind: name})
    return _write(into, kind, "provider_test", stem, name, f"{kind}.{name}", registry.GROUP, "provider", pipeline)


def stage(name: str, into: Path) -> Path:
    """Write a package with a stage of kind `name`. Returns its folder, a new one in `into`. Raises as ``provider``
    does."""
    _check(name)
    if name in kinds.names():
        raise UsageError(f"there is a kind {name!r} already", hint="give yours another name")
    pipeline = _pipeline({}, between=name)
    return _write(into, "stage", "stage_test", name, name, name, kinds.GROUP, "stage", pipeline)


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"a name has lower-case letters, digits and _, and starts with a letter (got {name!r})")


def _write(
    into: Path, template: str, test: str, stem: str, name: str, entry: str, group: str, what: str, pipeline: str
) -> Path:
    module, cls = f"flowkit_{stem}", "".join(part.capitalize() for part in name.split("_"))
    package = module.replace("_", "-")
    names = {
        "package": package,
        "title": f"A {what} {entry.replace('.', '/')}",
        "what": what,
        "group": group,
        "entry": entry,
        "module": module,
        "cls": cls,
        "page": f"writing-a-{what}.md",
    }

    def renamed(text: str) -> str:
        for old, new in (
            ('find("tts", "mine")', f'find("{template}", "{name}")'),
            ('"mine"', f'"{name}"'),
            (f"{template} mine:", f"{template} {name}:"),
        ):
            text = text.replace(old, new)
        return re.sub(r"\bMy[A-Z][a-z]+\b", cls, text)

    def of_the_package(text: str) -> str:
        """The test module: like its template, but it imports the class from the new package, after all other
        imports."""
        without = _TEMPLATES_IMPORT.sub("", text)
        head, functions = without.split("\n\n\n", 1)
        return renamed(f"{head}\n\nfrom {module} import {cls}\n\n\n{functions}")

    folder = into / package
    written = {
        "pyproject.toml": _PYPROJECT.format(**names),
        "README.md": _README.format(**names),
        "pipeline.yaml": pipeline,
        f"{module}.py": renamed(_template(template)),
        f"test_{module}.py": of_the_package(_template(test)),
    }
    try:
        # Fails if the folder exists, so that no file of the user is replaced.
        folder.mkdir(parents=True)
        for file, text in written.items():
            (folder / file).write_text(text, "utf-8")
    except FileExistsError as error:
        raise OutputError(
            f"{folder} already exists", hint="give another name, or another folder with --into"
        ) from error
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}") from error
    return folder


def _template(name: str) -> str:
    return (files(_TEMPLATES) / f"{name}.py").read_text("utf-8")


def _pipeline(mine: Mapping[str, str], between: str = "") -> str:
    """A pipeline file with fakes, except for the providers `mine` by kind, and with a stage `between` chunker and
    TTS."""
    lines = ["flowkit: 1", "stages:"]
    for kind in ("mic", "vad", "asr", "gate", "llm", "chunker", "tts", "speaker"):
        provider = mine.get(kind, _FAKES.get(kind))
        lines.append(f"  - {{kind: {kind}, provider: {provider}}}" if provider else f"  - {{kind: {kind}}}")
        if kind == "chunker" and between:
            lines.append(f"  - {{kind: {between}}}")
    return "\n".join(lines) + "\n"
