"""Labels: where the user's turns begin, pause and end in a recording. They lie in a JSON file beside it (``a.wav``,
``a.json``), with times in seconds:

    {"turns": [{"begins": 0.6, "ends": 3.2, "pauses": [[1.4, 1.9]], "asked": "When?", "parts": ["On", "Friday."]}]}

Only `begins` and `ends` are needed. `pauses`: the silences inside the turn, [from, to]. `kinds`: a word for each pause, to
count them apart. `asked`: what the agent had said. `parts`: what the user says, cut at the pauses; for pipelines whose ASR
does not know the language.

A folder may have one ``labels.jsonl`` instead, with a line for each recording: `file`, and `segments` of speech ([from,
to]) in one turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flowkit.errors import InputError

SECOND_US = 1_000_000
LISTED = "labels.jsonl"


class UserTurn(BaseModel):
    """One turn of the user. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    begins: float = Field(ge=0)
    ends: float
    pauses: tuple[tuple[float, float], ...] = ()
    kinds: tuple[str, ...] = ()
    asked: str = ""
    parts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> UserTurn:
        times = [self.begins, *(at for pause in self.pauses for at in pause), self.ends]
        if any(a >= b for a, b in pairwise(times)):
            raise ValueError("begins, pauses and ends must rise")
        if self.kinds and len(self.kinds) != len(self.pauses):
            raise ValueError("kinds must name each pause")
        if self.parts and len(self.parts) != len(self.pauses) + 1:
            raise ValueError("parts must be one more than pauses")
        return self


class _File(BaseModel):
    turns: tuple[UserTurn, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A recording (a WAV file, or a trace) and its turns, in order."""

    path: Path
    turns: tuple[UserTurn, ...]


def labels_of(recording: Path) -> Path:
    """The file that holds the labels of a recording."""
    return recording.with_suffix(".json") if recording.suffix == ".wav" else Path(f"{recording}.labels.json")


def collect(paths: Sequence[str]) -> Iterator[Labelled]:
    """The labelled recordings among files and folders, in order. Raises InputError."""
    for name in paths:
        path = Path(name)
        if not path.is_dir():
            yield Labelled(path, read_labels(labels_of(path)))
        elif (listed := path / LISTED).is_file():
            yield from _listed(listed)
        else:
            yield from _beside(path)


def read_labels(path: Path) -> tuple[UserTurn, ...]:
    """Read a file of labels. Raises InputError."""
    try:
        return checked(json.loads(path.read_text("utf-8")), str(path))
    except OSError as exc:
        hint = "label it by hand (flowkit label TRACE), or write the file: docs/turn-taking.md"
        raise InputError(f"{path}: labels cannot be read: {exc.strerror}", hint=hint) from exc
    except ValueError as exc:
        raise InputError(f"{path}: not JSON: {exc}") from exc


def checked(value: Any, where: str) -> tuple[UserTurn, ...]:
    """The turns of a file's content. Errors name the place as `where`. Raises InputError."""
    try:
        turns = _File.model_validate(value).turns
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{where}: {place}: {first['msg']}", hint="the form is described in docs/turn-taking.md"
        ) from exc
    if any(a.ends > b.begins for a, b in pairwise(turns)):
        raise InputError(f"{where}: turns: each must begin after the one before has ended")
    return turns


def _beside(folder: Path) -> Iterator[Labelled]:
    found = [
        path for path in sorted(folder.iterdir()) if path.suffix in (".wav", ".jsonl") and labels_of(path).is_file()
    ]
    if not found:
        raise InputError(
            f"{folder}: no recording has labels beside it", hint="the form is described in docs/turn-taking.md"
        )
    yield from (Labelled(path, read_labels(labels_of(path))) for path in found)


def _listed(path: Path) -> Iterator[Labelled]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        where = f"{path}:{number}"
        try:
            said = json.loads(line)
            segments, file = said["segments"], path.parent / str(said["file"])
            pauses = [[a[1], b[0]] for a, b in pairwise(segments)]
            turn = {"begins": segments[0][0], "ends": segments[-1][1], "pauses": pauses}
        except (ValueError, TypeError, LookupError) as exc:
            raise InputError(f"{where}: needs `file` and `segments`: {exc}") from exc
        yield Labelled(file, checked({"turns": [turn]}, where))
