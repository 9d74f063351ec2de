"""A conversation by Pipecat's service for OpenAI's Realtime API, unmodified: run with its own Python as
``pipecat_realtime.py URL``.

Prints what happened as JSON.
"""

import asyncio
import json
import math
import sys
from array import array
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    ErrorFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.events import SessionProperties
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

RATE_HZ = 24_000
happened: dict[str, Any] = {"heard": [], "said": [], "interrupted": [], "called": [], "errors": [], "audio": 0}
quiet, sounding, cut = asyncio.Event(), asyncio.Event(), asyncio.Event()


class Ears(FrameProcessor):
    """Between the service and the rest: notes what it gives, and stands for the speaker."""

    async def process_frame(self, frame: Any, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSTextFrame):
            happened["said"][-1:] = [(happened["said"] or [""])[-1] + frame.text]
        elif isinstance(frame, TTSAudioRawFrame):
            happened["audio"] += len(frame.audio)
            sounding.set()
        elif isinstance(frame, InterruptionFrame):
            cut.set()
        elif isinstance(frame, ErrorFrame):
            happened["errors"].append(frame.error)
        elif isinstance(frame, TTSStoppedFrame):
            self._end = asyncio.create_task(self._played())
        await self.push_frame(frame, direction)

    async def _played(self) -> None:
        await asyncio.sleep(0.6)
        await self.push_frame(BotStoppedSpeakingFrame(), FrameDirection.UPSTREAM)
        quiet.set()


class Listener(FrameProcessor):
    """Before the service: what it heard passes upstream."""

    async def process_frame(self, frame: Any, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            happened["heard"].append(frame.text)
        await self.push_frame(frame, direction)


async def look(params: Any) -> None:
    happened["called"].append(params.function_name)
    await params.result_callback("on the left")


async def speak(task: PipelineTask) -> None:
    """A tone and a second of silence, in pieces of 20 ms."""
    voice = array("h", [round(8000 * math.sin(n * 0.115)) for n in range(int(RATE_HZ * 0.8))]).tobytes()
    pcm = voice + bytes(2 * RATE_HZ)
    for first in range(0, len(pcm), 960):
        await task.queue_frame(InputAudioRawFrame(audio=pcm[first : first + 960], sample_rate=RATE_HZ, num_channels=1))
        await asyncio.sleep(0.02)


async def turn(task: PipelineTask, end: str) -> None:
    """Speak, and wait until the answer with this end has been played."""
    happened["said"].append("")
    await speak(task)
    while not happened["said"][-1].endswith(end):
        quiet.clear()
        await quiet.wait()


async def conversation(task: PipelineTask) -> None:
    await turn(task, "towers.")
    # The result of the tool is answered by itself.
    await turn(task, "door.")
    await quiet.wait()
    sounding.clear()
    happened["said"].append("")
    await speak(task)
    await sounding.wait()
    cut.clear()
    await turn(task, "towers.")
    happened["interrupted"] = [cut.is_set(), False]


async def main(url: str) -> None:
    schema = FunctionSchema("look", "Look.", {"at": {"type": "integer"}}, [])
    properties = SessionProperties(instructions="Be kind.", tools=ToolsSchema([schema]))
    settings = OpenAIRealtimeLLMService.Settings(session_properties=properties)
    llm = OpenAIRealtimeLLMService(api_key="any-key", base_url=url, settings=settings)
    llm.register_function("look", look)
    pair = LLMContextAggregatorPair(LLMContext())
    task = PipelineTask(Pipeline([pair.user(), Listener(), llm, Ears(), pair.assistant()]))
    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    try:
        async with asyncio.timeout(60):
            await conversation(task)
    except TimeoutError:
        happened["timeout"] = True
    await task.cancel()
    await running


logger.remove()
logger.add(sys.stderr, level="DEBUG")
asyncio.run(main(sys.argv[1]))
print(json.dumps(happened))
