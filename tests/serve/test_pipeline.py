"""The pipeline as it is served."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.config import load
from flowkit.errors import UsageError
from flowkit.providers.sound.device import DeviceMic, DeviceSpeaker
from flowkit.serve.pipeline import served
from tests.serve.support import TALK

TYPED = (
    "flowkit: 1\nstages: [{kind: gate}, {kind: llm, provider: canned}, {kind: chunker}, {kind: tts, provider: print}]\n"
)


def test_the_command_that_is_advised_writes_a_pipeline_that_can_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no stage of kind mic, asr") as raised:
        served(load("typed.yaml", text=TYPED))
    command = raised.value.hint.partition(" writes ")[0]
    # Not the file that is served, which is agent.yaml as a rule and is there.
    assert "agent.yaml" not in command
    assert main(shlex.split(command)[1:]) == 0
    _, plan = served(load("voice.yaml"))
    assert plan.only("asr") is not None


def test_to_serve_no_package_for_devices_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in (DeviceMic, DeviceSpeaker):
        monkeypatch.setattr(device, "requires", ("no_such_module",))
    _, plan = served(load("talk.yaml", text=TALK))
    assert [stage.provider.name for stage in plan.stages if stage.kind in ("mic", "speaker") and stage.provider] == [
        "pushed",
        "none",
    ]
