"""Writes a project: a pipeline, its tests, a CI workflow and a README, for ``flowkit init``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from flowkit.config.emit import to_yaml
from flowkit.errors import OutputError, UsageError
from flowkit.files import write_whole
from flowkit.scaffold import project_text as text
from flowkit.scaffold.phrases import LANGUAGES, Texts

AGENT = "agent.yaml"
"""The pipeline of a project. ``flowkit run`` runs it if no file is named."""
SAMPLE_FOLDERS = ("pipelines", "traces")
_QUESTION = "pipelines/audio/question.wav"


class Flavour(StrEnum):
    """Where the models of a project run."""

    LOCAL = "local"
    """On this machine, with embedded models."""
    CLOUD = "cloud"
    """At AssemblyAI, Groq and Cartesia."""
    TEXT = "text"
    """Nowhere: typed lines, and a canned reply."""


@dataclass(frozen=True, slots=True)
class NewFiles:
    """What ``project`` and ``samples`` did: the files that they wrote, and those that were there and stayed."""

    new: list[Path]
    kept: list[Path]


def project(into: Path, flavour: Flavour, *, language: str = "en", name: str = "") -> NewFiles:
    """Write a project into the folder `into`, which is created if it is missing. No existing file is changed.

    Args:
        into: the folder.
        flavour: where its models run.
        language: what the agent hears and speaks, a key of ``LANGUAGES``.
        name: the agent's name. Default: the folder's.

    Raises:
        UsageError: the language is unknown, or the embedded models do not speak it.
        OutputError: there is a project in the folder already, or a file cannot be written.
    """
    phrases = LANGUAGES.get(language)
    if phrases is None:
        raise UsageError(f"init has no texts in language {language!r}", hint=f"one of {', '.join(LANGUAGES)}")
    if flavour is Flavour.LOCAL and language != "en":
        raise UsageError("the embedded models hear and speak English only", hint="choose --cloud or --text")
    if (into / AGENT).exists():
        raise OutputError(f"{into / AGENT} already exists", hint="name another folder: flowkit init FOLDER")
    name = name or into.resolve().name or "agent"
    return _written(into, dict(_files(flavour, language, phrases, name)))


def samples(into: Path) -> NewFiles:
    """Write flowkit's sample pipelines and traces, with their sound, into the folder `into`. No existing file is
    changed. Raises OutputError."""
    root = files("flowkit.samples")
    found = {path: file.read_bytes() for folder in SAMPLE_FOLDERS for path, file in _below(root / folder, folder)}
    return _written(into, found)


def _below(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_file():
            yield f"{path}/{entry.name}", entry
        # `traces/live` of a clone is what its developer recorded.
        elif entry.name not in ("__pycache__", "live"):
            yield from _below(entry, f"{path}/{entry.name}")


def _written(into: Path, contents: Mapping[str, str | bytes]) -> NewFiles:
    done = NewFiles([], [])
    for name, content in contents.items():
        path = into / name
        if path.exists() or path.is_symlink():
            done.kept.append(path)
            continue
        write_whole(path, content)
        done.new.append(path)
    return done


def _files(flavour: Flavour, language: str, phrases: Texts, name: str) -> Iterator[tuple[str, str | bytes]]:
    quoted = {key: _scalar(getattr(phrases, key)) for key in Texts.__slots__}
    names = quoted | {
        "name": _scalar(name),
        "code": language,
        "spoken": phrases.language,
        "reply": _scalar(f"{phrases.answer} {phrases.more}"),
        "asr_model": f"universal-streaming-{'english' if language == 'en' else 'multilingual'}",
    }
    yield AGENT, text.PIPELINES[flavour].format(**names)
    yield "agent.test.yaml", text.TEST.format(**names)
    yield ".github/workflows/voice.yaml", text.WORKFLOW
    yield ".gitignore", text.IGNORED
    yield "README.md", text.README.format(name=name, start=text.START[flavour])
    if flavour is Flavour.LOCAL:
        yield "question.wav", (files("flowkit.samples") / _QUESTION).read_bytes()


def _scalar(value: str) -> str:
    """`value` as YAML writes it on one line inside braces."""
    quoted = to_yaml({"x": value}).removeprefix("x: ").rstrip("\n")
    return quoted if quoted.startswith(("'", '"')) else f'"{quoted}"'
