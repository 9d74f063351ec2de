"""Rules: ranges, and the lint for those that contradict each other."""

from __future__ import annotations

import pytest

from flowkit.chunker import FirstRules, Rules, lint


def test_the_defaults_are_in_order() -> None:
    assert lint(Rules()) == []


@pytest.mark.parametrize("name", ["comma_after", "semicolon_after", "colon_after", "dash_after", "max_tokens"])
def test_a_number_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be >= 1 \(got 0\)"):
        Rules(**{name: 0})  # type: ignore[arg-type]


def test_the_first_rules_and_the_mode_are_checked_too() -> None:
    with pytest.raises(ValueError, match=r"first\.min_tokens must be >= 1"):
        Rules(first=FirstRules(0))
    with pytest.raises(ValueError, match="mode must be 'clause' or 'sentence'"):
        Rules(mode="words")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(max_tokens=10), "comma_after (12) is above max_tokens (10)"),
        (Rules(first=FirstRules(40), comma_after=50, max_tokens=45), "comma_after (50) is above max_tokens (45)"),
        (Rules(first=FirstRules(31), comma_after=31), "first.min_tokens (31) is above max_tokens (30)"),
        (Rules(first=FirstRules(20)), "first.min_tokens (20) is above comma_after (12)"),
        (Rules(mode="sentence", comma_after=5), "mode is 'sentence'"),
        (Rules(mode="sentence", first=FirstRules(9)), "mode is 'sentence'"),
        (
            Rules(first=FirstRules(1), comma_after=1, semicolon_after=1, colon_after=1, dash_after=1, max_tokens=4),
            "max_tokens is 4",
        ),
        (Rules(never_split=(" ",)), "never_split: ' '"),
    ],
)
def test_contradictions_are_told(rules: Rules, said: str) -> None:
    assert any(said in sentence for sentence in lint(rules))
