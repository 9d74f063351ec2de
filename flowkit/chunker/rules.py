"""The chunker's rules: plain values with units, defaults and ranges, and a lint for rules that contradict each
other."""

from __future__ import annotations

from .value import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from typing import Literal

    Mode = Literal["clause", "sentence"]
    Way = Literal["plain", "verbatim", "skip"]
else:
    Mode = Way = str  # for code that reads the annotations at run time


class SpeakRules(Value):
    """How each kind of span is spoken: `plain` (made speakable), `verbatim` (as written) or `skip` (not at all).

    `Chunk.text` keeps the original in any case.
    """

    emphasis: Way = "plain"
    """Bold, italic, struck: plain drops the marks."""
    heading: Way = "plain"
    """`# Title`: plain drops the hashes."""
    list: Way = "plain"
    """List markers: plain drops bullets and keeps numbers."""
    quote: Way = "plain"
    """`> quoted`: plain drops the mark."""
    link: Way = "plain"
    """`[label](target)` and images: plain says the label."""
    url: Way = "plain"
    """A bare address: plain drops scheme, `www.`, query and fragment."""
    code: Way = "plain"
    """Inline code: plain drops the backticks."""
    fence: Way = "plain"
    """A code block: plain says "code example" in the reply's language."""
    table: Way = "plain"
    """A table row: plain says its cells with commas between them."""
    tag: Way = "plain"
    """An HTML or SSML tag: plain drops the tag and keeps what it encloses."""
    emoji: Way = "plain"
    """Emoji and smileys: plain says nothing."""


class FirstRules(Value):
    """Rules for the first chunk of a reply, which decides when the user hears the first sound."""

    min_tokens: int = 5
    """Clause cuts (comma, dash, colon, semicolon, ellipsis) from this many tokens on; a sentence end always cuts. At least 1."""


class Rules(Value):
    """When to cut. Tokens are estimated from the text: one per six letters, per three digits, per mark, emoji or CJK character.

    Raises:
        ValueError: a number is out of range, or `mode` is unknown.
    """

    language: str = "auto"
    """A code such as `en`, `de-AT`. `auto` detects it by the script and, in Latin script, by small words. For an
    unknown code, a general table applies."""
    mode: Mode = "clause"
    """`clause` also cuts inside long sentences; `sentence` only where `max_tokens` forces it."""
    first: FirstRules = FirstRules()
    """Rules for the first chunk of a reply."""
    comma_after: int = 12
    """Tokens from which a comma cuts, after the first chunk. At least 1."""
    semicolon_after: int = 4
    """Tokens from which a semicolon cuts, after the first chunk. At least 1."""
    colon_after: int = 5
    """Tokens from which a colon cuts, after the first chunk. At least 1."""
    dash_after: int = 12
    """Tokens from which a spaced dash or an ellipsis cuts, after the first chunk. At least 1."""
    max_tokens: int = 30
    """Hard bound on a chunk, in tokens. It cuts at the last clause mark, else at the last space, else between two
    characters as a reader sees them (a flag is one). At least 1."""
    never_split: tuple[str, ...] = ()
    """Terms that are never cut, neither inside nor directly after: `("Acme Inc.", "Yahoo!")`."""
    speak: SpeakRules = SpeakRules()
    """What TTS gets for each kind of span."""

    def __post_init__(self) -> None:
        if self.mode not in ("clause", "sentence"):
            raise ValueError(f"mode must be 'clause' or 'sentence' (got {self.mode!r})")
        numbers = {name: getattr(self, name) for name in _THRESHOLDS} | {"first.min_tokens": self.first.min_tokens}
        for name, value in numbers.items():
            if value < 1:
                raise ValueError(f"{name} must be >= 1 (got {value})")


_THRESHOLDS = ("comma_after", "semicolon_after", "colon_after", "dash_after", "max_tokens")


def lint(rules: Rules) -> list[str]:
    """One sentence for each rule that contradicts another or cannot take effect; empty if there is none."""
    found = []
    if rules.mode == "sentence" and (rules.first != FirstRules() or _changed(rules, *_THRESHOLDS[:-1])):
        found.append(
            "mode is 'sentence': the thresholds for commas, dashes, colons, semicolons and first have no effect"
        )
    if rules.mode == "clause":
        if rules.first.min_tokens > rules.max_tokens:
            found.append(_unreachable("first.min_tokens", rules.first.min_tokens, rules.max_tokens))
        if rules.first.min_tokens > rules.comma_after:
            found.append(
                f"first.min_tokens ({rules.first.min_tokens}) is above comma_after ({rules.comma_after}): "
                "the first chunk, which the user waits for, would be the longest"
            )
        found += [
            _unreachable(name, getattr(rules, name), rules.max_tokens)
            for name in _THRESHOLDS[:-1]
            if getattr(rules, name) > rules.max_tokens
        ]
    if rules.max_tokens < 5:
        found.append(f"max_tokens is {rules.max_tokens}: most sentences would be cut between words")
    found += [
        f"never_split: {term!r} holds no character that could be split"
        for term in rules.never_split
        if not term.strip()
    ]
    return found


def _changed(rules: Rules, *names: str) -> bool:
    defaults = Rules()
    return any(getattr(rules, name) != getattr(defaults, name) for name in names)


def _unreachable(name: str, value: int, bound: int) -> str:
    return f"{name} ({value}) is above max_tokens ({bound}): it can never take effect"
