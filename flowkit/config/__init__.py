"""A pipeline file, read so that every mistake is shown with its place, its value and what mends it.

Reading order: ``text`` (the file and places in it), ``parse`` (to nodes; ``syntax`` and ``layout`` word its errors), ``nodes``,
``read`` (the file and what it includes), ``merge`` (defaults and ``--set``), ``interpolate`` (``${VAR}``), ``schema``
(the blocks), ``stages``, ``candidates`` and ``keys`` (what a stage says), ``validate`` and ``wording`` (pydantic's
errors in flowkit's words), ``slips`` (what their text says of them), ``load`` (all in order), ``model`` (what comes out).
"""

from flowkit.config.load import Outside, Reading, Unset, load, read
from flowkit.config.model import Config, ProviderConfig, StageConfig
from flowkit.config.problems import InvalidConfig, Problem, Severity

__all__ = [
    "Config",
    "InvalidConfig",
    "Outside",
    "Problem",
    "ProviderConfig",
    "Reading",
    "Severity",
    "StageConfig",
    "Unset",
    "load",
    "read",
]
