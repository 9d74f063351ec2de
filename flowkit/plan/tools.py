"""Checks the functions that a pipeline file names as tools."""

from __future__ import annotations

from collections.abc import Iterator

from flowkit import trust
from flowkit.config import Config, Problem, Severity, StageConfig
from flowkit.errors import ConfigError
from flowkit.providers.tools.functions import Function
from flowkit.providers.tools.local import LocalTools
from flowkit.tools import Tools


def check_tools(config: Config) -> Iterator[Problem]:
    """Functions that cannot be tools. Those whose module is not allowed are not imported, which is a notice."""
    for stage in config.stages:
        local = stage.candidates and stage.candidates[0].cls is LocalTools
        if local and isinstance(stage.options, Tools):
            yield from _functions(stage, config, stage.options)


def _functions(stage: StageConfig, config: Config, options: Tools) -> Iterator[Problem]:
    for index, tool in enumerate(options.tools):
        if tool.call is None:
            continue
        path = ("tools", index, "call")
        mark, module = config.at(path), tool.call.partition(":")[0]
        if not trust.allows(module):
            what = f"{tool.call!r} was not looked at: its module may not be imported"
            yield Problem("FK130", mark, path, what, help=trust.hint(module), severity=Severity.NOTICE)
            continue
        try:
            Function(tool)
        except ConfigError as error:
            yield Problem("FK115", mark, path, str(error), help=error.hint)
