"""Finds the fewest turns of a recording that still show something: delta debugging over its turns.

https://www.debuggingbook.org/html/DeltaDebugger.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from flowkit.config.faults import InjectedFault
from flowkit.config.tests import OF_SESSION, OF_TURN, Assertion
from flowkit.errors import UsageError
from flowkit.figures.report import Report
from flowkit.replay.changes import spans_of
from flowkit.replay.fewer import fewest, spoken_turns
from flowkit.replay.simulate import Prepared, Replayed, all_hit, prepare
from flowkit.testing.suite.words import judged
from flowkit.trace.reader import Trace

Shows = Callable[[Report], bool]
"""A condition on the figures of a replay."""


class Shrunk(NamedTuple):
    """The result of ``shrink``."""

    turns: tuple[int, ...]
    """The numbers of the turns that are left, as in the recording."""
    of: int
    """How many turns it had."""
    replays: int
    replayed: Replayed
    """The session with these turns alone."""


@dataclass
class _Search:
    prepared: Prepared
    shows: Shows
    replays: int = 0
    known: dict[tuple[int, ...], Report | None] = field(default_factory=dict)

    def showing(self, turns: tuple[int, ...]) -> Report | None:
        """The figures of the session with these turns alone, if it shows what is looked for."""
        if turns not in self.known:
            self.replays += 1
            report = self.prepared.with_turns(turns).run(brief=True, blocks=True).report
            self.known[turns] = report if self.shows(report) else None
        return self.known[turns]


def shrink(
    trace: Trace, shows: Shows, *, overrides: tuple[str, ...] = (), faults: tuple[InjectedFault, ...] = ()
) -> Shrunk:
    """The fewest turns with which `shows` holds, such that it does not without any one of them.

    A fault in a turn of the recording stays with that turn, and goes with it. Raises UsageError if the whole recording does not
    show it, or if a fault does nothing.
    """
    prepared = prepare(trace, overrides=overrides, faults=faults, changed=True)
    whole = tuple(turn.number for turn in spoken_turns(spans_of(prepared.then)))
    search = _Search(prepared, shows)
    # With nothing changed, the user need not be followed, which is faster.
    found = all_hit((prepared if overrides or faults else replace(prepared, user=None)).run(brief=True)).report
    if not shows(found):
        raise UsageError(f"{trace.path.name}: the condition does not hold in a replay of the whole recording")
    left = _around(whole, _suspects(whole, found, shows), lambda some: search.showing(some) is not None)
    # Again, because only now its rows are needed.
    return Shrunk(left, len(whole), search.replays, prepared.with_turns(left).run(blocks=True))


def _suspects(turns: tuple[int, ...], report: Report, shows: Shows) -> tuple[int, ...]:
    """The fewest turns whose figures alone show it. That costs no replay, because they are in the report of the whole."""

    def showing(some: tuple[int, ...]) -> bool:
        return shows(replace(report, turns=tuple(turn for turn in report.turns if turn.turn in set(some))))

    return fewest(turns, showing) if showing(turns) else ()


def _around(
    turns: tuple[int, ...], suspects: tuple[int, ...], holds: Callable[[tuple[int, ...]], bool]
) -> tuple[int, ...]:
    """The fewest turns. The suspects may be all of them. Else what else it takes came before the last one."""
    if not suspects:
        return fewest(turns, holds)
    if holds(suspects):
        return fewest(suspects, holds) if len(suspects) > 1 else suspects
    earlier = (turn for turn in turns[: turns.index(suspects[-1])] if turn not in suspects)
    before = fewest(tuple(earlier), lambda some: holds(tuple(sorted((*some, *suspects)))))
    found = tuple(sorted((*before, *suspects)))
    return fewest(found if holds(found) else turns, holds)


def condition(texts: Sequence[str]) -> Shows:
    """What holds if each assertion does, written as under `expect:`. One about a turn without its number holds if it does in any
    turn.

    Raises UsageError if a text is no assertion.
    """
    assertions = [_assertion(text) for text in texts]
    return lambda report: all(_holds(*one, report) for one in assertions)


def _assertion(text: str) -> tuple[Assertion, bool]:
    """The assertion, and whether any turn will do."""
    try:
        known: Any = yaml.safe_load(text)
        any_turn = "turn" not in known and known.get("what") in OF_TURN and known["what"] not in OF_SESSION
        return Assertion.model_validate({**known, "turn": 1} if any_turn else known), any_turn
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        what = str(error).splitlines()[-1].strip() if isinstance(error, ValidationError) else "no mapping"
        raise UsageError(
            f"--if takes an assertion, such as '{{what: end_reason, equals: interrupted}}' (got {text!r}: {what})"
        ) from error


def _holds(assertion: Assertion, any_turn: bool, report: Report) -> bool:
    if not any_turn:
        return not list(judged([assertion], report))
    return any(not list(judged([assertion.model_copy(update={"turn": turn.turn})], report)) for turn in report.turns)
