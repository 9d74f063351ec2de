"""The pipeline as it is served: sound comes from a connection and goes there, and a client may bring tools."""

from __future__ import annotations

from dataclasses import replace

from flowkit.config import Config, StageConfig
from flowkit.errors import UsageError
from flowkit.plan import require, with_ends, with_playback
from flowkit.plan.graph import Plan
from flowkit.plan.resolve import with_provider
from flowkit.providers.sound.pushed import PushedSource
from flowkit.runtime.loading import Discard
from flowkit.stages.gate import Gate
from flowkit.stages.playback import Playback
from flowkit.stages.tools import ToolRunner

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
    config = _with_tools(with_playback(config))
    stages = tuple(_changed(stage, config) for stage in config.stages)
    config = replace(config, stages=stages)
    mic, speaker = (PushedSource, PushedSource.Options()), (Discard, Discard.Options())
    return config, with_ends(require(config), mic=mic, speaker=speaker)


def _with_tools(config: Config) -> Config:
    """A pipeline without tools of its own still needs the stage that keeps an account of a client's calls."""
    if any(stage.kind == "tools" for stage in config.stages):
        return config
    model = next(stage for stage in config.stages if stage.kind == "llm")
    bare = replace(
        model, id="tools", kind="tools", cls=ToolRunner, options=ToolRunner.Options(), candidates=(), sources=None,
        allow=frozenset(),
    )  # fmt: skip
    local = with_provider(bare, config, "local", {})
    assert local is not None
    return replace(config, stages=(*config.stages, replace(bare, candidates=(local,))))


def _changed(stage: StageConfig, config: Config) -> StageConfig:
    """A speaker that sends ahead of time, and a gate that greets only if clients are to be greeted. The ends of the file, such as
    its devices, are not opened, and need not be installed."""
    serve = config.top.serve
    if stage.kind == "mic":
        return _without_device(stage, config)
    if stage.cls is Playback:
        return _without_device(replace(stage, options=stage.options.model_copy(update={"lead": serve.lead})), config)
    if stage.cls is Gate and not serve.greeting:
        return replace(stage, options=stage.options.model_copy(update={"greeting": None}))
    return stage


def _without_device(stage: StageConfig, config: Config) -> StageConfig:
    memory = with_provider(stage, config, "memory", {})
    assert memory is not None
    return replace(stage, candidates=(memory,))
