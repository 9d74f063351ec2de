"""Clients that come, talk and vanish leave nothing behind: no descriptor, task, thread, session, nor memory.

Over loopback, recorded, and in real time: 30 of them in CI, a thousand in the profile `deep`.
"""

from __future__ import annotations

import base64
import gc
import os
import random
import socket
import struct
import threading
from functools import partial
from pathlib import Path

import trio

from flowkit.config import load
from flowkit.engine import Engine
from flowkit.runtime.host import open_host
from flowkit.serve.connection import ClientConnection
from flowkit.serve.listening import Endpoint
from flowkit.serve.pipeline import served
from flowkit.serve.server import RealtimeServer, sampled
from flowkit.serve.socket import Socket
from tests.serve.support import TALK, silence, tone
from tests.serve.wire import Caller
from tests.soak.talk import sample, tasks_of

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
WAVES, CLIENTS, AT_ONCE = (5, 200, 10) if DEEP else (3, 10, 10)
"""CLIENTS come in each wave."""
LEAVES = ("session.created", "input_audio_buffer.speech_started", "response.output_audio.delta", "response.done")
QUICK = TALK.replace("- {kind: tts, provider: scripted}", "- {kind: tts, provider: scripted, per_char: 5ms}")
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: the connection is reset, and the server finds out when it reads or writes."""


async def come_and_go(port: int, dice: random.Random) -> None:
    """One client. It leaves at any of four moments, with a reset or without a word, and never with a closing handshake."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    client = Caller(stream)
    try:
        assert await client.open(), client.status
        sound = base64.b64encode(tone(600_000) + silence(1_400_000)).decode()
        leaves = dice.choice(LEAVES)
        if leaves != LEAVES[0]:
            await client.send("input_audio_buffer.append", audio=sound)
        with trio.fail_after(30):
            await client.until(leaves)
        if dice.random() < 0.5:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    finally:
        await trio.aclose_forcefully(stream)


async def crowd(port: int, count: int) -> None:
    """So many clients, some at the same time."""
    dice, numbers = random.Random(21), iter(range(count))

    async def place() -> None:
        for _ in numbers:
            await come_and_go(port, dice)

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(place)


def held() -> dict[str, int]:
    """What this process holds."""
    gc.collect()
    kinds = [type(thing) for thing in gc.get_objects()]
    root = trio.lowlevel.current_root_task()
    assert root is not None
    names = [thread.name for thread in threading.enumerate()]
    return {
        **sample(tasks_of(root)),
        "threads": sum(not name.startswith("Trio") for name in names),
        "sessions": sum(kinds.count(kind) for kind in (Engine, ClientConnection, Socket)),
    }


async def main(folder: Path) -> list[dict[str, int]]:
    config, plan = served(load("talk.yaml", text=QUICK, overrides=[f"trace.dir={folder}"]))
    samples = []
    async with (
        open_host(config, max_lag_us=60_000_000, notice=lambda line: None) as host,
        trio.open_nursery() as nursery,
    ):
        server = RealtimeServer(
            host, plan, config.top.serve, "127.0.0.1", traces=sampled(config), log=lambda *_, **__: None
        )
        listeners = await Endpoint().listeners()
        nursery.start_soon(partial(trio.serve_listeners, server.connection, listeners, handler_nursery=nursery))
        for _ in range(WAVES):
            await crowd(listeners[0].socket.getsockname()[1], CLIENTS)
            with trio.fail_after(30):
                while not host.gauges.sessions == server._connections == 0:
                    await trio.sleep(0.05)
            samples.append(held())
        assert (host.gauges.begun, host.gauges.failed) == (WAVES * CLIENTS, 0)
        nursery.cancel_scope.cancel()
    return samples


def test_clients_that_come_and_vanish_leave_nothing_behind(tmp_path: Path) -> None:
    # What is loaded when it is first needed comes with the first wave.
    _, before, *_, after = trio.run(main, tmp_path)
    # The frames of an exception may hold what belongs to the last few.
    assert after["sessions"] < AT_ONCE
    for what in ("descriptors", "tasks", "threads"):
        assert after[what] <= before[what], what
    assert after["bytes"] - before["bytes"] < 10_000_000
