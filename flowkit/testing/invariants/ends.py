"""The session ends, and no turn is lost."""

from __future__ import annotations

from itertools import pairwise

from flowkit.clock import US_PER_S
from flowkit.messages import (
    Interrupt,
    Utterance,
)
from flowkit.stages.turn import Turn
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants.record import handled, hold


def session_ends(evidence: Evidence) -> None:
    """The session ends by itself. If its input has ended, no turn is open and no message of a reply waits."""
    finished = evidence.engine.finished
    hold(finished is not None, f"the session did not end within {evidence.engine.now_us / US_PER_S:.0f} s")
    if finished == "input_ended":
        turn = evidence.engine.state("gate").turn
        hold(turn is Turn.LISTENING, f"the session ended while it was {turn.value}")
        hold(evidence.engine.waiting() == 0, "messages of a reply wait at the session's end")


def turns_are_numbered(evidence: Evidence) -> None:
    """Turns are numbered in order; one may be released again after an interrupt. Each release and each interrupt has a
    new epoch."""
    released = [
        (row.epoch, getattr(row.message, "turn", 0))
        for row in evidence.rows
        if handled(row, Utterance) and row.stage == "llm"
    ]
    numbers = [number for _, number in released]
    steps = [after - before for before, after in pairwise([0, *numbers])]
    hold(set(steps) <= {0, 1} and steps[:1] != [0], f"turns are numbered {numbers}")
    epochs = [
        row.epoch
        for row in evidence.rows
        if row.stage == "llm" and (handled(row, Utterance) or handled(row, Interrupt))
    ]
    hold(epochs == sorted(set(epochs)), f"releases and interrupts are in epochs {epochs}")


def no_turn_is_lost_in_silence(evidence: Evidence) -> None:
    """After an interrupt a turn is released: the interrupted one again, or the next."""
    if evidence.engine.finished != "input_ended":
        return
    interrupted_us = None
    for row in evidence.rows:
        if row.stage == "llm" and handled(row, Interrupt):
            interrupted_us = row.handled_us
        elif row.stage == "llm" and handled(row, Utterance):
            interrupted_us = None
    hold(interrupted_us is None, f"no turn follows the interruption at {interrupted_us} us")
