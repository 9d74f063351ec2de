"""Recording: what is written, what must not be, and what is left after a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flowkit.config import load
from flowkit.engine import Fate, Row
from flowkit.errors import OutputError, TraceError, UsageError
from flowkit.figures.layout import layout_of
from flowkit.messages import Ask, Called, Frames, Message, ReplyStep, ToolCall, ToolOutcome
from flowkit.plan import resolve
from flowkit.plan.show import show
from flowkit.secrets import known, learn_named
from flowkit.trace.audio import read_sound
from flowkit.trace.chunks import Cutter, journal_digest
from flowkit.trace.decode import decode
from flowkit.trace.reader import read_trace
from flowkit.trace.recorder import open_recorder
from flowkit.trace.redact import MASK, Redactor
from flowkit.trace.rewrite import redact, repair
from flowkit.trace.tape import Job
from flowkit.trace.writer import open_new
from tests.trace.recording import Recorded, record
from tests.trace.sessions import PARIS, pipeline, planned, run
from tests.trace.tool_sessions import CUT_OFF, bistro


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("trace") / "a.jsonl", planned(pipeline()))


def spans(path: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, path.read_text().splitlines())
    return [span for line in lines for r in line["resourceSpans"] for s in r["scopeSpans"] for span in s["spans"]]


def test_the_thread_that_writes_asks_for_no_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are resolved through the message's class. The session's thread may add to that meanwhile: Python notes there what slots
    an object has when it is first copied."""

    def asked(cls: type) -> dict[str, Any]:
        raise RuntimeError("dictionary changed size during iteration")

    monkeypatch.setattr("flowkit.trace.rows.get_type_hints", asked)
    monkeypatch.setattr("flowkit.trace.rows._CONTENTS", {})
    assert not record(tmp_path / "a.jsonl", planned(pipeline())).recording.lost


def test_every_line_is_an_otlp_export_request(recorded: Recorded) -> None:
    for line in recorded.recording.path.read_text().splitlines():
        stored = json.loads(line)
        for span in stored["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            # OTLP's JSON has hexadecimal ids where protobuf's own JSON has base64.
            for key in ("traceId", "spanId", "parentSpanId"):
                if span.get(key):
                    span[key] = __import__("base64").b64encode(bytes.fromhex(span[key])).decode()
        request = json_format.ParseDict(stored, ExportTraceServiceRequest())
        (span,) = request.resource_spans[0].scope_spans[0].spans
        assert len(span.trace_id) == 16
        assert span.end_time_unix_nano >= span.start_time_unix_nano > 0


def test_spans_make_one_tree_with_turns_and_calls(recorded: Recorded) -> None:
    found = spans(recorded.recording.path)
    ids = {span["spanId"] for span in found}
    roots = [span for span in found if "parentSpanId" not in span]
    assert [span["name"] for span in roots] == ["flowkit.session"]
    assert len({span["traceId"] for span in found}) == 1
    assert {span["parentSpanId"] for span in found if span not in roots} <= ids
    names = [span["name"] for span in found]
    assert names.count("invoke_agent") == names.count("chat") == names.count("speech_to_text") == 2
    assert names.count("text_to_speech") == 3
    turns = {span["spanId"]: span for span in found if span["name"] == "invoke_agent"}
    for span in found:
        if span["name"] in ("chat", "text_to_speech", "speech_to_text"):
            turn = turns[span["parentSpanId"]]
            assert int(turn["startTimeUnixNano"]) <= int(span["startTimeUnixNano"])
            assert int(span["endTimeUnixNano"]) <= int(turn["endTimeUnixNano"])


def test_a_tool_has_a_span_below_its_turn(tmp_path: Path) -> None:
    found = spans(record(tmp_path / "a.jsonl", planned(bistro(CUT_OFF))).recording.path)
    turns = {span["spanId"]: attributes(span)["flowkit.turn"] for span in found if span["name"] == "invoke_agent"}
    look, book = (span for span in found if span["name"].startswith("execute_tool "))
    assert (look["name"], book["name"]) == ("execute_tool look", "execute_tool book")
    assert turns[look["parentSpanId"]] == turns[book["parentSpanId"]] == {"intValue": "1"}
    known = {name: value.get("stringValue") for name, value in attributes(book).items()}
    assert known["gen_ai.operation.name"] == "execute_tool"
    assert (known["gen_ai.tool.name"], known["gen_ai.tool.call.id"]) == ("book", "call_2")
    assert (known["gen_ai.tool.call.arguments"], known["gen_ai.tool.call.result"]) == ('{"people": 2}', "table 7")
    assert attributes(book)["flowkit.interrupted"] == {"boolValue": True}
    assert (look["status"]["message"], attributes(look)["error.type"]) == ("full", {"stringValue": "error"})


def test_the_span_of_a_tool_is_redacted(tmp_path: Path) -> None:
    path = record(tmp_path / "a.jsonl", planned(bistro()), keep=["clauses"]).recording.path
    tools = [span for span in spans(path) if span["name"].startswith("execute_tool")]
    assert {span["name"] for span in tools} == {f"execute_tool {MASK}"}
    assert not [word for word in ("19:30", "table 7", "full", "look") if word in str(tools)]


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {known["key"]: known["value"] for known in span["attributes"]}


def test_environment_limits_cut_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    ):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    session = record(tmp_path / "a.jsonl", planned(pipeline()))
    assert read_trace(session.recording.path).rows() == [tuple(row) for row in session.rows]


def test_sound_comes_back_by_its_digest(recorded: Recorded) -> None:
    trace = read_trace(recorded.recording.path)
    assert trace.end is not None
    heard, spoken = trace.end.sounds
    assert heard.role == "input"
    assert len(read_sound(trace.path, heard)) == heard.samples == 320 * len(trace.levels)
    assert spoken.role == "voice-16000"
    audio = [row.message for row in trace.rows() if row.stage == "tts" and type(row.message).__name__ == "Audio"]
    assert len(read_sound(trace.path, spoken)) == sum(piece.samples for piece in audio)  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", ["missing", "swapped", "truncated", "text"])
def test_wrong_sound_is_said(tmp_path: Path, wrong: str) -> None:
    trace = read_trace(record(tmp_path / "a.jsonl", planned(pipeline())).recording.path)
    assert trace.end is not None
    path, other = tmp_path / "a.input.flac", tmp_path / "a.voice-16000.flac"
    match wrong:
        case "missing":
            path.unlink()
        case "swapped":
            path.write_bytes(other.read_bytes())
        case "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "text":
            path.write_text("not a sound")
    with pytest.raises(TraceError, match=r"a\.input\.flac"):
        read_sound(trace.path, trace.end.sounds[0])
    assert read_trace(trace.path).rows() == trace.rows()


def test_a_trace_is_never_overwritten(recorded: Recorded) -> None:
    with pytest.raises(OutputError, match="already exists"):
        open_recorder(recorded.recording.path, recorded.plan)


def test_a_full_disk_ends_the_recording_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: Path) -> IO[str]:
        file = open_new(path)
        write = file.write

        def full(line: str) -> int:
            if file.tell() > 5000:
                raise OSError(28, "No space left on device")
            return write(line)

        file.write = full  # type: ignore[method-assign]
        return file

    monkeypatch.setattr("flowkit.trace.tape.open_new", opened)
    session = record(tmp_path / "a.jsonl", planned(pipeline()))
    assert session.recording.lost == f"cannot write {session.recording.path}: No space left on device"
    monkeypatch.undo()
    rows = read_trace(session.recording.path).rows()
    assert rows == [tuple(row) for row in session.rows[: len(rows)]]


@dataclass(frozen=True, slots=True)
class Blob(Message):
    """A custom message whose content cannot be JSON."""

    what: bytes


def test_a_message_that_cannot_be_written_ends_the_recording_and_not_the_thread(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path / "a.jsonl", planned(pipeline()))
    recorder.begin()
    for n in range(1, 100):
        recorder.rows([Row("llm", n, "", 0, n, n, 0, 0, Blob(b"\xff"), Fate.HANDLED)])
    recording = recorder.close()
    assert "a message cannot be written: TypeError" in recording.lost


# -- secrets and redaction ---------------------------------------------------------------------------------------------

SECRET = 'sk-"quoted"\\-4711-äöü'
PLAIN = "tok_0123456789abcdef"


def test_secrets_are_in_no_byte(tmp_path: Path) -> None:
    """Planted in the environment, in an option, in a header, in a reply and in an error's text."""
    text = pipeline(
        "{at: 280ms, lasts: 820ms}", heard=(f"My key is {PLAIN}",), replies=(f"I heard {PLAIN}. It is safe with me.",)
    )
    config = load("test.yaml", text=text)
    plan = resolve(config)
    for name, value in {"GROQ_API_KEY": PLAIN, "X_TOKEN": SECRET, "HOME": "/home/somebody"}.items():
        learn_named(name, value)
    secrets = known().values
    assert secrets == {PLAIN, SECRET}
    path = tmp_path / "a.jsonl"
    recorder = open_recorder(path, plan, config=show(config, plan), secrets=secrets)
    session = run(text)
    recorder.begin()
    recorder.event(5, "retry", f"401 for {SECRET} with {PLAIN}")
    recorder.rows(session.rows)
    recording = recorder.close(f"failed: header Authorization: Bearer {SECRET}")
    content = path.read_bytes()
    for form in (PLAIN, SECRET, json.dumps(SECRET)[1:-1], json.dumps(json.dumps(SECRET))[3:-3]):
        assert form.encode() not in content
    trace = read_trace(path)
    assert trace.digest == recording.digest
    assert any("I heard xxx_0000000000xxxxxx." in getattr(row.message, "text", "") for row in trace.rows())


def test_redaction_masks_whatever_is_not_named(recorded: Recorded, tmp_path: Path) -> None:
    trace = read_trace(recorded.recording.path)
    out = tmp_path / "b.jsonl"
    redact(trace, out, ["tokens"])
    content = out.read_bytes()
    for text in (b"capital of", b"What is", b"lovely town on"):
        assert text not in content
    again = read_trace(out)
    assert again.redacted
    assert again.end is not None
    assert again.end.sounds == ()
    texts = {row.message.text for row in again.rows() if type(row.message).__name__ in ("Clause", "Final", "Heard")}  # type: ignore[attr-defined]
    assert texts == {MASK}
    assert "".join(
        row.message.text for row in again.rows() if type(row.message).__name__ == "Token" and row.stage == "llm"
    ).startswith(PARIS[:40])  # type: ignore[attr-defined]


@pytest.mark.parametrize("keep", [(), ("tools",)])
def test_what_tools_were_given_and_gave_is_masked_unless_it_is_kept(keep: tuple[str, ...]) -> None:
    told = (
        ToolCall("call_1", "book", '{"name": "Ada"}'),
        ToolOutcome("call_1", "result", "Table for Ada"),
        Ask(1, "", steps=(ReplyStep("", (Called("call_1", "book", '{"name": "Ada"}', "result", "Table for Ada"),)),)),
    )
    rows = [Row("llm", n, "", 0, 0, 0, 1, 1, message, Fate.HANDLED) for n, message in enumerate(told, 1)]
    call, outcome, ask = (row.message for row in Redactor(keep).rows(rows))
    assert isinstance(ask, Ask)
    assert ask.steps == (), "what was said is in them, too"
    masked = (ToolCall("call_1", MASK, MASK), ToolOutcome("call_1", "result", MASK))
    assert (call, outcome) == (told[:2] if keep else masked)


def test_redaction_fails_closed_for_kinds_it_does_not_know() -> None:
    from dataclasses import dataclass

    from flowkit.messages import Message

    @dataclass(frozen=True, slots=True)
    class Diagnosis(Message):
        code: int
        text: str
        notes: tuple[str, ...]

    row = Row("x", 1, "", 0, 0, 0, 0, 0, Diagnosis(7, "broken arm", ("left",)), Fate.HANDLED)
    (masked,) = Redactor(["transcripts", "tokens", "clauses"]).rows([row])
    assert masked.message == Diagnosis(7, MASK, ())


def test_an_unknown_class_of_content_is_an_error() -> None:
    with pytest.raises(UsageError, match="everything"):
        Redactor(["everything"])


# -- a crash -----------------------------------------------------------------------------------------------------------


def test_repair_gives_the_whole_part_an_end_and_its_sound(recorded: Recorded, tmp_path: Path) -> None:
    lines = recorded.recording.path.read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:9]) + lines[9][:50])
    from flowkit.trace.audio import RawSound

    wav = RawSound(cut, "input", 16_000)
    wav.write(bytes(6400))
    wav.abandon()
    trace = read_trace(cut)
    out = tmp_path / "mended.jsonl"
    repair(trace, out)
    mended = read_trace(out)
    assert mended.notices == ()
    assert mended.rows() == trace.rows()
    assert mended.levels == trace.levels
    assert mended.end is not None
    (sound,) = mended.end.sounds
    assert len(read_sound(out, sound)) == 3200
    assert repair(mended, tmp_path / "again.jsonl") is None


def test_a_part_under_way_is_known_when_nothing_comes() -> None:
    session = run(pipeline())
    layout = layout_of(session.plan)
    cutter = Cutter(layout)
    rows = session.rows
    assert list(cutter.add(rows[:40])) == []
    pending = cutter.pending()
    shown = [row for part in pending for row in decode(part.text(layout), layout)]
    assert shown == rows[:40]
    chunks = [*cutter.add(rows[40:]), *cutter.finish()]
    whole = Cutter(layout)
    assert [chunk.text(layout) for chunk in chunks] == [
        chunk.text(layout) for chunk in [*whole.add(rows), *whole.finish()]
    ]
    assert chunks[0].first == pending[0].first


def test_a_killed_session_has_left_all_but_its_last_moment(tmp_path: Path) -> None:
    session = run(pipeline("{at: 280ms, lasts: 820ms}, {at: 68s, lasts: 1s}"))
    rows = session.rows
    recorder = open_recorder(path := tmp_path / "a.jsonl", session.plan)
    recorder.begin()
    tape = recorder._tape
    for begin in range(0, len(rows), 397):
        tape.job(Job(rows[begin : begin + 397], []))
        trace = read_trace(path)
        told = rows[: begin + 397]
        assert trace.rows() == told[: trace.row_count]
        assert told[-1].handled_us - (trace.rows() or rows)[-1 if trace.row_count else 0].handled_us <= 800_000
        assert trace.digest == journal_digest(told[: trace.row_count], trace.layout)
    tape.idle()
    assert read_trace(path).row_count == len(rows)
    size = path.stat().st_size
    tape.idle()
    assert path.stat().st_size == size
    recorder.close()
    closed = read_trace(path)
    assert (closed.rows(), closed.notices) == (rows, ())


def test_frames_that_the_device_dropped_have_no_level(tmp_path: Path) -> None:
    session = run(pipeline())
    for closed in (False, True):
        recorder = open_recorder(path := tmp_path / f"{closed}.jsonl", session.plan)
        recorder.begin()
        recorder._tape.job(Job([row for row in session.rows if index_of(row) not in (3, 4)], []))
        if closed:
            recorder.close()
        else:
            recorder._tape.idle()
        levels = read_trace(path).levels
        assert [frame for frame, level in enumerate(levels) if level == 255] == [3, 4]
        assert len(levels) == 1 + max(map(index_of, session.rows))


def index_of(row: Row) -> int:
    """The index of a frame at the microphone; -1 for any other row."""
    return row.message.index if row.stage == "mic" and isinstance(row.message, Frames) else -1


def test_another_file_that_took_the_path_is_left_alone(tmp_path: Path) -> None:
    session = run(pipeline())
    recorder = open_recorder(path := tmp_path / "a.jsonl", session.plan, audio=False)
    recorder.begin()
    recorder.rows(session.rows)
    path.rename(moved := tmp_path / "moved.jsonl")
    path.write_bytes(foreign := b"not ours\n" * 400)
    recording = recorder.close()
    assert path.read_bytes() == foreign
    assert recording.bytes == moved.stat().st_size
    assert read_trace(moved).rows() == [tuple(row) for row in session.rows]
    assert recorder.close() is recording, "only the first call counts"
