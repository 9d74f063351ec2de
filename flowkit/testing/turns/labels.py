"""Labels: where the user's turns begin, pause and end in a recording, and what the user says while the agent speaks. They
lie in a JSON file beside it (``a.wav``, ``a.json``), with times in seconds:

    {"turns": [{"begins": 0.6, "ends": 3.2, "pauses": [[1.4, 1.9]], "asked": "When?", "parts": ["On", "Friday."]}]}
    {"interruptions": [{"begins": 3.0, "ends": 3.4, "kind": "backchannel"}], "channel": 0}

Only `begins` and `ends` of a turn are needed. `pauses`: the silences inside it, [from, to]. `kinds`: a word for each pause,
to count them apart. `asked`: what the agent had said. `parts`: what the user says, cut at the pauses; for pipelines whose
ASR does not know the language. `channel`: the user's, from 0; without it all channels are mixed.

A folder may have one ``labels.jsonl`` instead, with a line for each recording: `file`, and `segments` of speech ([from,
to]) in one turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
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


class Wish(StrEnum):
    """What the user wants who speaks while the agent does."""

    TAKE_OVER = "take_over"
    """The turn."""
    BACKCHANNEL = "backchannel"
    """To listen on."""


class Interruption(BaseModel):
    """What the user says while the agent speaks. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    begins: float = Field(ge=0)
    ends: float
    kind: Wish

    @model_validator(mode="after")
    def _in_order(self) -> Interruption:
        if self.begins >= self.ends:
            raise ValueError("ends must come after begins")
        return self


class Labels(BaseModel):
    """A file of labels. Each list is in order."""

    model_config = ConfigDict(frozen=True)

    turns: tuple[UserTurn, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    channel: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Labels:
        if not self.turns and not self.interruptions:
            raise ValueError("turns or interruptions are needed")
        for spans in (
            [(turn.begins, turn.ends) for turn in self.turns],
            [(one.begins, one.ends) for one in self.interruptions],
        ):
            if any(a[1] > b[0] for a, b in pairwise(spans)):
                raise ValueError("each must begin after the one before has ended")
        return self


@dataclass(frozen=True, slots=True)
class Labelled:
    """A recording (a WAV file, or a trace) and its labels."""

    path: Path
    labels: Labels

    @property
    def turns(self) -> tuple[UserTurn, ...]:
        return self.labels.turns


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


def read_labels(path: Path) -> Labels:
    """Read a file of labels. Raises InputError."""
    try:
        return checked(json.loads(path.read_text("utf-8")), str(path))
    except OSError as exc:
        hint = "label it by hand (flowkit label TRACE), or write the file: docs/turn-taking.md"
        raise InputError(f"{path}: labels cannot be read: {exc.strerror}", hint=hint) from exc
    except ValueError as exc:
        raise InputError(f"{path}: not JSON: {exc}") from exc


def checked(value: Any, where: str) -> Labels:
    """The labels of a file's content. Errors name the place as `where`. Raises InputError."""
    try:
        return Labels.model_validate(value)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = "".join(f"{part}." for part in first["loc"])[:-1]
        raise InputError(
            ": ".join(part for part in (where, place, first["msg"]) if part),
            hint="the form is described in docs/turn-taking.md",
        ) from exc


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
