"""No message is lost, and none overtakes another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flowkit.engine import Fate
from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    ClauseStarted,
    EndOfReply,
    EndOfUtterance,
    Frames,
    Interrupt,
    Token,
)
from flowkit.stages.base import Emit
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants.record import emitted, hold, steps


def rows_come_first(evidence: Evidence) -> None:
    """A message is in the journal before its stage acts on it."""
    for step in evidence.steps:
        hold(step.n > 0, f"{step.stage} acted on {step.message} at {step.at_us} us without a row")


def nothing_is_lost(evidence: Evidence) -> None:
    """Each emitted message has a row at each stage that it goes to, or still waits when the session ends."""
    targets = {(edge.source, edge.output): 0 for edge in evidence.plan.edges}
    for edge in evidence.plan.edges:
        targets[edge.source, edge.output] += 1
    sent = Counter[tuple[str, int]]()
    for step in evidence.steps:
        for action in step.actions:
            if isinstance(action, Emit):
                sent[step.stage, step.n] += targets.get((step.stage, action.port), 0)
    came = Counter(row.cause for row in evidence.rows if row.cause_stage and row.lane != "P")
    waiting = Counter((envelope[1], envelope[2]) for envelope in _waiting(evidence))
    for cause, count in sent.items():
        if cause[1]:
            found = came[cause] + waiting[cause]
            hold(found == count, f"row {cause[1]} of {cause[0]} sent {count} messages, {found} are accounted for")


def _waiting(evidence: Evidence) -> Iterator[tuple[object, ...]]:
    for slot in evidence.engine._slots:
        yield from slot.control
        yield from (envelope for _, envelope in slot.outbox)
        for inbox in slot.inboxes:
            yield from inbox.queue


def markers_are_kept(evidence: Evidence) -> None:
    """A queue drops only content, never a marker."""
    for row in evidence.rows:
        overflow = row.handled_us == evidence.engine.now_us and "set to error" in (evidence.engine.finished or "")
        kept = row.fate is not Fate.DROPPED or type(row.message).lossy or overflow
        hold(kept, f"{row.kind} dropped before {row.stage}")


def order_is_kept(evidence: Evidence) -> None:
    """Data from one stage to another is handled in the order in which it was sent, and time never runs backwards."""
    newest: dict[tuple[str, str], tuple[tuple[int, int], str]] = {}
    now_us = 0
    for row in evidence.rows:
        hold(now_us <= row.handled_us and row.sent_us <= row.handled_us, f"{row.stage} {row.n} runs back in time")
        now_us = row.handled_us
        if row.lane == "D" and row.cause_stage and row.fate is Fate.HANDLED:
            index = getattr(row.message, "index", -1)
            edge, place = (row.cause_stage, row.stage), (row.cause_n, index)
            before, name = newest.get(edge, ((0, -1), ""))
            overtaken = place[0] < before[0] or (place[0] == before[0] and -1 < place[1] < before[1])
            named = row.kind if index < 0 else f"{row.kind} {index}"
            hold(not overtaken, f"{row.stage} handled {named} of {row.cause_stage} after {name}, which comes later")
            newest[edge] = place, named


def ends_come_last(evidence: Evidence) -> None:
    """No end marker overtakes the content before it."""
    over: set[tuple[object, ...]] = set()
    open_: set[tuple[object, ...]] = set()
    voiced = -1
    for row in evidence.rows:
        message, stage = row.message, row.stage
        if row.fate is not Fate.HANDLED:
            continue
        if isinstance(message, EndOfReply):
            over.add((stage, row.epoch))
            early = [clause for place, epoch, clause in open_ if (place, epoch) == (stage, row.epoch)]
            hold(
                not early,
                f"the end of the reply reached {stage} at {row.handled_us} us, before the end of clauses {early}",
            )
        elif isinstance(message, ClauseStarted):
            open_.add((stage, row.epoch, message.clause))
        elif isinstance(message, ClauseEnded):
            open_.discard((stage, row.epoch, message.clause))
            over.add((stage, row.epoch, message.clause))
        elif isinstance(message, EndOfUtterance) and stage == "asr":
            voiced = message.last_voiced
        elif isinstance(message, Frames) and stage == "asr":
            hold(message.index > voiced, f"frame {message.index} reached the asr after the end of its utterance")
        elif isinstance(message, (Token, Clause, Audio)) and row.cause_stage:
            hold(
                (stage, row.epoch) not in over, f"{row.kind} at {stage} after the end of its reply, {row.handled_us} us"
            )
            clause = getattr(message, "clause", None)
            hold(
                (stage, row.epoch, clause) not in over,
                f"audio of clause {clause} reached {stage} after the end of the clause",
            )


def clauses_hold_the_reply(evidence: Evidence) -> None:
    """The clauses of a reply that was not interrupted contain all of its text, in order."""
    text, cut = "", ""
    for step in steps(evidence, "chunker"):
        if isinstance(step.message, Interrupt):
            text = cut = ""
        elif isinstance(step.message, Token):
            text += step.message.text
        cut += "".join(m.text for m in emitted(step) if isinstance(m, Clause) and not getattr(m, "provisional", False))
        if isinstance(step.message, EndOfReply) and not _speculates(evidence):
            hold("".join(text.split()) == "".join(cut.split()), f"of {text!r} the clauses contain {cut!r}")
            text = cut = ""


def _speculates(evidence: Evidence) -> bool:
    planned = evidence.plan.only("chunker")
    return planned is not None and bool(getattr(planned.options, "speculate_end", False))
