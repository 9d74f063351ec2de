"""How far a prediction is from what really happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flowkit.figures.report import TurnReport


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
