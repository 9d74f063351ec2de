"""Checks the functions and programs that a pipeline file names as tools."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from flowkit.config import Config, Problem, Severity, StageConfig
from flowkit.config.problems import Path
from flowkit.errors import ConfigError, ProviderMissing
from flowkit.plan.graph import Pipeline
from flowkit.providers.tools.functions import Function, permit_module
from flowkit.providers.tools.local import LocalTools
from flowkit.providers.tools.mcp.server import permit
from flowkit.tools import Mcp, Tool, Tools


def allowing(pipeline: Pipeline, names: Collection[str]) -> Pipeline:
    """The pipeline with these modules and programs allowed for its tools."""
    return pipeline.with_options(lambda options: options.allowing(names) if isinstance(options, Tools) else options)


def check_tools(config: Config) -> Iterator[Problem]:
    """What cannot be a tool. A module or a program that is not allowed is not imported or started, which is a notice."""
    for stage in config.stages:
        local = stage.candidates and stage.candidates[0].cls is LocalTools
        if local and isinstance(stage.options, Tools):
            yield from _declared(stage, config, stage.options)


def _declared(stage: StageConfig, config: Config, options: Tools) -> Iterator[Problem]:
    for index, tool in enumerate(options.tools):
        if tool.call is not None:
            yield from _function(tool, tool.call, options, ("tools", index, "call"), config)
        elif tool.mcp is not None:
            yield from _server(tool.mcp, options, ("tools", index, "mcp"), config)


def _function(tool: Tool, call: str, options: Tools, path: Path, config: Config) -> Iterator[Problem]:
    try:
        permit_module(call, options.allowed)
    except ConfigError as error:
        yield _forbidden(error, path, config)
        return
    try:
        Function(tool, options.allowed)
    except ConfigError as error:
        yield Problem("FK115", config.at(path), path, str(error), help=error.hint)


def _server(where: Mcp, options: Tools, path: Path, config: Config) -> Iterator[Problem]:
    """A server is not started by a check. Without the SDK it cannot be, which is an error."""
    try:
        permit(where, options.allowed)
    except ProviderMissing as error:
        yield Problem("FK105", config.at(path), path, str(error), help=f"install it: {error.hint}")
    except ConfigError as error:
        yield _forbidden(error, path, config)


def _forbidden(error: ConfigError, path: Path, config: Config) -> Problem:
    return Problem("FK130", config.at(path), path, str(error), help=error.hint, severity=Severity.NOTICE)
