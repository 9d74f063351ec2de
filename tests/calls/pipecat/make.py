"""Makes the samples: Pipecat itself, traced, between a recorded user and services that answer from a script.

Runs with Pipecat's Python, and not with flowkit's: ``pipecat-ai[tracing]==1.14.0`` and
``opentelemetry-exporter-otlp-json-file==0.66b1``. The voices are those of ``pipelines/audio/call.wav``.

    python make.py FOLDER booking
    python make.py FOLDER patient
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

os.environ |= {"LOGURU_LEVEL": "ERROR", "PIPECAT_NO_BANNER": "1", "HOSTNAME": "sample"}

import numpy as np
import soundfile
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.audio.audio_buffer_processor import AudioBufferProcessor
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.tracing.service_decorators import traced_llm, traced_stt, traced_tts
from pipecat.utils.tracing.setup import setup_tracing
from pipecat.workers.runner import WorkerRunner

CALL = Path(__file__).parents[3] / "pipelines/audio/call.wav"
RATE_HZ = 8_000
GREETING = "Hello, this is the Blue Door restaurant. How can I help you?"
REPLIES = [GREETING, "Of course. For how many people?", "Good. I have booked a table for two at eight.", "Goodbye."]


class Spoken(NamedTuple):
    """What the user says: `wait_s` after it is clear that the agent has ended, or after it has begun if the user cuts in."""

    text: str
    wait_s: float
    cuts_in: bool = False


_ENDED_S = 0.4
"""The agent has ended after so long a silence: a sentence may come late on a busy machine."""
BOOKING = [
    Spoken("I would like a table for tonight.", 0.4),
    Spoken("For two people.", 0.3),
    Spoken("Eight o'clock is fine.", 0.9, cuts_in=True),
    Spoken("Thank you. Goodbye.", 0.3),
]
PATIENT = [Spoken(one.text, 3.0) for one in BOOKING[:2]]
"""So long after the agent that Pipecat ends its turn before the user speaks."""
FAIL = "the model is overloaded"


def voices() -> dict[str, bytes]:
    """The sound of each line of the call: s16le mono at `RATE_HZ`."""
    both, rate_hz = soundfile.read(CALL, dtype="int16")
    assert (rate_hz, both.shape[1]) == (RATE_HZ, 2)
    lines = json.loads(CALL.with_suffix(".json").read_text())
    return {
        line["text"]: both[
            line["start_ms"] * RATE_HZ // 1000 : line["end_ms"] * RATE_HZ // 1000, int(line["who"] == "agent")
        ].astype("<i2").tobytes()
        for line in lines
    }  # fmt: skip


class Microphone(BaseInputTransport):
    async def start(self, frame: Frame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)


class Speaker(BaseOutputTransport):
    """A device that takes sound as fast as it sounds."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.until, self.sounds, self.silent = 0.0, asyncio.Event(), asyncio.Event()

    async def start(self, frame: Frame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: TTSAudioRawFrame) -> bool:
        clock = asyncio.get_running_loop().time
        self.until = max(self.until, clock()) + len(frame.audio) / 2 / frame.sample_rate
        self.sounds.set()
        await asyncio.sleep(max(0, self.until - clock()))
        return True


class ScriptedStt(STTService):
    """Hears the next sentence 80 ms after the voice detector has found its end, and all the rest if nothing more is `said`."""

    def __init__(self, said: bytearray, *, finalized: bool) -> None:
        super().__init__(settings=STTSettings(model="scripted", language=None), ttfs_p99_latency=0.3)
        self.said, self.finalized, self.text = said, finalized, list[str]()

    def can_generate_metrics(self) -> bool:
        return True

    @traced_stt
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame) and self.text:
            count = 1 if self.said else len(self.text)
            self.create_task(self._transcribed("".join(self.text[:count])))
            del self.text[:count]

    async def _transcribed(self, text: str) -> None:
        await asyncio.sleep(0.08)
        heard = TranscriptionFrame(text, "user", "")
        heard.finalized = self.finalized
        await self.push_frame(heard)


class ScriptedLlm(LLMService):
    """Says the next reply, 150 ms after it was asked, and then a word every 15 ms. It fails when there is none left."""

    def __init__(self, replies: list[str]) -> None:
        unset = dict.fromkeys(field.name for field in fields(LLMSettings) if field.name != "extra")
        given = {"model": "scripted", "filter_incomplete_user_turns": False}
        super().__init__(settings=LLMSettings(**{**unset, **given}))
        self.replies = iter(replies)

    def can_generate_metrics(self) -> bool:
        return True

    @traced_llm
    async def _process_context(self, context: LLMContext) -> None:
        await self.start_ttfb_metrics()
        await asyncio.sleep(0.15)
        if (reply := next(self.replies, None)) is None:
            raise RuntimeError(FAIL)
        await self.stop_ttfb_metrics()
        for word in reply.split():
            await self.push_frame(LLMTextFrame(f"{word} "))
            await asyncio.sleep(0.015)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        try:
            await self._process_context(frame.context)
        except RuntimeError as error:  # as Pipecat's own services do
            await self.push_error(error_msg=str(error), exception=error)
        finally:
            await self.push_frame(LLMFullResponseEndFrame())


class ScriptedTts(TTSService):
    """Speaks with the voice of the call. Each request takes 80 ms."""

    def __init__(self, voices: dict[str, bytes]) -> None:
        settings = TTSSettings(model="scripted", voice="call", language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, sample_rate=RATE_HZ, settings=settings)
        self.voices = voices

    def can_generate_metrics(self) -> bool:
        return True

    @traced_tts
    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await asyncio.sleep(0.08)
        await self.stop_ttfb_metrics()
        (line, pcm) = next((line, pcm) for line, pcm in self.voices.items() if text.strip() in line)
        # A sentence of a line sounds as long as its share of the letters.
        begin, size = (2 * (len(pcm) // 2 * at // len(line)) for at in (line.index(text.strip()), len(text.strip())))
        if line.endswith(text.strip()):
            size = len(pcm) - begin
        for at in range(begin, begin + size, RATE_HZ // 25 * 2):
            yield TTSAudioRawFrame(
                pcm[at : min(at + RATE_HZ // 25 * 2, begin + size)], RATE_HZ, 1, context_id=context_id
            )


async def converse(name: str, spoken: list[Spoken], replies: list[str], *, finalized: bool) -> bytes:
    """Run a conversation in real time. Returns what Pipecat records of it: s16le, the user left, the agent right."""
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True, audio_out_sample_rate=RATE_HZ)
    saying = bytearray()
    microphone, speaker, stt = Microphone(params), Speaker(params), ScriptedStt(saying, finalized=finalized)
    user = LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(params=VADParams(min_volume=0.0)),
        user_turn_strategies=UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.4)]),
    )
    before, after = LLMContextAggregatorPair(LLMContext(), user_params=user)
    recorder = AudioBufferProcessor(sample_rate=RATE_HZ, num_channels=2, auto_start_recording=True)
    recorded = bytearray()

    @recorder.event_handler("on_audio_data")
    async def on_audio_data(_: AudioBufferProcessor, audio: bytes, rate_hz: int, channels: int) -> None:
        recorded.extend(audio)

    llm, tts = ScriptedLlm(replies), ScriptedTts(voices())
    worker = PipelineWorker(
        Pipeline([microphone, stt, before, llm, tts, speaker, recorder, after]),
        params=PipelineParams(enable_metrics=True, audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        enable_tracing=True,
        enable_turn_tracking=True,
        enable_rtvi=False,
        conversation_id=name,
    )
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def on_pipeline_started(_: PipelineWorker, __: Frame) -> None:
        started.set()

    async def listen() -> None:
        """The user's sound in real time: what is to be said, else noise that is not quite silence."""
        clock, chance = asyncio.get_running_loop().time, np.random.default_rng(1)
        begin, size, count = clock(), 2 * RATE_HZ // 50, 0
        while True:
            pcm = bytes(saying[:size]).ljust(size, b"\0")
            del saying[:size]
            noise = chance.normal(0, 3, RATE_HZ // 50).astype("<i2")
            heard = (np.frombuffer(pcm, "<i2") // 2 + noise).astype("<i2").tobytes()
            await microphone.push_audio_frame(InputAudioRawFrame(heard, RATE_HZ, 1))
            count += 1
            await asyncio.sleep(max(0, begin + count / 50 - clock()))

    async def user_says(ear: asyncio.Task[None]) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(0.3)
        await worker.queue_frame(LLMRunFrame())
        for line in spoken:
            await speaker.sounds.wait()
            while not line.cuts_in and clock() < speaker.until + _ENDED_S:
                await asyncio.sleep(0.02)
            await asyncio.sleep(line.wait_s)
            stt.text.extend(re.findall(r"[^.]+\.", line.text))
            saying.extend(voices()[line.text])
            while saying:
                await asyncio.sleep(0.02)
            speaker.sounds.clear()
        await asyncio.sleep(3.4)
        await worker.queue_frame(EndFrame())
        ear.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        await started.wait()
        tasks.create_task(user_says(tasks.create_task(listen())))
    return bytes(recorded)


async def main(folder: Path, name: str) -> None:
    """Make a sample: ``booking``, with an interruption and a model that fails, or ``patient``, without final transcripts."""
    folder.mkdir(parents=True, exist_ok=True)
    spans = folder / f"{name}.otlp.jsonl"
    spans.unlink(missing_ok=True)  # the exporter appends
    setup_tracing(f"{name}-bot", exporter=FileSpanExporter(spans))
    if name == "patient":
        await converse(name, PATIENT, REPLIES, finalized=False)
        trace.get_tracer_provider().shutdown()
        return
    with (folder / f"{name}.console.json").open("w") as documents:
        provider = trace.get_tracer_provider()
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=documents)))
        sound = await converse(name, BOOKING, REPLIES, finalized=True)
        provider.shutdown()
    for path in folder.glob(f"{name}.*.json*"):
        # Tracebacks name the folders of the machine.
        path.write_text(re.sub(r'(File \\")[^"]*/', r"\1", path.read_text()))
    # Without loss, in a third of the bytes of a WAV file.
    soundfile.write(folder / f"{name}.flac", np.frombuffer(sound, "<i2").reshape(-1, 2), RATE_HZ)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
