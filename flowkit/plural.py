"""Numbers with their nouns, for people."""

from __future__ import annotations

from collections.abc import Collection


def counted(number: int | str, one: str) -> str:
    """The number with its noun, such as ``1 turn``, ``2 turns`` or ``5 to 6 turns``.

    Args:
        number: a whole number, or the text of a range.
        one: the noun for one of them. Its plural ends in s.
    """
    return f"{number} {one}{'s' * (str(number) != '1')}"


def named(numbers: Collection[int], one: str) -> str:
    """The noun with the numbers of what is meant, such as ``turn 3`` or ``turns 3, 4``. Its plural ends in s."""
    return f"{one}{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"
