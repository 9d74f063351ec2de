"""What recordings are called that have no name from the user, which there are, and which old ones ``trace: {keep, at_most}``
removes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from flowkit.clock import US_PER_S, wall_us
from flowkit.config.schema import TraceOptions
from flowkit.files import sounds_beside

_NAMED = re.compile(r".+-\d{8}-\d{6}-\d+(-\d+)?\.jsonl")
# A trace that was written to within this time may belong to a session that still runs, in another process.
_UNDER_WAY_US = 60 * US_PER_S
_numbers = count(1)
_WHEN = "%Y%m%d-%H%M%S"


def fresh_path(settings: TraceOptions, name: str) -> Path:
    """A path for a recording of the pipeline called `name`. It is in the folder for traces, whatever that name is. Time,
    process and a number make it unlike that of any other session."""
    when = time.strftime(_WHEN, time.localtime(wall_us() // US_PER_S))
    return Path(settings.dir) / f"{_stem(name)}-{when}-{os.getpid()}-{next(_numbers)}.jsonl"


def _stem(name: str) -> str:
    """The name of a pipeline as the begin of a file's name."""
    return re.sub(r"[^\w.-]", "_", name).strip(".")[:100] or "pipeline"


class StoredRecording(NamedTuple):
    """A recording: when it began, in microseconds since 1970, and for how long it was written to."""

    path: Path
    began_us: int
    length_us: int


def recorded(settings: TraceOptions, name: str, most: int) -> list[StoredRecording]:
    """The recordings of the pipeline called `name` in the folder for traces, the newest first and at most so many. Only names of
    ``fresh_path`` count."""
    named = re.compile(re.escape(_stem(name)) + r"-(\d{8}-\d{6})-\d+(?:-\d+)?\.jsonl")
    found: list[tuple[str, float, Path]] = []
    with suppress(OSError):
        for path in Path(settings.dir).iterdir():
            if (match := named.fullmatch(path.name)) and path.is_file() and not path.is_symlink():
                found.append((match[1], path.stat().st_mtime, path))
    began = [(_epoch_s(when), written_s, path) for when, written_s, path in sorted(found, reverse=True)[:most]]
    return [
        StoredRecording(path, began_s * US_PER_S, max(0, round((written_s - began_s) * US_PER_S)))
        for began_s, written_s, path in began
    ]


def _epoch_s(when: str) -> int:
    """The time in a recording's name, in seconds since 1970; 0 if it is none."""
    try:
        return int(time.mktime(time.strptime(when, _WHEN)))
    except ValueError:
        return 0


def has_rule(settings: TraceOptions) -> bool:
    """Whether any recording may have to go."""
    return settings.keep is not None or settings.at_most is not None


def remove_old(settings: TraceOptions, busy: Collection[Path] = ()) -> list[Path]:
    """Apply ``trace: {keep, at_most}`` to its folder. Returns the traces that are gone.

    Only traces with a name of ``fresh_path`` are removed, with their sound. A trace with expectations stays, and so do
    those in `busy` and one that may still be written by another process.
    """
    if not has_rule(settings):
        return []
    aged = list(_aged(Path(settings.dir)))
    gone, left = list[Path](), sum(size for _, size, _ in aged)
    held = {path.resolve() for path in busy}
    # The oldest first, because `at_most` removes traces until the rest is small enough.
    for age_us, size, path in sorted(aged, reverse=True):
        too_old = settings.keep is not None and age_us > settings.keep
        too_much = settings.at_most is not None and left > settings.at_most
        if age_us > _UNDER_WAY_US and (too_old or too_much) and path.resolve() not in held:
            left -= size
            gone.append(path)
            with suppress(OSError):
                # The trace last: if a sound cannot be removed, the trace stays, and is removed the next time.
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
