"""What a reply that is tried again adds to what was said before it broke off: a beginning that it repeats is left out. Pure.

A model that was asked again begins anew; a server that was asked to go on may begin anew all the same, and nothing in its
answer says which it did. So every second attempt is compared with what was said, whoever makes it.

- It repeats all that was said: only what follows is new.
- It repeats whole sentences and then says something else: those are left out, the rest is a sentence of its own.
- It says something else from the start: it goes on, if it was asked to; else it is a sentence of its own.
"""

from __future__ import annotations

from flowkit.chunker import Chunker, Rules


class Repeats:
    """One attempt. Case and white space do not count in comparing.

    Args:
        said: what was said before it, never empty.
        resumes: whether the attempt was asked to go on from there.
    """

    def __init__(self, said: str, *, resumes: bool) -> None:
        self._said, self._resumes = said, resumes
        self._length = len(said.rstrip())
        self._common: list[str] = []
        self._at = 0
        self._decided = False

    def feed(self, text: str) -> str:
        """The attempt's next piece; returns what is new in it. As long as it repeats what was said, that is nothing."""
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
        """Whether all was repeated, but perhaps for the white space at its end."""
        while self._at < self._length and self._said[self._at].isspace():
            self._at += 1
        return self._at >= self._length

    def _different(self, common: str, rest: str) -> str:
        self._decided = True
        if self._resumes and len(common.split()) < 2 and not common[-1:].isspace():
            return common + rest  # not even one whole word
        # A sentence's end shows with the character behind it.
        new = (common + rest)[_sentences(common + rest[0]) :].lstrip()
        return new if self._said[-1].isspace() else f" {new}"


def _sentences(text: str) -> int:
    """The length of the whole sentences that `text` begins with."""
    return sum(len(chunk.text) for chunk in Chunker(Rules(mode="sentence", max_tokens=1000)).feed(text))
