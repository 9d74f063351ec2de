"""``flowkit emulate``: runs the emulator of a cloud provider on loopback, to develop without keys."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flowkit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from flowkit.testing.emulators import Emulator

NAMES = ("assemblyai", "groq", "cartesia", "speech")
_USE = {
    "assemblyai": 'kind: asr, provider: assemblyai, api_key: any, base_url: "{ws}"',
    "groq": 'kind: llm, provider: groq, api_key: any, base_url: "{http}"',
    "cartesia": 'kind: tts, provider: cartesia, voice: any, api_key: any, base_url: "{ws}"',
    "speech": 'kind: tts, provider: openai_compatible, voice: any, model: tts-1, base_url: "{http}/v1"',
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "emulate",
        help="run a cloud provider's emulator on loopback",
        description="Run the emulator of a cloud provider on loopback until Ctrl-C. A client selects a fault with its API key "
        "or model: fault:stall, or fault:close_1011:2 for its first two requests.",
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free port)")
    parser.add_argument("--fault", default="none", metavar="FAULT", help="the fault for all clients (default: none)")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import trio

    try:
        from flowkit.testing.emulators import EMULATORS, ServerFault
    except ImportError as error:
        raise UsageError(
            f"the emulators need {error.name}", hint="pip install trio-websocket h11 (or the extra 'dev')"
        ) from error
    if args.fault not in set(ServerFault):
        raise UsageError(f"unknown fault {args.fault!r}", hint=f"one of: {', '.join(sorted(ServerFault))}")
    if not 0 <= args.port <= 65_535:
        raise UsageError(f"--port must be 0 to 65535 (got {args.port})")
    emulator = EMULATORS[args.name](always=ServerFault(args.fault))
    emulator.port = args.port

    try:
        trio.run(_serve, emulator, args.name)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    # Trio groups what ends a nursery, even a Ctrl-C.
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt):
            return int(ExitCode.INTERRUPTED)
        if (taken := group.subgroup(OSError)) is not None:
            raise UsageError(f"cannot listen on port {args.port}: {taken.exceptions[0]}") from group
        raise
    return int(ExitCode.FINE)


async def _serve(emulator: Emulator, name: str) -> None:
    import trio

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: emulator.serve(task_status=task_status))
        print(f"{name}: {emulator.url}", flush=True)
        print("  - {" + _USE[name].format(ws=emulator.ws_url, http=emulator.url) + "}", flush=True)
