"""The user in a what-if: the same speech, at the times at which the user would have said it.

A faster or slower agent shifts what follows (``flowkit.replay.user``). Silence is inserted or left out between the pieces
of speech. The sound within a piece, and the silence close to it, stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from flowkit.engine import Engine, Row
from flowkit.figures.layout import layout_of
from flowkit.figures.reference import QUIETEST, Reference
from flowkit.replay.hearing import Hearing
from flowkit.replay.material import Material
from flowkit.replay.user import REACTION_US, User, UserPiece
from flowkit.stages.endpointing import EndpointingState, Voice

SILENT = -1
"""Marks a frame of inserted silence."""
_LEAD_FRAMES = 5
"""How many frames before a piece of speech belong to it: its soft beginning. Fewer than a reaction takes, so that all
that the speech depends on has happened before them."""
_AFTERWARDS = 3000
"""How many silent frames follow the input: a minute, in which the last answer may end."""


@dataclass(slots=True)
class Warp:
    """Maps frames of the replay to recorded frames, one by one while the engine runs."""

    material: Material
    user: User
    frame_us: int
    frames: list[int] = field(default_factory=list)
    """For each frame of the replay the recorded frame, or SILENT."""
    rows: list[Row] = field(default_factory=list)
    """The rows that were taken from the engine's journal so far."""
    left: Callable[[int], None] = lambda at_us: None
    """Called with the time at which the user has nothing more to say, and leaves."""
    engine: Engine = field(init=False)
    hearing: Hearing = field(init=False)
    together: int = 1
    """How many frames of silence may come at once."""
    vad: str = ""
    """Id of the stage that decides what is speech."""

    def follow(self, engine: Engine, *, blocks: bool = False) -> None:
        """Follow this engine to hear what the agent says in the replay. `blocks`: silence for which nothing waits comes in blocks,
        each shorter than a reaction."""
        self.engine, self.hearing = engine, Hearing(layout_of(engine.plan))
        self.together = max(1, (REACTION_US - 1) // self.frame_us) if blocks else 1
        stage = engine.plan.only("vad")
        self.vad = stage.id if stage is not None else ""

    def chosen(self) -> Iterator[list[int]]:
        """Yield the recorded frame, or SILENT, for each frame of the replay, until the user leaves. Frames in one list come
        together."""
        recorded, spoke_us = 0, 0
        for piece in self.user.pieces:
            while (ahead := self._ahead(piece.first - recorded, self._due_us(piece, spoke_us))) != 0:
                far = ahead is None or ahead > self.together + _LEAD_FRAMES
                together = self.together if far and self._quiet() else 1
                if ahead is None:
                    yield self._next([SILENT] * together)
                    continue
                recorded = max(recorded, piece.first - ahead)  # the rest of the pause is left out
                yield self._next(range(recorded, recorded + together))
                recorded += together
            for recorded in range(piece.first, piece.last + 1):
                yield self._next([recorded])
            recorded = piece.last + 1
            spoke_us = len(self.frames) * self.frame_us
        self.left(spoke_us)

    def rest(self) -> Iterator[list[int]]:
        """Yield what was recorded after the user had left, then silence, in which the last answer may end."""
        for recorded in range(self.user.pieces[-1].first, self.material.input.count):
            yield self._next([recorded])
        for _ in range(_AFTERWARDS):
            yield self._next([SILENT])

    def recorded(self, frame: int) -> int:
        """The recorded frame of frame `frame` of the replay. For inserted silence, the one before it."""
        while frame > 0 and self.frames[frame] == SILENT:
            frame -= 1
        return self.frames[frame]

    def reference(self, reference: Reference | None) -> Reference | None:
        """The reference detector over the input of the replay."""
        if reference is None:
            return None
        known = reference.levels
        return Reference(levels=bytes(known[f] if 0 <= f < len(known) else QUIETEST for f in self.frames))

    def _next(self, recorded: Iterable[int]) -> list[int]:
        new = list(recorded)
        self.frames += new
        return new

    def _quiet(self) -> bool:
        """Whether endpointing has nothing to decide, so that it does not matter if a silent frame comes a little later."""
        state = self.engine.state(self.vad) if self.vad and self.together > 1 else None
        return isinstance(state, EndpointingState) and state.voice is Voice.QUIET

    def _due_us(self, piece: UserPiece, spoke_us: int) -> int | None:
        # Taken and kept, so that a row is followed only once, however often this is asked.
        for row in (new := self.engine.journal.take()):
            self.hearing.row(row)
        self.rows += new
        return self.user.due_us(piece, spoke_us, self.hearing.sounds)

    def _ahead(self, left: int, due_us: int | None) -> int | None:
        """How many frames of the recorded pause still come, of `left` ones; None if silence comes first.

        The pause is played as it was until the speech is close, because what it depends on may still change.
        """
        until = None if due_us is None else max(0, due_us // self.frame_us - len(self.frames))
        if until is not None and until <= _LEAD_FRAMES:
            return until if until <= left else None
        return left if left > _LEAD_FRAMES else None
