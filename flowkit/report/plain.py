"""A session as plain lines: what was said, cut and interrupted, and at the end each turn's TTFA with its parts."""

from __future__ import annotations

from collections.abc import Callable

from flowkit.clock import whole_ms
from flowkit.config.budgets import PARTS
from flowkit.engine import Fate, Row
from flowkit.engine.observer import Observer
from flowkit.figures.cost import Cost, money
from flowkit.figures.device import BEGAN, ENDED
from flowkit.figures.records import TurnEnding
from flowkit.figures.report import EarlyReport, InterruptReport, Report, TurnReport, spoken_note
from flowkit.figures.stalls import STALL, STARVED
from flowkit.figures.unreleased import Unreleased
from flowkit.figures.waits import WAITED
from flowkit.messages import (
    Clause,
    EndOfUtterance,
    Fault,
    Heard,
    Hold,
    Interrupt,
    Message,
    Released,
    Resume,
    Timer,
    ToolCall,
    ToolOutcome,
    ToolStatus,
    Utterance,
)
from flowkit.plural import counted
from flowkit.printable import one_line

Write = Callable[[str], None]


class PlainView(Observer):
    """An observer that writes a line for everything that a listener would notice.

    Args:
        write: called with each line.
        voice: id of the stage that speaks. Each clause that it takes gets a line. Empty: no clause gets one.
        user: whether each utterance of the user gets a line.
    """

    def __init__(self, write: Write, *, voice: str = "tts", user: bool = True) -> None:
        self._write = write
        self._user = user
        self._voice = voice
        self._epoch = self._utterance = self._held = 0
        self._unreleased = Unreleased(_replying)
        self._progress: Message | None = None
        """The newest progress of a reply that got a line."""
        self._tools: dict[str, str] = {}
        """The names of the tools that run, by call."""

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Write an event as one line.

        Begin and end of the speaker's sound are left out, because figures show them. So are the watchdog's events,
        which are counted.
        """
        if name not in (BEGAN, ENDED, STALL, STARVED, WAITED):
            self._line(at_us, name, detail.partition("\n")[0])

    def rows(self, rows: list[Row]) -> None:
        for row in rows:
            if row.fate is Fate.HANDLED:
                for shown in self._unreleased.take(row):
                    self._row(shown._replace(handled_us=row.handled_us))

    def _row(self, row: Row) -> None:
        match row.message:
            case Utterance(text=text):
                self._epoch = row.epoch
                if text and self._user:
                    self._line(row.handled_us, "user", text)
            # A stage between the chunker and the voice has a row for each clause, too.
            case Clause(text=text, spoken=spoken) if row.stage == self._voice:
                note = spoken_note(text, spoken) if text else ""
                self._line(row.handled_us, "agent", f"{text.strip()} ({note})" if note else text.strip() or spoken)
            # The ASR's stage has a row for it, too.
            case EndOfUtterance(utterance=utterance) as end if end.why and utterance > self._utterance:
                self._utterance = utterance
                self._line(row.handled_us, "turn over", str(TurnEnding(end.why, end.by, end.p)))
            case ToolCall(id=id, name=name, arguments=arguments) if row.cause_stage and id not in self._tools:
                self._tools[id] = name
                self._line(row.handled_us, "tool", f"{name} {arguments}")
            case ToolOutcome(id=id, status=status, content=content) if id in self._tools and row.cause_stage:
                self._line(row.handled_us, "tool", outcome(self._tools.pop(id), status, content))
            # An end-of-turn predictor follows a reply's progress too, and has a row for each of these.
            case Fault() | Heard() if row.message is self._progress:
                pass
            case Fault(stage=stage, what=what):
                self._progress = row.message
                self._line(row.handled_us, "error", f"{stage}: {what}")
            # Every replying stage has a row for it, but only the first is shown. The end of a session sends interrupts
            # too, but does not raise the epoch.
            case Interrupt() if row.epoch > self._epoch:
                self._epoch = row.epoch
                self._line(row.handled_us, "interrupted", "the user speaks")
            case Heard(text=text, played=played, total=total) if played != total:
                self._progress = row.message
                self._line(row.handled_us, "heard", f"up to: {text.strip()!r}")
            # An answer that is begun early is held too, in an epoch of its own, and nobody could hear it yet.
            case Hold() if row.epoch == self._epoch:
                self._held = row.epoch
                self._line(row.handled_us, "held", "")
            case Resume() if row.epoch == self._held:
                self._line(row.handled_us, "resumed", "")
            case Timer(tag="final"):
                self._line(row.handled_us, "error", "asr: no final transcript came; listening again")

    def _line(self, at_us: int, what: str, text: str) -> None:
        self._write(f"{at_us / 1e6:8.3f}  {what:<11} {one_line(text)}".rstrip())


def outcome(tool: str, status: str, content: str) -> str:
    """What came of a tool call. A tool that ends the session says so itself."""
    return f"{tool}: {content}" if status == ToolStatus.ENDED else f"{tool}: {status} {content}".rstrip()


def _replying(row: Row) -> bool:
    """Whether this is what a listener would notice of a reply, or what ends it. No tool runs before the release."""
    message = row.message
    if isinstance(message, Fault):
        return message.stage in ("llm", "tts")
    return isinstance(message, (Utterance, Clause, Interrupt, Released))


def summary(report: Report, *, voiced: bool = True) -> list[str]:
    """The lines for the end of a session: one per turn and interrupt, and one per queue that dropped or held messages.

    Without `voiced` the replies were printed. Then there is nothing to say about a turn that went well.
    """
    lines = [_turn(turn) for turn in report.turns if voiced or turn.end_reason != "completed"]
    lines += [_interrupt(interrupt) for interrupt in report.interrupts]
    lines += [
        f"queue before {queue.stage}: full at {queue.max}, {queue.dropped} dropped, senders waited {whole_ms(queue.blocked_us)} ms"
        for queue in report.queues
        if queue.dropped or queue.blocked_us
    ]
    return [*lines, *([] if report.cost is None else [_cost(report, report.cost)])]


def _cost(report: Report, cost: Cost) -> str:
    """What the session costs, and what of that bought nothing that was heard."""
    whole, minute = cost.whole, report.cost_a_minute
    stages = ", ".join(f"{id_} {money(stage.amount, cost.currency)}" for id_, stage in cost.stages.items())
    notes = [stages, *([] if minute is None else [f"{money(minute, cost.currency)} a minute"])]
    notes += (
        [f"of it {money(whole.speculation, cost.currency)} for what was begun early and given up"]
        if whole.speculation
        else []
    )
    notes += [f"of it {money(whole.retries, cost.currency)} for failed attempts"] if whole.retries else []
    about = "about " if whole.used.estimated else ""
    return f"cost: {about}{money(whole.amount, cost.currency)}; {'; '.join(notes)}"


def _turn(turn: TurnReport) -> str:
    if turn.ttfa_us is None or turn.parts_us is None:
        return f"turn {turn.turn}: {turn.end_reason}, without sound{turn.marks}"
    # Parts that would show as 0 ms are left out.
    parts = " + ".join(f"{name} {whole_ms(us)}" for name, us in zip(PARTS, turn.parts_us, strict=True) if us >= 500)
    cost = f"; {ledger(turn.early)}" if turn.early is not None else ""
    cost += f"; {in_vain(turn)}" if turn.revoked else ""
    cost += "" if turn.cost is None else f"; {money(turn.cost.whole.amount, turn.cost.currency)}"
    notes = answered(turn) + cost + ("" if turn.ending is None else f"; your turn ended by {turn.ending}")
    return f"turn {turn.turn}: {turn.end_reason}, first audio after {whole_ms(turn.ttfa_us)} ms = {parts}{notes}{turn.marks}"


def answered(turn: TurnReport) -> str:
    """How long the user waited for what came of the tools, if something else sounded first."""
    later = turn.answer_us is not None and turn.answer_us != turn.ttfa_us
    return f"; answer after {whole_ms(turn.answer_us or 0)} ms" if later else ""


def ledger(early: EarlyReport) -> str:
    """What it brought and cost that an answer was begun before the user's turn was over."""
    vain = (
        f", {counted(early.tokens, 'token')} and {counted(early.characters, 'character')} in vain"
        if early.tokens or early.characters
        else ""
    )
    return f"begun early {early.tries}x: {whole_ms(early.saved_us)} ms saved{vain}"


def in_vain(turn: TurnReport) -> str:
    """What speculation cost: the provisional clauses that were sent to TTS and revoked."""
    return f"{counted(turn.revoked, 'provisional clause')} revoked ({counted(turn.revoked_chars, 'character')})"


def _interrupt(interrupt: InterruptReport) -> str:
    silent = f"silent {whole_ms(interrupt.decision_to_silence_us)} ms after the decision"
    if interrupt.speech_to_silence_us is not None:
        silent += f", {whole_ms(interrupt.speech_to_silence_us)} ms after the voice"
    stale = f", {counted(interrupt.stale_frames, 'stale frame')}" if interrupt.stale_frames else ""
    return f"interrupt in turn {interrupt.turn}: {silent}; {discarded(interrupt)}{stale}"


def discarded(interrupt: InterruptReport) -> str:
    """What an interrupt threw away."""
    lost = {"token": interrupt.tokens, "clause": interrupt.clauses, "frame": interrupt.frames}
    return f"discarded {', '.join(counted(number, one) for one, number in lost.items())}"
