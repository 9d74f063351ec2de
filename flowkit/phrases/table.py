"""The table of one language: phrases in lists, separated by commas, written as an ASR writes them.

Case, accents' composition, hyphens and the kind of apostrophe do not matter. A phrase may have several words.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endings:
    """Phrases of a language. `opens` and `fillers` are looked for at the end of what was said."""

    opens: str = ""
    """What cannot be the end of a turn: conjunctions, articles, prepositions, verbs that lack their object."""
    loose: str = ""
    """Those of `opens` that end a sentence too, such as "on" in "turn it on"."""
    fillers: str = ""
    """What a speaker says to keep the turn."""
    questions: str = ""
    """How a question of the agent begins. After one, a short answer is complete."""
    answers: str = ""
    """Whole answers to a question of yes or no."""
    numbers: str = ""
    """Digits and numbers, as they are spelled out."""
    asks_number: str = ""
    """What the agent says when it asks for a number, or a spelling, that is read in groups."""
    asks_name: str = ""
    """What the agent says when it asks for a name or a place."""
    backchannels: str = ""
    """What a listener says without wanting the turn: "mhm", "I see", a laugh."""
