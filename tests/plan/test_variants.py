"""The same pipeline with typed lines, or with files for devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.config import load
from flowkit.errors import DeviceError, UsageError
from flowkit.plan import require, resolve, text_mode, with_files
from flowkit.plan.variants import LISTENING
from flowkit.providers.sound.device import DeviceSpeaker
from tests.config.helpers import BASE, reading
from tests.plan.test_graph_checks import SPOKEN


def test_text_mode_drops_the_listening_side_and_types_to_the_gate() -> None:
    plan = resolve(text_mode(reading(SPOKEN).config))
    assert [stage.id for stage in plan.stages] == ["gate", "llm", "chunker", "tts", "speaker"]
    keyboard = plan.stage("gate").provider
    assert keyboard is not None
    assert keyboard.name == "typed"


SHIPPED = sorted((Path(__file__).resolve().parents[2] / "pipelines").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_pipeline_can_be_typed_to(path: Path) -> None:
    kinds = {stage.kind for stage in resolve(text_mode(load(path))).stages}
    assert {"gate", "llm", "tts", "speaker"} <= kinds
    assert not kinds & LISTENING


def test_whatever_predicts_the_end_of_a_turn_is_left_out_of_text_mode() -> None:
    """By words or by sound, one or several: nobody speaks."""
    for predictors in (["words"], ["smart_turn"], ["words", "smart_turn"]):
        stages = "".join(f"  - {{kind: turn, id: t{n}, provider: {name}}}\n" for n, name in enumerate(predictors))
        spoken = SPOKEN.replace("  - {kind: gate}", f"{stages}  - {{kind: gate}}")
        plan = resolve(text_mode(reading(spoken).config))
        assert [stage.id for stage in plan.stages] == ["gate", "llm", "chunker", "tts", "speaker"]


def test_files_take_the_place_of_devices(tmp_path: Path) -> None:
    config = with_files(reading(SPOKEN).config, str(tmp_path / "in.wav"), str(tmp_path / "out.wav"))
    plan = require(config)
    for kind in ("mic", "speaker"):
        provider = plan.stage(kind).provider
        assert provider is not None
        assert provider.name == "wav"


def test_there_must_be_something_to_replace() -> None:
    config = reading(BASE).config
    with pytest.raises(UsageError, match="--input"):
        with_files(config, "in.wav")
    with pytest.raises(UsageError, match="--output"):
        with_files(config, output="out.wav")
    with pytest.raises(UsageError, match="gate"):
        text_mode(reading("flowkit: 1\nstages: [{kind: mic}]\n").config)


def test_a_device_that_is_not_there_is_said_before_the_session_starts() -> None:
    config = reading(SPOKEN).config
    if all("device" not in config.catalog.providers(kind) for kind in ("mic", "speaker")):
        with pytest.raises(DeviceError, match="mic"):
            require(config)


def test_a_speaker_that_the_file_does_not_have_needs_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where the package for devices is not installed: what the tutorial says of ``--text`` holds."""
    monkeypatch.setattr(DeviceSpeaker, "requires", ("no_such_module",))
    typed = "flowkit: 1\nstages:\n  - {kind: gate}\n  - {kind: llm, provider: canned}\n  - {kind: chunker}\n"
    for speaker in ("", "  - {kind: speaker}\n"):
        printing = reading(typed + "  - {kind: tts, provider: print}\n" + speaker).config
        for config in (printing, text_mode(printing)):
            silent = require(config).stage("speaker").provider
            assert silent is not None
            assert silent.name == "memory"
        speaking = text_mode(reading(typed + "  - {kind: tts, provider: scripted}\n" + speaker).config)
        assert require(speaking).stage("speaker").provider is None, "nothing is played, which is a notice"


def test_who_speaks_into_a_file_is_told_how_to_do_without_a_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceSpeaker, "requires", ("no_such_module",))
    with pytest.raises(DeviceError, match="there is no device for the speaker") as raised:
        require(with_files(reading(SPOKEN.replace("print", "scripted")).config, "question.wav"))
    assert "pip install 'flowkit-voice[devices]'" in raised.value.hint
    assert "`flowkit run --input question.wav --output out/reply.wav`, or `--text`" in raised.value.hint
