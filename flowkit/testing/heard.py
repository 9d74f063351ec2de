"""What the user heard of each reply, from the audio that was played and the word times of the provider."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowkit.chunker import Chunk, Reason
from flowkit.engine import Fate, Row
from flowkit.messages import Audio, Clause, ClauseEnded, WordTimes
from flowkit.testing.evidence import Evidence
from flowkit.words import spoken_until


@dataclass
class _Clause:
    """A clause as far as it was played."""

    chunk: Chunk
    total: int = 0
    """Its samples, 0 if unknown."""
    played: int = 0
    words: tuple[tuple[str, int], ...] = field(default=())

    @property
    def known(self) -> bool:
        """Whether the heard part can be computed."""
        return not self.played or bool(self.total or self.words)

    def heard(self) -> str:
        """The heard part of its text. Word times decide if there are any, otherwise the share of the audio."""
        if not self.played:
            return ""
        if self.words and self.played != self.total:
            said = [word for word, end in self.words if end <= self.played]
            return self.chunk.heard_until(spoken_until(self.chunk.spoken, said))
        return self.chunk.heard(self.played / self.total)


def heard(evidence: Evidence) -> dict[int, str | None]:
    """The heard part of each reply, by epoch.

    It is None where it is unknown: a queue dropped messages, the length of a clause is unknown, or a clause is not
    spoken.
    """
    clauses = _clauses(evidence)
    texts: dict[int, str | None] = {}
    for (epoch, _), clause in sorted(clauses.items()):
        texts[epoch] = (texts.get(epoch) or "") + (clause.heard() if clause.known else "")
    dropped = {row.epoch for row in evidence.rows if row.fate is Fate.DROPPED}
    unknown = {epoch for (epoch, _), clause in clauses.items() if not clause.known or not clause.chunk.spoken}
    return texts | dict.fromkeys(dropped | unknown)


def _clauses(evidence: Evidence) -> dict[tuple[int, int], _Clause]:
    """The clauses by epoch and index."""
    clauses = {
        (row.epoch, row.message.index): _Clause(_chunk(row.message))
        for row in evidence.rows
        if isinstance(row.message, Clause)
    }
    speaker = evidence.plan.only("speaker")
    for row in evidence.rows:
        clause = clauses.get((row.epoch, getattr(row.message, "clause", -1)))
        if clause is not None:
            _noted(clause, row, speaker is not None and row.stage == speaker.id and row.fate is Fate.HANDLED)
    for pop in evidence.sound():
        if (played := clauses.get((pop.epoch, pop.clause))) is not None:
            played.played = pop.first_sample + pop.samples
    return clauses


def _noted(clause: _Clause, row: Row, at_speaker: bool) -> None:
    match row.message:
        case Audio(total=total):
            clause.total = clause.total or total
        case ClauseEnded(samples=samples, whole=True) if at_speaker:
            clause.total = clause.total or samples
        case WordTimes(words=words) if at_speaker:
            clause.words = words


def _chunk(clause: Clause) -> Chunk:
    return Chunk(clause.text, clause.spoken, clause.tokens, Reason.END, clause.marks)
