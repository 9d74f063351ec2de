"""A session as plain lines."""

from __future__ import annotations

from flowkit.engine import Fate, Row, Stimulus
from flowkit.messages import Clause, PlaybackStarted, Shutdown, Utterance
from flowkit.replay.heap import HeapPump
from flowkit.report.plain import PlainView
from flowkit.testing.sessions import heap_session, scripted_plan, scripts_of
from tests.trace.sessions import pipeline, planned, run


def shown(rows: list[Row], voice: str = "tts") -> list[str]:
    lines: list[str] = []
    PlainView(lines.append, voice=voice).rows(rows)
    return [" ".join(line.split()[1:]) for line in lines]


def test_an_interrupt_is_told_once_whatever_its_stages_are_called() -> None:
    lines = shown(run(pipeline(speaker="id: loud")).rows)
    assert lines.count("interrupted the user speaks") == 1
    assert lines.index("held") < lines.index("interrupted the user speaks")
    assert lines[-1] == "agent Madrid."


def test_what_a_predictor_hears_of_a_reply_is_told_once() -> None:
    for voice in ("", "fail: true"):
        alone = shown(run(pipeline(tts=voice)).rows)
        assert any(line.startswith("error" if voice else "heard up to") for line in alone)
        assert shown(run(pipeline(tts=voice, turn="likelihood: [0.5]")).rows) == alone


def test_the_end_of_a_session_interrupts_nobody() -> None:
    plan = planned(pipeline("{at: 280ms, lasts: 820ms}"))
    pump = HeapPump(plan, scripts_of(plan))
    pump.run(until_us=2_500_000)
    gate = [stage.kind for stage in plan.stages].index("gate")
    pump.engine.advance(2_500_000, [Stimulus(gate, 0, Shutdown("closed"), 2_500_000)])
    rows = pump.engine.journal.rows
    assert any(isinstance(row.message, PlaybackStarted) for row in rows), "in the midst of its reply"
    assert not [line for line in shown(rows) if line.startswith("interrupted")]


def test_of_what_is_begun_early_only_what_is_released_is_told() -> None:
    plan = scripted_plan(
        mic={"speech": [{"at": "100ms", "lasts": "900ms"}], "length": "7s"},
        asr={"utterances": ["What is it?"], "partial_every": "150ms"},
        turn={"likelihood": (0.9,)},
        llm={"replies": [{"text": "It is a house. It has a door."}], "preempt": {"stable_for": "80ms", "max_tries": 3}},
        tts={"per_char": "20ms"},
    )
    rows = heap_session(plan).journal.rows
    assert sum(isinstance(row.message, Utterance) and row.message.early for row in rows) == 3, "two are given up"
    assert shown(rows) == ["user What is it?", "agent It is a house.", "agent It has a door."]


def test_a_clause_is_told_once_as_the_voice_takes_it_and_how_it_is_spoken() -> None:
    def row(stage: str, n: int, text: str, spoken: str) -> Row:
        return Row(stage, n, "", 0, 0, 0, 1, 1, Clause(n, text, spoken, 1, "sentence"), Fate.HANDLED)

    rows = [
        row("filter", 1, "Damn **it**.", "Damn it."),
        row("tts", 1, "Damn **it**.", "beep it."),
        row("filter", 2, " As written.\n", "As  written."),
        row("tts", 2, " As written.\n", "As  written."),
        row("tts", 3, "Secret.", " "),
    ]
    told = ["agent Damn **it**. (spoken: beep it.)", "agent As written.", "agent Secret. (not spoken)"]
    assert shown(rows) == told
    assert shown(rows, voice="filter") == ["agent Damn **it**. (spoken: Damn it.)", "agent As written."]
    assert shown(rows, voice="") == []
