"""What the chunker returns: a chunk, why it ended, and how its spoken form maps back to the original text."""

from __future__ import annotations

from enum import StrEnum

from .value import Value


class Reason(StrEnum):
    """Why a chunk ended where it did."""

    SENTENCE = "sentence"
    """A sentence, line, heading, list item, table row or code block is complete."""
    CLAUSE = "clause"
    """A semicolon, colon, dash or ellipsis after enough tokens."""
    COMMA = "comma"
    """A comma after enough tokens."""
    MAX_TOKENS = "max_tokens"
    """The next word would have exceeded `Rules.max_tokens`."""
    STALL = "stall"
    """No new text came for a while, so the chunker returned what could be spoken."""
    END = "end"
    """The reply ended."""


class Chunk(Value, apart=("marks",)):
    """A speakable piece of a reply.

    Args:
        text: the original characters; the texts of all chunks add up to the reply, except for trailing whitespace.
        spoken: what TTS gets; "" if nothing of it is spoken.
        tokens: estimated size, at least 1 and at most `Rules.max_tokens`.
        reason: why it ended here.
        marks: rising pairs (length of `spoken`, length of `text` that it covers); empty if `spoken` is `text` stripped.
    """

    text: str
    spoken: str
    tokens: int
    reason: Reason
    marks: tuple[tuple[int, int], ...] = ()

    def heard(self, share: float) -> str:
        """The part of `text` that was heard when this share (0 to 1) of the time that `spoken` takes was played."""
        from ..words import sounded  # needed only when a clause is cut off, so not imported at the start

        return self.text if share >= 1 else self.heard_until(sounded(self.spoken, share))

    def heard_until(self, said: int) -> str:
        """The part of `text` that was heard when the first `said` characters of `spoken` have sounded.

        Marks without sound (the stars of bold text, say) belong to the word before them.
        """
        if not said:
            return ""
        return self.text if said >= len(self.spoken) else self.text[: self.covered(said)].rstrip()

    def covered(self, said: int) -> int:
        """The length of the prefix of `text` that the first `said` characters of `spoken` stand for."""
        if not self.marks:
            return min(len(self.text), len(self.text) - len(self.text.lstrip()) + said)
        # Needed only when a clause is cut off or changed, so not imported at the start.
        from bisect import bisect_right

        at = bisect_right(self.marks, (said, len(self.text)))
        spoken_end, text_end = self.marks[at - 1] if at else (0, 0)
        if at < len(self.marks):
            next_spoken, next_text = self.marks[at]
            if next_spoken - spoken_end == next_text - text_end:  # spoken as written, so offsets inside it agree
                return text_end + said - spoken_end
        return text_end
