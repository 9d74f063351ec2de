"""Calls from reports: who said what, when, without sound.

Two forms are read: LiveKit's session report (``JobContext.make_session_report().to_dict()``, livekit-agents 1.8), and
turns as ``flowkit import --turns`` writes them. https://docs.livekit.io/agents/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from flowkit.calls.call import FRAME_US, CallLine, ImportedCall
from flowkit.calls.doubts import check_times, doubts
from flowkit.errors import InputError
from flowkit.replay.manifest import ANSWERS, AUDIO, LEVELS, PARTIALS, REPLIES, TOOLS, TRANSCRIPTS, VOICE

_MOST_BYTES = 64 << 20
_VOICED, _SILENT = 0.95, 0.02
_AFTERWARDS_US = 1_000_000
_FORMS = "LiveKit's session report, or turns as flowkit import --turns writes them"


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """A line of a call, as JSON has it."""

    who: str
    text: str
    start_ms: float
    end_ms: float


def turns_json(call: ImportedCall) -> str:
    """Who said what, when, as JSON: a list of lines with `who`, `text`, `start_ms` and `end_ms`."""
    lines = [
        SpokenLine(who, one.text, one.begin_us / 1000, one.end_us / 1000)
        for who, side in (("user", call.user), ("agent", call.agent))
        for one in side
    ]
    return json.dumps([asdict(line) for line in sorted(lines, key=lambda line: line.start_ms)], indent=1) + "\n"


def read_report(path: Path) -> ImportedCall:
    """The call of a report.

    Raises InputError if the file is none, or if its times are impossible.
    """
    found = _json(path)
    notices: list[str] = []
    if isinstance(found, dict) and isinstance(found.get("chat_history"), dict):
        started_us, lines, lasts_us = _livekit(path, found, notices)
    elif isinstance(found, list) and found and all(isinstance(one, dict) and "who" in one for one in found):
        started_us, lines, lasts_us = int(path.stat().st_mtime * 1e6), list(_turns(path, found)), 0
    else:
        raise InputError(f"{path}: is no report that flowkit knows", hint=f"it reads {_FORMS}")
    lasts_us = lasts_us or max((speech.end_us for _, speech in lines), default=0) + _AFTERWARDS_US
    user, agent = (tuple(speech for who, speech in lines if who == side) for side in ("user", "agent"))
    for side, speech in (("user", user), ("agent", agent)):
        check_times(speech, lasts_us, f"{path}, {side}")
    return ImportedCall(
        path.stem, started_us, lasts_us, user, agent, _probabilities(user, lasts_us), _words(user),
        measured=(TRANSCRIPTS,),
        derived=(ANSWERS, PARTIALS, REPLIES, VOICE),
        missing=(AUDIO, LEVELS, TOOLS),
        notices=(*notices, *doubts(user, agent)),
    )  # fmt: skip


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON: {str(error)[:100]}", hint=f"it reads {_FORMS}") from error


def _turns(path: Path, found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, CallLine]]:
    for number, one in enumerate(found, 1):
        times = one.get("start_ms"), one.get("end_ms")
        if one["who"] not in ("user", "agent") or not all(
            isinstance(ms, int | float) and 0 <= ms < 1e9 for ms in times
        ):
            raise InputError(f"{path}: entry {number} has no `who` (user or agent), `start_ms` and `end_ms`")
        begin_us, end_us = (round(ms * 1000) for ms in times if ms is not None)
        yield one["who"], CallLine(begin_us, end_us, str(one.get("text", "")))


def _livekit(path: Path, report: Mapping[str, Any], notices: list[str]) -> tuple[int, list[tuple[str, CallLine]], int]:
    """When the session began, what was said in it, and how long it lasted."""
    items = report["chat_history"].get("items")
    lasts_ms, ended_s = report.get("duration_ms"), report.get("timestamp")
    if not isinstance(items, list) or not _time(ended_s) or not _time(lasts_ms):
        raise InputError(f"{path}: LiveKit's report lacks `chat_history.items`, `timestamp` or `duration_ms`")
    started_s = ended_s - lasts_ms / 1000
    lines = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict) or item.get("type") != "message":
            continue
        who = {"user": "user", "assistant": "agent"}.get(str(item.get("role")))
        metrics = item.get("metrics") if isinstance(item.get("metrics"), dict) else {}
        assert isinstance(metrics, dict)
        times = metrics.get("started_speaking_at"), metrics.get("stopped_speaking_at")
        text = " ".join(part for part in item.get("content") or () if isinstance(part, str))
        begin_s, end_s = times
        if who is None or not _time(begin_s) or not _time(end_s):
            notices.append(f"{path}: item {number} ({text[:30]!r}) was not spoken, or without times; it was left out")
            continue
        if begin_s < started_s:
            raise InputError(
                f"{path}: item {number} ({text[:30]!r}) begins {started_s - begin_s:.3f} s before the session",
                hint="the times run backwards: was the clock set during the call?",
            )
        lines.append((who, CallLine(round((begin_s - started_s) * 1e6), round((end_s - started_s) * 1e6), text)))
    return round(started_s * 1e6), lines, round(lasts_ms * 1000)


def _time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and 0 <= value < 1e12


def _probabilities(user: Sequence[CallLine], lasts_us: int) -> list[tuple[int, float]]:
    voiced = bytearray(-(-lasts_us // FRAME_US))
    for speech in user:
        first, last = speech.begin_us // FRAME_US, -(-speech.end_us // FRAME_US)
        voiced[first:last] = b"\1" * (min(last, len(voiced)) - first)
    return [(frame, _VOICED if voice else _SILENT) for frame, voice in enumerate(voiced)]


def _words(user: Sequence[CallLine]) -> Callable[[int, int], str]:
    """The transcript between two frames: the lines in it."""

    def words(first: int, last: int) -> str:
        begin_us, end_us = first * FRAME_US, (last + 1) * FRAME_US
        return " ".join(one.text for one in user if one.begin_us < end_us and one.end_us > begin_us and one.text)

    return words
