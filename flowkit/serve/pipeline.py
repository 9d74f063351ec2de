"""The pipeline as it is served: sound comes from a connection and goes there, and a client may bring tools."""

from __future__ import annotations

from flowkit.config import Config
from flowkit.errors import UsageError
from flowkit.plan import require, with_ends
from flowkit.plan.graph import Plan
from flowkit.plan.variants import as_served
from flowkit.providers.sound.pushed import PushedSource
from flowkit.runtime.loading import Discard

_NEEDED = ("mic", "asr", "gate", "llm", "tts")


def served(config: Config) -> tuple[Config, Plan]:
    """The configuration that a host loads, and the plan of its sessions.

    Raises:
        UsageError: the pipeline lacks a stage that a conversation needs.
        ConfigError: it cannot work.
    """
    there = {stage.kind for stage in config.stages}
    if lacking := [kind for kind in _NEEDED if kind not in there]:
        raise UsageError(
            f"clients speak and listen, and this pipeline has no stage of kind {', '.join(lacking)}",
            hint="flowkit new -o voice.yaml writes a pipeline that has all of them",
        )
    config = as_served(config)
    mic, speaker = (PushedSource, PushedSource.Options()), (Discard, Discard.Options())
    return config, with_ends(require(config), mic=mic, speaker=speaker)
