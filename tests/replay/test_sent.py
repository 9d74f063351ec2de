"""What left the engine, by stage: any other request, feed, cancel or play is another digest."""

from __future__ import annotations

from dataclasses import replace

from flowkit.figures.layout import layout_of
from flowkit.messages import Ask, Cancelled, Fed, Play, Silence, Speak
from flowkit.replay.sent import sent_digests
from tests.trace.sessions import pipeline, run


def test_each_stage_with_a_provider_has_a_digest() -> None:
    session = run(pipeline())
    sent = sent_digests(session.rows, layout_of(session.plan))
    assert list(sent) == ["mic", "vad", "asr", "llm", "tts", "speaker"]
    assert sent == sent_digests(run(pipeline()).rows, layout_of(session.plan))


def test_only_what_left_counts_and_when() -> None:
    session = run(pipeline())
    layout = layout_of(session.plan)
    sent = sent_digests(session.rows, layout)
    for kind, stage in (
        (Ask, "llm"),
        (Speak, "tts"),
        (Fed, "asr"),
        (Cancelled, "tts"),
        (Play, "speaker"),
        (Silence, "speaker"),
    ):
        place = next(i for i, row in enumerate(session.rows) if isinstance(row.message, kind) and row.stage == stage)
        for row in (None, session.rows[place]._replace(handled_us=1)):
            rows = [*session.rows[:place], *([row] if row else []), *session.rows[place + 1 :]]
            assert [known for known, digest in sent_digests(rows, layout).items() if digest != sent[known]] == [stage]
    inside = [row if row.lane == "P" else row._replace(n=row.n + 1) for row in session.rows]
    assert sent_digests(inside, layout) == sent
    late = [
        row._replace(message=replace(row.message, at_us=row.message.at_us + 100_000))
        if isinstance(row.message, Play)
        else row
        for row in session.rows
    ]
    assert sent_digests(late, layout)["speaker"] != sent["speaker"]
