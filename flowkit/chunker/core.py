"""The incremental machine: characters in, chunks out.

It reads one character after another. Most only add to the size of the chunk. At a punctuation mark it asks `stops`,
`clauses` or `spans`. The answer is an index to cut at, NO, or WAIT. After WAIT the machine has not changed; it asks
again when more text comes. So the chunks depend on the text alone, not on how the stream was split into tokens. When
the next character would exceed `max_tokens`, the chunk ends at the last good place before it.

Marks alone are not spoken before the first word of a reply: a reply that has no words is silent.
"""

from __future__ import annotations

from .chunk import Chunk, Reason
from .clauses import glued
from .draft import Draft, size_of
from .languages import Language, guess, load, undecided
from .marks import Marks
from .rules import Rules
from .speak import speak
from .stops import sentence_end
from .text import KIND, LETTER, LINE, STOP, character_after, measure, speakable
from .view import WAIT, View, word_start

_FAR = 80
"""How many characters back the beginning of a word is searched for."""
_NEXT_SENTENCE = " Qq "
"""Text that could follow a likely end: a capital that begins no known word."""


class Chunker:
    """Cuts a stream of text into speakable chunks, each as soon as it is certain.

    Args:
        rules: when to cut and how to speak.
    """

    def __init__(self, rules: Rules = Rules()) -> None:  # noqa: B008  # frozen, so it can be shared
        self._rules = rules
        self._marks = Marks(rules)
        self.reset()

    def reset(self) -> None:
        """Forgets everything: the next text begins a new reply."""
        self._text = ""
        self._lead: list[str] = []
        self._draft = Draft()
        self._wordless = True
        self._language = undecided() if self._rules.language == "auto" else load(self._rules.language)

    def feed(self, text: str) -> list[Chunk]:
        """Takes the next piece of the reply, split anywhere, and returns the chunks that are certain now."""
        self._text += text
        chunks = self._scan(final=False)
        # Only when there is something to drop, because a copy of the text for every token would cost time.
        if chunks or not self._draft.size:
            self._forget()
        return chunks

    def flush(self) -> list[Chunk]:
        """The reply is complete: returns the rest and starts a new reply."""
        chunks = self._scan(final=True)
        rest = self._text[self._draft.start :].rstrip()
        if rest or "".join(self._lead).strip():
            chunks.append(self._chunk(self._draft.start + len(rest), Reason.END))
        self.reset()
        return chunks

    def stall(self) -> list[Chunk]:
        """No new text came for a while: returns what can be spoken, up to the last good place to cut.

        A word that may be incomplete stays, and so does a number or an abbreviation that may continue.
        """
        end = self._likely_end() or self._last_good_point()
        if not speakable(self._text[self._draft.start : max(end, self._draft.start)]):
            return []
        chunks = [self._cut(end, Reason.STALL), *self._scan(final=False)]
        self._forget()
        return chunks

    def likely(self) -> Chunk | None:
        """The chunk that ends here if a new sentence follows, for a voice that begins before that is certain.

        The next `feed` that returns chunks, or that has more than space to read, decides. The guess was right if the
        text of its first chunk is the text of this one.
        """
        end = self._likely_end()
        return self._chunk(end, Reason.SENTENCE) if end else None

    def pending(self) -> int:
        """Characters that wait to be spoken; 0 if nothing speakable waits."""
        waiting = self._text[self._draft.start :].strip()
        ends_in_word = bool(waiting) and KIND[waiting[-1]] == LETTER
        return len(waiting) if ends_in_word or speakable(waiting) else 0

    def _scan(self, final: bool) -> list[Chunk]:
        text, most = self._text, self._rules.max_tokens
        chunks: list[Chunk] = []
        while True:
            draft = self._draft
            if not draft.read(text, most):
                if (end := self._forced_end(final)) == WAIT:
                    return chunks
                chunks.append(self._cut_full(end))
                continue
            left = len(text) - draft.at
            if not left or (left == 1 and not final and KIND[text[draft.at]] != LINE):
                return chunks  # every mark except a newline depends on what follows
            if not draft.size:
                self._set_aside()
            step = self._marks.ask(self._view(final), draft, self._wordless)
            if step.end == WAIT and not final:
                return chunks
            end = step.end if step.end > 0 else draft.at + 1
            # A combining mark may still come, and the cut must not part it from its character.
            if step.reason is not None and (end := character_after(text, end)) == len(text) > step.end and not final:
                return chunks
            size = step.size if step.size is not None else draft.weigh(text, end, step.reason is not None)
            if draft.size + size <= most:
                if step.reason is None:
                    draft.advance(end, size)
                else:
                    chunks.append(self._cut(end, step.reason, draft.size + size))
            elif draft.size:
                if (end := self._forced_end(final)) == WAIT:
                    return chunks
                chunks.append(self._cut_full(end))
            else:
                draft.advance(draft.at + 1, 1)  # a span that is too large by itself is read as plain text

    def _view(self, final: bool) -> View:
        draft = self._draft
        word = word_start(self._text, draft.start, draft.at)
        holds = draft.awaited() if draft.holds else ()
        return View(self._text, final, draft.start, word, self._language_here(), holds)

    def _language_here(self) -> Language:
        """The language of the text before the mark."""
        if self._rules.language != "auto" or self._language is not undecided():
            return self._language
        return self._guessed(self._text[self._draft.start : self._draft.at + 1])

    def _guessed(self, text: str) -> Language:
        code = guess(text, self._language.code)
        return load(code) if code else self._language

    def _forced_end(self, final: bool) -> int:
        """Where to cut a chunk that is full: at the last clause mark, else at the last space, else right here. WAIT if
        the character here may go on."""
        draft, text = self._draft, self._text
        # A mark in the first third would make a short chunk of one that could be full.
        ends = [end for end, size in draft.clauses if size * 3 >= self._rules.max_tokens]
        worthwhile = [end for end in ends if character_after(text, end) == end]
        end = worthwhile[-1] if worthwhile else self._last_gap()
        if end <= draft.start:
            end = draft.hard_end(text)
        return WAIT if end == len(text) and not final else end

    def _cut_full(self, end: int) -> Chunk:
        draft = self._draft
        # At least 1, as for every chunk.
        return self._cut(end, Reason.MAX_TOKENS, max(1, draft.size - measure(self._text[end : draft.at])))

    def _last_gap(self) -> int:
        """The last space between words that do not belong together; else any space; else 0."""
        draft, language = self._draft, self._language_here()
        filled = self._text[draft.start : draft.at]
        gaps = draft.gaps(self._text, draft.at, bracketed=False)
        free = (gap for gap in gaps if not glued(filled, gap - draft.start, language))
        return next(free, 0) or next(draft.gaps(self._text, draft.at, bracketed=True), 0)

    def _last_good_point(self) -> int:
        """The last space after which nothing can belong to the text before it, as far as is known; else 0."""
        draft, language = self._draft, self._language_here()
        for gap in draft.gaps(self._text, draft.at, bracketed=False):
            if not _leads_on(self._text[max(draft.start, gap - _FAR) : gap], language):
                return gap
        return 0

    def _likely_end(self) -> int:
        """Where the chunk ends if a new sentence follows; 0 if it would not end at the end of the text."""
        draft, text = self._draft, self._text
        # After a digit the stop may be a decimal point.
        if draft.at >= len(text) or KIND[text[draft.at]] != STOP or text[draft.at - 1 : draft.at].isdigit():
            return 0
        view = self._view(final=True)
        view.text = text.rstrip() + _NEXT_SENTENCE
        end = sentence_end(view, draft.at)
        fits = draft.size + measure(text[draft.at : end]) <= self._rules.max_tokens
        return end if end == len(text.rstrip()) and fits else 0

    def _cut(self, end: int, reason: Reason, size: int = 0) -> Chunk:
        chunk = self._chunk(end, reason, size)
        # Guessed from whole chunks, because these do not depend on how the stream was split.
        if self._rules.language == "auto":
            self._language = self._guessed(chunk.text)
        self._lead.clear()
        self._draft = Draft(end)
        self._wordless = self._wordless and not chunk.spoken
        return chunk

    def _chunk(self, end: int, reason: Reason, size: int = 0) -> Chunk:
        text = "".join(self._lead) + self._text[self._draft.start : end]
        spoken, marks = speak(text, self._rules.speak, self._language.code_example)
        if self._wordless and not any(map(str.isalnum, spoken)):
            spoken, marks = "", ((0, len(text)),)
        return Chunk(text, spoken, size or size_of(text), reason, marks)

    def _forget(self) -> None:
        """Drops the text that was returned."""
        if not self._draft.size:
            self._set_aside()
        if start := self._draft.start:
            self._text = self._text[start:]
            self._draft.shift(start)

    def _set_aside(self) -> None:
        """Moves the text before the chunk out of the draft, so that it is examined only once."""
        draft = self._draft
        if draft.at > draft.start:
            self._lead.append(self._text[draft.start : draft.at])
            draft.start = draft.at


def _leads_on(text: str, language: Language) -> bool:
    """Whether the text ends with a number or an abbreviation."""
    words = text.rsplit(None, 1)
    last = words[-1] if words else ""
    return last[-1:].isdigit() or (last.endswith(".") and language.stop(last[:-1]) is not None)
