"""The approved result of a stored trace, and how a new result differs from it.

The result contains only figures in virtual time. They do not depend on the machine's load, so they are compared without
a tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowkit.clock import ms
from flowkit.config.budgets import PARTS
from flowkit.figures.report import InterruptReport, QueueReport, Report, TurnReport
from flowkit.report.outcome import Change

_TEXTS = ("user", "end_reason", "heard")
_OF_INTERRUPT = ("speech_to_silence_ms", "decision_to_silence_ms", "stale_frames", "discarded")


def snapshot(report: Report, settings: Mapping[str, str], sent: Mapping[str, str]) -> dict[str, Any]:
    """The part of a report that ``flowkit approve`` stores.

    `settings` are those that differ from the recorded ones, so that a later comparison can say which setting changed.
    `sent` has a digest of what left for the provider of each stage.
    """
    return {
        "settings": dict(settings),
        "turns": [_turn(turn) for turn in report.turns],
        "interrupts": [_interrupt(told) for told in report.interrupts],
        "queues": {queue.stage: _queue(queue) for queue in report.queues},
        "sent": dict(sent),
    }


def _turn(turn: TurnReport) -> dict[str, Any]:
    known: dict[str, Any] = {"turn": turn.turn, "user": turn.user, "end_reason": turn.end_reason, "heard": turn.heard}
    known["ttfa_ms"] = None if turn.ttfa_us is None else _number(turn.ttfa_us)
    if turn.parts_us is not None:
        known["parts_ms"] = {part: _number(us) for part, us in zip(PARTS, turn.parts_us, strict=True)}
    if turn.answer_us is not None:
        known["answer_ms"] = _number(turn.answer_us)
    if turn.modelled:
        known["modelled"] = True
    if turn.odds is not None:
        known["odds"] = str(turn.odds)
    if turn.revoked:
        known["revoked"] = turn.revoked
    # Relative to the user's last voiced frame, so that a turn that is only shifted in time does not differ.
    known["clauses"] = [
        {"after_ms": _number(c.t_us - turn.started_us), "reason": c.reason, "text": c.text.strip()}
        for c in turn.clauses
    ]
    return known


def _interrupt(told: InterruptReport) -> dict[str, Any]:
    stored = told.to_json()
    return {"turn": told.turn, **{name: _plain(stored[name]) for name in _OF_INTERRUPT}}


def _queue(queue: QueueReport) -> dict[str, Any]:
    return {"high_water": queue.high_water, "dropped": queue.dropped, "blocked_ms": _number(queue.blocked_us)}


def _number(us: int) -> int | float:
    return _plain(ms(us))  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    """A whole number as int, so that it is written without a decimal point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def changes(approved: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """The differences between two results of ``snapshot``, in the order of turns.

    Queues and what was sent count only where nothing else differs: another delay or clause changes them too. A result that
    was approved before they were stored has neither.
    """
    found = sorted(_changes(approved, now), key=lambda change: change.turn)
    return found or [
        *_by_stage("queue", approved, now, "queues"),
        *_by_stage("checksum of what was sent to", approved, now, "sent"),
    ]


def _by_stage(what: str, approved: Mapping[str, Any], now: Mapping[str, Any], name: str) -> Iterator[Change]:
    if name not in approved:
        return
    before, after = approved[name] or {}, now[name]
    for stage in dict.fromkeys([*before, *after]):
        if before.get(stage) != after.get(stage):
            yield Change(0, f"{what} {stage}", _told(before.get(stage)), _told(after.get(stage)))


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told}" for name, told in value.items())
    return "nothing" if value is None else str(value)


def _changes(approved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    before, after = _by_turn(approved.get("turns")), _by_turn(now["turns"])
    for number in sorted({*before, *after}):
        if number not in after:
            yield Change(number, "turn", "there", "gone")
        elif number not in before:
            yield Change(number, "turn", "none", "new", odds=after[number].get("odds", ""))
        else:
            odds = after[number].get("odds", "")
            yield from (replace(change, odds=odds) for change in _of_turn(number, before[number], after[number]))
    yield from _interrupts(approved.get("interrupts") or (), now["interrupts"])


def _by_turn(turns: Any) -> dict[int, Mapping[str, Any]]:
    return {turn["turn"]: turn for turn in turns or ()}


def _of_turn(number: int, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    modelled = bool(now.get("modelled"))
    yield from _duration(number, "ttfa", before.get("ttfa_ms"), now.get("ttfa_ms"), modelled)
    for part in PARTS:
        # A result that was approved before there was this part took no time in it.
        old, new = (parts.get(part, 0) if (parts := known.get("parts_ms")) else None for known in (before, now))
        yield from _duration(number, part, old, new, modelled)
    yield from _duration(number, "answer", before.get("answer_ms"), now.get("answer_ms"), modelled)
    for name in (*_TEXTS, "revoked"):
        if before.get(name) != now.get(name):
            yield Change(number, name, repr(before.get(name)), repr(now.get(name)), modelled=modelled)
    yield from _clauses(number, before.get("clauses") or (), now["clauses"], modelled)


def _duration(turn: int, what: str, before: Any, now: Any, modelled: bool) -> Iterator[Change]:
    if before == now:
        return
    known = before is not None and now is not None
    delta = round(now - before, 3) if known else None
    yield Change(turn, what, _shown(before), _shown(now), delta, modelled)


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g} ms"


def _clauses(turn: int, before: Any, now: Any, modelled: bool) -> Iterator[Change]:
    """The clauses that differ. If only their times differ, the first such clause."""
    old, new = ([(c["text"], c["reason"]) for c in clauses] for clauses in (before, now))
    if old != new:
        first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        behind = next(
            (i for i, (a, b) in enumerate(zip(old[:first:-1], new[:first:-1], strict=False)) if a != b),
            min(len(old), len(new)) - first - 1,
        )
        ends = [len(clauses) - max(0, behind) for clauses in (old, new)]
        yield Change(turn, "clauses", _cut(old[first : ends[0]]), _cut(new[first : ends[1]]), modelled=modelled)
        return
    for index, (a, b) in enumerate(zip(before, now, strict=True), 1):
        if a["after_ms"] != b["after_ms"]:
            delta = round(b["after_ms"] - a["after_ms"], 3)
            yield Change(
                turn, f"clause {index} cut after", _shown(a["after_ms"]), _shown(b["after_ms"]), delta, modelled
            )
            return


def _cut(clauses: list[tuple[str, str]]) -> str:
    return " | ".join(f"{text} [{reason}]" for text, reason in clauses) or "none"


def _interrupts(before: Any, now: Any) -> Iterator[Change]:
    if len(before) != len(now):
        yield Change(0, "interrupts", str(len(before)), str(len(now)))
        return
    for old, new in zip(before, now, strict=True):
        for name in ("turn", *_OF_INTERRUPT):
            if old.get(name) != new.get(name):
                yield Change(new["turn"], f"interrupt, {name}", str(old.get(name)), str(new.get(name)))
