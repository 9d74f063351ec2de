"""The same pipeline with other inputs and outputs: typed lines for a microphone, files for devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

from flowkit.config import Config, RunMode, StageConfig
from flowkit.errors import UsageError
from flowkit.options import Options
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.plan.resolve import with_provider
from flowkit.providers.base import Provider
from flowkit.stages.gate import Gate
from flowkit.stages.gate_options import Typing
from flowkit.stages.playback import Playback
from flowkit.stages.tools import ToolRunner

End: TypeAlias = tuple[type[Provider], Options]
"""A source or sink of sound: a provider's class, and its options."""

LISTENING = frozenset({"mic", "vad", "asr", "turn"})
"""The stages that hear the user."""
ENDS = frozenset({"mic", "speaker"})
"""The stages whose provider is an `End`."""


def text_mode(config: Config, *, waits: bool = False) -> Config:
    """The pipeline without the stages that hear the user: typed lines go to the gate as utterances. A line interrupts the reply
    before it, unless it `waits` for its end."""
    typing = Typing.WAITS if waits else Typing.INTERRUPTS
    left = tuple(_typed(stage, config, typing) for stage in config.stages if stage.kind not in LISTENING)
    if not any(stage.kind == "gate" for stage in left):
        raise UsageError("typed lines go to the gate, and this pipeline has none")
    if not any(stage.kind == "tts" for stage in left):
        raise UsageError(
            "typed lines need a tts stage to say the replies", hint="{kind: tts, provider: print} prints them"
        )
    return with_playback(replace(config, stages=left, mode=RunMode.TEXT))


def like(recorded: Plan, config: Config) -> Config:
    """The pipeline in the mode of the recorded session, and with a speaker if that had one."""
    if recorded.mode is RunMode.SERVED:
        return as_served(config)
    if recorded.mode is RunMode.TEXT:
        gate = recorded.only("gate")
        waits = gate is not None and isinstance(gate.options, Gate.Options) and gate.options.typing is Typing.WAITS
        return text_mode(config, waits=waits)
    return with_playback(config) if recorded.only("speaker") else config


def as_served(config: Config) -> Config:
    """The pipeline as it is served: with a stage for the tools of clients, a speaker that sends ahead of time, and a gate that
    greets only if clients are to be greeted. The devices of the file are not opened, and need not be installed."""
    config = _with_tools(with_playback(config))
    return replace(config, stages=tuple(_served(stage, config) for stage in config.stages), mode=RunMode.SERVED)


def _with_tools(config: Config) -> Config:
    """A pipeline without tools of its own still needs the stage that keeps an account of a client's calls."""
    model = next((stage for stage in config.stages if stage.kind == "llm"), None)
    if model is None or any(stage.kind == "tools" for stage in config.stages):
        return config
    bare = replace(
        model, id="tools", kind="tools", cls=ToolRunner, options=ToolRunner.Options(), candidates=(), sources=None,
        allow=frozenset(),
    )  # fmt: skip
    local = with_provider(bare, config, "local", {})
    assert local is not None
    return replace(config, stages=(*config.stages, replace(bare, candidates=(local,))))


def _served(stage: StageConfig, config: Config) -> StageConfig:
    serve = config.top.serve
    if stage.cls is Playback:
        stage = replace(stage, options=stage.options.model_copy(update={"lead": serve.lead}))
    if stage.cls is Gate and not serve.greeting:
        return replace(stage, options=stage.options.model_copy(update={"greeting": None}))
    if stage.kind not in ENDS:
        return stage
    memory = with_provider(stage, config, "memory", {})
    assert memory is not None
    return replace(stage, candidates=(memory,))


def with_playback(config: Config) -> Config:
    """The pipeline with a speaker, if it has a voice and none.

    Without playback, nobody would report that a reply is over, and neither the next turn nor the end of the session would
    come. Where replies are printed nothing sounds, so a speaker that the file does not describe needs no device.
    """
    stages, kinds = config.stages, {stage.kind for stage in config.stages}
    voice = next((stage for stage in stages if stage.kind == "tts"), None)
    if voice is None or "gate" not in kinds:
        return config
    if "speaker" not in kinds:
        stages = (*stages, _implied(voice))
    if voice.candidates and voice.candidates[0].cls.silent:
        stages = tuple(_silent(stage, config) for stage in stages)
    return replace(config, stages=stages)


def _implied(voice: StageConfig) -> StageConfig:
    """The speaker of a pipeline that is still being built."""
    queue = voice.queue.model_copy(update={"max": 25})
    return replace(voice, id="speaker", kind="speaker", cls=Playback, options=Playback.Options(), candidates=(),
                   sources=None, queue=queue, allow=frozenset())  # fmt: skip


def _silent(stage: StageConfig, config: Config) -> StageConfig:
    if stage.cls is not Playback or stage.candidates:
        return stage
    memory = with_provider(stage, config, "memory", {})
    assert memory is not None
    return replace(stage, candidates=(memory,))


def playback_is_implied(config: Config) -> bool:
    """Whether the speaker stage is not in the file, but was added by ``with_playback``."""
    voices = [stage.node for stage in config.stages if stage.kind == "tts"]
    return any(stage.node is voice for stage in config.stages if stage.kind == "speaker" for voice in voices)


def _typed(stage: StageConfig, config: Config, typing: Typing) -> StageConfig:
    if stage.kind != "gate":
        return stage
    keyboard = with_provider(stage, config, "typed", {})
    assert keyboard is not None
    options = stage.options.model_copy(update={"typing": typing})
    # `from` may name the ASR, which was left out.
    return replace(stage, sources=None, options=options, candidates=(keyboard,))


def with_files(
    config: Config, input: str | None = None, output: str | None = None, *, overwrite: bool = False
) -> Config:
    """The pipeline with the microphone reading the WAV file `input` and the speaker writing `output`, where given.

    Raises:
        UsageError: the pipeline has no microphone or no speaker to replace.
    """
    files: dict[str, dict[str, Any]] = {}
    if input is not None:
        files["mic"] = {"path": input}
    if output is not None:
        files["speaker"] = {"path": output, "overwrite": overwrite}
    for kind in files:
        if not any(stage.kind == kind for stage in config.stages):
            option = "--input" if kind == "mic" else "--output"
            raise UsageError(f"{option} replaces the {kind}, and this pipeline has none")
    return replace(config, stages=tuple(_onto_file(stage, config, files.get(stage.kind)) for stage in config.stages))


def with_devices(config: Config, mic: str | None = None, speaker: str | None = None) -> Config:
    """The pipeline with these devices, by number or name, where given.

    Raises:
        UsageError: the pipeline has no microphone or no speaker to replace.
    """
    devices = {kind: name for kind, name in (("mic", mic), ("speaker", speaker)) if name is not None}
    for kind in devices:
        if not any(stage.kind == kind for stage in config.stages):
            raise UsageError(f"--{kind} replaces the {kind}, and this pipeline has none")
    return replace(
        config, stages=tuple(_onto_device(stage, config, devices.get(stage.kind)) for stage in config.stages)
    )


def _onto_device(stage: StageConfig, config: Config, device: str | None) -> StageConfig:
    if device is None:
        return stage
    provider = with_provider(stage, config, "device", {"device": device})
    assert provider is not None
    return replace(stage, candidates=(provider,))


def _onto_file(stage: StageConfig, config: Config, file: dict[str, Any] | None) -> StageConfig:
    if file is None:
        return stage
    provider = with_provider(stage, config, "wav", file)
    if provider is None:
        raise UsageError(f"the {stage.kind} cannot take the file {file['path']}")
    return replace(stage, candidates=(provider,))


def with_ends(plan: Plan, *, mic: End | None = None, speaker: End | None = None) -> Plan:
    """The plan with another microphone, another speaker, or both, such as those of one call."""
    chosen = {"mic": mic, "speaker": speaker}

    def changed(stage: PlannedStage) -> PlannedStage:
        if (end := chosen.get(stage.kind)) is None:
            return stage
        cls, options = end
        # The failover list of the file belongs to the end that is replaced here.
        return replace(stage, provider=ProviderChoice(cls.name, cls, options), failover=())

    return replace(plan, stages=tuple(map(changed, plan.stages)))
