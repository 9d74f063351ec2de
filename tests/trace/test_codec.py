"""Rows to text and back: lossless, canonical, and the same however rows are dealt out."""

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
from flowkit.errors import TraceError
from flowkit.messages import Audio, Clause, Credit, Final, Frames, Message, Probability, Timer, Token, WordTimes
from flowkit.trace import codec, parts
from flowkit.trace.codec import (
    CHUNK_EPOCHS,
    CHUNK_ROWS,
    CHUNK_US,
    CHUNK_VALUES,
    Chunk,
    Encoder,
    Joiner,
    digest_of,
    journal_digest,
)
from flowkit.trace.columns import joined_columns, packed, unpacked
from flowkit.trace.layout import Edge, Layout
from flowkit.trace.names import MAX_LINE
from flowkit.trace.parts import PART_US, Cutter, Part
from flowkit.trace.rows import RowTuple
from flowkit.trace.steps import Ear
from flowkit.trace.stored import in_lots, stored
from flowkit.trace.stretch import decode, rows_of, stretches
from flowkit.trace.wiring import wiring_of

LAYOUT = Layout(
    (("mic", "mic"), ("vad", "vad"), ("asr", "asr"), ("tts", "tts")),
    (Edge("mic", "vad", "audio", 50, "block"), Edge("mic", "asr", "audio", 50, "block")),
)
STAGES = ("mic", "vad", "asr", "tts")

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
    st.builds(WordTimes, st.integers(0, 9), st.lists(st.tuples(texts, st.integers(0, 99)), max_size=3).map(tuple)),
)


@st.composite
def journals(draw: st.DrawFn) -> list[RowTuple]:
    """Rows as an engine might write them: numbered by stage, in time; frames now and then with their followers."""
    rows: list[RowTuple] = []
    ns = dict.fromkeys(STAGES, 0)
    now_us = 0

    def add(stage: str, cause: str, sent_us: int, at: tuple[int, int], message: Message, fate: str) -> None:
        ns[stage] += 1
        cause_n = ns[cause] if cause else 0
        rows.append((stage, ns[stage], cause, cause_n, sent_us, now_us, message.lane, *at, message, fate))

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


def encoded(rows: list[RowTuple], cuts: list[int]) -> list[Chunk]:
    """The chunks, the rows dealt out at the cuts."""
    encoder, chunks, begin = Encoder(LAYOUT), list[Chunk](), 0
    for cut in [*sorted(cuts), len(rows)]:
        chunks += encoder.add(rows[begin:cut])
        begin = max(begin, cut)
    return [*chunks, *encoder.finish()]


@settings(max_examples=60, deadline=None)
@given(journals(), st.lists(st.integers(0, 60), max_size=5))
def test_every_journal_comes_back_from_text(rows: list[RowTuple], cuts: list[int]) -> None:
    cuts = [min(cut, len(rows)) for cut in cuts]
    chunks = encoded(rows, cuts)
    assert [row for chunk in chunks for row in rows_of(decode(chunk.text, LAYOUT))] == rows
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert sum(chunk.rows for chunk in chunks) == len(rows)
    for chunk in chunks:
        first, last = rows[chunk.first], rows[chunk.first + chunk.rows - 1]
        assert (chunk.begin_us, chunk.end_us) == (first[5], last[5])


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
    rows: list[RowTuple] = []
    for n, at in enumerate([(0, 0, 1, 1, ""), first]):
        for stage, cause, (sent_us, now_us, epoch, turn, fate) in (
            ("mic", "", at),
            ("vad", "mic", second if n else at),
        ):
            cause_n = n + 1 if cause else 0
            rows.append((stage, n + 1, cause, cause_n, sent_us, now_us, kind.lane, epoch, turn, kind, fate))
    (chunk,) = encoded(rows, [])
    assert list(rows_of(decode(chunk.text, LAYOUT))) == rows
    # The first two rows are a step with another's passing on, the others are one each.
    assert len(json.loads(chunk.text)[4]) == 3
    assert (chunk.begin_us, chunk.end_us) == (0, rows[-1][5])


@settings(max_examples=40, deadline=None)
@given(journals(), st.lists(st.integers(0, 60), max_size=5))
def test_equal_journals_have_equal_text_however_they_are_dealt_out(rows: list[RowTuple], cuts: list[int]) -> None:
    cuts = [min(cut, len(rows)) for cut in cuts]
    assert digest_of(chunk.text for chunk in encoded(rows, cuts)) == journal_digest(rows, LAYOUT)


def cut(rows: list[RowTuple], cuts: list[int]) -> list[Part]:
    """The parts, the rows dealt out at the cuts."""
    cutter, found, begin = Cutter(LAYOUT), list[Part](), 0
    for end in [*sorted(cuts), len(rows)]:
        found += cutter.add(rows[begin:end])
        begin = max(begin, end)
    return [*found, *cutter.finish()]


@settings(max_examples=60, deadline=None)
@given(journals(), st.lists(st.integers(0, 60), max_size=5))
def test_parts_hold_the_rows_of_their_chunk_and_are_the_same_however_rows_are_dealt_out(
    rows: list[RowTuple], cuts: list[int]
) -> None:
    texts = [part.text(wiring_of(LAYOUT)) for part in cut(rows, [min(cut, len(rows)) for cut in cuts])]
    assert texts == [part.text(wiring_of(LAYOUT)) for part in cut(rows, [])]
    assert [row for text in texts for row in rows_of(decode(text, LAYOUT))] == rows
    begins = {part.first for part in cut(rows, [])}
    assert {chunk.first for chunk in encoded(rows, cuts)} <= begins


@settings(max_examples=80, deadline=None)
@given(journals())
def test_parts_joined_are_what_one_part_as_long_would_be(rows: list[RowTuple]) -> None:
    """Joining goes over columns, so that it costs little; what it makes is as if it had gone over the rows."""
    chunks = encoded(rows, [])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "PART_US", CHUNK_US)
        assert [chunk.text for chunk in chunks] == [part.text(wiring_of(LAYOUT)) for part in cut(rows, [])]


def tokens(count: int, every_us: int, text: str = "x") -> list[RowTuple]:
    """Rows of one stage, evenly in time."""
    return [("tts", n + 1, "", 0, n * every_us, n * every_us, "D", 0, 0, Token(n, text), "") for n in range(count)]


def test_a_part_is_short_and_a_chunk_long() -> None:
    rows = tokens(250, PART_US // 2)
    assert [part.rows for part in cut(rows, [])] == [2] * 125
    assert [chunk.rows for chunk in encoded(rows, [])] == [160, 90]


def test_a_chunk_has_no_more_rows_than_a_reader_takes() -> None:
    rows: list[RowTuple] = []
    for n in range(8_000):
        heard = [(stage, n + 1, "mic", n + 1, n, n, "D", 0, 0, Frames(n, 1), "") for stage in ("vad", "asr")]
        rows += [("mic", n + 1, "", 0, n, n, "D", 0, 0, Frames(n, 1), ""), *heard]
    chunks = encoded(rows, [])
    assert CHUNK_ROWS - 1100 < chunks[0].rows <= CHUNK_ROWS
    assert [row for chunk in chunks for row in rows_of(decode(chunk.text, LAYOUT))] == rows


@pytest.mark.parametrize("turns", [True, False])
def test_a_chunk_has_no_more_epochs_or_shapes_than_a_reader_takes(turns: bool) -> None:
    rows: list[RowTuple] = []
    for n in range(4_000):
        at = (n, n) if turns else (0, 0)
        stage, cause = STAGES[n % 4], STAGES[n // 4 % 4] if n > 40 else ""
        rows.append((stage, n // 4 + 1, cause, 1 if cause else 0, n, n, "D", *at, Token(n, "x"), ""))
    chunks = encoded(rows, [])
    assert [row for chunk in chunks for row in rows_of(decode(chunk.text, LAYOUT))] == rows
    assert all(len(json.loads(chunk.text)[3]) <= CHUNK_EPOCHS for chunk in chunks)


@pytest.mark.parametrize(
    ("count", "text"),
    [(3_000, "\U0001f600" * 100 + "\ud83d"), (3_000, '\x00"' * 100), (30_000, "\\"), (30, "\U0001f600" * 3_000)],
)
def test_no_line_comes_near_to_what_a_reader_takes(count: int, text: str) -> None:
    rows: list[RowTuple] = [(*row[:9], Token(n, f"{text}{n}"), "") for n, row in enumerate(tokens(count, 500))]
    chunks = encoded(rows, [])
    assert sum(chunk.rows for chunk in chunks) == count
    assert max(len(json.dumps(chunk.text)) for chunk in chunks) < 0.8 * MAX_LINE


def test_many_numbers_make_no_long_line_either() -> None:
    times = tuple(n / 7 for n in range(100))
    rows: list[RowTuple] = [
        ("tts", n, "", 0, n, n, "D", 0, 0, WordTimes(n, (*times, n)), "")  # type: ignore[arg-type]
        for n in range(1, 2_000)
    ]
    assert max(len(json.dumps(chunk.text)) for chunk in encoded(rows, [])) < 0.8 * MAX_LINE


@dataclass(frozen=True, slots=True)
class Wide(Message):
    """A message of somebody's own: many numbers."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float
    g: float
    h: float


def test_many_columns_make_no_long_line_either() -> None:
    rows: list[RowTuple] = [
        ("tts", n, "", 0, n, 3 * n, "D", 0, 0, Wide(*(n / m for m in range(7, 15))), "") for n in range(1, 9_000)
    ]
    assert max(len(json.dumps(chunk.text)) for chunk in encoded(rows, [])) < 0.8 * MAX_LINE


def test_content_of_many_parts_fills_a_chunk() -> None:
    rows: list[RowTuple] = [(*row[:9], Token(n, f"{n:050}"), "") for n, row in enumerate(tokens(4_000, 6_000))]
    chunks = encoded(rows, [])
    assert len(cut(rows, [])) > len(chunks) > 5
    assert all(50 * chunk.rows <= CHUNK_VALUES for chunk in chunks)


def test_a_joiner_gives_what_it_was_given() -> None:
    joiner, found = Joiner(LAYOUT), list[Chunk | None]()
    for piece in cut(rows := tokens(100, PART_US), []):
        found.append(joiner.add(piece))
    full = [chunk for chunk in (*found, joiner.finish()) if chunk is not None]
    assert full == encoded(rows, [])
    assert joiner.finish() is None
    assert codec.CHUNK_US % PART_US == 0


@settings(max_examples=60, deadline=None)
@given(journals())
def test_rows_apart_are_those_that_are_not_quiet(rows: list[RowTuple]) -> None:
    for chunk in encoded(rows, []):
        for stretch in decode(chunk.text, LAYOUT):
            whole, apart = list(stretch.rows()), stretch.apart()
            quiet = [row for row in whole if row not in apart]
            assert apart == [row for row in whole if row not in quiet]
            shapes = [(stretch.of(letter), stretch.block.steps[letter].shape) for letter in stretch.quiet()]
            assert len(quiet) == sum((end - begin) * len(shape.members) for (begin, end), shape in shapes)
            assert {type(row[9]) for row in quiet} <= {Frames, Probability, Credit}
            for ear, kind, stage in ((Ear.FRAME, Frames, "mic"), (Ear.ANSWER, Probability, "vad")):
                own = [row for row in quiet if type(row[9]) is kind and row[0] == stage]
                run = stretch.run(ear)
                assert (run is None) is (not own)
                if run is not None:
                    assert [(row[4], row[5]) for row in own] == list(zip(run.available_us, run.handled_us, strict=True))
                    assert [row[1] for row in own] == [stretch.row_number(ear, place) for place in range(len(own))]
                    assert [row[9] for row in own] == list(map(kind, run.frames, run.ps))


@settings(max_examples=60, deadline=None)
@given(journals(), st.sets(st.integers(0, 20)), st.booleans())
def test_chunks_are_read_many_as_one(rows: list[RowTuple], lost: set[int], parts_too: bool) -> None:
    wiring = wiring_of(LAYOUT)
    chunks = cut(rows, []) if parts_too else encoded(rows, [])
    texts = [piece.text(wiring) if isinstance(piece, Part) else piece.text for piece in chunks]
    # One that is lost leaves chunks that do not follow one another: they are read as they are.
    kept = [text for number, text in enumerate(texts) if number not in lost]
    one_by_one = [row for text in kept for row in rows_of(decode(text, LAYOUT))]
    assert list(rows_of(stretches([stored(text, wiring) for text in kept], wiring))) == one_by_one
    assert lost or one_by_one == rows


def test_a_lot_of_chunks_is_one_block() -> None:
    wiring = wiring_of(LAYOUT)
    rows = tokens(100, PART_US)
    chunks = [stored(piece.text(wiring), wiring) for piece in cut(rows, [])]
    (lot,) = in_lots(chunks)
    assert len(chunks) == 100
    assert (lot.rows, len(lot.alike), lot.after()) == (100, 1, chunks[-1].after())
    assert len(list(stretches(chunks, wiring))) == 1
    assert len(list(in_lots([*chunks[:5], *chunks[7:]]))) == 98


@pytest.mark.parametrize("kept", [0, 1])
def test_a_shape_without_its_columns_is_malformed(kept: int) -> None:
    wiring = wiring_of(LAYOUT)
    told = json.loads(cut(tokens(1, 0), [])[0].text(wiring))
    told[-1][0] = told[-1][0][: 1 + kept]
    with pytest.raises(TraceError, match="malformed"):
        stored(json.dumps(told), wiring)


@pytest.mark.parametrize("limit", ["CHUNK_SHAPES", "CHUNK_EPOCHS"])
def test_chunks_of_many_shapes_or_epochs_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    wiring = wiring_of(LAYOUT)
    kinds: list[Message] = [Credit(1), Token(0, "x"), Timer("next")]
    rows: list[RowTuple] = [
        ("tts", n + 1, "", 0, n * PART_US, n * PART_US, message.lane, n, n, message, "")
        for n, message in enumerate(kinds)
    ]
    chunks = [stored(piece.text(wiring), wiring) for piece in cut(rows, [])]
    assert len(list(in_lots(chunks))) == 1
    monkeypatch.setattr(f"flowkit.trace.stored.{limit}", 2)
    assert list(in_lots(chunks)) == chunks


values_of_a_column = st.lists(
    st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0, float("inf")]) | st.booleans() | texts, min_size=1, max_size=6
)
rising = st.builds(lambda first, by: [first, first + by, first + 2 * by], st.integers(), st.integers())


@settings(max_examples=200, deadline=None)
@given(st.lists(values_of_a_column | rising, min_size=1, max_size=4))
@example([[1], [True]])
@example([[0.0, 0.0], [-0.0, -0.0]])
@example([[1, 2], [3, 4]])
def test_columns_that_are_joined_hold_the_same_values(columns: list[list[Any]]) -> None:
    stored_columns = json.loads(json.dumps([packed(tuple(values)) for values in columns]))
    joined = joined_columns(stored_columns, list(map(len, columns)))
    values = list(unpacked(joined, sum(map(len, columns))))
    assert list(map(repr, values)) == [repr(value) for column in columns for value in column]


@pytest.mark.parametrize("shifts", [None, [0, 0]])
@pytest.mark.parametrize(
    "columns",
    [
        [{"all": 5, "by": 1}, {"all": 6, "by": 1}],
        [{"all": 5, "from": 1, "by": 1}, {"from": 4, "by": 1}],
        [{"from": 1, "by": 1}, {"all": 5, "from": 4, "by": 1}],
    ],
)
def test_a_column_that_is_two_things_is_joined_as_what_it_is_read_as(
    columns: list[dict[str, int]], shifts: list[int] | None
) -> None:
    one_by_one = [value for column in columns for value in unpacked(column, 3)]
    assert list(unpacked(joined_columns(columns, [3, 3], shifts), 6)) == one_by_one


@pytest.mark.parametrize("pair", [([1], [True]), ([0.0], [-0.0])])
def test_values_that_are_only_equal_are_not_joined_to_one(pair: tuple[list[Any], list[Any]]) -> None:
    joined = joined_columns([{"all": value} for value in pair], [1, 1])
    assert list(map(repr, unpacked(joined, 2))) == list(map(repr, pair))


@given(st.lists(st.tuples(rising | st.lists(st.integers(-3, 3), min_size=1), st.integers(-9, 9)), min_size=1))
@example([([1, 2], 0), ([1, 2], 2)])
def test_columns_that_begin_later_are_joined(columns: list[tuple[list[int], int]]) -> None:
    stored_columns = json.loads(json.dumps([packed(tuple(values)) for values, _ in columns]))
    joined = joined_columns(stored_columns, [len(values) for values, _ in columns], [later for _, later in columns])
    later = [value + by for values, by in columns for value in values]
    assert list(unpacked(joined, len(later))) == later


@settings(max_examples=200, deadline=None)
@given(values_of_a_column | rising)
@example([0.0, -0.0, 0.0])
@example([True, 1, True])
def test_columns_come_back_as_they_were_value_by_value(values: list[Any]) -> None:
    stored = json.loads(json.dumps(packed(tuple(values))))
    back = unpacked(stored, len(values))
    assert list(map(repr, back)) == list(map(repr, values))


def test_numbers_of_somebodys_own_class_are_stored_as_plain_ones() -> None:
    for own in ((np.float64(0.25),) * 3, (np.float64(0.25), 0.25, 0.5), (math.nan,) * 3, (Reason.END,) * 2):
        stored = json.loads(json.dumps(packed(own)))
        back = tuple(unpacked(stored, len(own)))
        assert list(map(repr, back)) == [repr(str.__str__(v) if isinstance(v, str) else float(v)) for v in own]
        assert json.dumps(packed(back)) == json.dumps(packed(own))


@pytest.mark.parametrize(
    "text",
    [
        '[0,0,[0,0,0,0],[[0,1,1]],"b",[[[3,"Done"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"",[]]',
        '[0,0,[0,0,0],[[0,1,1]],"a",[[[3,"Done"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[],"a",[[[3,"Done"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[1,1,1]],"a",[[[3,"Done"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1],[0,2,2]],"a",[[[3,"Done"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,"1",1]],"a",[[[3,"Done"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[4,"Done"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done",9],[0],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done",0,7],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Nothing"],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,["Done"]],[0],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],[0.5],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],[0,1],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],{"from":0,"by":0},[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],"all",[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Token"],[0],[0],["x"],["y"]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Token"],[0],[0],[1]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Token"],[0],[0],[1],["y"],[3]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"aa",[[[0,"Frames",0,0,1,2],[0,1],[0,0],{"from":"x","by":1},{"all":1}]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"aa",[[[1,"Probability"],[0,1],[0,0],{"from":0,"by":1},[0.5,"x"]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"WordTimes"],[0],[0],[0],[' + "[" * 500 + "]" * 500 + "]]]]",
        '[0,0,[0,0,0,0],[[0,1,1]],"' + "a" * 20_001 + '",[[[3,"Done"],{"all":0},{"all":0}]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done",0,0' + ",1" * 100 + "],[0],[0]]]]",
        '[0,0,[0,0,0,0],[[0,1,1]],"' + "a" * 9_000 + '",[[[3,"Done",0,0,1,2],{"all":0},{"all":0}]]]',
        '[0,5,[0,0,0,0],[[0,1,1]],"a",[[[3,"Done"],[-1],[0]]]]',
        '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Audio"],[0],[0],[0],[0],[160],[0]]]]',
    ],
)
def test_a_chunk_that_is_none_is_a_trace_error(text: str) -> None:
    with pytest.raises(TraceError):
        list(rows_of(decode(text, LAYOUT)))


@settings(max_examples=40, deadline=None)
@given(journals(), journals())
def test_other_journals_have_other_digests(a: list[RowTuple], b: list[RowTuple]) -> None:
    assert (journal_digest(a, LAYOUT) == journal_digest(b, LAYOUT)) is (a == b)


def test_half_a_surrogate_pair_is_text_too() -> None:
    rows: list[RowTuple] = [("tts", 1, "", 0, 5, 5, "D", 0, 0, Token(0, "a\ud83d"), "")]
    (chunk,) = encoded(rows, [])
    assert list(rows_of(decode(chunk.text, LAYOUT))) == rows


def test_a_field_that_came_later_is_not_missed() -> None:
    text = '[0,0,[0,0,0,0],[[0,1,1]],"a",[[[3,"Clause"],[0],[0],[0],["Hi."],["Hi."],[2],["end"]]]]'
    (row,) = rows_of(decode(text, LAYOUT))
    assert row[9] == Clause(0, "Hi.", "Hi.", 2, "end")
