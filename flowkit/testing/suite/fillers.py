"""Finds fillers that come too early: a filler is for the call that takes unusually long, and not for every call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median

from flowkit.clock import whole_ms
from flowkit.figures.report import Report
from flowkit.messages import ToolStatus
from flowkit.options import format_duration
from flowkit.plural import counted
from flowkit.tools import Tool


def early_fillers(report: Report, tools: Iterable[Tool]) -> Iterator[str]:
    """A line for each tool that usually takes longer than its `say_after`. `report` is that of a recording's replay."""
    for tool in tools:
        mine = [call for call in report.tools if call.name == tool.title and call.status == ToolStatus.RESULT]
        took_us = [call.took_us for call in mine if call.took_us is not None]
        if tool.say_after is None or not took_us or tool.say_after.after >= (usual_us := round(median(took_us))):
            continue
        calls = counted(len(took_us), "call")
        yield (
            f"{report.trace}: {tool.title} usually takes {whole_ms(usual_us)} ms ({calls}), so its filler after "
            f"{format_duration(tool.say_after.after)} is said nearly every time"
        )
