"""How far a prediction is from what really happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from flowkit.figures.outlook import Ranges, Sureness
from flowkit.figures.report import Report, TurnReport
from flowkit.replay.predict import ranges


@dataclass
class Score:
    """Sums over many conversations. `wrong` counts turns that are missing, invented, or ended otherwise."""

    turns: int = 0
    predicted: int = 0
    wrong: int = 0
    interrupted: int = 0
    interrupted_predicted: int = 0
    errors_us: list[int] = field(default_factory=list)

    def add(self, predicted: Sequence[TurnReport], true: Sequence[TurnReport]) -> int:
        """Compare one conversation. Returns how many of its turns are wrong."""
        pairs = aligned(predicted, true)
        wrong = len(predicted) + len(true) - 2 * len(pairs) + sum(a.end_reason != b.end_reason for a, b in pairs)
        self.turns += len(true)
        self.predicted += len(predicted)
        self.wrong += wrong
        self.interrupted += sum(turn.end_reason == "interrupted" for turn in true)
        self.interrupted_predicted += sum(turn.end_reason == "interrupted" for turn in predicted)
        self.errors_us += [
            abs(a.ttfa_us - b.ttfa_us)
            for a, b in pairs
            if a.ttfa_us is not None and b.ttfa_us is not None and a.end_reason == b.end_reason
        ]
        return wrong

    def pool(self, other: Score) -> None:
        """Add the sums of another score."""
        for known in fields(self):
            setattr(self, known.name, getattr(self, known.name) + getattr(other, known.name))

    def to_json(self) -> dict[str, Any]:
        """The figures, in milliseconds and percent."""
        errors = sorted(self.errors_us) or [0]
        at = {q: errors[min(len(errors) - 1, int(q * len(errors) / 100))] / 1000 for q in (50, 90, 95)}
        return {
            "turns": self.turns,
            "structure_wrong_percent": round(100 * self.wrong / max(1, self.turns), 1),
            "ttfa_error_ms": {"median": at[50], "p90": at[90], "p95": at[95]},
            "turns_predicted": self.predicted,
            "interrupted": self.interrupted,
            "interrupted_predicted": self.interrupted_predicted,
        }


@dataclass
class Admission:
    """How well predictions know how good they are, as sums over conversations. `truths` counts those that lie in their range,
    below it and above it, by figure and by the name of the range."""

    asked: int = 0
    refused: int = 0
    sure_and_right: int = 0
    sure_but_wrong: int = 0
    unsure_but_right: int = 0
    unsure_and_wrong: int = 0
    wrong_seeds: list[int] = field(default_factory=list)
    truths: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)

    def add(self, seed: int, predicted: Report, true: Report, fresh: Report) -> None:
        """Add a conversation: its prediction, its rerun with the same noise, and one with fresh noise."""
        outlook = predicted.outlook
        assert outlook is not None
        self.asked += 1
        if outlook.verdict is Sureness.CANNOT_JUDGE:
            self.refused += 1
            return
        wrong = Score().add(predicted.turns, true.turns) > 0
        if outlook.verdict is Sureness.CERTAIN:
            self.sure_but_wrong, self.sure_and_right = self.sure_but_wrong + wrong, self.sure_and_right + (not wrong)
            self.wrong_seeds += [seed] if wrong else []
        else:
            self.unsure_and_wrong, self.unsure_but_right = (
                self.unsure_and_wrong + wrong,
                self.unsure_but_right + (not wrong),
            )
        assert outlook.next is not None
        self._count("this conversation", outlook.this, true)
        self._count("the next one", outlook.next, fresh)

    def pool(self, other: Admission) -> None:
        """Add the sums of other predictions."""
        for known in fields(self):
            if known.name != "truths":
                setattr(self, known.name, getattr(self, known.name) + getattr(other, known.name))
        for name, figures in other.truths.items():
            for figure, found in figures.items():
                self.truths.setdefault(name, {}).setdefault(figure, Counter()).update(found)

    def _count(self, name: str, predicted: Ranges, truth: Report) -> None:
        exact = ranges([truth])
        for figure in FIGURES:
            found, value = getattr(predicted, figure), getattr(exact, figure).low
            if value is not None and found.low is not None:
                where = "below" if value < found.low else "above" if value > found.high else "within"
                self.truths.setdefault(name, {}).setdefault(figure, Counter())[where] += 1

    def to_json(self) -> dict[str, Any]:
        """The figures in percent: of conversations, and of truths."""
        of = 100 / max(1, self.asked)
        return {
            "conversations": self.asked,
            "cannot_judge_percent": round(of * self.refused, 1),
            "wrong_without_admission_percent": round(of * self.sure_but_wrong, 1),
            "admitted_though_right_percent": round(of * self.unsure_but_right, 1),
            "admitted_and_wrong_percent": round(of * self.unsure_and_wrong, 1),
            "covered_percent": {name: _covered(known) for name, known in self.truths.items()},
            "wrong_seeds": self.wrong_seeds[:10],
        }


FIGURES = ("ttfa_p50", "ttfa_p95", "turns", "interrupts")


def _covered(known: dict[str, Counter[str]]) -> dict[str, Any]:
    every = sum(known.values(), Counter[str]())
    return {
        name: {
            "within": round(100 * found["within"] / found.total(), 1),
            "below": found["below"],
            "above": found["above"],
        }
        for name, found in ({**known, "all": every}).items()
    }


def aligned(a: Sequence[TurnReport], b: Sequence[TurnReport]) -> list[tuple[TurnReport, TurnReport]]:
    """Pairs of turns, in order, that answer some of the same words: as many as possible, then as many as possible that
    ended alike. Every word of a person of this world occurs once."""
    said_a, said_b = [set(turn.user.split()) for turn in a], [set(turn.user.split()) for turn in b]
    # Longest common subsequence with weights, from the end.
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            if said_a[i] & said_b[j]:
                best[i][j] = max(best[i][j], best[i + 1][j + 1] + _worth(a[i], b[j]))
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if said_a[i] & said_b[j] and best[i][j] == best[i + 1][j + 1] + _worth(a[i], b[j]):
            pairs.append((a[i], b[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _worth(a: TurnReport, b: TurnReport) -> float:
    return 1 + 0.01 * (a.end_reason == b.end_reason) + 0.001 * (a.user == b.user)
