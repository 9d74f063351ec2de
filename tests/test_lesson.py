"""The two files of the lesson: 2,600 ms of silence against the path of the first clause."""

from pathlib import Path

from flowkit.config import load
from flowkit.engine import Engine
from flowkit.messages import Clause, EndOfUtterance, PlaybackStarted, Token, Utterance
from flowkit.plan import require
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import check
from flowkit.testing.sessions import heap_session, trio_session

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"
VOICED_UNTIL_US = 1_300_000


def session(name: str) -> tuple[Engine, int]:
    """Run a file's session. Returns it, and the time from the last voiced frame to the first played sample, in ms."""
    plan = require(load(PIPELINES / name))
    evidence = Evidence(plan)
    engine = heap_session(plan, evidence)
    check(evidence)
    assert trio_session(plan).journal.digest() == engine.journal.digest()
    return engine, (evidence.sound()[0].t_us - VOICED_UNTIL_US) // 1000


def at_ms(engine: Engine, stage: str, kind: type) -> int:
    """When a stage first handled a message of a kind."""
    return next(r.handled_us for r in engine.journal if r.stage == stage and type(r.message) is kind) // 1000


def test_naive_waits_for_the_whole_of_everything() -> None:
    engine, silence_ms = session("naive.yaml")
    assert silence_ms == 2_600
    # The lesson's parts: ASR 800, LLM 1,200, TTS 600.
    assert at_ms(engine, "llm", Utterance) - VOICED_UNTIL_US // 1000 == 800
    assert at_ms(engine, "tts", Clause) - at_ms(engine, "llm", Utterance) == 1_200
    assert at_ms(engine, "gate", PlaybackStarted) - at_ms(engine, "tts", Clause) == 600
    assert sum(type(row.message) is Clause for row in engine.journal) == 1


def test_streaming_waits_for_the_first_clause_only() -> None:
    engine, silence_ms = session("streaming.yaml")
    path = [
        at_ms(engine, "asr", EndOfUtterance) - VOICED_UNTIL_US // 1000,
        at_ms(engine, "llm", Utterance) - at_ms(engine, "asr", EndOfUtterance),
        at_ms(engine, "llm", Token) - at_ms(engine, "llm", Utterance),
        at_ms(engine, "tts", Clause) - at_ms(engine, "llm", Token),
        at_ms(engine, "gate", PlaybackStarted) - at_ms(engine, "tts", Clause),
    ]
    assert path[:3] == [200, 100, 200]
    assert silence_ms >= sum(path)
    assert silence_ms - sum(path) < 20, "the rest is the device's next tick"
    assert silence_ms < 1_000


def test_streaming_takes_no_step_longer_than_naive_and_all_of_the_difference_is_waiting() -> None:
    (naive, naive_ms), (streaming, streaming_ms) = session("naive.yaml"), session("streaming.yaml")
    assert naive_ms - streaming_ms > 1_600
    said = ["".join(r.message.text for r in e.journal if isinstance(r.message, Token)) for e in (naive, streaming)]
    assert said[0] == said[1]
