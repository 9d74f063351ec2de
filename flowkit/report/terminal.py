"""The report of a session for the terminal: its figures, and each turn as bars, one for each lane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowkit.clock import ms, whole_ms
from flowkit.engine import Row
from flowkit.figures.layout import Layout
from flowkit.figures.reference import Reference
from flowkit.figures.report import InterruptReport, Report, ToolReport, TurnReport
from flowkit.figures.sounded import sounded
from flowkit.figures.story import Span, Story, story_of
from flowkit.messages import ToolStatus
from flowkit.plural import counted
from flowkit.printable import one_line
from flowkit.report.budgets import judge, over
from flowkit.report.plain import discarded, in_vain, summary

_LABEL = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def lines(
    report: Report,
    rows: Sequence[Row],
    layout: Layout,
    reference: Reference | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    width: int = 100,
) -> Iterator[str]:
    """The lines of the report, for a terminal of `width` columns. `settings` are the plan's, for its budgets."""
    story = story_of(rows, layout, sounded(rows, layout), reference)
    for turn in report.turns:
        yield from _turn(turn, story, settings or {}, width)
        yield from (_tool(tool) for tool in report.tools if tool.turn == turn.turn)
        yield from (_interrupt(i) for i in report.interrupts if i.turn == turn.turn)
        yield ""
    yield from summary(report)
    yield from (str(verdict) for verdict in judge(report, settings or {}))
    yield from report.notices


def _turn(turn: TurnReport, story: Story, settings: Mapping[str, Any], width: int) -> Iterator[str]:
    yield f"turn {turn.turn}: {turn.user!r}, {turn.end_reason}{turn.marks}"
    spans = [span for span in story.spans if span.turn == turn.turn]
    if spans:
        begin_us = min(span.begin_us for span in spans)
        scale = (max(span.end_us for span in spans) - begin_us) / max(20, width - _LABEL - 1) or 1.0
        for lane in story.lanes:
            yield f"{lane:{_LABEL}}{_bar([s for s in spans if s.lane == lane], begin_us, scale)}".rstrip()
        yield f"{'':{_LABEL}}from {begin_us / 1e6:.3f} s, {whole_ms(round(scale))} ms a column"
    for clause in turn.clauses:
        notes = [clause.reason, counted(clause.tokens, "token"), *(["sound modelled"] if clause.modelled else [])]
        said = f"  ({clause.note})" if clause.note else ""
        yield f"  {ms(clause.t_us) / 1000:8.3f}  {clause.text.strip()}{said}  [{', '.join(notes)}]"
    if turn.ending is not None:
        yield f"  the user's turn ended: {turn.ending}"
    if turn.revoked:
        yield f"  in vain: {in_vain(turn)}"
    yield from (f"  over budget: {what}" for what in over(turn, settings))


def _bar(spans: Sequence[Span], begin_us: int, scale: float) -> str:
    """A row of blocks where the spans lie. The end is exact to an eighth of a column. Every span is visible."""
    cells: dict[int, str] = {}
    for span in spans:
        first, last = (span.begin_us - begin_us) / scale, (span.end_us - begin_us) / scale
        for cell in range(int(first), int(last)):
            cells[cell] = "▒" if span.fate else "█"
        rest = max(1, round(8 * (last - max(int(last), first))))
        # Not over a cell that another span has filled, which would then look shorter than it is.
        cells.setdefault(int(last), _EIGHTHS[min(8, rest)])
    return "".join(cells.get(cell, " ") for cell in range(max(cells, default=-1) + 1))


def _tool(tool: ToolReport) -> str:
    took = "" if tool.took_us is None else f" after {whole_ms(tool.took_us)} ms"
    notes = ", the reply was interrupted" if tool.interrupted else ""
    outcome = tool.content if tool.status == ToolStatus.ENDED else f"{tool.status}{took} {tool.content}"
    return one_line(f"  {tool.t_us / 1e6:8.3f}  {tool.name} {tool.arguments}: {outcome}{notes}")


def _interrupt(interrupt: InterruptReport) -> str:
    spoken = (
        ""
        if interrupt.speech_to_silence_us is None
        else f", silent {whole_ms(interrupt.speech_to_silence_us)} ms after speech began"
    )
    return f"  {interrupt.t_us / 1e6:8.3f}  interrupted{spoken}; {discarded(interrupt)}; {interrupt.stale_frames} stale"
