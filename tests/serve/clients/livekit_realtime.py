"""A conversation by LiveKit Agents with its model for OpenAI's Realtime API, unmodified: run with its own Python as
``livekit_realtime.py URL``.

The microphone and the speaker are in memory. Prints what happened as JSON.
"""

import asyncio
import json
import math
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice import io
from livekit.plugins.openai.realtime import RealtimeModel

RATE_HZ = 24_000
happened: dict[str, Any] = {"heard": [], "said": [], "interrupted": [], "called": [], "errors": [], "audio": 0}


class Mic(io.AudioInput):
    """Silence in real time, and speech when there is some."""

    def __init__(self) -> None:
        super().__init__(label="memory")
        self.speech = b""
        self._next_s = time.monotonic()

    async def __anext__(self) -> rtc.AudioFrame:
        self._next_s += 0.02
        await asyncio.sleep(max(0.0, self._next_s - time.monotonic()))
        piece, self.speech = self.speech[:960], self.speech[960:]
        return rtc.AudioFrame(piece.ljust(960, b"\0"), RATE_HZ, 1, 480)

    def speak(self) -> None:
        self.speech = array("h", [round(8000 * math.sin(n * 0.115)) for n in range(int(RATE_HZ * 0.8))]).tobytes()


class Speaker(io.AudioOutput):
    """Plays in real time, to nobody."""

    def __init__(self) -> None:
        super().__init__(label="memory", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE_HZ)
        self._began_s = self._length_s = 0.0
        self._end: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        happened["audio"] += len(frame.data)
        if not self._length_s:
            self._began_s = time.monotonic()
            self.on_playback_started(created_at=time.time())
        self._length_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._length_s and self._end is None:
            self._end = asyncio.create_task(self._played())

    def clear_buffer(self) -> None:
        if self._end is not None:
            self._end.cancel()
        if self._length_s:
            self._over(min(self._length_s, time.monotonic() - self._began_s), True)

    async def _played(self) -> None:
        await asyncio.sleep(max(0.0, self._began_s + self._length_s - time.monotonic()))
        self._over(self._length_s, False)

    def _over(self, position_s: float, interrupted: bool) -> None:
        self._length_s, self._end = 0.0, None
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)


@function_tool
async def look() -> str:
    """Look where it is."""
    happened["called"].append("look")
    return "on the left"


def noted(event: Any) -> None:
    item = event.item
    if item.type == "message" and item.role == "assistant":
        happened["said"].append(item.text_content)
        happened["interrupted"].append(item.interrupted)


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.02)


async def main(url: str) -> None:
    session: AgentSession[None] = AgentSession(llm=RealtimeModel(base_url=url, api_key="any-key"))
    mic = Mic()
    session.input.audio, session.output.audio = mic, Speaker()
    session.on("conversation_item_added", noted)
    session.on("error", lambda event: happened["errors"].append(str(event.error)))
    session.on("user_input_transcribed", lambda event: event.is_final and happened["heard"].append(event.transcript))
    await session.start(Agent(instructions="Be kind.", tools=[look]))
    try:
        async with asyncio.timeout(60):
            mic.speak()
            await until(lambda: len(happened["said"]) == 1)
            mic.speak()
            await until(lambda: any("left" in said for said in happened["said"]))
            before, sound = len(happened["said"]), happened["audio"]
            mic.speak()
            await until(lambda: happened["audio"] > sound)
            mic.speak()
            await until(lambda: len(happened["said"]) == before + 2)
    except TimeoutError:
        happened["timeout"] = True
    await session.aclose()


asyncio.run(main(sys.argv[1]))
print(json.dumps(happened))
