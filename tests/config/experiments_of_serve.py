"""What the keys of ``serve:`` change: who may connect, what a client gets, and when a limit is reached."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from flowkit.config import load
from flowkit.config.serve import Twilio
from flowkit.messages import Keys
from flowkit.serve import parent
from flowkit.serve.listening import Endpoint
from flowkit.serve.server import sampled
from flowkit.serve.twilio.webhook import Switchboard
from tests.serve.phone import AUTH, HeapCaller
from tests.serve.support import TALK, HeapClient, S, tone
from tests.serve.test_parent import Worker
from tests.serve.wire import Caller, Site, caller, get, in_time, site


def _signed(url: str) -> str:
    """Twilio's signature of a request without fields."""
    return Switchboard(Twilio(auth_token=AUTH), secure=False).signature(url, ())


def _statuses(*requests: str) -> Callable[..., Any]:
    """The statuses of the answers."""

    def seen(*settings: str) -> Any:
        async def main() -> Any:
            async with site(*settings) as it:
                return [(await it.ask(request))[0] for request in requests]

        return in_time(main)

    return seen


needs_token = _statuses(get("/metrics"))
of_a_page = _statuses(get("/healthz", "origin: https://good.example"))


PUBLIC = "https://voice.example.com"
_CALL = get("/twilio/voice", f"x-twilio-signature: {_signed(f'{PUBLIC}/twilio/voice')}").replace("GET", "POST")
called = _statuses(_CALL)


def keyed(*settings: str) -> Any:
    """The keys that are answered within two seconds."""
    caller = HeapCaller(*settings)
    caller.press("1")
    caller.listen(2 * S)
    return caller.messages(Keys)


def _talked(talk: Callable[[HeapClient], Any]) -> Callable[..., Any]:
    """The events that a client in virtual time gets."""

    def seen(*settings: str) -> Any:
        client = HeapClient(*settings)
        talk(client)
        return client.got

    return seen


def _append(client: HeapClient) -> None:
    for _ in range(4):
        client.send("input_audio_buffer.append", audio=base64.b64encode(tone(800_000)).decode())


instructed = _talked(lambda client: client.send("session.update", session={"instructions": "Be kind."}))
greeted = _talked(lambda client: client.wait(2 * S))
answered = _talked(lambda client: (client.write("Hello?"), client.wait(1 * S)))
ahead = _talked(_append)


def _timed(live: Callable[[Site], Awaitable[Any]]) -> Callable[..., Any]:
    """What `live` returns, and after how many seconds."""

    def seen(*settings: str) -> Any:
        async def main() -> Any:
            async with site(*settings) as it:
                began_s = trio.current_time()
                return await live(it), round(trio.current_time() - began_s)

        return in_time(main)

    return seen


async def _two(it: Site, *headers: dict[str, str]) -> list[int]:
    clients = [Caller(it.connect(), headers=given) for given in headers or ({}, {})]
    for client in clients:
        await client.open()
        await trio.sleep(0.1)
    return [client.status for client in clients]


async def _forwarded(it: Site) -> list[int]:
    return await _two(it, {"x-forwarded-for": "192.0.2.1"}, {"x-forwarded-for": "192.0.2.2"})


async def _large(it: Site) -> Any:
    client = await caller(it)
    await client.send("novelty", text="x" * 5_000)
    await client.send("novelty", text="x")
    await client.read()
    return client.code


async def _half(it: Site) -> None:
    await it.connect().receive_some()


async def _silent(it: Site) -> Any:
    return await (await caller(it)).until_closed()


async def _slow(it: Site) -> bool:
    client = Caller(it.connect(unread=True))
    await client.open()
    await client.until("session.created")
    await client.write("Hello?")
    await trio.sleep(9)
    return any("too slowly" in str(event.get("how")) for event in it.logged)


async def _draining(it: Site) -> Any:
    client = await caller(it)
    await client.write("Hello?")
    await client.until("response.output_audio.delta")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.server.drained)
        await client.until_closed()
    return [event["type"] for event in client.got].count("response.done")


async def _lagging(it: Site) -> int:
    """The status of a client while the loop wakes 100 ms late."""
    await caller(it)
    vars(it.server.host)["load"] = SimpleNamespace(lag_us=100_000)
    late = Caller(it.connect())
    await late.open()
    return late.status


lagging = _timed(_lagging)
two, large, half = _timed(_two), _timed(_large), _timed(_half)
forwarded = _timed(_forwarded)
silent, slow, drained = _timed(_silent), _timed(_slow), _timed(_draining)


def recorded(*settings: str) -> Any:
    """Which of twenty sessions are recorded."""
    next_trace = sampled(load("talk.yaml", text=TALK, overrides=settings))
    return [next_trace() is None for _ in range(20)]


def started(*settings: str) -> Any:
    """The workers that are started."""
    numbers: list[int] = []

    async def start(work: Any, number: int) -> Worker:
        numbers.append(number)
        worker = Worker(number)
        trio.lowlevel.spawn_system_task(worker.run)
        return worker

    async def main() -> None:
        with trio.move_on_after(1):
            config = load("talk.yaml", text=TALK, overrides=settings)
            await parent.serve(config, Endpoint(), allow_tools=False, log=_unheard)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parent, "start_worker", start)
        in_time(main)
    return numbers


def _unheard(*_: Any, **__: Any) -> None: ...
