"""The incremental machine: characters in, chunks out.

It reads character by character. Most only add to the chunk's size. A mark asks a question of `stops`, `clauses` or
`spans`, and the answer is an index to cut at, NO, or WAIT; after WAIT the machine stands still, unchanged, until more
text comes and the same question is asked again. So the chunks depend on the text alone and never on how the stream
was cut into tokens. When the next character would exceed `max_tokens`, the chunk ends at the last good point before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .chunk import Chunk, Reason
from .clauses import clause_end, glued
from .draft import Draft, size_of
from .languages import Language, guess, load
from .rules import Rules
from .spans import Terms, fence_end, span_end
from .speak import speak
from .stops import emoji_end, sentence_end
from .tails import smiley
from .text import CLOSE, DIGIT, DOTS, EMOJI, GHOST, IDEOGRAPH, KIND, LETTER, LINE, OPEN, PAIRS, PAUSE, SPACE, STOP, STOPS, measure
from .view import LOOK, NO, WAIT, View, past

_NEXT_SENTENCE = " Qq "
"""What a likely end is tried against: a capital that is no known word."""


class Step(NamedTuple):
    """What to do at a mark.

    Args:
        end: the index to cut at or to pass over to; NO to take one character and go on; WAIT to wait for more text.
        reason: why to cut at `end`; None not to.
        size: tokens up to `end`, if they are not what the text measures.
    """

    end: int
    reason: Reason | None = None
    size: int | None = None


_GO_ON = Step(NO)
_STAND = Step(WAIT)


class Chunker:
    """Cuts a stream of text into speakable chunks, each as soon as it is certain.

    Args:
        rules: when to cut and how to speak.
    """

    def __init__(self, rules: Rules = Rules()) -> None:
        self._rules = rules
        self._terms = Terms(rules.never_split)
        self.reset()

    def reset(self) -> None:
        """Forgets everything: the next text begins a new reply."""
        self._text = ""
        self._lead: list[str] = []
        self._draft = Draft()
        self._count = 0
        self._language = load("en" if self._rules.language == "auto" else self._rules.language)

    def feed(self, text: str) -> list[Chunk]:
        """Takes the next piece of the reply, cut anyhow, and returns the chunks that are certain now."""
        self._text += text
        chunks = self._scan(final=False)
        if chunks or not self._draft.size:
            self._forget()
        return chunks

    def flush(self) -> list[Chunk]:
        """The reply is complete: returns all that is left, and begins anew."""
        chunks = self._scan(final=True)
        rest = self._text[self._draft.start :].rstrip()
        if rest or "".join(self._lead).strip():
            chunks.append(self._cut(self._draft.start + len(rest), Reason.END))
        self.reset()
        return chunks

    def stall(self) -> list[Chunk]:
        """Nothing new has come for a while: returns what can be spoken up to the last good point, if anything.

        A word whose end has not come stays; so does a number or an abbreviation that may lead on.
        """
        end = self._likely_end() or self._last_good_point()
        if not _speakable(self._text[self._draft.start : max(end, self._draft.start)]):
            return []
        chunks = [self._cut(end, Reason.STALL), *self._scan(final=False)]
        self._forget()
        return chunks

    def likely(self) -> Chunk | None:
        """The chunk that ends here if a new sentence follows, for a voice that begins before that is certain.

        The next `feed` that returns chunks, or has more than space to read, decides: if its first chunk's text is this
        one's, it was right.
        """
        end = self._likely_end()
        return self._chunk(end, Reason.SENTENCE) if end else None

    def pending(self) -> int:
        """Characters that wait to be spoken; 0 if nothing speakable waits."""
        waiting = self._text[self._draft.start :].strip()
        return len(waiting) if _speakable(waiting) else 0

    # --- scanning

    def _scan(self, final: bool) -> list[Chunk]:
        text, most = self._text, self._rules.max_tokens
        chunks: list[Chunk] = []
        while True:
            draft = self._draft
            if not draft.read(text, most):
                chunks.append(self._cut_forced())
                continue
            if draft.at == len(text):
                return chunks
            if draft.at + 1 == len(text) and not final and KIND[text[draft.at]] != LINE:
                return chunks  # every mark but a newline needs to see what follows
            step = _ASK[KIND[text[draft.at]]](self, final)
            if step.end == WAIT and not final:
                return chunks
            end = step.end if step.end > 0 else draft.at + 1
            size = measure(text[draft.at : end]) if step.size is None else step.size
            if draft.size + size <= most:
                if step.reason is None:
                    draft.advance(end, size)
                else:
                    chunks.append(self._cut(end, step.reason, draft.size + size))
            elif draft.size:
                chunks.append(self._cut_forced())
            else:
                draft.advance(draft.at + 1, 1)  # a span that alone is too large is read as plain text

    def _view(self, final: bool) -> View:
        draft = self._draft
        return View(self._text, final, draft.start, _word(self._text, draft.start, draft.at), self._tongue(), draft.awaited())

    def _tongue(self) -> Language:
        """The language of what stands before the mark."""
        if self._count or self._rules.language != "auto":
            return self._language
        return load(guess(self._text[self._draft.start : self._draft.at + 1], self._language.code))

    def _line(self, final: bool) -> Step:
        """A newline ends a chunk that has something to say; a marker never stands alone."""
        draft = self._draft
        if _speakable(self._text[draft.start : draft.at]):
            return Step(draft.at + 1, Reason.SENTENCE)
        draft.holds.clear()
        return _GO_ON

    def _stop(self, final: bool) -> Step:
        at, text = self._draft.at, self._text
        if at > self._draft.start and (text[at - 1] in STOPS or text[max(at - 2, self._draft.start) : at] == ". "):
            return _GO_ON  # the run was judged at its first mark
        view = self._view(final)
        covered = self._terms.cover(view, at) if self._rules.never_split else NO
        if covered != NO:
            return _STAND if covered == WAIT else _GO_ON
        end = sentence_end(view, at)
        if end > 0:
            return Step(end, Reason.SENTENCE)
        if end == NO and text[at] in DOTS and text[at : at + 2] != ".":
            return self._hesitation(view, at)
        return _STAND if end == WAIT else _GO_ON

    def _hesitation(self, view: View, at: int) -> Step:
        """An ellipsis that ends no sentence may end a clause."""
        run = past(self._text, at, DOTS)
        if run - at < 2 and self._text[at] == "." or view.holds or not self._text[run : run + 1].isspace():
            return _GO_ON
        return self._clause(run, self._rules.dash_after, Reason.CLAUSE)

    def _pause(self, final: bool) -> Step:
        at = self._draft.at
        view = self._view(final)
        covered = self._terms.cover(view, at) if self._rules.never_split else NO
        if covered != NO:
            return _STAND if covered == WAIT else _GO_ON
        if view.word == at and (face := smiley(view, at)):
            return self._emoticon(view, face)
        if self._text[at] in view.language.stop_marks:
            end = sentence_end(view, at)
            return _STAND if end == WAIT else Step(end, Reason.SENTENCE) if end else _GO_ON
        end = clause_end(view, at)
        if end in (WAIT, NO):
            return _STAND if end == WAIT else _GO_ON
        rules, mark = self._rules, self._text[at]
        if mark in ",،、，፣":
            return self._clause(end, rules.comma_after, Reason.COMMA)
        least = rules.semicolon_after if mark in ";؛；፤·" else rules.colon_after if mark in ":：" else rules.dash_after
        return self._clause(end, least, Reason.CLAUSE)

    def _clause(self, end: int, least: int, reason: Reason) -> Step:
        """A cut if the chunk is long enough; else a point to come back to."""
        draft = self._draft
        size = draft.size + measure(self._text[draft.at : end])
        if self._rules.mode == "clause" and size >= (least if self._count else self._rules.first.min_tokens):
            return Step(end, reason)
        if size <= self._rules.max_tokens:
            draft.clauses.append((end, size))
        return _GO_ON

    def _open(self, final: bool) -> Step:
        draft, char = self._draft, self._text[self._draft.at]
        if draft.close(char):
            return _GO_ON
        if char in "`~<[{":
            step = self._span(self._view(final))
            if step is not _GO_ON:
                return step
        if char in PAIRS and not (char == "»" and _word(self._text, draft.start, draft.at) < draft.at):
            draft.holds.append((PAIRS[char], draft.size))
        return _GO_ON

    def _span(self, view: View) -> Step:
        at, char = self._draft.at, self._text[self._draft.at]
        if char in "`~":
            end = fence_end(view, at)
            if end == WAIT:
                return _STAND
            if end > 0 and self._rules.speak.fence != "verbatim":
                return self._fence(view, at, end)
        if char == "<" and (face := smiley(view, at)):
            return self._emoticon(view, face)
        end = span_end(view, at)
        return _STAND if end == WAIT else Step(end) if end else _GO_ON

    def _fence(self, view: View, at: int, end: int) -> Step:
        """A code block is a chunk of its own, and as large as what is said for it."""
        if _speakable(self._text[view.start : at]):
            return Step(at, Reason.SENTENCE, 0)
        return Step(end, Reason.SENTENCE, min(self._rules.max_tokens - self._draft.size, size_of(view.language.code_example)))

    def _close(self, final: bool) -> Step:
        self._draft.close(self._text[self._draft.at])
        return _GO_ON

    def _emoji(self, final: bool) -> Step:
        at = self._draft.at
        if at > self._draft.start and KIND[self._text[at - 1]] in (EMOJI, GHOST):
            return _GO_ON
        return self._emoticon(self._view(final), at + 1)

    def _emoticon(self, view: View, face: int) -> Step:
        """An emoji or smiley up to `face`: it may end a sentence, and is never cut itself."""
        if face == WAIT:
            return _STAND
        end = emoji_end(view, self._draft.at, face)
        if end == WAIT:
            return _STAND
        return Step(end, Reason.SENTENCE) if end else Step(face)

    # --- cutting

    def _cut_forced(self) -> Chunk:
        """Cuts a chunk that is full: at the last clause mark, else the last space, else right here."""
        draft = self._draft
        worthwhile = [end for end, size in draft.clauses if size * 3 >= self._rules.max_tokens]
        end = worthwhile[-1] if worthwhile else self._last_gap()
        if end <= draft.start:
            end = _whole_character(self._text, draft.start, draft.at)
        return self._cut(end, Reason.MAX_TOKENS, max(1, draft.size - measure(self._text[end : draft.at])))

    def _last_gap(self) -> int:
        """The last space between words that are not one thing; else any; else 0."""
        draft, language = self._draft, self._tongue()
        filled = self._text[draft.start : draft.at]
        gaps = draft.gaps(self._text, draft.at, bracketed=False)
        free = (gap for gap in gaps if not glued(filled, gap - draft.start, language))
        return next(free, 0) or next(draft.gaps(self._text, draft.at, bracketed=True), 0)

    def _last_good_point(self) -> int:
        """The last space behind which nothing can belong to what stands before, as far as has come; else 0."""
        draft, language = self._draft, self._tongue()
        text = self._text[draft.start : draft.at]
        for gap in draft.gaps(self._text, draft.at, bracketed=False):
            at = gap - draft.start
            if not _leads_on(text[:at], language):
                return gap
        return 0

    def _likely_end(self) -> int:
        """Where the chunk ends if a new sentence follows what has come; 0 if it would not end at the text's end."""
        draft, text = self._draft, self._text
        if draft.at >= len(text) or KIND[text[draft.at]] != STOP or text[draft.at - 1 : draft.at].isdigit():
            return 0
        view = self._view(final=True)
        view.text = text.rstrip() + _NEXT_SENTENCE
        end = sentence_end(view, draft.at)
        return end if end == len(text.rstrip()) and draft.size + measure(text[draft.at : end]) <= self._rules.max_tokens else 0

    def _cut(self, end: int, reason: Reason, size: int = 0) -> Chunk:
        chunk = self._chunk(end, reason, size)
        if self._rules.language == "auto":
            self._language = load(guess(chunk.text, self._language.code))
        self._lead.clear()
        self._draft = Draft(end, end)
        self._count += 1
        return chunk

    def _chunk(self, end: int, reason: Reason, size: int = 0) -> Chunk:
        text = "".join(self._lead) + self._text[self._draft.start : end]
        spoken, marks = speak(text, self._rules.speak, self._language.code_example)
        return Chunk(text, spoken, size or size_of(text), reason, marks)

    def _forget(self) -> None:
        """Lets go of the text that was handed out, and sets aside the space before the next chunk."""
        draft = self._draft
        if draft.size == 0 and draft.at > draft.start:
            self._lead.append(self._text[draft.start : draft.at])
            draft.start = draft.at
        if draft.start:
            self._text = self._text[draft.start :]
            draft.shift(draft.start)


_ASK: dict[int, Callable[[Chunker, bool], Step]] = {
    EMOJI: Chunker._emoji,
    LINE: Chunker._line,
    STOP: Chunker._stop,
    PAUSE: Chunker._pause,
    OPEN: Chunker._open,
    CLOSE: Chunker._close,
}


def _speakable(text: str) -> bool:
    """Whether a text has something to say: a letter or digit that is not just a list marker."""
    bare = text.strip(" \t\r\n*_>#-+•|")
    if len(bare) <= 4 and bare.endswith((".", ")")) and "\n" not in text:
        return not bare.strip("().").isalnum()
    return any(KIND[char] in (LETTER, DIGIT, IDEOGRAPH) for char in bare)


def _leads_on(text: str, language: Language) -> bool:
    """Whether what has come ends with a number or an abbreviation."""
    words = text.split()
    last = words[-1] if words else ""
    return last[-1:].isdigit() or last.endswith(".") and language.stop(last[:-1]) is not None


def _word(text: str, start: int, at: int) -> int:
    """Where the word begins that ends at `at`; not further back than any abbreviation is long."""
    limit = max(start, at - 2 * LOOK)
    while at > limit and KIND[text[at - 1]] not in (SPACE, LINE):
        at -= 1
    return at


def _whole_character(text: str, start: int, at: int) -> int:
    """`at`, moved back so as to part neither a character from its marks nor, among ideographs, a number or a word."""
    for back in range(at, start, -1):
        around = KIND[text[back - 1]], KIND[text[back]]
        if GHOST not in around and (IDEOGRAPH in around or not text[back - 1].isascii()):
            return back
    return at
