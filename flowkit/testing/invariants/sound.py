"""What is played is whole and on time, and the history contains what was heard."""

from __future__ import annotations

from itertools import pairwise

from flowkit.clock import US_PER_S
from flowkit.engine import Fate
from flowkit.messages import Audio, Play, Utterance
from flowkit.testing.evidence import Evidence
from flowkit.testing.heard import heard
from flowkit.testing.invariants.record import handled, hold


def sound_is_whole(evidence: Evidence) -> None:
    """Each sample of each clause is played once, in order and on time, unless a queue dropped audio."""
    hold(not evidence.late, f"sent to the device too late: {evidence.late[:1]}")
    dropped = {row.epoch for row in evidence.rows if row.fate is Fate.DROPPED and isinstance(row.message, Audio)}
    place: dict[int, tuple[int, int]] = {}
    for pop in evidence.sound():
        clause, sample = place.get(pop.epoch, (-1, 0))
        expected = sample if pop.clause == clause else 0
        hold(pop.clause >= clause, f"clause {pop.clause} is played after clause {clause}")
        if pop.epoch not in dropped:
            hold(
                pop.first_sample == expected,
                f"sample {pop.first_sample} of clause {pop.clause} is played, {expected} expected",
            )
        place[pop.epoch] = (pop.clause, pop.first_sample + pop.samples)


def sound_is_on_time(evidence: Evidence) -> None:
    """Without a hold or a wait for audio, a reply's sound is one piece: each Play begins where the one before ends, to
    the microsecond, however many there are."""
    played: list[Play] = []
    for _, effect in evidence.effects:
        item = getattr(effect, "item", None)
        if isinstance(item, Play):
            played.append(item)
    start_us = samples = 0
    for before, play in zip([None, *played], played, strict=False):
        # Counted from the beginning of the piece, because rounded lengths would add up to a drift.
        end_us = start_us + (samples * US_PER_S // before.rate_hz if before else 0)
        gap_us = play.at_us - end_us
        if (
            before is None
            or play.epoch != before.epoch
            or gap_us > 0
            or play.at_us % evidence.plan.frame_us == 0 != gap_us
        ):
            start_us, samples = play.at_us, 0
        else:
            hold(gap_us == 0, f"a piece is due at {play.at_us} us, {-gap_us} us before the previous one ends")
        samples += play.samples


def history_is_what_was_heard(evidence: Evidence) -> None:
    """The LLM's history contains what was heard: of each clause the words that had ended, by the provider's word times,
    or the share of the samples that was played.

    It is not checked if a queue dropped messages, or if the length of a clause is unknown.
    """
    texts = heard(evidence)
    asked = [(row.epoch, row.message) for row in evidence.rows if handled(row, Utterance) and row.stage == "llm"]
    for (epoch, before), (_, after) in pairwise(asked):
        text = texts.get(epoch, "")
        if text is None:
            continue
        assert isinstance(before, Utterance)
        assert isinstance(after, Utterance)
        # If a reply continues after an interrupt without words, what was heard before belongs to it too.
        text = " ".join(f"{before.said} {text}".split())
        said = " ".join((after.said if after.turn == before.turn else after.heard).split())
        hold(said == text, f"{text!r} was heard in epoch {epoch}, the history has {said!r}")
