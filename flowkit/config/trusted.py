"""Reading a pipeline file that the program trusts, as ``flowkit run`` trusts its file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowkit.config.load import load as load_file
from flowkit.config.model import Config


def load(path: Path | str, *, set: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Config:
    """Read a pipeline file, and find every mistake in it. ``open_host`` takes the result.

    The file may name variables of the environment and read files (``${file:}``).

    Args:
        path: the YAML file.
        set: settings to change, such as ``stages.chunker.max_tokens=20``.
        environ: the variables that it may name. Default: those of the process.

    Raises:
        ConfigError: with every problem, each with file, line and column.
    """
    return load_file(path, overrides=set, environ=os.environ if environ is None else environ)
