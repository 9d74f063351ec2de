"""The options of commands that replay a trace with faults, or in another order of simultaneous events."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowkit.config.faults import InjectedFault


def fault_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--fault``."""
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="let a provider fail, stall, be slow, or drop or double what it gives, such as 'llm: fail after 3 tokens in turn 2'; "
        "may be repeated",
    )


def schedule_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--schedule``. A schedule belongs to one trace and its settings, so what replays others cannot take one."""
    parser.add_argument(
        "--schedule",
        metavar="TIES",
        help="replay simultaneous events in an order that `replay --permute-ties` has printed, such as 17.1,42.2",
    )


def faults_given(args: argparse.Namespace) -> tuple[InjectedFault, ...]:
    """The faults to replay with. Raises UsageError, which shows where a text is wrong."""
    from flowkit.config.faults import faults_of

    return faults_of(args.fault)
