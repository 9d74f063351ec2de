"""Reads a pipeline file and reports every mistake with its place, its value and how to fix it.

Reading order: ``text`` (the file and places in it), ``parse`` (to nodes; ``syntax`` and ``layout`` word its errors),
``nodes``, ``read`` (the file and what it includes), ``merge`` (defaults and ``--set``), ``interpolate`` (``${VAR}``),
``schema`` (the blocks), ``stages``, ``candidates`` and ``keys`` (one stage), ``validate`` and ``wording`` (pydantic's
errors in flowkit's words), ``slips`` (typing mistakes behind an error), ``load`` (all of it in order), ``model`` (the
result).
"""

from flowkit.config.load import Outside, Reading, Unset, load, read
from flowkit.config.model import Config, ProviderConfig, RunMode, StageConfig
from flowkit.config.problems import InvalidConfig, Problem, Severity

__all__ = [
    "Config",
    "InvalidConfig",
    "Outside",
    "Problem",
    "ProviderConfig",
    "Reading",
    "RunMode",
    "Severity",
    "StageConfig",
    "Unset",
    "load",
    "read",
]
