"""Rows to text and back: lossless, canonical, and independent of how rows are split into batches."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowkit.chunker import Reason
from flowkit.engine import Fate, Row
from flowkit.errors import TraceError
from flowkit.figures.layout import BoundedEdge, Layout
from flowkit.messages import (
    Ask,
    Audio,
    Clause,
    Credit,
    Exchange,
    Final,
    Frames,
    Message,
    Play,
    Probability,
    Timer,
    Token,
    WordTimes,
)
from flowkit.trace.chunks import CHUNK_US, Cutter, JournalChunk, digest_of, journal_digest
from flowkit.trace.columns import check_of, packed, unpacked
from flowkit.trace.decode import decode
from flowkit.trace.names import CHUNK_CHARS, CHUNK_ROWS, MAX_LINE
from flowkit.trace.rows import has_call, waits

LAYOUT = Layout(
    (("mic", "mic"), ("vad", "vad"), ("asr", "asr"), ("tts", "tts")),
    (BoundedEdge("mic", "vad", "audio", 50, "block"), BoundedEdge("mic", "asr", "audio", 50, "block")),
)
STAGES = ("mic", "vad", "asr", "tts")
ANY = check_of(Any)

texts = st.text(max_size=20)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Frames, st.integers(0, 9), st.integers(1, 3)),
    st.builds(Probability, st.integers(0, 9), st.floats(0, 1)),
    st.builds(Credit, st.integers(1, 9)),
    st.builds(Token, st.integers(0, 9), texts),
    st.builds(Final, texts, st.integers(0, 9)),
    st.builds(Timer, texts),
    st.builds(Audio, st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.just(16_000)),
    st.builds(Clause, st.integers(0, 9), texts, texts, st.integers(0, 9), texts),
    st.builds(Ask, st.integers(1, 9), texts, st.lists(st.builds(Exchange, texts, texts), max_size=3).map(tuple)),
    st.builds(Play, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.just(16_000)),
    st.builds(WordTimes, st.integers(0, 9), st.lists(st.tuples(texts, st.integers(0, 99)), max_size=3).map(tuple)),
)


@st.composite
def journals(draw: st.DrawFn) -> list[Row]:
    """Rows as an engine might write them: numbered by stage, in time; frames now and then with their followers."""
    rows: list[Row] = []
    ns = dict.fromkeys(STAGES, 0)
    now_us = 0

    def add(stage: str, cause: str, sent_us: int, at: tuple[int, int], message: Message, fate: str) -> None:
        ns[stage] += 1
        cause_n = ns[cause] if cause else 0
        call = draw(st.integers(0, 3)) if has_call(type(message), caused=bool(cause)) else 0
        sent_us = sent_us if waits(type(message)) else now_us
        rows.append(Row(stage, ns[stage], cause, cause_n, sent_us, now_us, *at, message, Fate(fate), call))

    for _ in range(draw(st.integers(0, 40))):
        now_us += draw(st.sampled_from([0, 0, 20_000, 20_000, 123, 800_000, 6_000_000]))
        at = draw(st.sampled_from([(0, 0), (0, 0), (1, 1), (2, 1)]))
        sent_us = now_us - draw(st.sampled_from([0, 0, 70]))
        if draw(st.booleans()):
            frames = Frames(draw(st.integers(0, 3)), 1)
            add("mic", "", sent_us, at, frames, "")
            for follower in draw(st.sampled_from([("vad", "asr"), ("vad", "asr"), ("vad",), ()])):
                add(follower, "mic", now_us, at, frames, "")
        else:
            stage, cause = draw(st.sampled_from(STAGES)), draw(st.sampled_from(["", "", "mic", "tts"]))
            cause = cause if cause and ns[cause] and cause != stage else ""
            fate = draw(st.sampled_from(["", "", "dropped", "discarded", "stale"]))
            message = draw(messages)
            add(stage, cause, sent_us, at, message, fate)
            for follower in draw(st.sampled_from([(), (), ("tts",), ("tts", "asr")])):
                add(
                    follower,
                    stage,
                    now_us,
                    at,
                    draw(st.sampled_from([message, replace(message)])),
                    draw(st.sampled_from(["", "", fate])),
                )
    return rows


def encoded(rows: list[Row], cuts: list[int]) -> list[JournalChunk]:
    """The chunks, the rows dealt out at the cuts."""
    cutter, chunks, begin = Cutter(LAYOUT), list[JournalChunk](), 0
    for cut in [*sorted(cuts), len(rows)]:
        chunks += cutter.add(rows[begin:cut])
        begin = max(begin, cut)
    return [*chunks, *cutter.finish()]


@settings(max_examples=60, deadline=None)
@given(journals(), st.lists(st.integers(0, 60), max_size=5))
def test_every_journal_comes_back_from_text(rows: list[Row], cuts: list[int]) -> None:
    cuts = [min(cut, len(rows)) for cut in cuts]
    chunks = encoded(rows, cuts)
    assert [row for chunk in chunks for row in decode(chunk.text(LAYOUT), LAYOUT)] == rows
    assert sum(chunk.rows for chunk in chunks) == len(rows)
    for chunk in chunks:
        first, last = rows[chunk.first], rows[chunk.first + chunk.rows - 1]
        assert (chunk.begin_us, chunk.end_us) == (first.handled_us, last.handled_us)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((20_000, 20_000, 1, 1, ""), (0, 20_000, 1, 1, "")),
        ((20_000, 20_000, 1, 1, ""), (20_000, 20_100, 1, 1, "")),
        ((20_000, 20_000, 1, 1, ""), (20_100, 20_100, 1, 1, "")),
        ((20_000, 20_000, 1, 1, ""), (20_000, 20_000, 2, 1, "")),
        ((20_000, 20_000, 1, 1, ""), (20_000, 20_000, 1, 2, "")),
        ((20_000, 20_000, 1, 1, ""), (20_000, 20_000, 1, 1, "stale")),
        ((20_000, 20_000, 1, 1, "stale"), (20_000, 20_000, 1, 1, "")),
    ],
    ids=["sent before", "waited", "later", "another epoch", "another turn", "not handled", "passed on all the same"],
)
@pytest.mark.parametrize("kind", [Frames(0, 1), Token(0, "a")], ids=["frames", "a token"])
def test_only_what_is_passed_on_at_once_is_one_step(
    first: tuple[int, int, int, int, str], second: tuple[int, int, int, int, str], kind: Message
) -> None:
    rows: list[Row] = []
    for n, at in enumerate([(0, 0, 1, 1, ""), first]):
        for stage, cause, (sent_us, now_us, epoch, turn, fate) in (
            ("mic", "", at),
            ("vad", "mic", second if n else at),
        ):
            cause_n = n + 1 if cause else 0
            rows.append(Row(stage, n + 1, cause, cause_n, sent_us, now_us, epoch, turn, kind, Fate(fate)))
    (chunk,) = encoded(rows, [])
    assert decode(chunk.text(LAYOUT), LAYOUT) == rows
    # The first two rows are a step with another's passing on, the others are one each.
    assert len(json.loads(chunk.text(LAYOUT))[4]) == 3
    assert (chunk.begin_us, chunk.end_us) == (0, rows[-1].handled_us)


@settings(max_examples=40, deadline=None)
@given(journals(), st.lists(st.integers(0, 60), max_size=5))
def test_equal_journals_have_equal_text_however_they_are_dealt_out(rows: list[Row], cuts: list[int]) -> None:
    cuts = [min(cut, len(rows)) for cut in cuts]
    assert digest_of(chunk.text(LAYOUT) for chunk in encoded(rows, cuts)) == journal_digest(rows, LAYOUT)


def row(stage: str, n: int, now_us: int, message: Message, cause: tuple[str, int] = ("", 0), epoch: int = 0) -> Row:
    """A row that was taken as it came."""
    return Row(stage, n, *cause, now_us, now_us, epoch, epoch, message, Fate.HANDLED)


def tokens(count: int, every_us: int, text: str = "x") -> list[Row]:
    """Rows of one stage, evenly in time."""
    return [row("tts", n + 1, n * every_us, Token(n, text)) for n in range(count)]


def test_a_chunk_is_short() -> None:
    assert [chunk.rows for chunk in encoded(tokens(250, CHUNK_US // 2), [])] == [2] * 125


def test_a_chunk_has_no_more_rows_than_a_reader_takes() -> None:
    rows: list[Row] = []
    for n in range(8_000):
        heard = [row(stage, n + 1, n, Frames(n, 1), ("mic", n + 1)) for stage in ("vad", "asr")]
        rows += [row("mic", n + 1, n, Frames(n, 1)), *heard]
    chunks = encoded(rows, [])
    assert CHUNK_ROWS <= chunks[0].rows < CHUNK_ROWS + len(STAGES)
    assert [row for chunk in chunks for row in decode(chunk.text(LAYOUT), LAYOUT)] == rows


@pytest.mark.parametrize("turns", [True, False])
def test_a_chunk_has_no_more_epochs_or_shapes_than_a_reader_takes(turns: bool) -> None:
    rows: list[Row] = []
    for n in range(4_000):
        stage, cause = STAGES[n % 4], (STAGES[n // 4 % 4], 1) if n > 40 else ("", 0)
        rows.append(row(stage, n // 4 + 1, n, Token(n, "x"), cause, n if turns else 0))
    chunks = encoded(rows, [])
    assert [row for chunk in chunks for row in decode(chunk.text(LAYOUT), LAYOUT)] == rows
    assert all(len(json.loads(chunk.text(LAYOUT))[3]) <= CHUNK_ROWS for chunk in chunks)


@pytest.mark.parametrize(
    ("count", "text"),
    [(3_000, "\U0001f600" * 100 + "\ud83d"), (3_000, '\x00"' * 100), (30_000, "\\"), (30, "\U0001f600" * 3_000)],
)
def test_no_line_comes_near_to_what_a_reader_takes(count: int, text: str) -> None:
    rows = [known._replace(message=Token(n, f"{text}{n}")) for n, known in enumerate(tokens(count, 500))]
    chunks = encoded(rows, [])
    assert sum(chunk.rows for chunk in chunks) == count
    assert max(len(json.dumps(chunk.text(LAYOUT))) for chunk in chunks) < 0.8 * MAX_LINE


def test_many_numbers_make_no_long_line_either() -> None:
    times = tuple(n / 7 for n in range(100))
    rows = [row("tts", n, n, WordTimes(n, (*times, n))) for n in range(1, 2_000)]  # type: ignore[arg-type]
    assert max(len(json.dumps(chunk.text(LAYOUT))) for chunk in encoded(rows, [])) < 0.8 * MAX_LINE


@dataclass(frozen=True, slots=True)
class Wide(Message):
    """A custom message with many numbers."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float
    g: float
    h: float


def test_many_columns_make_no_long_line_either() -> None:
    rows = [row("tts", n, 3 * n, Wide(*(n / m for m in range(7, 15)))) for n in range(1, 9_000)]
    assert max(len(json.dumps(chunk.text(LAYOUT))) for chunk in encoded(rows, [])) < 0.8 * MAX_LINE


def test_much_content_fills_a_chunk() -> None:
    rows = [known._replace(message=Token(n, f"{n:0500}")) for n, known in enumerate(tokens(400, 100))]
    chunks = encoded(rows, [])
    assert len(chunks) > 4
    assert all(500 * (chunk.rows - 1) < CHUNK_CHARS for chunk in chunks)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_shape_without_its_columns_is_malformed(kept: int) -> None:
    told = json.loads(encoded(tokens(1, 0), [])[0].text(LAYOUT))
    told[-1][0] = told[-1][0][: 1 + kept]
    with pytest.raises(TraceError, match="malformed"):
        decode(json.dumps(told), LAYOUT)


values_of_a_column = st.lists(
    st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0, float("inf")]) | st.booleans() | texts, min_size=1, max_size=6
)
rising = st.builds(lambda first, by: [first, first + by, first + 2 * by], st.integers(), st.integers())


@settings(max_examples=200, deadline=None)
@given(
    values_of_a_column
    | rising
    | st.lists(rising, min_size=1, max_size=9).map(lambda runs: [value for run in runs for value in run])
)
@example([0.0, -0.0, 0.0])
@example([True, 1, True])
@example([*range(200), 7])
@example([*range(200), 1 << 70])
def test_columns_come_back_as_they_were_value_by_value(values: list[Any]) -> None:
    stored = json.loads(json.dumps(packed(tuple(values))))
    back = unpacked(stored, len(values), ANY)
    assert list(map(repr, back)) == list(map(repr, values))


def test_numbers_of_somebodys_own_class_are_stored_as_plain_ones() -> None:
    for own in ((np.float64(0.25),) * 3, (np.float64(0.25), 0.25, 0.5), (math.nan,) * 3, (Reason.END,) * 2):
        stored = json.loads(json.dumps(packed(own)))
        back = tuple(unpacked(stored, len(own), ANY))
        assert list(map(repr, back)) == [repr(str.__str__(v) if isinstance(v, str) else float(v)) for v in own]
        assert json.dumps(packed(back)) == json.dumps(packed(own))


@pytest.mark.parametrize(
    "text",
    [
        '[0,0,[0,0,0,0],[[0,1,1]],"b",[[[3,"Done"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"",[]]',
        '[0,0,[0,0,0],[[0,1,1]],"a",[[[3,"Done"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[],"a",[[[3,"Done"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[1,1,1]],"a",[[[3,"Done"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1],[0,2,2]],"a",[[[3,"Done"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,"1",1]],"a",[[[3,"Done"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[4,"Done"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done",9],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done",0,7],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Nothing"],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,["Done"]],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],[0.5],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],[0,1],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],{"from":0,"by":0},[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],"all",[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Token"],[0],[0],[0],["x"],["y"]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Token"],[0],[0],[0],[1]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Token"],[0],[0],[0],[1],["y"],[3]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"aa",[[[0,"Frames",0,0,1,2],[0,1],[0,0],[0,0],{"from":"x","by":1},{"all":1}]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"aa",[[[1,"Probability"],[0,1],[0,0],[0,0],{"from":0,"by":1},[0.5,"x"]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"WordTimes"],[0],[0],[0],[0],[' + "[" * 500 + "]" * 500 + "]]]]",
        '[0,0,[0,0,0,0],[[0,1,1]],"' + "a" * 1_001 + '",[[[3,"Done"],{"all":0},{"all":0},{"all":0}]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done",0,0' + ",1" * 100 + "],[0],[0],[0]]]]",
        '[0,0,[0,0,0,0],[[0,1,1]],"' + "a" * 900 + '",[[[3,"Done",0,0,1,2],{"all":0},{"all":0},{"all":0}]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Ask"],[0],[0],[0],[1],["x"],[[["only one"]]],["x"]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Ask"],[0],[0],[0],[1],["x"],[[[1,2]]],["x"]]]]',
        '[0,5,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],[-1],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Audio"],[0],[0],[0],[0],[0],[160],[0]]]]',
    ],
)
def test_a_chunk_that_is_none_is_a_trace_error(text: str) -> None:
    with pytest.raises(TraceError):
        decode(text, LAYOUT)


@settings(max_examples=40, deadline=None)
@given(journals(), journals())
def test_other_journals_have_other_digests(a: list[Row], b: list[Row]) -> None:
    assert (journal_digest(a, LAYOUT) == journal_digest(b, LAYOUT)) is (a == b)


def test_half_a_surrogate_pair_is_text_too() -> None:
    rows = [row("tts", 1, 5, Token(0, "a\ud83d"))]
    (chunk,) = encoded(rows, [])
    assert decode(chunk.text(LAYOUT), LAYOUT) == rows


def test_a_field_that_came_later_is_not_missed() -> None:
    text = '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Clause"],[0],[0],[0],[0],["Hi."],["Hi."],[2],["end"]]]]'
    (row,) = decode(text, LAYOUT)
    assert row.message == Clause(0, "Hi.", "Hi.", 2, "end")
