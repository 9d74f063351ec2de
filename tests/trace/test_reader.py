"""Reading what was recorded, and refusing what was not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from flowkit.errors import TraceError
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import measure
from flowkit.trace.audio import read_sound
from flowkit.trace.chunks import Cutter, journal_digest
from flowkit.trace.reader import read_trace
from tests.trace.recording import Recorded, record
from tests.trace.sessions import pipeline, planned


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("trace") / "a.jsonl", planned(pipeline()), config="flowkit: 1\n")


@pytest.fixture(scope="module")
def lines(recorded: Recorded) -> list[bytes]:
    return recorded.recording.path.read_bytes().splitlines(keepends=True)


def test_every_row_comes_back(recorded: Recorded) -> None:
    trace = read_trace(recorded.recording.path)
    assert trace.rows() == recorded.rows
    assert trace.notices == ()
    assert trace.end is not None
    assert trace.end.reason == "input_ended"
    assert trace.head.config == "flowkit: 1\n"
    assert trace.head.kept is None


def test_the_digest_is_that_of_the_rows(recorded: Recorded) -> None:
    trace = read_trace(recorded.recording.path)
    assert trace.digest == recorded.recording.digest == journal_digest(recorded.rows, trace.layout)


def test_figures_are_those_of_the_live_session(recorded: Recorded) -> None:
    trace = read_trace(recorded.recording.path)
    live = measure(recorded.rows, plan=recorded.plan, voiced=recorded.listener.reference())
    again = measure(trace.rows(), plan=trace.layout, voiced=trace.reference)
    assert again == live


def _read(tmp_path: Path, content: bytes) -> Any:
    path = tmp_path / "b.jsonl"
    path.write_bytes(content)
    return read_trace(path)


def test_truncated_anywhere_it_reads_as_far_as_it_goes_or_says_why(tmp_path: Path) -> None:
    plan = planned(pipeline("{at: 100ms, lasts: 60ms}", heard=("Hi.",), replies=("Ho.",)))
    small = record(tmp_path / "a.jsonl", plan)
    content = small.recording.path.read_bytes()
    full, first, checked, counts = small.rows, content.index(b"\n"), -1, set[int]()
    breaks = [end for end, byte in enumerate(content) if byte == 10]
    for cut in sorted({*range(0, len(content), 4), *breaks, *(end + 1 for end in breaks[:-1])}):
        if cut < first:
            with pytest.raises(TraceError):
                _read(tmp_path, content[:cut])
            continue
        trace = _read(tmp_path, content[:cut])
        assert trace.notices or cut == len(content) - 1
        if trace.row_count != checked:
            checked = trace.row_count
            counts.add(checked)
            assert trace.rows() == [tuple(row) for row in full[:checked]]
            assert trace.digest == journal_digest(full[:checked], trace.layout)
    assert len(counts) > 2


def test_shuffled_and_duplicated_lines_read_the_same(lines: list[bytes], tmp_path: Path) -> None:
    full = _read(tmp_path, b"".join(lines)).rows()
    shuffled = lines[::-1] + lines[3:9] + lines[:1]
    assert _read(tmp_path, b"".join(shuffled)).rows() == full


CHUNK = b'"name":"flowkit.journal"'


def test_a_missing_chunk_is_said_and_the_rest_before_it_read(
    recorded: Recorded, lines: list[bytes], tmp_path: Path
) -> None:
    chunks = [line for line in lines if CHUNK in line]
    trace = _read(tmp_path, b"".join(line for line in lines if line != chunks[3]))
    rows = trace.rows()
    assert 0 < len(rows) < len(recorded.rows)
    assert rows == [tuple(row) for row in recorded.rows[: len(rows)]]
    left = len(chunks) - 4
    assert trace.notices[0] == f"the journal is missing from row {len(rows)} on; {left} chunks after it left out"
    assert "rows missing" in trace.notices[1]


def test_a_chunk_that_was_changed_is_found_out(lines: list[bytes], tmp_path: Path) -> None:
    changed = [line.replace(b"What is the capital", b"What is the ______l") for line in lines]
    assert changed != lines
    with pytest.raises(TraceError, match="digest is"):
        _read(tmp_path, b"".join(changed))


def test_of_chunks_that_begin_with_one_row_the_longest_counts(
    recorded: Recorded, lines: list[bytes], tmp_path: Path
) -> None:
    first = next(line for line in lines if CHUNK in line)
    layout = layout_of(recorded.plan)
    shorter = Cutter(layout)
    (chunk,) = [*shorter.add(recorded.rows[:20]), *shorter.finish()]
    early = _changed(first, "flowkit.rows", {"intValue": "20"})
    early = _changed(early, "flowkit.rows.text", {"stringValue": chunk.text(layout)})
    for order in ([*lines, early], [lines[0], early, *lines[1:]]):
        assert _read(tmp_path, b"".join(order)).rows() == recorded.rows


def _changed(line: bytes, key: str, value: Any) -> bytes:
    stored = json.loads(line)
    (span,) = stored["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for attribute in span["attributes"]:
        if attribute["key"] == key:
            attribute["value"] = value
    return json.dumps(stored).encode() + b"\n"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("flowkit.format", {"intValue": "6"}, "format 6; this flowkit reads 5"),
        ("flowkit.format", {"intValue": "4"}, "format 4; this flowkit reads 5"),
        ("flowkit.format", {"stringValue": "x"}, ":1: not a line"),
        ("flowkit.layout", {"stringValue": "{}"}, "not a line"),
        ("flowkit.layout", {"stringValue": "[" * 100_000}, "not a line"),
        ("flowkit.input_rate_hz", {"intValue": "-5"}, "not a line"),
        ("flowkit.clock.base_us", {"arrayValue": {}}, "not a line"),
    ],
)
def test_a_head_that_is_none(lines: list[bytes], tmp_path: Path, key: str, value: Any, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        _read(tmp_path, _changed(lines[0], key, value) + b"".join(lines[1:]))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("flowkit.digest", {"stringValue": "0" * 32}, "changed after it was recorded|digest is"),
        ("flowkit.digest", {"stringValue": "../../etc/passwd"}, "not a line.*regex"),
        (
            "flowkit.audio",
            {"stringValue": '[["../x",16000,5,"' + "0" * 32 + '"]]'},
            "not a line.*input.voice",
        ),
        ("flowkit.audio", {"stringValue": '[["input",16000,5,"/etc/passwd"]]'}, "not a line.*regex"),
        ("flowkit.queues", {"stringValue": "[[]]"}, "not a line"),
    ],
)
def test_an_end_that_is_none(lines: list[bytes], tmp_path: Path, key: str, value: Any, said: str) -> None:
    with pytest.raises(TraceError, match=said):  # noqa: PT012  a role is looked at when its sound is asked for
        trace = _read(tmp_path, b"".join(lines[:-1]) + _changed(lines[-1], key, value))
        read_sound(trace.path, trace.end.sounds[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[0,0,[],[],[]]",
        '[0,0,[0,0,0,0,0,0,0,0],["Nonsense"],[]]',
        '[0,0,[0,0,0,0,0,0,0,0],["Final"],[[0,0,0,0,0,0,0,["x"]]]]',
        '[0,0,[0,0,0,0,0,0,0,0],["Final"],[[0,0,0,0,0,0,0,[1,2]]]]',
        '[0,0,[0,0,0,0,0,0,0,0],["Final"],[[99,0,0,0,0,0,0,["x",1]]]]',
        '[0,0,[0,0,0,0,0,0,0,0],["Final"],[[0,0,0,0,-3,0,0,["x",1]]]]',
        '[0,0,[0,0,0,0,0,0,0,0],[],[[-1,0,0,0,"FFFF",[],0,[],[]]]]',
        '[0,0,[0,0,0,0,0,0,0,0],[],[[-1,0,0,0,"P",[0],0,["x"],[]]]]',
        '[0,0,[0,0,0,0,0,0,0,0],[],[[-1,0,0,0,"C",[0],0,[],[77,1]]]]',
        "[" * 500_000,
    ],
)
def test_a_chunk_that_is_none(lines: list[bytes], tmp_path: Path, text: str) -> None:
    chunk = next(i for i, line in enumerate(lines) if b'"name":"flowkit.journal"' in line)
    broken = _changed(lines[chunk], "flowkit.rows.text", {"stringValue": text})
    with pytest.raises(TraceError):
        _read(tmp_path, b"".join(lines[:chunk]) + broken + b"".join(lines[chunk + 1 : -1])).rows()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no 'session.start' span"),
        (b"\n", ":1: not a line"),
        (b"\x00\xff\xfe" * 1000 + b"\n", ":1: not a line"),
        (b'{"resourceSpans":[]}\n', "no 'session.start' span"),
        (b'{"resourceLogs":[{"scopeLogs":[]}]}\n', "not a line"),
        (
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"GET /","traceId":"1"}]}]}]}\n',
            "no 'session.start' span",
        ),
        (b"[" * 100_000 + b"\n", "not a line"),
        (b'{"resourceSpans":[' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"]}\n", ":1: not a line.*scopeSpans"),
        (b'{"a":"' + b"x" * (1 << 20) + b'"}\n', "more than 1024 KiB in a line"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        _read(tmp_path, content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot read"):
        read_trace(tmp_path / "none.jsonl")


def test_two_sessions_in_one_file(lines: list[bytes], tmp_path: Path) -> None:
    other = lines[0].replace(b'"traceId":"', b'"traceId":"f', 1)
    with pytest.raises(TraceError, match="more than one session"):
        _read(tmp_path, b"".join([*lines, other]))


def test_levels_that_no_detector_gives(lines: list[bytes], tmp_path: Path) -> None:
    loud = base64.b64encode(bytes([201])).decode()
    chunk = next(i for i, line in enumerate(lines) if CHUNK in line)
    changed = _changed(lines[chunk], "flowkit.levels", {"arrayValue": {"values": [{"stringValue": loud}]}})
    changed = _changed(changed, "flowkit.levels.first_frame", {"arrayValue": {"values": [{"intValue": "0"}]}})
    with pytest.raises(TraceError, match="a level is 0 to 200, or 255"):
        _read(tmp_path, b"".join([*lines[:chunk], changed, *lines[chunk + 1 :]]))


def test_a_sound_is_no_longer_than_its_file_can_hold(recorded: Recorded) -> None:
    trace = read_trace(recorded.recording.path)
    assert trace.end is not None
    (sound, *_) = trace.end.sounds
    assert len(read_sound(trace.path, sound)) == sound.samples
    with pytest.raises(TraceError, match="too small for so many samples"):
        read_sound(trace.path, sound._replace(samples=50_000_000))
