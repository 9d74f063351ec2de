"""The session as plain lines: what was said, cut and interrupted, and at the end each turn's delay with its parts."""

from __future__ import annotations

from collections.abc import Callable

from flowkit.clock import ms
from flowkit.config.budgets import PARTS
from flowkit.engine import Fate, Row
from flowkit.engine.observer import Observer
from flowkit.figures.follower import BEGAN, ENDED
from flowkit.figures.report import InterruptReport, Report, TurnReport
from flowkit.figures.stalls import STALL, STARVED
from flowkit.messages import Clause, Fault, Heard, Hold, Interrupt, Resume, Timer, Utterance
from flowkit.printable import one_line

Write = Callable[[str], None]


class PlainView(Observer):
    """An observer that writes a line for whatever a listener would notice."""

    def __init__(self, write: Write, *, clauses: bool = True) -> None:
        self._write = write
        self._clauses = clauses
        self._epoch = 0

    def event(self, at_us: int, name: str, detail: str) -> None:
        """A device event, in one line. That a speaker's sound began and ended shows in the figures, and stalls are counted."""
        if name not in (BEGAN, ENDED, STALL, STARVED):
            self._line(at_us, name, detail.partition("\n")[0])

    def rows(self, rows: list[Row]) -> None:
        for row in rows:
            if row.fate is not Fate.HANDLED:
                continue
            match row.message:
                case Utterance(text=text):
                    self._epoch = row.epoch
                    self._line(row.handled_us, "user", text)
                case Clause(text=text) if self._clauses:
                    self._line(row.handled_us, "agent", text.strip())
                case Fault(stage=stage, what=what):
                    self._line(row.handled_us, "error", f"{stage}: {what}")
                # Every replying stage is told; and the end of a session, which raises no epoch, is no interruption.
                case Interrupt() if row.epoch > self._epoch:
                    self._epoch = row.epoch
                    self._line(row.handled_us, "interrupted", "the user speaks")
                case Heard(text=text, played=played, total=total) if played != total:
                    self._line(row.handled_us, "heard", f"up to: {text.strip()!r}")
                case Hold():
                    self._line(row.handled_us, "held", "")
                case Resume():
                    self._line(row.handled_us, "resumed", "")
                case Timer(tag="final"):
                    self._line(row.handled_us, "error", "asr: no final transcript came; listening again")

    def _line(self, at_us: int, what: str, text: str) -> None:
        self._write(f"{at_us / 1e6:8.3f}  {what:<11} {one_line(text)}".rstrip())


def summary(report: Report) -> list[str]:
    """Lines for the end of a session: a line a turn, one for each queue that was ever full or dropped, and the median."""
    lines = [_turn(turn) for turn in report.turns]
    lines += [_interrupt(interrupt) for interrupt in report.interrupts]
    lines += [
        f"queue before {queue.stage}: full at {queue.max}, {queue.dropped} dropped, senders waited {ms(queue.blocked_us):.0f} ms"
        for queue in report.queues
        if queue.dropped or queue.blocked_us
    ]
    return lines


def _turn(turn: TurnReport) -> str:
    if turn.ttfa_us is None or turn.parts_us is None:
        return f"turn {turn.turn}: {turn.end_reason}, without sound"
    parts = " + ".join(f"{name} {ms(us):.0f}" for name, us in zip(PARTS, turn.parts_us, strict=True) if us >= 500)
    vain = f"; {in_vain(turn)}" if turn.revoked else ""
    return f"turn {turn.turn}: {turn.end_reason}, first audio after {ms(turn.ttfa_us):.0f} ms = {parts}{vain}"


def in_vain(turn: TurnReport) -> str:
    """What speculation cost: clauses that the voice was given and that were then cut elsewhere."""
    return f"{turn.revoked} provisional clause{'s' * (turn.revoked > 1)} revoked ({turn.revoked_chars} characters)"


def _interrupt(told: InterruptReport) -> str:
    silent = f"silent {ms(told.decision_to_silence_us):.0f} ms after the decision"
    if told.speech_to_silence_us is not None:
        silent += f", {ms(told.speech_to_silence_us):.0f} ms after the voice"
    lost = f"discarded {told.tokens} tokens, {told.clauses} clauses, {told.frames} frames"
    stale = f", {told.stale_frames} stale frames" if told.stale_frames else ""
    return f"interrupt in turn {told.turn}: {silent}; {lost}{stale}"
