"""What a retried reply adds to what was said before it broke off. A beginning that it repeats is left out. Pure.

A model that was asked again begins again. A server that was asked to continue may begin again all the same, and nothing
in its answer says which it did. So every further attempt is compared with what was said.

- It repeats all that was said: only what follows is new.
- It repeats whole sentences and then differs: those are left out, and the rest is a new sentence.
- It differs from the start: it continues if it was asked to; otherwise it is a new sentence.
"""

from __future__ import annotations

from flowkit.chunker import Chunker, Rules


class Repeats:
    """One attempt. Case and white space do not matter in the comparison.

    Args:
        said: what was said before it, never empty.
        resumes: whether the attempt was asked to continue from there.
    """

    def __init__(self, said: str, *, resumes: bool) -> None:
        self._said, self._resumes = said, resumes
        self._length = len(said.rstrip())
        self._common: list[str] = []
        self._at = 0
        self._decided = False

    def feed(self, text: str) -> str:
        """The next piece of the attempt; returns what is new in it. While it repeats what was said, that is nothing."""
        if self._decided:
            return text
        for place, char in enumerate(text):
            if self._all_said() and not (char.isspace() and self._at < len(self._said)):
                self._decided = True
                return text[place:]
            if not char.isspace() and self._said[self._at].casefold() != char.casefold():
                return self._different("".join(self._common) + text[:place], text[place:])
            self._at += not char.isspace() or self._all_said()
        self._common.append(text)
        return ""

    def _all_said(self) -> bool:
        """Whether everything was repeated, except perhaps the white space at its end."""
        while self._at < self._length and self._said[self._at].isspace():
            self._at += 1
        return self._at >= self._length

    def _different(self, common: str, rest: str) -> str:
        self._decided = True
        if self._resumes and len(common.split()) < 2 and not common[-1:].isspace():
            return common + rest  # not even one whole word
        # The end of a sentence shows only with the character after it.
        new = (common + rest)[_sentences(common + rest[0]) :].lstrip()
        return new if self._said[-1].isspace() else f" {new}"


def _sentences(text: str) -> int:
    """The length of the whole sentences that `text` begins with."""
    return sum(len(chunk.text) for chunk in Chunker(Rules(mode="sentence", max_tokens=1000)).feed(text))
