"""Predictions: a what-if, and how sure it is.

What a recording cannot tell is drawn, in up to twenty worlds. How often a turn exists or is interrupted is the share of the
worlds in which it does. The figures of all worlds span a range. Of twenty-one values that are alike in kind, the last lies
between the least and the greatest of the others in 19 of 21 cases, so the range holds the truth nine times in ten.

There are two ranges. In *this conversation* the providers answer as they did, wherever the recording tells. In *the next
one* they take as long as they may take on another day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from flowkit.clock import monotonic_us
from flowkit.config.faults import InjectedFault
from flowkit.figures.outlook import Outlook, Range, Ranges, TurnOdds
from flowkit.figures.records import TurnEnd
from flowkit.figures.report import Report, TurnReport, quantile
from flowkit.plural import named
from flowkit.replay.chance import Chance, World
from flowkit.replay.changes import matched
from flowkit.replay.manifest import Manifest, manifest_of
from flowkit.replay.refusal import refusal
from flowkit.replay.simulate import Prepared, Replayed, all_hit, prepare
from flowkit.trace.reader import Trace

WORLDS = 20
"""How many worlds are drawn. With so many, their range holds nine in ten."""
_MARGIN = 0.25
"""By how many turns another world must be more like all the others, before it is more typical than the middle one."""
_RARE = 0.1
"""A turn that the prediction lacks is listed if more worlds have it."""


def predict(
    trace: Trace | Path | str,
    *,
    pipeline: str | None = None,
    overrides: tuple[str, ...] = (),
    worlds: int = WORLDS,
    following: bool = True,
    faults: tuple[InjectedFault, ...] = (),
) -> Replayed:
    """Replay a trace with changed settings, and say in `report.outlook` how sure that is.

    Args:
        trace: the trace or its path.
        pipeline: the path of another pipeline file, or None.
        overrides: ``KEY=VALUE`` settings.
        worlds: how many worlds to draw at most.
        following: whether to draw worlds of the next conversation too.
        faults: what goes wrong with the providers' answers; see ``flowkit.config.faults``.

    A replay that changes nothing has no outlook. Raises the errors of ``simulate``.
    """
    started_us = monotonic_us()
    prepared = prepare(trace, pipeline=pipeline, overrides=overrides, faults=faults)
    middle = Chance()
    first = all_hit(prepared.run(middle))
    if prepared.user is None:
        return first
    drawn = _drawn(prepared, middle, worlds)
    later = _worlds(prepared, World.NEXT, worlds if following else 0)
    typical = _typical([first, *drawn])
    # The same dice again, because only of the world that is shown the journal is needed.
    chosen = prepared.run(_chance(prepared, World.THIS, typical - 1)) if typical else first
    manifest = manifest_of(prepared.trace, prepared.material)
    outlook = Outlook(
        worlds=len(drawn),
        this=ranges([world.report for world in (first, *drawn)]),
        next=ranges([world.report for world in later]) if later else None,
        turns=tuple(_odds(chosen, [first, *drawn])),
        rests_on=_rests_on(manifest, chosen.report, middle),
    )
    reasons = refusal(prepared, chosen.report, outlook.turns if drawn else None, manifest)
    outlook = replace(outlook, refusal=tuple(reasons))
    unsure = outlook.unsure()
    report = replace(
        chosen.report,
        outlook=outlook,
        turns=tuple(replace(turn, odds=unsure.get(turn.turn)) for turn in chosen.report.turns),
        notices=(*chosen.report.notices, *manifest.lies, *outlook.lines()),
        wall_us=monotonic_us() - started_us,
    )
    return replace(chosen, report=report)


def next_ranges(trace: Trace, overrides: tuple[str, ...] = (), worlds: int = WORLDS) -> Ranges:
    """The ranges of the next conversation like a recorded one, with these settings, if any. Raises the errors of ``simulate``."""
    prepared = prepare(trace, overrides=overrides, changed=True)
    return ranges([world.report for world in _worlds(prepared, World.NEXT, worlds)])


def worlds_of(prepared: Prepared, worlds: int = WORLDS) -> tuple[list[Report], tuple[str, ...]]:
    """The report of this conversation in the middle world, and in so many others, if anything is drawn in them; and why the
    recording cannot tell, if it cannot."""
    first = prepared.run(middle := Chance(), brief=True, blocks=True)
    found = [first, *_drawn(prepared, middle, worlds)]
    odds = list(_odds(first, found)) if len(found) > 1 else None
    reasons = refusal(prepared, first.report, odds, manifest_of(prepared.trace, prepared.material))
    return [world.report for world in found], tuple(reasons)


def _drawn(prepared: Prepared, middle: Chance, worlds: int) -> list[Replayed]:
    """Worlds of this conversation, unless there is nothing to draw in them."""
    return _worlds(prepared, World.THIS, worlds if middle.drawn else 0)


def _worlds(prepared: Prepared, world: World, count: int) -> list[Replayed]:
    chances = (_chance(prepared, world, number) for number in range(count))
    return [prepared.run(chance, brief=True, blocks=True) for chance in chances]


def _chance(prepared: Prepared, world: World, number: int) -> Chance:
    return Chance(world, f"{prepared.trace.digest}:{world.name}:{number}")


def _rests_on(manifest: Manifest, report: Report, chance: Chance) -> dict[str, tuple[str, ...]]:
    assumed = tuple(told.removeprefix(_ASSUMED) for told in report.notices if told.startswith(_ASSUMED))
    modelled = (f"{report.modelled_share:.0%} of the clauses are modelled",) if report.modelled_share else ()
    injected = tuple(f"{written} ({named(hit, 'turn')})" for written, hit in report.injected.items())
    return {
        "recorded": manifest.recorded,
        "missing": manifest.missing,
        **({"injected": injected} if injected else {}),
        "assumed": (*modelled, *assumed),
        "drawn": tuple(chance.drawn),
    }


_ASSUMED = "assumed: "

# -- structure ---------------------------------------------------------------------------------------------------------


def _typical(worlds: Sequence[Replayed]) -> int:
    """The place of the world whose turns are most like those of all; 0, the middle one, if it is about as good."""
    far = [sum(_distance(one, other) for other in worlds) / len(worlds) for one in worlds]
    best = min(range(len(worlds)), key=lambda place: (far[place], place))
    return best if far[best] + _MARGIN < far[0] else 0


def _distance(a: Replayed, b: Replayed) -> int:
    """How many turns of the two are missing in the other, or ended otherwise."""
    ends_a, ends_b = _ends(a), _ends(b)
    same = matched(a.spans, b.spans)
    otherwise = sum(ends_a.get(one) != ends_b.get(other) for one, other in same.items())
    return len(a.spans) + len(b.spans) - 2 * len(same) + otherwise


def _ends(world: Replayed) -> dict[int, str]:
    return {turn.turn: turn.end_reason for turn in world.report.turns}


def _odds(chosen: Replayed, worlds: Sequence[Replayed]) -> Iterator[TurnOdds]:
    found = [(world, matched(chosen.spans, world.spans), _ends(world)) for world in worlds]
    for turn in chosen.report.turns:
        ends = [ends.get(same[turn.turn]) for _, same, ends in found if turn.turn in same]
        cut = sum(end == TurnEnd.INTERRUPTED for end in ends)
        yield TurnOdds(turn.turn, turn.user, len(ends) / len(worlds), cut / len(worlds))
    yield from _others(found)


def _others(found: Sequence[tuple[Replayed, dict[int, int], dict[int, str]]]) -> Iterator[TurnOdds]:
    """The turns that only other worlds have. The first world that has one stands for all that have it."""
    known: list[tuple[Replayed, TurnReport, list[str]]] = []
    for world, same, ends in found:
        for turn in (turn for turn in world.report.turns if turn.turn not in same.values()):
            alone = {turn.turn: world.spans.get(turn.turn, ())}
            mine = (ends_of for of, first, ends_of in known if matched(alone, {0: of.spans.get(first.turn, ())}))
            if (ends_of := next(mine, None)) is None:
                known.append((world, turn, ends_of := []))
            ends_of.append(ends[turn.turn])
    for _, turn, ends_of in known:
        share, cut = len(ends_of) / len(found), ends_of.count(TurnEnd.INTERRUPTED)
        if share > _RARE:
            yield TurnOdds(0, turn.user, min(1.0, share), min(1.0, cut / len(found)))


# -- figures -----------------------------------------------------------------------------------------------------------


def ranges(reports: Sequence[Report]) -> Ranges:
    """The ranges of the figures of these worlds."""
    return Ranges(
        ttfa_p50=_range(reports, lambda report: _ttfa(report, 0.5)),
        ttfa_p95=_range(reports, lambda report: _ttfa(report, 0.95)),
        turns=_range(reports, lambda report: len(report.turns)),
        interrupts=_range(reports, interrupted),
    )


def _range(reports: Sequence[Report], figure: Callable[[Report], int | None]) -> Range:
    known = [value for report in reports if (value := figure(report)) is not None]
    return Range(min(known, default=None), max(known, default=None))


def _ttfa(report: Report, share: float) -> int | None:
    known = sorted(turn.ttfa_us for turn in report.turns if turn.ttfa_us is not None)
    return quantile(known, share) if known else None


def interrupted(report: Report) -> int:
    """How many turns were interrupted."""
    return sum(turn.end_reason == TurnEnd.INTERRUPTED for turn in report.turns)


__all__ = ["WORLDS", "interrupted", "next_ranges", "predict", "ranges", "worlds_of"]
