"""What looks wrong in a call: channels that are swapped, clocks that drift apart, times that run backwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from flowkit.calls.call import CallLine, gaps
from flowkit.errors import InputError
from flowkit.replay.voice import theil_sen

_SOON_US = 1_000_000
"""A side that falls silent so soon after the other has begun to speak gives way."""
_FEWEST, _SHORTEST_US = 12, 120_000_000
"""Answers of each side, and a length of the call, from which its clocks can be compared."""
_LEAST_DRIFT, _SURE = 0.0003, 3.0
"""The smallest drift that is reported, and how many times its standard error it has to be."""
_NORMAL = 1.48
"""From the median of absolute errors to the standard deviation of normal ones."""


def swapped(user: Sequence[CallLine], agent: Sequence[CallLine]) -> bool:
    """Whether the user gives way to the agent, and not the other way round, so that they are probably swapped."""
    return _given_way(user, agent) >= 2 + 2 * _given_way(agent, user)


def _given_way(first: Sequence[CallLine], second: Sequence[CallLine]) -> int:
    """How often the first side stops because the second begins."""
    return sum(
        early.begin_us < late.begin_us < early.end_us < min(late.end_us, late.begin_us + _SOON_US)
        for late in second
        for early in first
    )


def drift_of(user: Sequence[CallLine], agent: Sequence[CallLine]) -> float | None:
    """By which share the agent's channel seems too long; None if it does not, or if the call is too short to know.

    If it is, the agent's answers come later and later, and the user's sooner and sooner. People vary more than agents, so
    their answers can contradict, but seldom confirm it.
    """
    answers, questions = gaps(user, agent), gaps(agent, user)
    lasts_us = max((speech.end_us for speech in (*user, *agent)), default=0)
    if min(len(answers), len(questions)) < _FEWEST or lasts_us < _SHORTEST_US:
        return None
    (later, doubt), (sooner, other_doubt) = _trend(answers, lasts_us), _trend(questions, lasts_us)
    weights = 1 / max(doubt, 1e-9) ** 2, 1 / max(other_doubt, 1e-9) ** 2
    drift = (later * weights[0] - sooner * weights[1]) / sum(weights)
    sure = abs(drift) > _SURE * sum(weights) ** -0.5
    contradicted = abs(sooner + drift) > _SURE * other_doubt
    return drift if sure and not contradicted and abs(drift) >= _LEAST_DRIFT else None


def _trend(points: Sequence[tuple[int, int]], lasts_us: int) -> tuple[float, float]:
    """How the gaps grow with time, and the standard error of that."""
    start, slope = theil_sen(list(points))
    error_us = median(abs(gap_us - start - slope * at_us) for at_us, gap_us in points)
    return slope, _NORMAL * error_us / (lasts_us * (len(points) / 12) ** 0.5)


def doubts(user: Sequence[CallLine], agent: Sequence[CallLine]) -> Iterator[str]:
    """Lines for the user about what looks wrong."""
    if not user or not agent:
        yield f"nothing is heard on the {'agent' if user else 'user'}'s channel"
    elif swapped(user, agent):
        yield "the user falls silent when the agent begins to speak: the channels look swapped; --swap exchanges them"
    if (drift := drift_of(user, agent)) is not None:
        order = ("later", "long") if drift > 0 else ("sooner", "short")
        yield (
            f"the agent answers {order[0]} and {order[0]}: either it changes its pace, or its channel is {abs(drift):.2%} too "
            f"{order[1]} because two clocks were used; in that case --drift={drift:.2%} corrects it"
        )


def check_times(speech: Sequence[CallLine], lasts_us: int, name: str) -> None:
    """Raises InputError if times run backwards, are negative, or lie after the end of the call."""
    latest_us = 0
    for number, one in enumerate(speech, 1):
        at = f"{name}: entry {number} ({one.text[:30]!r})"
        if one.end_us < one.begin_us:
            raise InputError(f"{at} ends at {one.end_us / 1e6:g} s, before it begins at {one.begin_us / 1e6:g} s")
        if one.begin_us < latest_us:
            what = f"begins at {one.begin_us / 1e6:g} s, before the entry before it ({latest_us / 1e6:g} s)"
            raise InputError(f"{at} {what}", hint="the times run backwards: was the clock set during the call?")
        if one.end_us > lasts_us:
            raise InputError(f"{at} ends at {one.end_us / 1e6:g} s, after the end of the call at {lasts_us / 1e6:g} s")
        latest_us = one.begin_us
