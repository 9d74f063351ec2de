"""``flowkit doctor``: checks what this machine has.

It lists devices, providers, keys and cores, measures the microphone's level, the round trip from speaker to microphone,
and how late the event loop wakes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowkit.cli.streams import raw
from flowkit.clock import US_PER_MS, whole_ms
from flowkit.errors import DeviceError, ExitCode, UsageError

if TYPE_CHECKING:
    from flowkit.runtime.soundcheck import Level

_KEYS = ("ASSEMBLYAI_API_KEY", "GROQ_API_KEY", "CARTESIA_API_KEY", "OPENAI_API_KEY")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    about = (
        "Check the devices, models, keys and latency of this machine. Plays a short chirp to measure the round trip."
    )
    parser = commands.add_parser("doctor", help="check this machine", description=about)
    parser.add_argument("--mic", metavar="DEVICE", help="the microphone to test: number or part of its name")
    parser.add_argument("--speaker", metavar="DEVICE", help="the speaker to test: number or part of its name")
    parser.add_argument("--listen", metavar="TIME", default="2s", help="how long to listen (default: 2s)")
    parser.add_argument("--silent", action="store_true", help="open no device and play nothing")
    parser.add_argument(
        "--live", action="store_true", help="also load the models, and try the services whose keys are set"
    )
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Check the machine and print the results.

    Exit code 4 if no microphone or no speaker works, or if a provider that was tried does not.
    """
    found = _examine(args)
    if args.format == "json":
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        print("\n".join(_lines(found)), flush=True)
    devices_fine = args.silent or found["devices_work"]
    return int(ExitCode.FINE if devices_fine and _all_work(found) else ExitCode.UNAVAILABLE)


def _all_work(found: dict[str, Any]) -> bool:
    return all(answer["works"] is not False for answer in found.get("asked", ()))


def _examine(args: argparse.Namespace) -> dict[str, Any]:
    from flowkit.options import parse_duration
    from flowkit.providers import registry
    from flowkit.runtime.soundcheck import wake_ups

    try:
        listen_us = parse_duration(args.listen)
    except ValueError as error:
        raise UsageError(f"--listen: {error}") from error
    if args.silent and (args.mic or args.speaker):
        raise UsageError("--silent opens no device, so it cannot be combined with --mic or --speaker")
    typical_us, worst_us = wake_ups()
    devices = _devices()
    sound = {} if args.silent else _sound(args, listen_us)
    return {
        "cores": os.cpu_count(),
        "loop_ms": {"p50": typical_us / 1000, "p99": worst_us / 1000},
        **devices,
        **sound,
        "devices_work": bool(sound) and "problem" not in sound["microphone"] and "problem" not in sound["speaker"],
        "providers": [
            {
                "kind": row.kind,
                "name": row.name,
                "missing": list(row.missing),
                "install": row.install,
                "problem": row.problem,
            }
            for row in registry.available()
        ],
        "keys": {name: bool(os.environ.get(name)) for name in _KEYS},
        **({"asked": list(_asked())} if args.live else {}),
    }


def _asked() -> Iterator[dict[str, Any]]:
    """Try each installed provider that has a model or a service, with its default options.

    `works` is None if it cannot be tried, because an option or a key is missing.
    """
    from flowkit.cli.live import asked
    from flowkit.providers import registry

    for row in registry.available():
        if row.missing or row.problem:
            continue
        cls = registry.find(row.kind, row.name)
        title = f"{row.kind} {row.name}"
        if not registry.has_model(cls):
            continue
        if needed := [name for name, field in cls.Options.model_fields.items() if field.is_required()]:
            line = f"{title}: needs {', '.join(needed)}; set it in a file and run `flowkit check --live FILE`"
            yield {"works": None, "said": line}
        elif cls.variable and not os.environ.get(cls.variable):
            yield {"works": None, "said": f"{title}: {cls.variable} is not set"}
        else:
            line, works = asked(title, cls, cls.Options())
            yield {"works": works, "said": line}


def _devices() -> dict[str, Any]:
    from flowkit.providers.sound.device_host import PORTAUDIO

    try:
        return {"devices": [device._asdict() for device in PORTAUDIO.devices()]}
    except DeviceError as error:
        return {"devices": [], "devices_problem": _said(error)}


def _sound(args: argparse.Namespace, listen_us: int) -> dict[str, Any]:
    """The level of the microphone, and the round trip of a chirp from speaker to microphone."""
    from flowkit.runtime.soundcheck import listen, round_trip

    found: dict[str, Any] = {"microphone": {}, "speaker": {}}
    try:
        heard = listen(args.mic, listen_us, _meter if args.format == "plain" and sys.stdout.isatty() else None)
        found["microphone"] = _level(heard)
    except DeviceError as error:
        found["microphone"] = {"problem": _said(error)}
    try:
        trip = round_trip(args.mic, args.speaker)
        found["speaker"] = {"name": trip.speaker, "round_trip_ms": None if trip.us is None else trip.us / 1000}
    except DeviceError as error:
        found["speaker"] = {"problem": _said(error)}
    return found


def _level(heard: Level) -> dict[str, Any]:
    return {"name": heard.name, "peak_db": round(heard.peak_db, 1), "floor_db": round(heard.floor_db, 1)}


def _said(error: DeviceError) -> str:
    return f"{error}; {error.hint}" if error.hint else str(error)


def _meter(db: float) -> None:
    """Show the level as a bar on the terminal."""
    cells = max(0, min(40, round((db + 60) / 60 * 40)))
    line = f"\r  say something: {'#' * cells}{'.' * (40 - cells)} {db:5.0f} dB "
    # To the raw stream, because the other one would print the carriage return as an escape.
    print(line, end="", file=raw(sys.stdout), flush=True)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    loop = found["loop_ms"]
    yield f"cores        {found['cores']}" + (
        "  (two are needed to listen and speak at once)" if found["cores"] == 1 else ""
    )
    yield f"event loop   wakes {loop['p50']:.2f} ms late (median), {loop['p99']:.2f} ms (p99)"
    yield from _device_lines(found)
    there = [row for row in found["providers"] if not row["missing"] and not row["problem"]]
    for kind in dict.fromkeys(row["kind"] for row in there):
        yield f"{kind:<12} {', '.join(row['name'] for row in there if row['kind'] == kind)}"
    for row in found["providers"]:
        if row["missing"] or row["problem"]:
            why = row["problem"] or f"no module {', '.join(row['missing'])}"
            yield f"not ready    {row['kind']} {row['name']}: {why}" + (f"; {row['install']}" if row["install"] else "")
    for name, there_is in found["keys"].items():
        yield f"key          {name} {'is set' if there_is else 'is not set'}"
    for answer in found.get("asked", ()):
        state = {True: "works", False: "fails", None: "not asked"}[answer["works"]]
        yield f"{state:<12} {answer['said']}"


def _device_lines(found: dict[str, Any]) -> Iterator[str]:
    for device in found["devices"]:
        chosen = f"  (default {' and '.join(device['default'])})" if device["default"] else ""
        ports = f"{device['inputs']} in, {device['outputs']} out, {device['rate_hz']} Hz"
        yield f"device {device['number']:<5} {device['name']}: {ports}{chosen}"
    no_devices = found.get("devices_problem")
    if no_devices:
        yield f"devices      {no_devices}"
    microphone, speaker = found.get("microphone", {}), found.get("speaker", {})
    if problem := microphone.get("problem"):
        # What keeps every device away is said once.
        yield from [] if problem == no_devices else [f"microphone   {problem}"]
    elif microphone:
        peak_db = microphone["peak_db"]
        quiet = "  (nothing was heard: is it muted?)" if peak_db < -50 else ""
        yield f"microphone   {microphone['name']}: peak {peak_db:.0f} dB, floor {microphone['floor_db']:.0f} dB{quiet}"
    if problem := speaker.get("problem"):
        yield from [] if problem == no_devices else [f"speaker      {problem}"]
    elif speaker:
        trip_ms = speaker["round_trip_ms"]
        heard = (
            "its chirp was not heard (a headset?)"
            if trip_ms is None
            else f"round trip {whole_ms(round(trip_ms * US_PER_MS))} ms"
        )
        yield f"speaker      {speaker['name']}: {heard}"
