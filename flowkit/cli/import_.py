"""``flowkit import``: makes a trace of a call that another system recorded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.errors import ExitCode, UsageError
from flowkit.plural import counted

if TYPE_CHECKING:
    from flowkit.calls.call import ImportedCall


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "import",
        description="Make a trace of a call: of a sound file with two channels, the user on the first and the agent on the "
        "second, or of a report: LiveKit's session report, Pipecat's spans, or turns. Where there is no report, the embedded "
        "models find what is said.",
    )
    parser.add_argument("call", metavar="CALL", help="a sound file with two channels, or a report (.json or .jsonl)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="TRACE",
        help="the trace to write (default: CALL.jsonl beside the call, or CALL.trace.jsonl if that is the call)",
    )
    parser.add_argument(
        "--recording", metavar="FILE", help="the sound of the call of a report: a file with two channels"
    )
    parser.add_argument("--conversation", metavar="ID", help="which conversation, if there are spans of several")
    parser.add_argument(
        "--pipeline", metavar="FILE", help="record with this pipeline file, so that it can be tested with it"
    )
    parser.add_argument("--swap", action="store_true", help="the agent is on the first channel")
    parser.add_argument(
        "--drift", metavar="SHARE", default="0%", help="by how much the agent's channel is too long, such as 0.1%%"
    )
    parser.add_argument("--turns", metavar="FILE", help="also write who said what, when, as JSON")


def run(args: argparse.Namespace) -> int:
    """Import the call. Prints what was found; notices go to stderr."""
    from flowkit.calls.reports.turns import turns_json
    from flowkit.calls.session import write_trace
    from flowkit.files import reserve, write_whole

    path = Path(args.call)
    out = Path(args.output) if args.output else path.with_suffix(".jsonl")
    if out == path:
        out = path.with_suffix(".trace.jsonl")
    if args.turns:
        reserve(Path(args.turns), [path, out, *filter(None, [args.recording and Path(args.recording)])], mine='"who"')
    call = _call(path, args)
    for notice in call.notices:
        print(f"flowkit: {notice}", file=sys.stderr)
    session = write_trace(call, out, args.pipeline)
    if args.turns:
        write_whole(Path(args.turns), turns_json(call), mine='"who"')
    print("\n".join(_lines(call)))
    print(f"{out}: {call.lasts_us / 1e6:.1f} s, {counted(session.turns, 'turn')}")
    for notice in session.notices:
        print(f"flowkit: {notice}", file=sys.stderr)
    return int(ExitCode.FINE)


def _call(path: Path, args: argparse.Namespace) -> ImportedCall:
    from flowkit.calls.listen import listen
    from flowkit.calls.reports.read import SUFFIXES, read_report
    from flowkit.calls.reports.recorded import with_recording
    from flowkit.calls.reports.report import call_of
    from flowkit.calls.stereo import read_stereo

    drift = _share(args.drift)
    told = path.suffix in SUFFIXES
    if not told and (args.recording or args.conversation):
        raise UsageError("--recording and --conversation are about reports, and this is a recording")
    sound = (args.recording and Path(args.recording)) if told else path
    if sound is None and (args.swap or drift):
        raise UsageError("--swap and --drift are about channels, and a report has none")
    report = read_report(path, args.conversation or "") if told else None
    if sound is None:
        assert report is not None
        return call_of(report, path)
    stereo = read_stereo(sound, swap=args.swap, drift=drift)
    return listen(stereo, path) if report is None else with_recording(report, stereo, path)


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise UsageError(f"--drift takes a share, such as 0.1% (got {text!r})") from None


def _lines(call: ImportedCall) -> list[str]:
    said = sorted(
        [("user", one) for one in call.user] + [("agent", one) for one in call.agent], key=lambda p: p[1].begin_us
    )
    return [f"{one.begin_us / 1e6:8.2f} {one.end_us / 1e6:8.2f}  {who:5}  {one.text}" for who, one in said]
