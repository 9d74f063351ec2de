"""``flowkit bench turns``: measures on labelled recordings when a pipeline takes the user's turn to be over."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from flowkit.plan import Plan
    from flowkit.testing.turns.labels import Labelled
    from flowkit.testing.turns.listening import HeardRecording
    from flowkit.testing.turns.result import Result

EMBEDDED = """flowkit: 1
name: embedded
stages:
  - {kind: mic}
  - {kind: vad, provider: silero, end: {}}
  - {kind: asr, provider: moonshine}
  - {kind: turn, provider: words}
  - {kind: gate}
  - {kind: llm, provider: canned, text: Yes.}
  - {kind: chunker}
  - {kind: tts, provider: nanotts}
  - {kind: speaker}
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "bench",
        description="Run the VAD, the ASR and the predictors of a pipeline over labelled recordings, faster than life. Then say, "
        "for silence alone and for many settings, how many pauses inside turns are cut and how long the agent waits. Where "
        "interruptions are labelled, say which of them stop an agent that talks, and how soon.",
    )
    parser.add_argument(
        "what", choices=("turns",), help="turns: when the user's turn is taken to be over, and who gets the floor"
    )
    parser.add_argument(
        "recordings",
        nargs="+",
        metavar="RECORDING",
        help="WAV files, traces, or folders of them, with labels beside them",
    )
    parser.add_argument(
        "--pipeline", metavar="FILE", help="the pipeline (default: that of the trace; of a WAV file, embedded models)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="compare with this setting changed"
    )
    parser.add_argument(
        "--from-labels", action="store_true", help="take the transcripts from the labels instead of the ASR"
    )
    parser.add_argument("--plot", metavar="SVG", help="write a plot of cuts against the mean delay to this file")
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the tables."""
    from flowkit.files import reserve, write_whole
    from flowkit.testing.turns.labels import collect
    from flowkit.testing.turns.plot import plot

    recordings = list(collect(args.recordings))
    first = recordings[0].path
    plans = [_plan(args, first, ())] + ([_plan(args, first, tuple(args.set))] if args.set else [])
    if args.plot:
        if not any(recording.turns for recording in recordings):
            raise UsageError("--plot shows when turns end, and the recordings have no labelled turns")
        # Before the long work, so that a wrong name costs nothing.
        reserve(args.plot, [str(one.path) for one in recordings], mine="<svg")
    results = _results(plans, recordings, ["pipeline", " ".join(args.set)], from_labels=args.from_labels)
    if args.format == "json":
        json.dump([result.to_json() for result in results], sys.stdout, ensure_ascii=False)
        print()
    else:
        print("\n".join(line for result in results for line in result.lines()))
    if args.plot:
        write_whole(Path(args.plot), plot(results), mine="<svg")
    return ExitCode.FINE


def _plan(args: argparse.Namespace, first: Path, overrides: tuple[str, ...]) -> Plan:
    """The pipeline of the file, or that of the trace `first`, or the embedded one."""
    from flowkit.config import load
    from flowkit.plan import resolve
    from flowkit.replay.settings import changed_plan, recorded_plan
    from flowkit.trace.reader import read_trace

    if args.pipeline:
        return resolve(load(args.pipeline, overrides=overrides))
    if first.suffix == ".wav":
        return resolve(load("embedded", text=EMBEDDED, overrides=overrides))
    trace = read_trace(first)
    return changed_plan(trace, recorded_plan(trace), overrides=overrides)


def _results(plans: list[Plan], recordings: list[Labelled], titles: list[str], *, from_labels: bool) -> list[Result]:
    from flowkit.testing.turns.floor import floor_outcomes
    from flowkit.testing.turns.listening import listening_plan
    from flowkit.testing.turns.result import measured

    results: list[Result] = []
    known: list[tuple[Plan, list[HeardRecording]]] = []
    for title, plan in zip(titles, plans, strict=False):
        listening = listening_plan(plan, b"")
        # What was heard serves every pipeline that differs only in when a turn ends.
        heard = next((heard for other, heard in known if other.stages == listening.stages), None)
        if heard is None:
            heard = _heard(plan, recordings, from_labels=from_labels)
            known.append((listening, heard))
        interrupted = [one for recording in _counted(recordings, "talking") for one in floor_outcomes(recording, plan)]
        results.append(measured(title, plan, heard, interrupted))
    return results


def _heard(plan: Plan, recordings: list[Labelled], *, from_labels: bool) -> list[HeardRecording]:
    from flowkit.testing.turns.listening import hear

    with_turns = [recording for recording in recordings if recording.turns]
    return [hear(recording, plan, from_labels=from_labels) for recording in _counted(with_turns, "listening")]


def _counted(recordings: list[Labelled], doing: str) -> Iterator[Labelled]:
    """The recordings, and on a terminal how far the work is."""
    for number, recording in enumerate(recordings, 1):
        if sys.stderr.isatty():
            print(f"\r{doing}: {number} of {len(recordings)}", end="", file=sys.stderr, flush=True)
        yield recording
