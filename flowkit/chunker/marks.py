"""What to do at a mark: the answers of `stops`, `clauses` and `spans`, with the rules applied."""

from __future__ import annotations

from .chunk import Reason
from .clauses import clause_end
from .draft import Draft, size_of
from .rules import Rules
from .spans import Terms, fence_end, span_end
from .stops import emoji_end, sentence_end
from .tails import smiley
from .text import CLOSE, DOTS, EMOJI, GHOST, KIND, LINE, OPEN, PAIRS, PAUSE, STOP, STOPS, measure, speakable
from .value import TYPE_CHECKING
from .view import NO, WAIT, View, past

if TYPE_CHECKING:
    from collections.abc import Callable

_COMMAS, _SEMICOLONS, _COLONS = ",،、，፣", ";؛；፤·", ":："


class MarkStep:
    """What to do at a mark.

    Args:
        end: the index to cut at or to skip to; NO to read one character and continue; WAIT to wait for more text.
        reason: why to cut at `end`; None not to cut.
        size: tokens up to `end`, if that is not the size of the text.
    """

    __slots__ = ("end", "reason", "size")

    def __init__(self, end: int, reason: Reason | None = None, size: int | None = None) -> None:
        self.end, self.reason, self.size = end, reason, size


_GO_ON = MarkStep(NO)
_STAND = MarkStep(WAIT)


def _sentence(end: int) -> MarkStep:
    return MarkStep(end, Reason.SENTENCE) if end > 0 else _STAND if end == WAIT else _GO_ON


class Marks:
    """The rules, as answers to marks. It keeps no state between two marks.

    Args:
        rules: when to cut.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._terms = Terms(rules.never_split)

    def ask(self, view: View, draft: Draft, first: bool) -> MarkStep:
        """What to do at the mark at `draft.at`; `first` in the first chunk of a reply."""
        return _ANSWERS[KIND[view.text[draft.at]]](self, view, draft, first)

    def _line(self, view: View, draft: Draft, _: bool) -> MarkStep:
        """A newline ends a chunk that has something to speak. A list marker never ends up alone."""
        if speakable(view.text[draft.start : draft.at]):
            return MarkStep(draft.at + 1, Reason.SENTENCE)
        draft.holds.clear()
        return _GO_ON

    def _stop(self, view: View, draft: Draft, first: bool) -> MarkStep:
        at, text = draft.at, view.text
        if at > draft.start and (text[at - 1] in STOPS or text.endswith(". ", draft.start, at)):
            return _GO_ON  # the run was judged at its first mark
        # First, because terms that the user named outrank every other rule.
        if self._rules.never_split and (covered := self._terms.cover(view, at)) != NO:
            return _STAND if covered == WAIT else _GO_ON
        end = sentence_end(view, at)
        return self._hesitation(view, draft, first) if end == NO and text[at] in DOTS else _sentence(end)

    def _hesitation(self, view: View, draft: Draft, first: bool) -> MarkStep:
        """An ellipsis that ends no sentence may end a clause."""
        run = past(view.text, draft.at, DOTS)
        ellipsis = run - draft.at > 1 or view.text[draft.at] != "."
        if not ellipsis or view.holds or not view.char(run).isspace():
            return _GO_ON
        return self._clause(view, draft, run, first)

    def _pause(self, view: View, draft: Draft, first: bool) -> MarkStep:
        at = draft.at
        if self._rules.never_split and (covered := self._terms.cover(view, at)) != NO:
            return _STAND if covered == WAIT else _GO_ON
        # A smiley may begin with a colon or a semicolon, which then separates nothing.
        if view.word == at and (face := smiley(view, at)):
            return self._emoticon(view, at, face)
        if view.text[at] in view.language.stop_marks:
            return _sentence(sentence_end(view, at))
        end = clause_end(view, at)
        return self._clause(view, draft, end, first) if end > 0 else _STAND if end == WAIT else _GO_ON

    def _clause(self, view: View, draft: Draft, end: int, first: bool) -> MarkStep:
        """A cut if the chunk is long enough; otherwise a place to come back to."""
        size, mark = draft.size + measure(view.text[draft.at : end]), view.text[draft.at]
        least = self._rules.first.min_tokens if first else self._least(mark)
        if self._rules.mode == "clause" and size >= least:
            return MarkStep(end, Reason.COMMA if mark in _COMMAS else Reason.CLAUSE)
        if size <= self._rules.max_tokens:
            draft.clauses.append((end, size))
        return _GO_ON

    def _least(self, mark: str) -> int:
        """Tokens from which a mark cuts, after the first chunk."""
        rules = self._rules
        if mark in _COMMAS:
            return rules.comma_after
        if mark in _SEMICOLONS:
            return rules.semicolon_after
        return rules.colon_after if mark in _COLONS else rules.dash_after

    def _open(self, view: View, draft: Draft, _: bool) -> MarkStep:
        char = view.text[draft.at]
        if draft.close(char):
            return _GO_ON
        if char in "`~" and draft.at > draft.start and view.text[draft.at - 1] == char:
            return _GO_ON  # the run was judged at its first mark
        if char in "`~<[{":
            step = self._span(view, draft)
            if step is not _GO_ON:
                return step
        # Behind a word, » closes, as in French.
        if char in PAIRS and not (char == "»" and view.word < draft.at):
            draft.holds.append((PAIRS[char], draft.size))
        return _GO_ON

    def _span(self, view: View, draft: Draft) -> MarkStep:
        at, char = draft.at, view.text[draft.at]
        if char in "`~" and (end := fence_end(view, at)) != NO:
            if end == WAIT:
                return _STAND
            if self._rules.speak.fence != "verbatim":
                return self._fence(view, draft, end)
        if char == "<" and (face := smiley(view, at)):
            return self._emoticon(view, at, face)
        end = span_end(view, at)
        return _STAND if end == WAIT else MarkStep(end) if end else _GO_ON

    def _fence(self, view: View, draft: Draft, end: int) -> MarkStep:
        """A code block is a separate chunk, as large as what is spoken for it."""
        if speakable(view.text[draft.start : draft.at]):
            return MarkStep(draft.at, Reason.SENTENCE, 0)
        room = self._rules.max_tokens - draft.size
        return MarkStep(end, Reason.SENTENCE, min(room, size_of(view.language.code_example)))

    def _close(self, view: View, draft: Draft, _: bool) -> MarkStep:
        draft.close(view.text[draft.at])
        return _GO_ON

    def _emoji(self, view: View, draft: Draft, _: bool) -> MarkStep:
        at = draft.at
        end = view.emoji_end(at)
        if end != WAIT and at > draft.start and KIND[view.text[at - 1]] in (EMOJI, GHOST):
            return MarkStep(end)  # the run was judged at its first mark
        return self._emoticon(view, at, end)

    def _emoticon(self, view: View, at: int, face: int) -> MarkStep:
        """An emoji or smiley up to `face`: it may end a sentence, and is never cut itself."""
        if face == WAIT:
            return _STAND
        end = emoji_end(view, at, face)
        return MarkStep(face) if end == NO else _sentence(end)


_ANSWERS: dict[int, Callable[[Marks, View, Draft, bool], MarkStep]] = {
    EMOJI: Marks._emoji,
    LINE: Marks._line,
    STOP: Marks._stop,
    PAUSE: Marks._pause,
    OPEN: Marks._open,
    CLOSE: Marks._close,
}
