"""``flowkit fidelity``: how well predictions hold on recordings of one's own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowkit.clock import whole_ms
from flowkit.errors import ExitCode, UsageError
from flowkit.plural import counted

if TYPE_CHECKING:
    from flowkit.trace.reader import Trace

_OTHERS = 3
"""From how many others each recording is predicted: with all of them, the time would grow with the square."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "fidelity",
        description="Predict each recording from others of the same pipeline, and say how many of its figures lie in the range "
        "that was predicted for the next conversation. Where two were recorded with other settings, these are predicted too.",
    )
    parser.add_argument("traces", nargs="+", metavar="TRACE", help="recorded sessions (.jsonl) of one pipeline")
    parser.add_argument("--format", choices=("plain", "json"), default="plain", help="output format (default: plain)")


def run(args: argparse.Namespace) -> int:
    """Print how many figures lie in their range."""
    from flowkit.replay.fidelity import ENOUGH, fidelity
    from flowkit.trace.reader import read_trace

    if len(args.traces) < 2:
        raise UsageError("fidelity predicts one recording from another, and only one is given")
    found = fidelity(_pairs([read_trace(name) for name in args.traces]))
    if args.format == "json":
        print(json.dumps({"flowkit": 1, "the_next_one": found.to_json()}))
        return ExitCode.FINE
    for figure, outside in found.outside_us.items():
        wider = found.wider_us(figure)
        advice = (
            f"at least so wide: fewer than {ENOUGH} predictions say no more"
            if wider is None
            else f"for nine in ten, ranges must be {whole_ms(wider)} ms wider at both ends"
            if wider > 0
            else "wide enough for nine in ten"
        )
        made = counted(len(outside), "prediction")
        print(f"{figure}: {found.covered(figure):.0%} of {made} of the next conversation held; {advice}")
    return ExitCode.FINE


def _pairs(traces: list[Trace]) -> Iterator[tuple[Trace, Trace, list[str]]]:
    """Each trace with a few others that it is predicted from, and the settings that it has and they have not."""
    from flowkit.replay.settings import recorded_plan
    from flowkit.testing.suite.causes import differing, makeup

    plans = [recorded_plan(trace) for trace in traces]
    for place, target in enumerate(traces):
        for further in range(1, min(_OTHERS, len(traces) - 1) + 1):
            other = (place + further) % len(traces)
            if makeup(plans[other]) != makeup(plans[place]):
                raise UsageError(
                    f"{target.path.name} and {traces[other].path.name} are recordings of different pipelines"
                )
            settings = differing(plans[other], plans[place])
            yield traces[other], target, [f"{path}={value}" for path, value in settings.items()]
