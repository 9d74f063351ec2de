"""``flowkit trace``: inspects, repairs, redacts or exports a recorded session."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit.errors import ExitCode, TraceError
from flowkit.plural import counted

if TYPE_CHECKING:
    from flowkit.trace.reader import Trace


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    configure(
        commands.add_parser(
            "trace",
            help="inspect, repair, redact or export a trace",
            description="Inspect, repair, redact or export a recorded session.",
        )
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="show what a trace contains and what is missing")
    info.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")
    mend = actions.add_parser("repair", help="write the complete part of a trace that a crash has truncated")
    mask = actions.add_parser("redact", help="write a copy of a trace without its content")
    mask.add_argument(
        "--keep", default="", metavar="CLASS,...", help="content to keep: transcripts, tokens, clauses, errors, ..."
    )
    convert = actions.add_parser("export", help="convert a trace to JSON rows or to one OTLP document")
    convert.add_argument(
        "--to",
        choices=("rows", "otlp"),
        default="rows",
        help="rows: one JSON object per row; otlp: one document (default: rows)",
    )
    convert.add_argument("--stereo", metavar="FILE.wav", help="write the sound: user left, agent right")
    convert.add_argument("--turns", metavar="FILE.json", help="write who said what when, with the figures of each turn")
    convert.add_argument("--subtitles", metavar="FILE.vtt", help="write the same as WebVTT")
    for action in (info, mend, mask, convert):
        action.add_argument("trace", metavar="TRACE", help="a recorded session (.jsonl)")
    for action, default in (
        (mend, "NAME.repaired.jsonl beside the trace"),
        (mask, "NAME.redacted.jsonl beside the trace"),
        (convert, "standard output"),
    ):
        action.add_argument("-o", "--output", metavar="FILE", help=f"where to write (default: {default})")


def run(args: argparse.Namespace) -> int:
    """Do it; notices go to stderr."""
    from flowkit.trace.reader import read_trace

    trace = read_trace(args.trace)
    for notice in trace.notices:
        print(f"flowkit: {trace.path.name}: {notice}", file=sys.stderr)
    return int({"info": _info, "repair": _repair, "redact": _redact, "export": _export}[args.action](args, trace))


def _info(args: argparse.Namespace, trace: Trace) -> int:
    told = _told(trace)
    if args.format == "json":
        json.dump(told, sys.stdout, ensure_ascii=False)
        print()
    else:
        width = max(map(len, told))
        for name, value in told.items():
            print(
                f"{name:{width}}  {value if not isinstance(value, (list, dict)) else json.dumps(value, ensure_ascii=False)}"
            )
    return ExitCode.FINE


def _told(trace: Trace) -> dict[str, Any]:
    from collections import Counter

    from flowkit.replay.manifest import IMPORTED, claimed
    from flowkit.trace.audio import check_sound

    rows = trace.rows()
    kinds = Counter(type(row.message).__name__ for row in rows)
    sounds = []
    for sound in trace.end.sounds if trace.end else ():
        try:
            check_sound(trace.path, sound)
            state = "there"
        except TraceError as error:
            state = str(error)
        sounds.append(
            {
                "role": sound.role,
                "rate_hz": sound.rate_hz,
                "seconds": round(sound.samples / sound.rate_hz, 3),
                "state": state,
            }
        )
    return {
        "trace": trace.path.name,
        "pipeline": trace.head.pipeline,
        "mode": trace.head.mode,
        "recorded by": trace.head.versions,
        "seconds": round(rows[-1].handled_us / 1e6, 3) if rows else 0.0,
        "end": trace.end.reason if trace.end else None,
        "redacted, kept": None if trace.head.kept is None else sorted(trace.head.kept),
        "rows": len(rows),
        "digest": trace.digest,
        "turns": kinds["Utterance"],
        "kinds": dict(kinds.most_common()),
        "fates": dict(Counter(row.fate or "handled" for row in rows)),
        "sound": sounds,
        "events": [[event.at_us / 1000, event.name, event.detail] for event in trace.events if event.name != IMPORTED],
        **({"imported": claims} if (claims := claimed(trace)) else {}),
    }


def _output(args: argparse.Namespace, trace: Trace, suffix: str) -> Path:
    return (
        Path(args.output) if args.output else trace.path.with_name(f"{trace.path.name.removesuffix('.jsonl')}.{suffix}")
    )


def _repair(args: argparse.Namespace, trace: Trace) -> int:
    from flowkit.trace.rewrite import repair

    out = _output(args, trace, "repaired.jsonl")
    if repair(trace, out) is None:
        print(f"{trace.path.name} is complete")
    else:
        print(f"{out}: {counted(trace.row_count, 'row')}")
    return ExitCode.FINE


def _redact(args: argparse.Namespace, trace: Trace) -> int:
    from flowkit.trace.rewrite import redact

    out = _output(args, trace, "redacted.jsonl")
    redact(trace, out, [name for name in args.keep.split(",") if name])
    print(out)
    return ExitCode.FINE


def _export_call(args: argparse.Namespace, trace: Trace) -> int:
    """Write what was asked for of a session as others see it: sound, turns, subtitles."""
    from flowkit.calls.export import lines_json, lines_of, subtitles, write_stereo
    from flowkit.files import write_whole

    if args.stereo:
        write_stereo(trace, Path(args.stereo))
        print(args.stereo)
    lines = lines_of(trace) if args.turns or args.subtitles else []
    for path, text, mine in ((args.turns, lines_json(lines), '"who"'), (args.subtitles, subtitles(lines), "WEBVTT")):
        if path:
            write_whole(Path(path), text, mine=mine)
            print(path)
    return ExitCode.FINE


def _export(args: argparse.Namespace, trace: Trace) -> int:
    if args.stereo or args.turns or args.subtitles:
        return _export_call(args, trace)
    from flowkit.trace.rewrite import as_one_document
    from flowkit.trace.rows import content_of
    from flowkit.trace.writer import open_new

    if args.to == "otlp":
        lines = iter([as_one_document(trace)])
    else:
        lines = (
            json.dumps(
                {
                    **{name: value for name, value in row._asdict().items() if name not in ("message", "fate")},
                    "lane": row.lane,
                    "kind": row.kind,
                    "content": dict(
                        zip((kept := content_of(type(row.message))).names, kept.values(row.message), strict=True)
                    ),
                    "fate": row.fate,
                },
                ensure_ascii=False,
            )
            for row in trace.rows()
        )
    if args.output is None:
        for line in lines:
            print(line)
        return ExitCode.FINE
    with open_new(Path(args.output)) as file:
        file.writelines(f"{line}\n" for line in lines)
    return ExitCode.FINE
