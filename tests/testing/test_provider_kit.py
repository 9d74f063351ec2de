"""The kit for authors of providers: every provider that flowkit ships passes, and planted faults are found and named."""

from __future__ import annotations

import io
import queue
import socket
import sys
import tempfile
import threading
import time
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from flowkit.clock import monotonic_us
from flowkit.errors import ProviderError, ProviderMissing
from flowkit.messages import (
    Ask,
    Audio,
    Final,
    Frames,
    InputEnded,
    Message,
    Probability,
    Speak,
    Token,
    ToolCall,
    ToolOutcome,
    WordTimes,
)
from flowkit.options import Options
from flowkit.providers.base import Emit, Provider
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.providers.registry import BUILT_IN, find, missing
from flowkit.providers.sound.device import DeviceMic, DeviceSpeaker
from flowkit.providers.weights import SMART_TURN, Weights
from flowkit.testing.emulators.assemblyai import AssemblyAIEmulator
from flowkit.testing.emulators.cartesia import CartesiaEmulator
from flowkit.testing.emulators.groq import GroqEmulator
from flowkit.testing.emulators.server import running
from flowkit.testing.emulators.speech import SpeechEmulator
from flowkit.testing.provider import Faults, check_provider
from tests.devices.fake import FakeHost, spans

AUDIO = Path(__file__).parents[2] / "pipelines" / "audio" / "question.wav"


def speech() -> bytes:
    with wave.open(str(AUDIO)) as file:
        return file.readframes(file.getnframes())


def passes(
    entry: str, *, broken: tuple[dict[str, Any], ...] = (), more: dict[str, Any] | None = None, **options: Any
) -> None:
    cls = find(*entry.split("."))
    made = cls.Options.model_validate(options)
    wrong = tuple(cls.Options.model_validate(options | changed) for changed in broken)
    check_provider(cls, made, broken=wrong, speech=speech(), **(more or {}))


# -- what flowkit ships ------------------------------------------------------------------------------------------------


SHIPPED: dict[str, dict[str, Any]] = {
    "mic.memory": {},
    "mic.scripted": {},
    "mic.wav": {"path": AUDIO, "broken": ({"path": "none.wav"},)},
    "vad.scripted": {},
    "vad.silero": {},
    "vad.webrtcvad": {},
    "asr.scripted": {},
    "asr.moonshine": {"more": {"within_s": 60}},
    "turn.words": {},
    "turn.smart_turn": {"more": {"within_s": 60}},
    "turn.scripted": {},
    "llm.canned": {},
    "llm.scripted": {"replies": [{"text": "Paris is the capital."}], "first_token": "5ms"},
    "llm.llamacpp": {"max_tokens": 8, "broken": ({"model": "none.gguf"},), "more": {"within_s": 60}},
    "tools.local": {},
    "tools.scripted": {},
    "tts.print": {},
    "tts.nanotts": {"more": {"within_s": 60}},
    "tts.piper": {"broken": ({"voice": "none.onnx"},), "more": {"within_s": 60}},
    "tts.scripted": {"first_audio": "5ms", "per_piece": "1ms", "per_char": "20ms"},
    "speaker.memory": {},
}
ELSEWHERE = {
    "gate.typed",
    "mic.device",
    "speaker.device",
    "speaker.wav",
    "asr.assemblyai",
    "asr.openai_compatible",
    "llm.groq",
    "llm.openai_compatible",
    "tts.cartesia",
    "tts.openai_compatible",
}


def test_every_provider_is_examined() -> None:
    assert set(SHIPPED) | ELSEWHERE == set(BUILT_IN)


def model_or_skip(weights: Weights) -> None:
    try:
        weights.path()
    except ProviderMissing as missed:
        pytest.skip(f"{missed} ({missed.hint})")


@pytest.mark.parametrize("entry", SHIPPED)
def test_what_flowkit_ships(entry: str) -> None:
    if lacking := missing(find(*entry.split("."))):
        pytest.skip(f"not installed: {', '.join(lacking)}")
    if entry == "turn.smart_turn":
        model_or_skip(SMART_TURN)
    passes(entry, **SHIPPED[entry])


def test_a_file_to_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    passes("speaker.wav", path=tmp_path / "out.wav", overwrite=True, broken=({"path": tmp_path / "file" / "out.wav"},))


def test_typed_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.StringIO):
        """A keyboard on which three lines are typed again and again."""

        def readline(self, size: int = -1, /) -> str:
            return super().readline(size) or (self.seek(0), "")[1]  # type: ignore[return-value]

    monkeypatch.setattr(sys, "stdin", Endless("One.\n\nTwo.\n"))
    passes("gate.typed")


class Card(FakeHost):
    """A sound card whose thread calls a callback every 20 ms."""

    def now_us(self) -> int:
        return monotonic_us()

    def _open(self, wanted: Any, callback: Any, gone: Any) -> Any:
        stream = super()._open(wanted, callback, gone)

        def play() -> None:
            for tick in count():
                time.sleep(0.02)
                if stream not in self.streams:
                    return
                self._call(stream, tick)

        threading.Thread(target=play, name="sound card", daemon=True).start()
        return stream


@pytest.mark.parametrize("cls", [DeviceMic, DeviceSpeaker])
def test_devices(cls: type[Provider], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cls, "host", Card(spans((20, 60))))
    check_provider(cls, broken=(cls.Options.model_validate({"device": "none such"}),))


def test_services() -> None:
    with running(GroqEmulator(reply=lambda messages: "Paris is the capital.", token_s=0.001)) as there:
        keys = ({"api_key": "wrong"}, {"base_url": "http://127.0.0.1:9"})
        passes("llm.groq", api_key="any-key", base_url=there.url, broken=keys)
        served = {"base_url": f"{there.url}/openai/v1", "model": "llama-3.3-70b-versatile"}
        passes(
            "llm.openai_compatible",
            api_key="any-key",
            broken=({"api_key": "wrong"}, {"model": "no-such-model"}),
            **served,
        )
    with running(SpeechEmulator(turns=("what is it",), pause_s=0.01)) as there:
        heard = {"base_url": f"{there.url}/v1", "model": "whisper-1", "api_key": "any-key"}
        passes("asr.openai_compatible", broken=({"api_key": "wrong"}, {"model": "no-such-model"}), **heard)
        said = heard | {"model": "tts-1", "voice": "alloy"}
        passes("tts.openai_compatible", broken=({"api_key": "wrong"}, {"model": "no-such-model"}), **said)
    with running(AssemblyAIEmulator(turns=("what is it",) * 500, pause_s=0.01)) as there:
        passes(
            "asr.assemblyai",
            api_key="any-key",
            base_url=there.ws_url,
            catch_up=10,
            final_within="600ms",
            broken=({"api_key": "wrong"}, {"base_url": "ws://127.0.0.1:9"}, {"piece": "20ms"}),
        )
    with running(CartesiaEmulator(piece_s=0.001)) as there:
        broken = ({"api_key": "wrong"}, {"base_url": "ws://127.0.0.1:9"})
        passes("tts.cartesia", api_key="any-key", voice="v", base_url=there.ws_url, broken=broken)


# -- planted faults: a voice -------------------------------------------------------------------------------------------


TONE = b"\x00\x08\x00\xf8" * 50_000


class Voice(Provider):
    """A correct TTS: 100 samples per character, in pieces."""

    kind, name = "tts", "mine"
    piece: ClassVar[int] = 1_000

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        samples = 100 * len(request.text) if request.text.strip() else 0
        for first in range(0, samples, self.piece):
            await trio.sleep(0.0005)
            await emit(self.audio(request, first, min(self.piece, samples - first), samples))

    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        return Audio(request.clause, first, samples, 16_000, total, TONE[: 2 * samples])


class EachPieceFromZero(Voice):
    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        return super().audio(request, 0, samples, total)


class PlacesInBytes(Voice):
    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        return super().audio(request, 2 * first, samples, total)


class AnnouncesTooMuch(Voice):
    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        return super().audio(request, first, samples, total + 100)


class CountsBytes(Voice):
    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        return Audio(request.clause, first, samples, 16_000, total, TONE[:samples])


class AlwaysClauseZero(Voice):
    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        return Audio(0, first, samples, 16_000, total, TONE[: 2 * samples])


class CutsLongTexts(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        await super().call(Speak(request.clause, request.text[:200]), fed, emit)


class CannotBeStopped(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.5)
        await super().call(request, fed, emit)


class SpeaksOn(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        try:
            await super().call(request, fed, emit)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await emit(self.audio(request, 0, 10, 10))  # type: ignore[arg-type]
            raise


class DropsWhenSlow(Voice):
    """It emits through a channel that does not wait."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        send, receive = trio.open_memory_channel[Message](2)

        async def put(item: Message) -> None:
            try:
                send.send_nowait(item)
            except trio.WouldBlock:
                pass

        async def make() -> None:
            async with send:
                await super(DropsWhenSlow, self).call(request, fed, put)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(make)
            async for item in receive:
                await emit(item)


class DoesNotWait(Voice):
    """It starts a task for each piece."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async with trio.open_nursery() as nursery:

            async def put(item: Message) -> None:
                nursery.start_soon(emit, item)

            await super().call(request, fed, put)


class HoldsTheLoop(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        time.sleep(0.2)
        await super().call(request, fed, emit)


class BreaksOnNothing(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        request.text.split()[0]
        await super().call(request, fed, emit)


class LeavesAThread(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        threading.Thread(target=time.sleep, args=(8,), name="synthesis", daemon=True).start()
        await super().call(request, fed, emit)


class LeavesASocket(Voice):
    kept: ClassVar[list[socket.socket]] = []

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        self.kept.append(socket.socket())
        yield


class OneClauseForAll(Voice):
    """It keeps the state of a call in the model, which sessions share."""

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[dict[str, int]]:
        yield {"place": 0}

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        self.model["place"] = 0
        samples = 100 * len(request.text) if request.text.strip() else 0
        while self.model["place"] < samples:
            await trio.sleep(0.001)
            first = self.model["place"]
            self.model["place"] += self.piece
            await emit(self.audio(request, first, min(self.piece, samples - first), samples))


class WithTimes(Voice):
    """Says first when its words end."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        if request.text.strip():
            await emit(WordTimes(request.clause, tuple(self.times(request.text))))
        await super().call(request, fed, emit)

    def times(self, text: str) -> list[tuple[str, int]]:
        ends = [at for at, char in enumerate(text + " ") if char == " " and text[:at].strip()]
        return [(text[:end].split()[-1], 100 * end) for end in ends]


class KeepsItsPlace(WithTimes):
    """Where a cancelled call was, the next one goes on."""

    place = 0

    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        audio = super().audio(request, self.place, samples, total)
        self.place = 0 if first + samples == total else first + samples
        return audio


class KeepsItsLock(WithTimes):
    def __init__(self, options: Any, around: Any, model: Any = None) -> None:
        super().__init__(options, around, model)
        self.free = trio.Semaphore(1)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async def locked(item: Message) -> None:
            if isinstance(item, Audio) and not item.first_sample:
                await self.free.acquire()
            await emit(item)
            if isinstance(item, Audio) and item.first_sample + item.samples == item.total:
                self.free.release()

        await super().call(request, fed, locked)


class KeepsTheRest(Voice):
    """What a cancelled call had ready is said by the next, and no total would tell."""

    rest = b""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        sound = self.rest + TONE[: 200 * len(request.text.strip())]
        for first in range(0, len(sound), 2_000):
            self.rest = sound[first : first + 2_000]
            await emit(Audio(request.clause, first // 2, len(self.rest) // 2, 16_000, 0, self.rest))
        self.rest = b""


class CatchesCancelled(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        try:
            await super().call(request, fed, emit)
        except BaseException:
            pass


class Mute(Voice):
    def audio(self, request: Speak, first: int, samples: int, total: int) -> Audio:
        return replace(super().audio(request, first, samples, total), pcm=bytes(2 * samples))


class OnePiece(Voice):
    piece = 5_000


class LatinOnly(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        await super().call(replace(request, text=request.text.encode("ascii", "ignore").decode()), fed, emit)


class TimesBeyond(WithTimes):
    def times(self, text: str) -> list[tuple[str, int]]:
        return [(word, 2 * end) for word, end in super().times(text)]


class TimesInMs(WithTimes):
    def times(self, text: str) -> list[tuple[str, int]]:
        return [(word, end // 16) for word, end in super().times(text)]


class TimesOfSome(WithTimes):
    def times(self, text: str) -> list[tuple[str, int]]:
        return super().times(text)[1:]


class TimesRunBack(WithTimes):
    def times(self, text: str) -> list[tuple[str, int]]:
        return super().times(text)[::-1]


class LoadsOnTheLoop(Voice):
    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[None]:
        time.sleep(0.1)
        yield None


class LeavesATask(Voice):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="keep alive")
        await super().call(request, fed, emit)


class LeavesAFile(Voice):
    kept: ClassVar[list[Any]] = []

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        self.kept.append(tempfile.TemporaryFile())  # noqa: SIM115
        await super().call(request, fed, emit)


class SaysNothingOfWhatIsWrong(Voice):
    class Options(Options):
        voice: str = "anna"
        """Whose."""


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (EachPieceFromZero, "a clause: an Audio starts at sample 0 instead of 1000"),
        (AnnouncesTooMuch, "samples, but 2500 were emitted"),
        (CountsBytes, "an Audio of 1000 samples of 16 bits has 1000 bytes"),
        (AlwaysClauseZero, "a later clause: the request is for clause 7, the answer for clause 0"),
        (CutsLongTexts, "for a sentence it emits 9100 samples, for 5 times the same sentence only 20000"),
        (CannotBeStopped, "a cancelled call ends only after 0.5 s; its grace period is 0.25 s (`grace_s`)"),
        (SpeaksOn, "cancelled at its first answer, it emits more answers"),
        (DropsWhenSlow, "to a slow stage: "),
        (DoesNotWait, "items at once to a slow stage; each must be accepted before the next"),
        (HoldsTheLoop, "blocks the event loop for 2"),
        (BreaksOnNothing, "an empty clause: raises IndexError: list index out of range"),
        (LeavesAThread, "leaves behind: thread 'synthesis'"),
        (LeavesASocket, "leaves behind: socket"),
        (OneClauseForAll, "while 3 sessions share it: "),
        (
            KeepsItsPlace,
            "after a call that was cancelled at its first Audio: a clause: an Audio starts at sample 1000 instead of 0",
        ),
        (
            KeepsItsLock,
            "after a call that was cancelled at its first Audio: a clause: not ended after 5 s (`within_s`)",
        ),
        (KeepsTheRest, "a clause has other audio than before"),
        (CatchesCancelled, "while its answer number 2 waits in `emit`, it catches trio.Cancelled and goes on"),
        (Mute, "a clause: every sample is zero"),
        (OnePiece, "a sentence: an Audio lasts 312 ms: emit pieces of about 100 ms"),
        (LatinOnly, "a clause in Cyrillic: no answer, and no ProviderError"),
        (TimesBeyond, "the word 'sentence.' of clause 0 ends at sample 5000; the clause has 2500"),
        (TimesInMs, "the last word of clause 0, 'sentence.', ends at sample 156 of 2500: are these samples?"),
        (TimesOfSome, "the word times of clause 0 leave out 'This'"),
        (TimesRunBack, "the words of clause 0: 'short' ends at sample 1500, before 'sentence.' at 2500"),
        (LoadsOnTheLoop, "blocks the event loop while it is loaded or made ready, for 1"),
        (LeavesATask, "leaves behind: task keep alive"),
        (LeavesAFile, "leaves behind: open file in "),
    ],
)
def test_a_voice_with_a_fault(cls: type[Provider], said: str) -> None:
    with pytest.raises(Faults) as caught:
        check_provider(cls, grace_s=0.25, within_s=5)
    assert any(said in fault for fault in caught.value.found), caught.value


def test_a_voice_that_says_nothing_of_what_is_wrong() -> None:
    cls = SaysNothingOfWhatIsWrong
    with pytest.raises(Faults) as caught:
        check_provider(cls, broken=(cls.Options(voice="nobody"), cls.Options(voice="anybody")))
    assert caught.value.found == [
        f"broken options {n} (voice={voice!r}): {what}"
        for n, voice in ((1, "nobody"), (2, "anybody"))
        for what in (
            "it is loaded and made ready without an error, and its probe raises no error",
            "a clause is answered instead of raising an error: 3 items, such as a Audio",
        )
    ]


def test_a_fault_that_repeats_is_told_once() -> None:
    with pytest.raises(Faults) as caught:
        check_provider(PlacesInBytes)
    shown = str(caught.value)
    assert "a long clause: an Audio starts at sample 2000 instead of 1000 ... and 44 more like it" in shown
    assert len(shown.splitlines()) < 15


def test_a_voice_without_a_fault() -> None:
    check_provider(Voice)


# -- planted faults: an LLM --------------------------------------------------------------------------------------------


class Llm(Provider):
    """A correct LLM."""

    kind, name = "llm", "mine"
    begins: ClassVar[int] = 0

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Ask)
        for index, word in enumerate(self.words(request)):
            await trio.sleep(0.0005)
            await emit(Token(self.begins + index, word))

    def words(self, ask: Ask) -> list[str]:
        return ["You ", "said ", *[word + " " for word in ask.text.split()[:5]], "just ", "now."]


class CountsFromOne(Llm):
    begins = 1


class CountsOn(Llm):
    """It counts tokens through all replies."""

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await super().call(request, fed, emit)
        self.begins = self.begins + 1  # type: ignore[misc]


class GivesNone(Llm):
    def words(self, ask: Ask) -> list[str]:
        return [*super().words(ask), None]  # type: ignore[list-item]


class HangsOnAnEmptyQuestion(Llm):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if not request.text:  # type: ignore[attr-defined]
            await trio.sleep_forever()
        await super().call(request, fed, emit)


class StumblesOverThePast(Llm):
    def words(self, ask: Ask) -> list[str]:
        return [{"a": "b"}[exchange.user] for exchange in ask.history] or super().words(ask)


class SwallowsItsCancelling(Llm):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        try:
            await super().call(request, fed, emit)
        except BaseException as error:
            raise ProviderError("the reply broke off") from error


class ThinksOnTheLoop(Llm):
    def words(self, ask: Ask) -> list[str]:
        time.sleep(0.15)
        return super().words(ask)


class SaysDone(Llm):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await super().call(request, fed, emit)
        await emit(InputEnded(0))


class Undocumented(Llm):
    class Options(Options):
        temperature: float = 0.5


class TellsTokensIfAsked(Llm):
    tells_tokens: ClassVar[dict[str, object]] = {"usage": True}


class StripsSpaces(Llm):
    def words(self, ask: Ask) -> list[str]:
        return [word.strip() for word in super().words(ask)]


class LeavesAGenerator(Llm):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for token in self.tokens(request):
            await emit(token)

    async def tokens(self, request: Message) -> AsyncIterator[Token]:
        assert isinstance(request, Ask)
        for index, word in enumerate(self.words(request)):
            await trio.sleep(0.0005)
            yield Token(index, word)


class GivesAllAtTheEnd(Llm):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Ask)
        await trio.sleep(0.15)
        for index, word in enumerate(self.words(request)):
            await emit(Token(index, word))


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (StripsSpaces, "a question: no white space in 9 tokens: keep the spaces"),
        (LeavesAGenerator, "LeavesAGenerator.tokens half-way: close it with contextlib.aclosing"),
        (GivesAllAtTheEnd, "emits all tokens of a reply at once, at its end"),
        (CountsFromOne, "token number 0 has index 1: tokens are numbered from 0 in each reply"),
        (CountsOn, "a question with a past: token number 0 has index 1"),
        (GivesNone, "a token's text is NoneType, not str"),
        (
            HangsOnAnEmptyQuestion,
            "an empty question: not ended after 1 s (`within_s`), with 0 answers so far",
        ),
        (
            StumblesOverThePast,
            "a question with a past: raises KeyError: 'Question 0?'; it must raise a ProviderError",
        ),
        (SwallowsItsCancelling, "cancelled at its first answer, it raises ProviderError: the reply broke off"),
        (ThinksOnTheLoop, "blocks the event loop for 1"),
        (SaysDone, "a question: emitted InputEnded; for Ask it may emit Token"),
        (Undocumented, "options without a docstring below them: temperature"),
        (TellsTokensIfAsked, "its tells_tokens names options that it does not have: usage"),
    ],
)
def test_an_llm_with_a_fault(cls: type[Provider], said: str) -> None:
    with pytest.raises(Faults) as caught:
        check_provider(cls, within_s=1)
    assert any(said in fault for fault in caught.value.found), caught.value
    assert caught.traceback.filter(caught)[-1].path.name == Path(__file__).name, "pytest shows flowkit's own lines"


def test_an_llm_without_a_fault() -> None:
    check_provider(Llm)


def test_an_llm_that_does_not_stream_says_so() -> None:
    class Whole(GivesAllAtTheEnd):
        streams = False

    check_provider(Whole)


class Served(Llm):
    """An LLM of a server, with an answer to an error as it should be."""

    class Options(Options):
        model: str = "small"
        """Which."""

    def refused(self) -> ProviderError | None:
        return None if self.options.model == "small" else ProviderError(f"llm mine: no model {self.options.model!r}")

    async def probe(self) -> str:
        if error := self.refused():
            raise error
        return "the model is there"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        if error := self.refused():
            await self.fails(error, emit)
            return
        await super().call(request, fed, emit)

    async def fails(self, error: ProviderError, emit: Emit) -> None:
        raise error


class ReturnsOnAnError(Served):
    async def fails(self, error: ProviderError, emit: Emit) -> None:
        return


class HangsOnAnError(Served):
    async def fails(self, error: ProviderError, emit: Emit) -> None:
        await trio.sleep_forever()


class SaysTheError(Served):
    async def fails(self, error: ProviderError, emit: Emit) -> None:
        await emit(Token(0, f"Error: {error}"))


class RaisesAnother(Served):
    async def fails(self, error: ProviderError, emit: Emit) -> None:
        raise OSError("404")


class LeavesItsNameOut(Served):
    async def fails(self, error: ProviderError, emit: Emit) -> None:
        raise ProviderError("no such model")


class FindsNothingWrong(Served):
    async def probe(self) -> str:
        return "fine"


class PoolNeverClosed(Served):
    """Keeps the connection of a call that came to its end, for ever."""

    kept: ClassVar[list[socket.socket]] = []

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        connection = socket.socket()
        try:
            await super().call(request, fed, emit)
        except BaseException:
            connection.close()
            raise
        self.kept.append(connection)


BROKEN = "broken options 1 (model='none'): "


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (ReturnsOnAnError, BROKEN + "a question: the call returns without an error"),
        (
            HangsOnAnError,
            BROKEN + "a question: not ended after 1 s (`within_s`), with 0 answers so far; it must",
        ),
        (
            SaysTheError,
            BROKEN + "a question is answered instead of raising an error: \"Error: llm mine: no model 'none'\"",
        ),
        (RaisesAnother, BROKEN + "a question: raises OSError: 404; it must raise a ProviderError"),
        (LeavesItsNameOut, BROKEN + "a question: the error must begin with the provider's name, `llm mine: `"),
        (FindsNothingWrong, BROKEN + "it is loaded and made ready without an error, and its probe raises no error"),
        (PoolNeverClosed, "leaves behind: socket"),
    ],
)
def test_an_llm_of_a_server_with_a_fault(cls: type[Provider], said: str) -> None:
    with pytest.raises(Faults) as caught:
        check_provider(cls, within_s=1, broken=(cls.Options.model_validate({"model": "none"}),))
    assert any(said in fault for fault in caught.value.found), caught.value


def test_an_llm_of_a_server_without_a_fault() -> None:
    check_provider(Served, broken=(Served.Options(model="none"),))


def test_threads_that_a_server_of_the_test_begins_are_not_the_providers() -> None:
    """A server here has a thread for each connection, which ends only when its client has gone."""
    asked, over = queue.SimpleQueue[bool](), threading.Event()

    def serve() -> None:
        while asked.get():
            threading.Thread(target=over.wait, name="handler", daemon=True).start()

    class Asks(Llm):
        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            asked.put(True)
            await super().call(request, fed, emit)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        check_provider(Asks)
    finally:
        asked.put(False)
        over.set()
        server.join()


# -- planted faults: ears and others -----------------------------------------------------------------------------------


class Vad(InlineProvider):
    kind, name = "vad", "mine"

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self.fed)

    def fed(self, item: Message) -> Iterator[Answer]:
        if isinstance(item, Frames):
            yield Answer(0, Probability(item.index + item.count - 1, self.judge(item)))

    def judge(self, frames: Frames) -> float:
        return float(any(frames.pcm))


class BeyondOne(Vad):
    def judge(self, frames: Frames) -> float:
        return 32_768 * super().judge(frames)


class CountsFramesItself(Vad):
    """It counts frames itself, so its numbers are wrong after lost frames."""

    def open(self, request: Message) -> InlineCall:
        heard = iter(range(1_000))

        def fed(item: Message) -> Iterator[Answer]:
            yield Answer(0, Probability(next(heard), 0.5))

        return InlineCall(fed=fed)


class OneAnswerBehind(Vad):
    """It answers the first frame of each second when the last one comes."""

    def fed(self, item: Message) -> Iterator[Answer]:
        if isinstance(item, Frames) and item.index % 50 == 49:
            yield Answer(0, Probability(item.index - 49, 0.5))


class Asr(Provider):
    kind, name = "asr", "mine"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for item in fed:
            for final in self.finals(item):
                await emit(final)

    def finals(self, item: Message) -> list[Final]:
        number = getattr(item, "utterance", None)
        return [] if number is None else [Final("Hello.", number)]


class FinalTwice(Asr):
    def finals(self, item: Message) -> list[Final]:
        return super().finals(item) * 2


class GoesOnListening(Asr):
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await super().call(request, fed, emit)
        await trio.sleep_forever()


class TwoOutcomes(Provider):
    """Tools that tell of each call that it runs, and of each that is over."""

    kind, name = "tools", "mine"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for item in fed:
            if isinstance(item, ToolCall):
                await emit(ToolOutcome(item.id, "running", ""))
                await emit(ToolOutcome(item.id, "result", "done"))


class NoSuchKind(Asr):
    kind, name = "ear", "Mine!"


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (BeyondOne, "is 32768.0, not from 0 to 1"),
        (CountsFramesItself, "frames of which some were lost: the last probability is of frame"),
        (OneAnswerBehind, "no end of utterance would be noticed"),
        (FinalTwice, "utterances [1, 2] ended, and the Finals are of [1, 1, 2, 2]"),
        (GoesOnListening, "two utterances: not ended after 1 s (`within_s`), with 2 answers so far"),
        (TwoOutcomes, "calls ['1'] were made, and the ToolOutcomes are of ['1', '1']: there must be one for each"),
        (TwoOutcomes, "the status of call 1 is 'running', not `result` or `error`"),
        (NoSuchKind, "its kind is 'ear'; the kinds that have providers are mic, vad,"),
        (NoSuchKind, "its name is 'Mine!'"),
    ],
)
def test_an_ear_with_a_fault(cls: type[Provider], said: str) -> None:
    with pytest.raises(Faults) as caught:
        check_provider(cls, within_s=1)
    assert any(said in fault for fault in caught.value.found), caught.value


@pytest.mark.parametrize("cls", [Vad, Asr])
def test_an_ear_without_a_fault(cls: type[Provider]) -> None:
    check_provider(cls)
