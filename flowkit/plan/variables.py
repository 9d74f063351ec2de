"""`{{name}}` in a system prompt or a greeting: a value that each session gives, such as the caller's name.

Values are filled in when the session begins, before anything is recorded. So a recording holds the filled text, and a
replay needs no value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from flowkit.config import Config, InvalidConfig, Problem, StageConfig
from flowkit.config.problems import Path, suggest
from flowkit.config.text import Mark
from flowkit.errors import UsageError
from flowkit.options import Options
from flowkit.plan.graph import Pipeline
from flowkit.secrets import learn_named
from flowkit.stages.gate import Gate
from flowkit.stages.gate_options import Greeting

_PLACE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_SYSTEM = "system"


class Place(NamedTuple):
    """Where a name stands in the file."""

    name: str
    mark: Mark
    path: Path


def places(config: Config) -> list[Place]:
    """The names that a session of the pipeline must give values for."""
    return [
        Place(name, *where) for stage in config.stages for text, where in _texts(stage) for name in _PLACE.findall(text)
    ]


def check_given(config: Config, values: Mapping[str, str]) -> None:
    """Raises InvalidConfig for a name in the file without a value, and UsageError for a value whose name is not there."""
    known = places(config)
    missing = [place for place in known if place.name not in values]
    if missing:
        raise InvalidConfig(
            [
                Problem(
                    "FK131", place.mark, place.path, f"{{{{{place.name}}}}} has no value", help=_HELP.format(place.name)
                )
                for place in missing
            ]
        )
    names = list(dict.fromkeys(place.name for place in known))
    for name in values:
        if name not in names:
            raise UsageError(f"the pipeline has no {{{{{name}}}}}", hint=suggest(name, names, "names"))


_HELP = "give one: --var {0}=VALUE; in Python: run_session(variables={{'{0}': ...}})"


def parse_variables(given: Iterable[str]) -> dict[str, str]:
    """The values of ``--var NAME=VALUE`` options. Raises UsageError for one without a name."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageError(f"--var {text}: write --var NAME=VALUE")
        values[name.strip()] = value
    return values


def fill(pipeline: Pipeline, values: Mapping[str, str]) -> Pipeline:
    """The pipeline with every name replaced that has a value."""
    for name, value in values.items():
        learn_named(name, value)
    return pipeline.with_options(lambda options: _filled(options, values))


def _texts(stage: StageConfig) -> Iterator[tuple[str, tuple[Mark, Path]]]:
    if isinstance(stage.options, Gate.Options) and stage.options.greeting is not None:
        yield stage.options.greeting.text, stage.at("greeting", "text")
    for candidate in stage.candidates:
        if isinstance(system := getattr(candidate.options, _SYSTEM, None), str):
            written = candidate.node.get(_SYSTEM)
            yield system, (candidate.mark if written is None else written.mark, (*candidate.path, _SYSTEM))


def _filled(options: Options, values: Mapping[str, str]) -> Options:
    if isinstance(options, Gate.Options) and options.greeting is not None:
        greeting: Greeting = options.greeting.model_copy(update={"text": _fill(options.greeting.text, values)})
        return options.model_copy(update={"greeting": greeting})
    if isinstance(system := getattr(options, _SYSTEM, None), str):
        return options.model_copy(update={_SYSTEM: _fill(system, values)})
    return options


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)
