"""An answer that is begun before the user's turn is over has no effect before its release, and leaves nothing if it is given
up."""

from __future__ import annotations

from flowkit.engine import Row
from flowkit.messages import Ask, Final, Interrupt, Play, Released, ToolCall, Typed, Utterance
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants.record import handled, hold
from flowkit.words import folded


def early_answers_wait(evidence: Evidence) -> None:
    """Before its release no sound of an early answer is played, and no tool is called."""
    waiting: set[int] = set()
    for row in evidence.rows:
        if row.stage == "llm" and isinstance(row.message, Utterance) and row.message.early:
            waiting.add(row.epoch)
        elif row.stage == "llm" and isinstance(row.message, Released):
            waiting.discard(row.epoch)
        acts = row.stage in ("tools", "speaker") and isinstance(row.message, Play | ToolCall)
        hold(
            not (acts and row.epoch in waiting),
            f"{row.kind} of an early answer at {row.handled_us} us, before its release",
        )


def early_answers_fit(evidence: Evidence) -> None:
    """What is released answers what was said: the words of its question are those of final transcripts, or were typed."""
    said: list[str] = []
    asked: dict[int, str] = {}
    for row in evidence.rows:
        if row.stage == "gate" and isinstance(row.message, Final | Typed):
            said.append(folded(row.message.text))
        elif row.stage == "llm" and isinstance(row.message, Utterance) and row.message.early:
            asked[row.epoch] = row.message.text
        elif row.stage == "llm" and isinstance(row.message, Released):
            words = folded(asked.get(row.epoch, "")).split()
            known = " ".join(said).split()
            hold(_in_order(words, known), f"released at {row.handled_us} us, and never said: {asked.get(row.epoch)!r}")


def nothing_of_given_up_answers_is_left(evidence: Evidence) -> None:
    """No request knows a question that was only asked early, and given up."""
    given_up = {row.epoch for row in evidence.rows if handled(row, Interrupt) and _early(row)}
    began: dict[int, str] = {}
    real: set[str] = set()
    for row in evidence.rows:
        if row.stage == "llm" and isinstance(row.message, Utterance):
            began[row.epoch] = row.message.text
            real |= set() if row.message.early else {row.message.text}
        elif row.stage == "llm" and isinstance(row.message, Released):
            real.add(began[row.epoch])
        elif row.stage == "llm" and isinstance(row.message, Ask) and given_up:
            for exchange in row.message.history:
                hold(exchange.user in real | {""}, f"a request remembers {exchange.user!r}, which was given up")


def _early(row: Row) -> bool:
    return isinstance(row.message, Interrupt) and row.message.early


def _in_order(words: list[str], known: list[str]) -> bool:
    left = iter(known)
    return all(word in left for word in words)
