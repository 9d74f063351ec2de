"""The report page: one HTML file with all data, sound and charts, which loads nothing from a network.

    subject = of_trace(read_trace(path))
    Path("out.html").write_text(page([subject]), encoding="utf-8")

The charts are made with Observable Plot and D3, from ``vendor``. ``page.js`` draws them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowkit.config.budgets import PARTS
from flowkit.engine import Row
from flowkit.errors import FlowkitError, UsageError
from flowkit.figures.layout import Layout
from flowkit.figures.levels import queue_levels
from flowkit.figures.metrics import measure
from flowkit.figures.reference import Reference
from flowkit.figures.report import Report
from flowkit.figures.sounded import sounded
from flowkit.figures.stalls import stall_details, stall_lines
from flowkit.figures.story import story_of
from flowkit.printable import all_printable, one_line
from flowkit.report.budgets import judge, widest
from flowkit.report.outcome import Outcome
from flowkit.report.sides import sides
from flowkit.trace.audio import read_sound
from flowkit.trace.reader import Trace

LONGEST_HEARD_S = 3_600
LONGEST_SHOWN_US = 24 * 3_600_000_000
"""Of longer sessions a page has no sound, or is none."""
_VENDOR = ("d3-7.min.js", "plot-0.6.min.js")


@dataclass(frozen=True, slots=True)
class ShownSession:
    """A session to show: its figures, its journal, and its sound if that was kept."""

    name: str
    report: Report
    rows: Sequence[Row]
    layout: Layout
    reference: Reference | None = None
    rate_hz: int = 16_000
    """Sample rate of `user`."""
    user: NDArray[np.int16] | None = None
    """The recorded input, int16 samples."""
    voices: Mapping[int, NDArray[np.int16]] = field(default_factory=dict)
    """The voice's samples by sample rate."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the plan, for its budgets."""
    notices: tuple[str, ...] = ()


def of_trace(trace: Trace, settings: Mapping[str, Any] | None = None) -> ShownSession:
    """A recorded session. A sound file that cannot be read becomes a notice."""
    rows, notices = trace.rows(), list(trace.notices)
    user, voices = None, {}
    for sound in trace.end.sounds if trace.end else ():
        if max(rows[-1].handled_us // 1_000_000 if rows else 0, sound.samples // sound.rate_hz) > LONGEST_HEARD_S:
            # One notice is enough, because the other sounds of the session are as long.
            notices.append("the page has sound for sessions of up to an hour")
            break
        try:
            samples = read_sound(trace.path, sound)
        except FlowkitError as error:
            notices.append(str(error))
            continue
        if sound.role == "input":
            user = samples
        else:
            voices[sound.rate_hz] = samples
    notices += [*stall_lines(trace.events), *stall_details(trace.events)]
    report = measure(
        rows,
        plan=trace.layout,
        voiced=trace.reference,
        trace=trace.path.name,
        digest=trace.digest,
        queues=trace.end.queues if trace.end is not None else (),
        events=trace.events,
    )
    return ShownSession(
        trace.path.name,
        report,
        rows,
        trace.layout,
        trace.reference,
        trace.head.rate_hz,
        user,
        voices,
        settings or {},
        tuple(notices),
    )


PAGE_MARK = " - flowkit report</title>"
"""Distinguishes a report from other pages."""


def page(subjects: Sequence[ShownSession], *, failure: Outcome | None = None) -> str:
    """The page for one session, or for two side by side. `failure` is the test that failed, if this is its page."""
    room = files("flowkit.report")
    title = " and ".join(subject.name for subject in subjects)
    data = {"parts": PARTS, "failure": failure and _failed(failure), "sides": [_data(subject) for subject in subjects]}
    filled = {
        "TITLE": escape(one_line(f"{title} - flowkit report")),
        "STYLE": (room / "page.css").read_text("utf-8"),
        "VENDOR": "\n".join((room / "vendor" / name).read_text("utf-8") for name in _VENDOR),
        "SCRIPT": (room / "page.js").read_text("utf-8"),
        # Escaped, because "</script>" in a text would end the element that holds the data.
        "DATA": json.dumps(all_printable(data), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    # Filled in one pass, so that braces inside a value are not taken for a place to fill.
    before, *parts = (room / "page.html").read_text("utf-8").split("{{")
    return before + "".join(filled[name] + rest for name, _, rest in (part.partition("}}") for part in parts))


def _failed(outcome: Outcome) -> dict[str, Any]:
    """What the page says of a test that failed: the settings that did it with their places, and all findings."""
    causes = dict.fromkeys(f"{one.cause} ({one.file}:{one.line})" for one in outcome.findings if one.cause)
    # What has a cause stands below it, with its place.
    told = [one.what.removesuffix(f" (by {one.cause})") if one.cause else str(one) for one in outcome.findings]
    return {"name": outcome.name, "causes": list(causes), "findings": list(dict.fromkeys(told))}


def _data(subject: ShownSession) -> dict[str, Any]:
    rows, layout, report = subject.rows, subject.layout, subject.report
    pops = sounded(rows, layout, dict(subject.voices))
    story = story_of(rows, layout, pops, subject.reference)
    last_us = max([row.handled_us for row in rows[-50:]] + [span.end_us for span in story.spans[-1:]], default=0)
    if last_us > LONGEST_SHOWN_US:
        raise UsageError(f"{subject.name} lasts longer than a day; a page shows sessions of up to a day")
    both = sides(
        pops,
        length_us=last_us,
        user=subject.user,
        rate_hz=subject.rate_hz,
        levels=subject.reference.levels if subject.reference else b"",
        frame_us=layout.frame_us,
    )
    budgets = subject.settings.get("budgets")
    return {
        "name": subject.name,
        "notices": [*subject.notices, *report.notices],
        "duration": last_us / 1000,
        "report": report.to_json(),
        "starts": [turn.started_us / 1000 for turn in report.turns],
        "budget": _ms(widest(budgets.ttfa)) if budgets else None,
        "partBudgets": {part: _ms(widest(getattr(budgets.parts, part))) for part in PARTS} if budgets else {},
        "verdicts": [{"text": str(verdict), "kept": verdict.kept} for verdict in judge(report, subject.settings)],
        "lanes": story.lanes,
        "spans": [span.to_json() for span in sorted(story.spans, key=lambda span: span.begin_us)],
        "marks": [mark.to_json() for mark in sorted(story.marks, key=lambda mark: mark.at_us)],
        "queues": queue_levels(rows, layout),
        **both.to_json(),
    }


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
