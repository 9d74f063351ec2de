"""Numbers with their nouns, for people."""

from __future__ import annotations


def counted(number: int | str, one: str) -> str:
    """The number with its noun, such as ``1 turn``, ``2 turns`` or ``5 to 6 turns``.

    Args:
        number: a whole number, or the text of a range.
        one: the noun for one of them. Its plural ends in s.
    """
    return f"{number} {one}{'s' * (str(number) != '1')}"
