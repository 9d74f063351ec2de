"""An interrupt leaves nothing of the old reply."""

from __future__ import annotations

from collections import defaultdict

from flowkit.engine import CallCancelled, Fate
from flowkit.messages import (
    Interrupt,
)
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants.record import handled, hold, us


def interrupts_leave_nothing(evidence: Evidence) -> None:
    """After an interrupt no message of the old reply waits, and each stage of the reply has the state after a reset."""
    for seen in evidence.interrupts:
        hold(seen.waiting == 0, f"{seen.waiting} messages wait after the interrupt at {seen.at_us} us")
        hold(seen.stale == 0, f"{seen.stale} stale messages wait after the interrupt at {seen.at_us} us")
        hold(not seen.not_reset, f"not reset by the interrupt at {seen.at_us} us: {seen.not_reset}")
    for row in evidence.rows:
        left = row.fate is Fate.STALE and bool(row.cause_stage)
        hold(not left, f"{row.kind} waited at {row.stage} through an interrupt, until {row.handled_us} us")


def nothing_stale_is_handled(evidence: Evidence) -> None:
    """No stage of the reply handles a message of an older epoch after one of a newer epoch."""
    replying = {stage.id for stage in evidence.plan.stages if stage.cls.replying}
    newest: dict[str, int] = defaultdict(int)
    for row in evidence.rows:
        if row.stage in replying and row.fate is Fate.HANDLED:
            hold(
                row.epoch >= newest[row.stage],
                f"{row.stage} handled {row.kind} of epoch {row.epoch} at {row.handled_us} us",
            )
            newest[row.stage] = row.epoch


def nothing_stale_sounds(evidence: Evidence) -> None:
    """After an interrupt the device plays no frame of the old reply, except the one that has started."""
    frame_us = evidence.plan.frame_us
    ends = {row.epoch: row.handled_us for row in reversed(evidence.rows) if handled(row, Interrupt)}
    for pop in evidence.sound():
        for epoch, at_us in ends.items():
            # A frame that has started cannot be stopped.
            last_us = -(-at_us // frame_us) * frame_us
            stale = pop.epoch < epoch and pop.t_us + us(pop.samples - 1, pop.rate_hz) >= last_us
            hold(not stale, f"audio of epoch {pop.epoch} at {pop.t_us} us, after the interrupt at {at_us} us")


def cancelled_calls_are_gone(evidence: Evidence) -> None:
    """The task of a cancelled call ends at the instant of the cancel. Checked for live sessions, which have tasks."""
    for at_us, effect in evidence.effects:
        if isinstance(effect, CallCancelled) and evidence.engine.finished != "stopped":
            name = f"{evidence.plan.stages[effect.stage].id} call {effect.call}"
            # A session on the heap pump has no tasks.
            ended_us = evidence.tasks.get(name, at_us)
            hold(ended_us == at_us, f"{name}, cancelled at {at_us} us, ended at {ended_us}")
