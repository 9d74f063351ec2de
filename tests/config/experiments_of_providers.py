"""Experiments that show what the options of providers change.

They return what is sent to a server (an emulator on loopback), to a library or to a worker process (fakes that record
their input), or the provider's answers. As in ``experiments``, each takes settings and returns a result.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import wave
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from flowkit.config import InvalidConfig, load
from flowkit.errors import FlowkitError, ProviderError
from flowkit.messages import (
    Ask,
    Audio,
    Capture,
    Detect,
    EndOfUtterance,
    Exchange,
    Frames,
    Message,
    Play,
    Render,
    Speak,
    SpeechStarted,
    Token,
    Transcribe,
)
from flowkit.plan import require
from flowkit.plan.graph import PlannedStage
from flowkit.plan.resolve import draw
from flowkit.providers.assemblyai.asr import Outgoing
from flowkit.providers.base import Emit, Provider
from flowkit.providers.cloud.client import Client
from flowkit.providers.cloud.faults import CloudError, Trouble
from flowkit.providers.cloud.line import Address
from flowkit.providers.llamacpp.model import Llama
from flowkit.providers.models import open_models, opened
from flowkit.providers.sound.device import DeviceMic, DeviceSpeaker
from flowkit.runtime.failover import resilient
from flowkit.runtime.handover import ReplyWork
from flowkit.testing.emulators import EMULATORS, ServerFault, running
from tests.config.experiments import BASE, Experiment, in_time, with_provider
from tests.contract.support import one_call
from tests.devices.fake import HEADSET, SPEAKERS, FakeHost, spans
from tests.devices.test_device_session import session
from tests.providers.support import AUDIO, Answers, FakeSession, PacedItems, answer

PAST = tuple(Exchange(f"Question {n}, at some length?", f"Answer {n}, at some length.") for n in range(30))
ASKED = Ask(31, "How are you?", PAST)
MARKED = '<break time="1s"/> Hello [[h@lOU]] [laughter] there.'


def stage_of(kind: str, settings: Sequence[str]) -> PlannedStage:
    """The planned stage of this kind, with its provider."""
    found = draw(load("base.yaml", text=BASE, overrides=settings), installed=False).plan.only(kind)
    assert found is not None
    return found


def provider_of(kind: str, settings: Sequence[str]) -> tuple[type[Provider], Any]:
    choice = stage_of(kind, settings).provider
    assert choice is not None
    return choice.cls, choice.options


def outcome(main: Any, *args: Any) -> Any:
    """The result of a call with a clock that jumps. A provider's error is a result too."""
    try:
        return in_time(main, *args)
    except InvalidConfig:
        raise
    except FlowkitError as error:
        return str(error)


async def answers_of(
    kind: str, settings: Sequence[str], request: Message, fed: Iterable[Message] = (), most: int = 1_000
) -> list[Message]:
    """What a provider answers, at most so much."""
    async with opened(*provider_of(kind, settings), FakeSession().around()) as provider:
        return (await answer(provider, request, fed, lambda items: len(items) >= most)).items


# -- servers -----------------------------------------------------------------------------------------------------------


def sent(
    kind: str, name: str, request: Message, fed: Iterable[Message] = (), fault: ServerFault = ServerFault.NONE
) -> Experiment:
    """The requests that the server got, and the answers."""

    def experiment(*settings: str) -> Any:
        with running(EMULATORS[name](always=fault)) as server:
            addressed = [s.replace("$WS", server.ws_url).replace("$URL", server.url) for s in settings]
            ended = one_call(*provider_of(kind, addressed), request, fed, silent=fault is not ServerFault.NONE)
            seen = [s for s in server.seen if s.body or s.messages]
            requests = [(s.path, s.headers.get("authorization"), s.query, s.body, s.messages) for s in seen]
            return requests, ended.finals, [item for item in ended.items if isinstance(item, Audio)]

    return experiment


def connecting(kind: str, request: Message, fed: Iterable[Message] = ()) -> Experiment:
    """The time limit of a call's connection, in seconds."""
    waits: list[float] = []

    async def dial(nursery: trio.Nursery, address: Address, *reader: Any) -> None:
        waits.append(address.connect_s)
        raise CloudError(Trouble.REQUEST, "no more is wanted")

    async def post(client: Client, path: str, body: Any, connect_s: float) -> None:
        waits.append(connect_s)
        raise CloudError(Trouble.REQUEST, "no more is wanted")

    async def get(client: Client, path: str, connect_s: float) -> None:
        """The request of the spare connection, which is opened in the background."""

    async def whole(settings: Sequence[str]) -> list[Message]:
        here = FakeSession().around()
        async with open_models(here.notice) as models, resilient(stage_of(kind, settings), here, models) as provider:
            return (await answer(provider, request, fed)).items

    def experiment(*settings: str) -> Any:
        waits.clear()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("flowkit.providers.assemblyai.asr.dial", dial)
            patched.setattr("flowkit.providers.cartesia.tts.dial", dial)
            patched.setattr(Client, "post", post)
            patched.setattr(Client, "get", get)
            outcome(whole, settings)
        return waits[-1]

    return experiment


def thought(*settings: str) -> Any:
    """The tokens of a reply in which the server has started the reasoning."""
    with running(EMULATORS["groq"](reply=lambda messages: "A plan.</think>Hello.")) as server:
        addressed = [setting.replace("$URL", server.url) for setting in settings]
        return one_call(*provider_of("llm", addressed), Ask(1, "Hi.")).text


def resumed(*settings: str) -> Any:
    """The request to an LLM after its reply broke off."""
    cls, options = provider_of("llm", settings)

    async def whole() -> Message:
        async def emit(item: Message) -> None:
            pass

        work, provider = ReplyWork(Ask(1, "Hi.")), cls(options, FakeSession().around())
        work.begin(provider)
        await work.take(Token(0, "The capital of"), emit)
        return work.begin(provider)

    return outcome(whole)


def unasked(*settings: str) -> Any:
    """An ASR's answers to a turn that its server ends itself."""
    turn = {"type": "Turn", "turn_order": 0, "end_of_turn": True, "turn_is_formatted": True, "transcript": "Hello."}
    said = [json.dumps(turn | {"words": [{"text": "Hello.", "start": 0, "end": 500, "word_is_final": True}]})]

    class Line:
        async def receive(self) -> str:
            return said.pop() if said else await trio.sleep_forever()

        async def send(self, message: Any) -> None:
            pass

        def hang_up(self) -> None:
            pass

    async def dial(nursery: trio.Nursery, address: Address) -> Line:
        return Line()

    async def whole() -> list[Message]:
        async with opened(*provider_of("asr", settings), FakeSession().around()) as provider:
            answers = Answers()
            await provider.call(
                Transcribe(), PacedItems([Frames(n, 1, bytes(640)) for n in range(3)], 1.0), answers.emit
            )
            return answers.items

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flowkit.providers.assemblyai.asr.dial", dial)
        return outcome(whole)


def streamed(*settings: str) -> Any:
    """When an ASR sends audio that has waited for its connection."""
    _, options = provider_of("asr", settings)
    times: list[float] = []

    class Line:
        async def send(self, piece: bytes) -> None:
            times.append(round(trio.current_time(), 3))

    async def whole() -> None:
        outgoing = Outgoing(FakeSession().around(), options)
        for index in range(100):
            await outgoing.send(Line(), Frames(index, 1, bytes(640)))  # type: ignore[arg-type]

    outcome(whole)
    return times


# -- models and voices -------------------------------------------------------------------------------------------------


def _without_weights(patched: pytest.MonkeyPatch) -> None:
    patched.setattr("flowkit.providers.loading.ensure_installed", lambda cls: None)


def told_llama(*settings: str) -> Any:
    """The input of llama.cpp: the model's parameters, and the request."""
    given: list[Any] = []

    class Server:
        def __init__(self, params: Any) -> None:
            slots = params.n_parallel
            given.append((Path(params.model.path).name, params.n_ctx // slots, slots, params.cpuparams.n_threads))

        def handle_chat_completions(self, request: Any, heard: Any) -> None:
            given.append(request)

    class Params(SimpleNamespace):
        def __init__(self) -> None:
            super().__init__(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())

    library: Any = SimpleNamespace(CommonParams=Params, Server=Server)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "xllamacpp", library)
        _without_weights(patched)
        for name in ("a.gguf", "b.gguf"):
            Path(folder, name).write_bytes(b"GGUF" + name.encode())
        problem = outcome(answers_of, "llm", [setting.replace("$TMP", folder) for setting in settings], ASKED)
        return given, str(problem).replace(folder, "")


def lined(*settings: str) -> Any:
    """What becomes of four replies of llama.cpp that are asked for at the same time."""
    said: list[str] = []

    async def ask(provider: Provider, number: int) -> None:
        try:
            await answer(provider, Ask(number, "How are you?"))
        except ProviderError as error:
            said.append(str(error))

    async def main(choice: tuple[type[Provider], Any], gate: threading.Event) -> None:
        def generate(*_: Any) -> tuple[()]:
            gate.wait()
            return ()

        with pytest.MonkeyPatch.context() as patched:
            async with opened(*choice, FakeSession().around()) as provider, trio.open_nursery() as nursery:
                patched.setattr(Llama, "generate", generate)
                for number in range(4):
                    nursery.start_soon(ask, provider, number)
                await trio.testing.wait_all_tasks_blocked(0.05)
                gate.set()

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(Llama, "load", lambda *_: None)
        _without_weights(patched)
        Path(folder, "a.gguf").write_bytes(b"GGUF")
        placed = [setting.replace("$TMP", folder) for setting in settings]
        trio.run(main, provider_of("llm", placed), threading.Event())
    return sorted(said)


def told_worker(package: str) -> Experiment:
    """The input of a TTS's worker process: its setup, and the text."""

    def experiment(*settings: str) -> Any:
        given: list[Any] = []

        class Voices:
            def __init__(self, title: str, process: str, setup: Any, options: Any) -> None:
                given.append((setup, options.parallel, options.waiting))

            @asynccontextmanager
            async def running(self) -> AsyncIterator[Any]:
                yield self

            async def answer(self, request: Speak, around: Any, emit: Any, escape: Any) -> None:
                given.append(escape(request.text))

        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
            patched.setattr(f"flowkit.providers.{package}.tts.Voices", Voices)
            _without_weights(patched)
            for name in ("a.onnx", "b.onnx"):
                Path(folder, name).touch()
                Path(folder, f"{name}.json").touch()
            placed = [setting.replace("$TMP", folder) for setting in settings]
            problem = outcome(answers_of, "tts", placed, Speak(0, MARKED))
            return json.dumps(given).replace(folder, ""), problem

    return experiment


def decoded(*settings: str) -> Any:
    """The lengths in samples of what Moonshine decodes of thirty seconds of speech, and how much it decodes at a time."""
    given: list[Any] = []

    class Decoder:
        free = True

        def __init__(self, options: Any) -> None:
            given.append((options.parallel, options.waiting))

        @asynccontextmanager
        async def closing(self) -> AsyncIterator[None]:
            yield

        async def decode(self, pcm: bytes, around: Any) -> str:
            given.append(len(pcm) // 2)
            return "some words"

    loud = b"\x00\x10\x00\xf0" * 160
    frames = [Frames(n, 1, bytes(640) if n < 15 or 60 < n < 80 else loud) for n in range(1_500)]
    fed = [*frames[:16], SpeechStarted(15), *frames[16:], EndOfUtterance(1, 1_499)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flowkit.providers.moonshine.asr.Decoder", Decoder)
        _without_weights(patched)
        outcome(answers_of, "asr", settings, Transcribe(), fed)
    return given


def detected(*settings: str) -> Any:
    """The arguments with which WebRTC's detector is made."""
    given: list[int] = []

    class Vad:
        def __init__(self, aggressiveness: int) -> None:
            given.append(aggressiveness)

    async def imported(*names: str) -> None:
        pass

    library: Any = SimpleNamespace(Vad=Vad)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "webrtcvad", library)
        patched.setattr("flowkit.providers.webrtcvad.imported", imported)
        _without_weights(patched)
        outcome(answers_of, "vad", settings, Detect())
    return given


def printed(*settings: str) -> Any:
    with redirect_stdout(StringIO()) as out:
        outcome(answers_of, "tts", settings, Speak(0, "Hello."))
    return out.getvalue()


def answered(*settings: str) -> Any:
    """An LLM's reply in the first turn and in the second."""
    return [outcome(answers_of, "llm", settings, Ask(turn, "Hello?")) for turn in (1, 2)]


# -- sound -------------------------------------------------------------------------------------------------------------


def heard(*settings: str) -> Any:
    """The first seconds of a microphone's frames, with their audio."""
    placed = [setting.replace("$AUDIO", str(AUDIO)) for setting in settings]
    items = in_time(answers_of, "mic", placed, Capture(), (), 150)
    return [(item.index, item.pcm) for item in items if isinstance(item, Frames)]


def written(*settings: str) -> Any:
    """The files after a speaker has written, by rate, and its error. One file existed before."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "there.wav").write_bytes(b"RIFF")
        play = Play(0, 0, 0, 1_600, 16_000, 1, bytes(3_200))
        placed = [setting.replace("$TMP", folder) for setting in settings]
        problem = outcome(answers_of, "speaker", placed, Render(), [play])
        files = {file.name: _rate(file) for file in sorted(Path(folder).iterdir())}
        return files, str(problem).replace(folder, "")


def _rate(file: Path) -> int:
    try:
        with wave.open(str(file)) as opened:
            return opened.getframerate()
    except EOFError:
        return 0


def claimed(kind: str, *, present: bool = True) -> Experiment:
    """The wanted devices, the notices to the user, and the microphone's canceller."""

    def experiment(*settings: str) -> Any:
        wanted: list[Any] = []
        notices: list[str] = []
        host = FakeHost(spans(), present=[HEADSET, SPEAKERS._replace(inputs=2)] if present else [])
        opens = host._open

        def noted(host: FakeHost, what: Any, *rest: Any) -> Any:
            wanted.append(what)
            return opens(what, *rest)

        async def whole() -> str:
            async with opened(*provider_of(kind, settings), FakeSession(notices=notices).around()) as provider:
                return type(getattr(provider, "_canceller", None)).__name__

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(FakeHost, "_open", noted)
            patched.setattr(DeviceMic, "host", host)
            patched.setattr(DeviceSpeaker, "host", host)
            made = outcome(whole)
        return wanted, notices, made

    return experiment


def overrun(*settings: str) -> Any:
    """The frames that a microphone loses while an ASR takes nothing for ten seconds."""

    class Sleeps(Provider):
        kind, name = "asr", "sleeps"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            await trio.sleep(10)
            async for _ in fed:
                pass

    plan = with_provider(require(load("base.yaml", text=BASE, overrides=settings)), "asr", Sleeps)
    with pytest.MonkeyPatch.context() as patched:
        _, watched = session(FakeHost(spans()), plan, patched)
    return [event for event in watched.events if event[1] == "microphone overrun"]
