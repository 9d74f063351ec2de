"""Checks the files of a session before it starts: it must not overwrite a file that it reads, or write a file twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flowkit.config import Config
from flowkit.config.nodes import scalars
from flowkit.errors import OutputError
from flowkit.files import check_output, is_sound_of
from flowkit.options import Options
from flowkit.plan import Plan


def check_ends(config: Config, plan: Plan, trace: Path | None) -> None:
    """Raises OutputError if the session would overwrite a file that it reads, or its own recording."""
    inputs = [*_sources(config), *(path for kind, path in _paths(plan) if kind != "speaker")]
    for path in [path for kind, path in _paths(plan) if kind == "speaker"]:
        check_output(path, inputs)
        if trace is not None and (path.absolute() == trace.absolute() or is_sound_of(trace, path)):
            raise OutputError(f"{path} is the file of the session's recording", hint="give another name")
    if trace is not None:
        check_output(trace, inputs)


def _paths(plan: Plan) -> Iterator[tuple[str, Path]]:
    """The files in the options of providers, each with the kind of its stage."""
    for stage in plan.stages:
        for choice in (*([stage.provider] if stage.provider else []), *stage.failover):
            if isinstance(choice.options, Options):
                values = (getattr(choice.options, name) for name in type(choice.options).model_fields)
                yield from ((stage.kind, value) for value in values if isinstance(value, Path))


def _sources(config: Config) -> set[Path]:
    """The pipeline file, the files that it includes, and the files of its ``${file:}`` values."""
    found = {config.path} if config.path else set()
    for _, scalar in scalars(config.root):
        source = scalar.mark.source.path
        if source is not None:
            found |= {source, *(source.parent / name for name in scalar.files)}
    return found
