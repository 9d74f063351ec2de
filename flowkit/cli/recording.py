"""Where ``flowkit run`` records a session."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.trace.retention import fresh_path

if TYPE_CHECKING:
    from flowkit.config import Config
    from flowkit.plan import Plan


def record_path(args: argparse.Namespace, config: Config) -> Path | None:
    """The path of the session's recording; None with ``--no-trace``."""
    if args.no_trace:
        return None
    return Path(args.trace) if args.trace else fresh_path(config.top.trace, config.name)


def recorded(plan: Plan, config: Config, path: Path) -> str:
    """Tell the user that the session is recorded, and how to record less."""
    spoken = plan.only("tts") is not None and not plan.silent
    sound = config.top.trace.audio and (plan.only("mic") is not None or spoken)
    how = "with its sound (--no-audio leaves it out, --no-trace records nothing)" if sound else "without sound"
    return f"recording to {path}, {how}"
