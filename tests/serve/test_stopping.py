"""How fast the sound stops: from the decision to the last byte that is sent, over the wire and in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from flowkit.engine import Row
from flowkit.messages import Interrupt
from flowkit.serve.connection import ClientConnection
from flowkit.serve.twilio.webhook import Switchboard
from tests.serve.phone import CALL, PHONE, VOICE
from tests.serve.support import tone
from tests.serve.test_twilio_server import Stream, connect
from tests.serve.wire import Caller, Site, caller, in_time, site

FRAME_S = 0.02


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each interruption was decided."""
    found: list[float] = []
    real = ClientConnection.at_once

    def at_once(self: ClientConnection, rows: list[Row]) -> None:
        found.extend(trio.current_time() for row in rows if type(row.message) is Interrupt and row.stage == "llm")
        real(self, rows)

    monkeypatch.setattr(ClientConnection, "at_once", at_once)
    return found


def ended(client: Caller, is_sound: Callable[[dict[str, Any]], bool], after_s: float) -> None:
    """The last sound came at most a frame after `after_s`, and of what was sent then nothing is of the old reply."""
    sounds = [at_s for at_s, event in zip(client.at_s, client.got, strict=True) if is_sound(event)]
    assert sounds[0] < after_s
    assert sounds[-1] <= after_s + FRAME_S


async def watched(client: Caller, speak: Callable[[], Awaitable[None]]) -> None:
    """Speak until after the interruption, and read what comes meanwhile."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.until_closed)
        await speak()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("after_s", [0.3, 0.91, 1.74])
def test_an_interruption_stops_the_sound_within_a_frame(decided: list[float], after_s: float) -> None:
    async def main() -> None:
        async with site() as it:
            client = await caller(it)
            await client.write("Hello?")
            await client.until("response.output_audio.delta")
            await watched(client, lambda: trio.sleep(after_s))
            await watched(client, lambda: client.say(tone(700_000)))
            (decided_s,) = decided
            ended(client, lambda event: event["type"] == "response.output_audio.delta", decided_s)
            started = client.at_s[client.types().index("input_audio_buffer.speech_started")]
            assert started - decided_s <= FRAME_S
            assert client.types()[-1] == "response.done"

    in_time(main)


@pytest.mark.parametrize("after_s", [0.0, 0.47, 1.9])
def test_a_cancel_stops_the_sound_at_once(after_s: float) -> None:
    async def main() -> None:
        async with site() as it:
            client = await caller(it)
            await client.write("Hello?")
            await client.until("response.output_audio.delta")
            await watched(client, lambda: trio.sleep(after_s))
            asked_s = trio.current_time()
            await client.send("response.cancel")
            await watched(client, lambda: trio.sleep(3))
            ended(client, lambda event: event["type"] == "response.output_audio.delta", asked_s + 1e-6)
            assert client.types()[-1] == "response.done"

    in_time(main)


@pytest.mark.parametrize("after_s", [0.4, 1.33])
def test_a_caller_who_interrupts_hears_no_more_than_twilio_still_plays(decided: list[float], after_s: float) -> None:
    async def main() -> None:
        async with site(*PHONE) as it:
            stream = await called(it)
            await stream.send("dtmf", {"digit": "1"})
            await stream.send("dtmf", {"digit": "#"})
            await stream.until("media")
            await watched(stream.caller, lambda: trio.sleep(after_s))
            await watched(stream.caller, lambda: stream.say(VOICE))
            ended(stream.caller, lambda event: event["event"] == "media", decided[-1])
            names = [event["event"] for event in stream.caller.got]
            assert names[-1] == "clear"
            assert stream.caller.at_s[-1] - decided[-1] <= FRAME_S

    in_time(main)


async def called(it: Site) -> Stream:
    """A call that has begun."""
    options = it.server.options.twilio
    assert options is not None
    stream = Stream(connect(it))
    assert await stream.caller.open()
    await stream.start(Switchboard(options, secure=False).ticket(CALL))
    return stream
