"""One turn, message by message: the times, causes and positions of the design's example, and an interrupt in its midst."""

from collections.abc import Iterator

import pytest

from flowkit.engine import Engine, Fate, Row
from flowkit.messages import (
    Audio,
    Clause,
    EndOfUtterance,
    Exchange,
    Final,
    Frames,
    Heard,
    Hold,
    Interrupt,
    Message,
    Partial,
    Probability,
    SpeechLasted,
    SpeechStarted,
    Token,
    Utterance,
)
from flowkit.plan.graph import Plan
from flowkit.stages.turn import Turn
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import check
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session

TOKENS = (
    "The",
    " cap",
    "ital",
    " of",
    " Fr",
    "ance",
    " is",
    " Par",
    "is",
    ".",
    " It",
    " is",
    " a lovely town, and so on.",
)
REST = " Come and see it soon. It has many bridges. And the river is wide."


def plan_of(second_at: str = "2780ms") -> Plan:
    return scripted_plan(
        mic={"speech": [{"at": "280ms", "lasts": "820ms"}, {"at": second_at, "lasts": "1s"}]},
        vad={"end": "400ms"},
        asr={"utterances": ("What is the capital of France?", "And of Spain?"), "partial_every": "520ms"},
        llm={"replies": ({"tokens": (*TOKENS, REST), "to": "What is the capital of France?"}, {"text": "Madrid."})},
        tts={"rate": 22_050, "per_char": "54194us", "piece": "200ms", "queue": {"max": 3}},
        chunker={"queue": {"max": 50}},
        speaker={"queue": {"max": 200}},
    )


@pytest.fixture(scope="module")
def seen() -> Evidence:
    plan = plan_of()
    evidence = Evidence(plan)
    heap_session(plan, evidence)
    check(evidence)
    return evidence


def rows_of(engine: Engine, stage: str, kind: type[Message]) -> Iterator[Row]:
    return (row for row in engine.journal if row.stage == stage and type(row.message) is kind)


def first(engine: Engine, stage: str, kind: type[Message]) -> Row:
    return next(rows_of(engine, stage, kind))


def cause(engine: Engine, row: Row) -> Row:
    return next(r for r in engine.journal if (r.stage, r.n) == (row.cause_stage, row.cause_n))


@pytest.mark.parametrize(
    ("stage", "kind", "sent_ms", "handled_ms", "lane", "epoch", "turn", "causing"),
    [
        ("vad", Frames, 20, 20, "D", 0, 0, ("mic", Frames)),
        ("asr", Frames, 20, 20, "D", 0, 0, ("mic", Frames)),
        ("gate", SpeechStarted, 340, 340, "C", 0, 0, ("vad", Probability)),
        ("asr", Partial, 910, 910, "D", 0, 0, None),
        ("gate", Partial, 910, 910, "D", 0, 0, ("asr", Partial)),
        ("asr", EndOfUtterance, 1500, 1500, "D", 0, 0, ("vad", Probability)),
        ("gate", Final, 1580, 1580, "D", 0, 0, ("asr", Final)),
        ("llm", Utterance, 1580, 1580, "D", 1, 1, ("gate", Final)),
        ("llm", Token, 1760, 1760, "D", 1, 1, None),
        ("chunker", Token, 1760, 1760, "D", 1, 1, ("llm", Token)),
        ("tts", Clause, 1880, 1880, "D", 1, 1, ("chunker", Token)),
        ("tts", Audio, 1990, 1990, "D", 1, 1, None),
        ("speaker", Audio, 1990, 1990, "D", 1, 1, ("tts", Audio)),
        ("speaker", Hold, 2840, 2840, "C", 1, 1, ("gate", SpeechStarted)),
        ("gate", SpeechLasted, 460, 460, "C", 0, 0, ("vad", Probability)),
        ("llm", Interrupt, 2960, 2960, "C", 2, 1, ("gate", SpeechLasted)),
        ("chunker", Interrupt, 2960, 2960, "C", 2, 1, ("gate", SpeechLasted)),
        ("tts", Interrupt, 2960, 2960, "C", 2, 1, ("gate", SpeechLasted)),
        ("speaker", Interrupt, 2960, 2960, "C", 2, 1, ("gate", SpeechLasted)),
        ("gate", Heard, 2960, 2960, "C", 2, 1, ("speaker", Interrupt)),
    ],
)
def test_the_row(
    seen: Evidence,
    stage: str,
    kind: type[Message],
    sent_ms: int,
    handled_ms: int,
    lane: str,
    epoch: int,
    turn: int,
    causing: tuple[str, type[Message]] | None,
) -> None:
    row = first(seen.engine, stage, kind)
    assert (row.sent_us, row.handled_us) == (sent_ms * 1000, handled_ms * 1000)
    assert (row.lane, row.epoch, row.turn) == (lane, epoch, turn)
    if causing is None:
        assert row.cause_stage == ""
    else:
        assert (row.cause_stage, type(cause(seen.engine, row).message)) == causing


def test_what_the_rows_say(seen: Evidence) -> None:
    engine = seen.engine
    assert first(engine, "gate", SpeechStarted).message == SpeechStarted(14)
    voiced = next(row for row in rows_of(engine, "vad", Probability) if row.message.p > 0.5)  # type: ignore[attr-defined]
    assert (voiced.message.frame, voiced.sent_us) == (14, 300_000)  # type: ignore[attr-defined]
    assert first(engine, "asr", EndOfUtterance).message == EndOfUtterance(1, 54)
    clause = first(engine, "tts", Clause).message
    assert isinstance(clause, Clause)
    assert (clause.index, clause.text, clause.reason) == (0, "The capital of France is Paris.", "sentence")
    assert sum(1 for row in rows_of(engine, "asr", Frames) if row.handled_us <= 1_500_000) == 75


def test_the_first_sample_is_popped_at_2000_ms_and_the_last_at_the_hold(seen: Evidence) -> None:
    pops = [pop for pop in seen.sound() if pop.epoch == 1]
    assert pops[0].t_us == 2_000_000
    assert sum(pop.samples for pop in pops) == 18_522
    assert pops[-1].t_us + pops[-1].samples * 1_000_000 // 22_050 <= 2_840_000


def test_what_was_heard_is_kept(seen: Evidence) -> None:
    heard = first(seen.engine, "gate", Heard).message
    assert heard == Heard(0, "The capital of", 18_522, 37_044)
    assert seen.engine.state("llm").past.history == (Exchange("What is the capital of France?", "The capital of"),)
    later = [row.message for row in rows_of(seen.engine, "llm", Utterance)][1]
    assert later == Utterance(2, "And of Spain?", "The capital of")


def test_a_clause_waits_while_the_voice_is_busy(seen: Evidence) -> None:
    waited = [row for row in rows_of(seen.engine, "tts", Clause) if row.handled_us > row.sent_us]
    assert waited


def test_everything_that_waited_is_discarded_in_that_instant(seen: Evidence) -> None:
    discarded = [row for row in seen.engine.journal if row.fate is Fate.DISCARDED]
    assert discarded
    assert {row.handled_us for row in discarded} == {2_960_000}
    assert {row.epoch for row in discarded} == {1}


def test_the_turn_table_walked(seen: Evidence) -> None:
    assert seen.engine.state("gate").turn is Turn.LISTENING
    assert seen.engine.state("gate").question.number == 2


@pytest.mark.parametrize("after_ms", [0, 1, 19, 20, 200, 219, 220, 221, 1680])
def test_an_interrupt_so_long_into_playback(after_ms: int) -> None:
    """Playback begins at 2,000 ms; the hold comes 60 ms after the voice, and the sound ends at the next tick, to the sample."""
    plan = plan_of(f"{2_000 + after_ms - 60}ms")
    evidence = Evidence(plan)
    engine = heap_session(plan, evidence)
    check(evidence)
    held_us = first(engine, "speaker", Hold).handled_us
    popped = sum(pop.samples for pop in evidence.sound() if pop.epoch == 1 and pop.clause == 0)
    tick_us = -(-held_us // 20_000) * 20_000
    assert popped == min(37_044, max(0, tick_us - 2_000_000) * 22_050 // 1_000_000)
    assert len(evidence.interrupts) == 1
    assert trio_session(plan).journal.digest() == engine.journal.digest()


def test_an_interrupt_exactly_200_ms_into_playback() -> None:
    """4,410 samples at 22,050 Hz are heard, which are two words.

    No sample more is played, and the history has just these words.
    """
    plan = plan_of("2140ms")
    evidence = Evidence(plan)
    engine = heap_session(plan, evidence)
    check(evidence)
    assert first(engine, "speaker", Hold).handled_us == 2_200_000
    assert sum(pop.samples for pop in evidence.sound() if pop.epoch == 1) == 4_410
    assert first(engine, "gate", Heard).message == Heard(0, "The", 4_410, 37_044)
    assert engine.state("llm").past.history[0].agent == "The"
