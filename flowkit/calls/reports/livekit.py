"""LiveKit's session report: ``JobContext.make_session_report().to_dict()`` of livekit-agents 1.8.

https://docs.livekit.io/agents/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from flowkit.calls.call import CallLine
from flowkit.calls.reports.report import CallReport
from flowkit.errors import InputError


def read_livekit(path: Path, report: Mapping[str, Any]) -> CallReport:
    """The call of this report.

    Raises InputError if it lacks its items or its times, or if something was said before the session began.
    """
    items = report["chat_history"].get("items")
    lasts_ms, ended_s = report.get("duration_ms"), report.get("timestamp")
    if not isinstance(items, list) or not _time(ended_s) or not _time(lasts_ms):
        raise InputError(f"{path}: LiveKit's report lacks `chat_history.items`, `timestamp` or `duration_ms`")
    started_s = ended_s - lasts_ms / 1000
    sides: dict[str, list[CallLine]] = {"user": [], "assistant": []}
    notices = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict) or item.get("type") != "message":
            continue
        side = sides.get(str(item.get("role")))
        metrics = item.get("metrics") if isinstance(item.get("metrics"), dict) else {}
        assert isinstance(metrics, dict)
        begin_s, end_s = metrics.get("started_speaking_at"), metrics.get("stopped_speaking_at")
        text = " ".join(part for part in item.get("content") or () if isinstance(part, str))
        if side is None or not _time(begin_s) or not _time(end_s):
            notices.append(f"{path}: item {number} ({text[:30]!r}) was not spoken, or without times; it was left out")
            continue
        if begin_s < started_s:
            raise InputError(
                f"{path}: item {number} ({text[:30]!r}) begins {started_s - begin_s:.3f} s before the session",
                hint="the times run backwards: was the clock set during the call?",
            )
        side.append(CallLine(round((begin_s - started_s) * 1e6), round((end_s - started_s) * 1e6), text))
    user, agent = (tuple(side) for side in sides.values())
    return CallReport(round(started_s * 1e6), round(lasts_ms * 1000), user, agent, notices=tuple(notices))


def _time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and 0 <= value < 1e12
