"""What the cloud providers cost on loopback: cancelling, the way of an event to the stage, CPU an item, threads, leftovers.

Prints JSON: milliseconds and microseconds as numbers, p50 and p95 over 200 runs unless it says otherwise. The emulators run in
a process of their own, so that CPU is the provider's alone.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import platform
import statistics
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from flowkit.clock import US_PER_S
from flowkit.messages import (
    Ask,
    Audio,
    EndOfUtterance,
    Final,
    Frames,
    Message,
    Narrate,
    Partial,
    Speak,
    Token,
    Transcribe,
)
from flowkit.options import us
from flowkit.plan.graph import ProviderChoice, Timeouts
from flowkit.providers.assemblyai.asr import AssemblyAI
from flowkit.providers.base import Provider, Surroundings
from flowkit.providers.canned import Canned
from flowkit.providers.cartesia.tts import Cartesia
from flowkit.providers.groq import Groq
from flowkit.providers.models import opened
from flowkit.runtime.circuit import Member
from flowkit.runtime.failover import Resilient
from flowkit.testing.emulators import AssemblyAIEmulator, CartesiaEmulator, GroqEmulator, running

RUNS = int(os.environ.get("FLOWKIT_BENCH_RUNS", "200"))
CANCELLED = int(os.environ.get("FLOWKIT_BENCH_CANCELLED", "1000"))
WORDS = " ".join(f"word{index}" for index in range(400))


def serve(pipe: Any) -> None:
    """The emulators, in a process of their own; two of each service: quick, and one that says something for ever."""
    groq = GroqEmulator(reply=lambda messages: WORDS)
    slow = GroqEmulator(reply=lambda messages: WORDS, token_s=0.01)
    silent = GroqEmulator(reply=lambda messages: WORDS, token_s=60)
    voice = CartesiaEmulator(ms_per_char=60)
    slow_voice = CartesiaEmulator(ms_per_char=20, piece_s=0.003)
    ears = AssemblyAIEmulator(turns=("one two three four",) * 100_000, word_ms=60)
    with running(groq), running(slow), running(silent), running(voice), running(slow_voice), running(ears):
        pipe.send((groq.url, slow.url, silent.url, voice.ws_url, slow_voice.ws_url, ears.ws_url))
        pipe.recv()


class Fed:
    """Items one after another; then, unless it `ends`, nothing for ever."""

    def __init__(self, items: list[Message], *, ends: bool = True) -> None:
        self._items = list(items)
        self._ends = ends

    def __aiter__(self) -> Fed:
        return self

    async def __anext__(self) -> Message:
        if self._items:
            return self._items.pop(0)
        if not self._ends:
            await trio.sleep_forever()
        raise StopAsyncIteration


def around() -> Surroundings:
    return Surroundings(16_000, 20_000, lambda: round(trio.current_time() * US_PER_S), lambda line: None)


def quantiles(values: list[float], digits: int = 3) -> dict[str, float]:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return {
        "p50": round(statistics.median(ordered), digits),
        "p95": round(p95, digits),
        "max": round(ordered[-1], digits),
    }


def note(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


async def cancel_ms(provider: Provider, request: Callable[[], tuple[Message, Fed]]) -> list[float]:
    """From the cancellation, in the middle of an answer, until the caller is free."""
    times: list[float] = []
    for _ in range(RUNS):
        first = trio.Event()

        async def emit(item: Message, first: trio.Event = first) -> None:
            first.set()

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(provider.call, *request(), emit)
                await first.wait()
                await trio.sleep(0.002)
                began = time.perf_counter()
                scope.cancel()
        times.append(1000 * (time.perf_counter() - began))
    return times


async def event_us(provider: Provider, request: Message, fed: Fed, kind: type[Message], count: int) -> dict[str, float]:
    """CPU and wall time of this process an item, while items are there to be read as fast as it can."""
    seen = 0

    async def emit(item: Message) -> None:
        nonlocal seen
        seen += isinstance(item, kind)

    await provider.call(request, fed, emit)
    return {"items": seen}


async def cost(call: Callable[[], Awaitable[dict[str, float]]], runs: int) -> dict[str, float]:
    """CPU microseconds an item, over `runs` answers."""
    await call()
    gc.collect()
    cpu, items = time.process_time(), 0.0
    for _ in range(runs):
        items += (await call())["items"]
    return {"cpu_us_per_item": round(1e6 * (time.process_time() - cpu) / items, 1), "items": items}


async def arrival_us(
    provider: Provider, request: Callable[[], tuple[Message, Fed]], kind: type[Message], socket: Any
) -> list[float]:
    """From the bytes' reading off the socket to the item at the stage; `socket` wraps Trio's receive."""
    times: list[float] = []

    async def emit(item: Message) -> None:
        if isinstance(item, kind) and socket.at:
            times.append(1e6 * (time.perf_counter() - socket.at))
            socket.at = 0.0

    while len(times) < RUNS:
        await provider.call(*request(), emit)
    return times[:RUNS]


class Socket:
    """Notes when Trio last read bytes from a socket."""

    def __init__(self) -> None:
        self.at = 0.0
        plain = trio.SocketStream.receive_some
        note = self

        async def receive_some(stream: trio.SocketStream, max_bytes: int | None = None) -> bytes | bytearray:
            data = await plain(stream, max_bytes)
            note.at = time.perf_counter()
            return data

        trio.SocketStream.receive_some = receive_some  # type: ignore[method-assign]


def speech() -> list[Message]:
    frames: list[Message] = [Frames(index, 1, b"\1\1" * 320) for index in range(15)]
    return [*frames, *(Frames(index, 1, bytes(640)) for index in range(15, 20)), EndOfUtterance(1, 14)]


async def failover_ms(silent: str) -> list[float]:
    """How long after the timeout the next provider's first token is there."""
    first_us = us("100ms")
    here = around()
    canned = Canned(Canned.Options(text="Sorry."), here)
    times: list[float] = []

    async def emit(item: Message) -> None:
        times.append(1000 * (time.perf_counter() - began) - first_us / 1000)

    async with opened(Groq, Groq.Options(api_key="k", base_url=silent), here) as groq:
        members = [
            Member(ProviderChoice("groq", Groq, groq.options, Timeouts(None, first_us, None)), groq),
            Member(ProviderChoice("canned", Canned, canned.options), canned),
        ]
        provider = Resilient("llm", members, here)
        for _ in range(RUNS // 4):
            members[0].breaker.worked()
            began = time.perf_counter()
            await provider.call(Ask(1, "hi"), Fed([]), emit)
    return times


async def leftovers(groq: Provider, voice: Provider) -> dict[str, int]:
    """Tasks, threads and sockets before and after a thousand cancelled turns."""

    async def emit(item: Message) -> None:
        pass

    async def turn() -> None:
        with trio.move_on_after(0.005):
            await groq.call(Ask(1, "hi"), Fed([]), emit)
        with trio.move_on_after(0.005):
            await voice.call(Narrate(), Fed([Speak(0, "A clause to be interrupted.")], ends=False), emit)

    for _ in range(20):
        await turn()
    await trio.sleep(0.5)
    before = (trio.lowlevel.current_statistics().tasks_living, threading.active_count(), sockets())
    for _ in range(CANCELLED):
        await turn()
    await trio.sleep(1)
    gc.collect()
    after = (trio.lowlevel.current_statistics().tasks_living, threading.active_count(), sockets())
    names = ("tasks", "threads", "sockets")
    return {"turns": CANCELLED} | {f"{name}_left": b - a for name, a, b in zip(names, before, after, strict=True)}


def sockets() -> int:
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum("socket" in os.readlink(link) for link in links if os.path.islink(link))


async def measure(urls: tuple[str, ...]) -> dict[str, Any]:
    quick, slow, silent, voice_url, slow_voice, ears_url = urls
    here, socket, threads = around(), Socket(), threading.active_count()

    def groq(url: str) -> AbstractAsyncContextManager[Groq]:
        return opened(Groq, Groq.Options(api_key="k", base_url=url), here)

    def voice(url: str) -> AbstractAsyncContextManager[Cartesia]:
        return opened(Cartesia, Cartesia.Options(api_key="k", base_url=url, voice="v"), here)

    def asked() -> tuple[Message, Fed]:
        return Ask(1, "hi"), Fed([])

    def narrated() -> tuple[Message, Fed]:
        return Narrate(), Fed([Speak(0, "A clause that goes on for quite a while, so that it can be interrupted.")])

    found: dict[str, Any] = {}
    async with groq(slow) as llm, voice(slow_voice) as tts:
        found["cancel_to_caller_free_ms"] = {
            "groq": quantiles(await cancel_ms(llm, asked)),
            "cartesia": quantiles(await cancel_ms(tts, narrated)),
        }
        found["event_to_stage_us"] = {
            "groq": quantiles(await arrival_us(llm, asked, Token, socket), 1),
            "cartesia": quantiles(await arrival_us(tts, narrated, Audio, socket), 1),
        }

    def listened() -> tuple[Message, Fed]:
        return Transcribe(), Fed(speech(), ends=False)

    async with opened(AssemblyAI, AssemblyAI.Options(api_key="k", base_url=ears_url, catch_up=10), here) as ears:
        found["cancel_to_caller_free_ms"]["assemblyai"] = quantiles(await cancel_ms(ears, listened))
        heard = await arrival_us(ears, lambda: (Transcribe(), Fed(speech())), (Partial, Final), socket)  # type: ignore[arg-type]
        found["event_to_stage_us"]["assemblyai"] = quantiles(heard, 1)
    note("async with called(groq(q")
    async with groq(quick) as llm, voice(voice_url) as tts:
        found["llm_token"] = await cost(lambda: event_us(llm, *asked(), Token, 400), 20)
        found["cartesia_audio"] = await cost(lambda: event_us(tts, *narrated(), Audio, 100), 20)
        await trio.sleep(11)  # the worker thread that imported the library is kept by Trio for 10 s
        found["extra_threads_a_session"] = threading.active_count() - threads
    note("async with called(groq(s")
    # The quick voice: the emulator speaks one context after another, so a thousand slow ones would still be under way.
    async with groq(slow) as llm, voice(voice_url) as tts:
        found["after_cancelled_turns"] = await leftovers(llm, tts)
    note("found[first_item")
    found["first_item_after_failover_ms_past_timeout"] = quantiles(await failover_ms(silent))
    return found


def main() -> None:
    warnings.simplefilter("error", ResourceWarning)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    try:
        found = trio.run(measure, here.recv())
    finally:
        here.send("over")
        process.join(10)
    gc.collect()
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "runs": RUNS}
    json.dump({"benchmark": "cloud", "machine": machine} | found, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
