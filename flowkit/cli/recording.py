"""Where ``flowkit run`` records a session, and which old recordings it removes."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flowkit.clock import US_PER_S, wall_us
from flowkit.files import sounds_beside

if TYPE_CHECKING:
    from flowkit.config import Config
    from flowkit.config.schema import TraceOptions
    from flowkit.plan import Plan


def record_path(args: argparse.Namespace, config: Config) -> Path | None:
    """The path of the session's recording; None with ``--no-trace``."""
    if args.no_trace:
        return None
    return Path(args.trace) if args.trace else fresh(Path(config.top.trace.dir), config.name)


def recorded(plan: Plan, config: Config, path: Path) -> str:
    """Tell the user that the session is recorded, and how to record less."""
    voice = plan.only("tts")
    spoken = voice is not None and voice.provider is not None and voice.provider.name != "print"
    sound = config.top.trace.audio and (plan.only("mic") is not None or spoken)
    how = "with its sound (--no-audio leaves it out, --no-trace records nothing)" if sound else "without sound"
    return f"recording to {path}, {how}"


_NAMED = re.compile(r".+-\d{8}-\d{6}-\d+\.jsonl")
# A trace that was written to within this time may belong to a session that still runs.
_UNDER_WAY_US = 60 * US_PER_S


def remove_old(settings: TraceOptions) -> list[Path]:
    """Apply ``trace: {keep, at_most}`` to its folder. Only traces that ``run`` named itself are removed, with their sound. A trace
    that is still being written stays, and so does one with expectations. Returns the traces that are gone."""
    if settings.keep is None and settings.at_most is None:
        return []
    aged = list(_aged(Path(settings.dir)))
    gone, left = list[Path](), sum(size for _, size, _ in aged)
    # The oldest first, because `at_most` removes traces until the rest is small enough.
    for age_us, size, path in sorted(aged, reverse=True):
        too_old = settings.keep is not None and age_us > settings.keep
        too_much = settings.at_most is not None and left > settings.at_most
        if age_us > _UNDER_WAY_US and (too_old or too_much):
            left -= size
            gone.append(path)
            with suppress(OSError):
                # The trace last: if a sound cannot be removed, the trace stays, and the next run tries again.
                for file in (*sounds_beside(path), path):
                    file.unlink()
    return gone


def _aged(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Age in microseconds, size in bytes and path of each trace that may be removed."""
    with suppress(OSError):
        for path in folder.iterdir():
            kept = path.with_name(path.name.removesuffix(".jsonl") + ".expect.yaml").exists()
            if _NAMED.fullmatch(path.name) and path.is_file() and not path.is_symlink() and not kept:
                size = sum(file.stat().st_size for file in (path, *sounds_beside(path)))
                yield wall_us() - path.stat().st_mtime_ns // 1000, size, path


def fresh(folder: Path, name: str, number: int | None = None) -> Path:
    """A name with the time of day and the process, so that sessions started in the same second get different names. The file is in
    `folder`, whatever the pipeline is called."""
    name = re.sub(r"[^\w.-]", "_", name).strip(".")[:100] or "pipeline"
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(wall_us() // US_PER_S))
    # A process that records several sessions tells them apart by their numbers.
    return folder / f"{name}-{when}-{os.getpid()}{'' if number is None else f'{number:06d}'}.jsonl"
