"""What can be known without a model is known before one is loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from flowkit.config import load
from flowkit.errors import DeviceError, FlowkitError, InputError, OutputError, ProviderError
from flowkit.messages import Message
from flowkit.plan import resolve
from flowkit.providers.base import Emit, Provider
from flowkit.providers.sound.device import DeviceMic, DeviceSpeaker
from flowkit.runtime.host import run_alone
from tests.devices.fake import FakeHost

PIPELINE = """flowkit: 1
stages:
  - {kind: mic, provider: wav, path: q.wav}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted}
  - {kind: gate}
  - {kind: llm, provider: scripted}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: wav, path: r.wav}
"""
LLAMA = "{kind: llm, provider: llamacpp, model: gone.gguf}"
KEY = '{kind: llm, provider: groq, model: m, api_key: "  "}'
PIPER = "{kind: tts, provider: piper, voice: gone.onnx}"


class Model(Provider):
    """One that takes an hour to load."""

    kind, name = "asr", "slow"

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[None]:
        raise AssertionError("a model is loaded")
        yield

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise AssertionError("never called")


def gone(folder: Path) -> None: ...


def empty(folder: Path) -> None:
    (folder / "q.wav").touch()


def noise(folder: Path) -> None:
    (folder / "q.wav").write_bytes(b"noise" * 100)


def folder_of(folder: Path) -> None:
    (folder / "q.wav").mkdir()


def there(folder: Path) -> None:
    (folder / "q.wav").write_bytes((Path(__file__).parents[2] / "pipelines/audio/question.wav").read_bytes())


def taken(folder: Path) -> None:
    there(folder)
    (folder / "r.wav").touch()


@pytest.mark.parametrize(
    ("prepare", "text", "error"),
    [
        (gone, PIPELINE, InputError),
        (empty, PIPELINE, InputError),
        (noise, PIPELINE, InputError),
        (folder_of, PIPELINE, InputError),
        (taken, PIPELINE, OutputError),
        (there, PIPELINE.replace("path: r.wav", "path: q.wav/r.wav"), OutputError),
        (there, PIPELINE.replace("{kind: llm, provider: scripted}", LLAMA), ProviderError),
        (there, PIPELINE.replace("{kind: llm, provider: scripted}", KEY), ProviderError),
        (there, PIPELINE.replace("{kind: tts, provider: scripted}", PIPER), ProviderError),
        (there, PIPELINE.replace("provider: wav, path: q.wav", "provider: device"), DeviceError),
        (there, PIPELINE.replace("provider: wav, path: r.wav", "provider: device"), DeviceError),
    ],
)
def test_no_model_is_loaded_for_what_is_wrong_elsewhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Path], None],
    text: str,
    error: type[FlowkitError],
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    plan = resolve(load("p.yaml", text=text), installed=False)
    monkeypatch.setattr(DeviceMic, "host", FakeHost(lambda frame: b"", present=[]))
    monkeypatch.setattr(DeviceSpeaker, "host", FakeHost(lambda frame: b"", present=[]))
    slow = plan.only("asr")
    assert slow is not None
    assert slow.provider is not None
    monkeypatch.setattr(slow.provider.cls, "load", Model.load)

    async def session() -> None:
        await run_alone(plan, notice=lambda line: None)

    with pytest.raises(error):
        trio.run(session)
