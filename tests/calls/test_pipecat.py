"""Calls of Pipecat: what its spans and its recording say, that their traces replay, and what is wrong with such files.

The samples are what Pipecat wrote when ``pipecat/make.py`` ran it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.calls.call import FRAME_US, CallLine, ImportedCall
from flowkit.calls.listen import heard_in, settings_of
from flowkit.calls.reports.read import read_report
from flowkit.calls.reports.recorded import with_recording
from flowkit.calls.reports.report import SpokenWords
from flowkit.calls.session import plan_of, played, write_trace
from flowkit.calls.stereo import read_stereo
from flowkit.cli import main
from flowkit.config.budgets import PARTS
from flowkit.errors import InputError, UsageError
from flowkit.replay import exactly, run
from flowkit.replay.manifest import NAMES, manifest_of
from flowkit.replay.simulate import prepare
from flowkit.trace.reader import read_trace
from tests.calls.support import call_from
from tests.docs.pages import blocks
from tests.serve.programs import environment

SAMPLES = Path(__file__).with_name("pipecat")
BOOKING, CONSOLE, PATIENT = (
    SAMPLES / name for name in ("booking.otlp.jsonl", "booking.console.json", "patient.otlp.jsonl")
)
SOUND = SAMPLES / "booking.flac"
SAID = [
    ("agent", "Hello, this is the Blue Door restaurant. How can I help you?"),
    ("user", "I would like a table for tonight."),
    ("agent", "Of course. For how many people?"),
    ("user", "For two people."),
    ("agent", "Good. I have booked a table"),
    ("user", "Eight o'clock is fine."),
    ("agent", "Goodbye."),
    ("user", "Thank you."),
    ("user", "Goodbye."),
]

Spans = list[dict[str, Any]]


def lines_of(call: ImportedCall) -> list[tuple[str, str]]:
    sides = [*(("user", one) for one in call.user), *(("agent", one) for one in call.agent)]
    return [(who, one.text) for who, one in sorted(sides, key=lambda pair: pair[1].begin_us)]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of the sample with its recording."""
    out = tmp_path_factory.mktemp("pipecat") / "booking.jsonl"
    more = ["-o", str(out), "--turns", str(out.with_suffix(".json"))]
    assert main(["import", str(BOOKING), "--recording", str(SOUND), *more]) == 0
    return out


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of the sample without it."""
    out = tmp_path_factory.mktemp("pipecat") / "booking.jsonl"
    write_trace(call_from(BOOKING), out)
    return out


# -- what they say -----------------------------------------------------------------------------------------------------


def test_who_said_what() -> None:
    call = call_from(BOOKING)
    assert lines_of(call) == SAID
    assert [call.error for call in call.model_calls] == [""] * 4 + ["RuntimeError: the model is overloaded"]


def test_both_forms_say_the_same() -> None:
    """Times too: one form has nanoseconds, and the other microseconds that went through a float."""
    one, other = call_from(BOOKING), call_from(CONSOLE)
    assert lines_of(one) == lines_of(other)
    for a, b in zip((*one.user, *one.agent), (*other.user, *other.agent), strict=True):
        assert max(abs(a.begin_us - b.begin_us), abs(a.end_us - b.end_us)) <= 4
    for call, same in zip(one.model_calls, other.model_calls, strict=True):
        assert max(abs(call.asked_us - same.asked_us), abs(call.last_us - same.last_us)) <= 4
    assert one.notices == other.notices


def test_transcripts_that_are_never_final() -> None:
    assert lines_of(call_from(PATIENT)) == [*SAID[:4], ("agent", "Good. I have booked a table for two at eight.")]


def test_when_the_agent_fell_silent_is_known_where_a_turn_ended_by_itself() -> None:
    """And guessed for the last reply: its turn was ended by the end of the conversation, and is said to be interrupted."""
    call = call_from(PATIENT)
    turns = [attributes(span) | span for line in otlp(PATIENT) for span in line if span["name"] == "turn"]
    for line, turn in zip(call.agent[:2], turns, strict=False):
        silent_us = int(turn["startTimeUnixNano"]) / 1000 + turn["turn.duration_seconds"] * 1e6
        assert abs(call.started_us + line.end_us - silent_us) <= 2
    assert call.notices == ("no span says when the agent fell silent, 1 x; it is taken from the length of the text",)


def test_the_spans_place_speech_where_the_recording_has_it(spoken: Path) -> None:
    told, heard = call_from(BOOKING), json.loads(spoken.with_suffix(".json").read_text())
    assert len(heard) == len(SAID) - 1
    assert heard[-1]["text"] == "Thank you. Goodbye."  # in one breath
    for who, side in (("user", told.user[:3]), ("agent", told.agent)):
        for one, other in zip(side, (line for line in heard if line["who"] == who), strict=False):
            assert one.text == other["text"]
            assert abs(one.begin_us / 1000 - other["start_ms"]) <= 150
            # Most ends of the agent are guessed.
            assert abs(one.end_us / 1000 - other["end_ms"]) <= (150 if who == "user" else 500)


# -- their traces ------------------------------------------------------------------------------------------------------


def test_the_manifest(spoken: Path, silent: Path) -> None:
    for path, recorded in (
        (spoken, ("audio", "levels", "transcripts", "reply times")),
        (silent, ("transcripts", "reply times")),
    ):
        prepared = prepare(path, changed=True)
        manifest = manifest_of(prepared.trace, prepared.material)
        assert manifest.lies == ()
        assert manifest.recorded == recorded
        assert {*manifest.recorded, *manifest.derived, *manifest.missing} == NAMES


def test_they_replay_exactly(spoken: Path, silent: Path) -> None:
    for path in (spoken, silent):
        assert exactly(read_trace(path)).difference is None


def test_turns_end_as_they_ended(spoken: Path, silent: Path) -> None:
    for path in (spoken, silent):
        ends = [turn.end_reason for turn in run(path).report.turns]
        assert ends == ["completed", "completed", "interrupted", "completed", "error"]


def test_delays_are_those_that_pipecat_measured(silent: Path) -> None:
    spans = [span for line in otlp(BOOKING) for span in line]
    latencies = [value for span in spans if (value := attributes(span).get("turn.user_bot_latency_seconds"))]
    ttfbs = [attributes(span)["metrics.ttfb"] for span in spans if span["name"] == "llm"][1:4]
    answers = run(silent).report.turns[1:4]
    for turn, latency_s, ttfb_s in zip(answers, latencies, ttfbs, strict=True):
        assert turn.ttfa_us is not None
        assert abs(turn.ttfa_us / 1e6 - latency_s) <= 0.04
        assert turn.parts_us is not None
        assert abs(dict(zip(PARTS, turn.parts_us, strict=True))["llm_first_token"] / 1e6 - ttfb_s) <= 0.05


def test_another_silence_moves_the_answers(spoken: Path, silent: Path) -> None:
    for path in (spoken, silent):
        usual, faster = run(path).report, run(path, overrides=("stages.vad.end=300ms",)).report
        assert usual.turns[1].ttfa_us - faster.turns[1].ttfa_us >= 200_000  # type: ignore[operator]


def test_a_shorter_silence_waits_for_the_transcript(silent: Path) -> None:
    """Pipecat had it 280 ms after the user's voice."""
    for end, waits in (("300ms", range(1)), ("200ms", range(60_000, 110_000))):
        turn = run(silent, overrides=(f"stages.vad.end={end}",)).report.turns[1]
        assert turn.parts_us is not None
        assert dict(zip(PARTS, turn.parts_us, strict=True))["asr_final"] in waits


def test_a_reply_that_sounds_before_it_is_written_begins_when_it_began(tmp_path: Path) -> None:
    call = call_from(written(tmp_path, lambda spans: later(named(spans, "llm", 1), "endTimeUnixNano", 3)))
    write_trace(call, tmp_path / "a.jsonl")
    turn = run(tmp_path / "a.jsonl").report.turns[1]
    assert abs(turn.started_us + (turn.ttfa_us or 0) - call.agent[1].begin_us) <= 20_000


def test_a_turn_is_pinned_and_reported(spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    assert main(["pin", str(spoken), "--turn", "3", "--name", "cut off"]) == 0
    assert main(["test", "traces", "-j", "1"]) == 0
    assert main(["report", str(spoken), "-o", "report.html"]) == 0
    assert "I have booked a table" in Path("report.html").read_text()
    Path("traces/cut-off.expect.yaml").write_text(
        "set: [stages.vad.end=1200ms]\n" + Path("traces/cut-off.expect.yaml").read_text()
    )
    assert main(["test", "traces", "-j", "1"]) == 1


# -- what can be wrong -------------------------------------------------------------------------------------------------


def otlp(path: Path) -> list[Spans]:
    """The spans of each line."""
    return [
        [
            span
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        for line in path.read_text().splitlines()
    ]


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def written(folder: Path, change: Callable[[Spans], object], source: Path = BOOKING) -> Path:
    """The sample with other spans: what `change` returns, or what it leaves."""
    spans = [span for line in otlp(source) for span in line]
    changed = change(spans)
    path = folder / "spans.jsonl"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans if changed is None else changed}]}]}))
    return path


def named(spans: Spans, name: str, at: int = 0) -> dict[str, Any]:
    return [span for span in spans if span["name"] == name][at]


def later(span: dict[str, Any], key: str, by_s: float) -> None:
    span[key] = str(int(span[key]) + round(by_s * 1e9))


def without(span: dict[str, Any], *keys: str) -> None:
    span["attributes"] = [one for one in span["attributes"] if one["key"] not in keys]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda spans: later(named(spans, "llm"), "endTimeUnixNano", -9), "ends 8.* before it begins"),
        (lambda spans: [later(named(spans, "turn", 2), key, -8) for key in TIMES] and None, "begins before turn"),
        (lambda spans: later(named(spans, "turn", 2), "endTimeUnixNano", -1), "lasted .* longer than its span"),
        (lambda spans: [later(named(spans, "tts", 1), key, -60) for key in TIMES] and None, "before the conversation"),
    ],
)
def test_times_that_run_backwards_are_refused(tmp_path: Path, change: Callable[[Spans], object], what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        read_report(written(tmp_path, change))
    assert "backwards" in str(caught.value.hint)


TIMES = ("startTimeUnixNano", "endTimeUnixNano")


def test_spans_without_a_conversation(tmp_path: Path) -> None:
    services = written(tmp_path, lambda spans: [span for span in spans if span["name"] not in ("turn", "conversation")])
    with pytest.raises(InputError, match=r"no conversation of Pipecat, only .*llm \(5\)") as caught:
        read_report(services)
    assert "enable_turn_tracking" in str(caught.value.hint)


def test_others_are_left_out_and_said(tmp_path: Path) -> None:
    def stray(spans: Spans) -> None:
        spans.append(named(spans, "llm") | {"traceId": "f" * 32, "spanId": "1" * 16, "name": "GET /health"})
        spans.append(named(spans, "llm") | {"spanId": "2" * 16, "name": "llm_tool_call"})

    report = read_report(written(tmp_path, stray))
    assert report.user == read_report(BOOKING).user
    assert "1 span of no conversation, left out: GET /health (1)" in report.notices[0]
    assert "1 span of other kinds, left out: llm_tool_call (1)" in report.notices[1]


def test_several_conversations_need_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = tmp_path / "spans.jsonl"
    both.write_text(BOOKING.read_text() + PATIENT.read_text())
    assert main(["import", str(both)]) == 2
    assert "holds 2 conversations; --conversation takes one of booking, patient" in capsys.readouterr().err
    assert main(["import", str(both), "--conversation", "other"]) == 2
    assert "has no conversation 'other'" in capsys.readouterr().err
    assert main(["import", str(both), "--conversation", "patient"]) == 0
    assert "For two people." in capsys.readouterr().out
    assert (tmp_path / "spans.trace.jsonl").exists()
    assert read_report(both, "booking") == read_report(BOOKING)


def test_a_user_who_calls_twice(tmp_path: Path) -> None:
    twice = tmp_path / "spans.jsonl"
    trace = otlp(BOOKING)[0][0]["traceId"]
    twice.write_text(BOOKING.read_text() + BOOKING.read_text().replace(trace, "e" * 32))
    with pytest.raises(UsageError, match=f"{trace}, {'e' * 32}"):
        read_report(twice, "booking")
    assert read_report(twice, "e" * 32) == read_report(BOOKING)


@pytest.mark.parametrize("sample", [BOOKING, CONSOLE])
def test_a_file_that_is_cut_off(tmp_path: Path, sample: Path) -> None:
    cut = tmp_path / sample.name
    cut.write_text(sample.read_text()[:-700])
    report = read_report(cut)
    assert [line.text for line in report.user[:3]] == [text for who, text in SAID if who == "user"][:3]
    assert "cut off in its last document" in report.notices[0]


def test_lines_of_a_log_between_spans(tmp_path: Path) -> None:
    log = tmp_path / "bot.json"
    log.write_text("Starting the bot\n" + CONSOLE.read_text().replace("\n{", "\n12:00 INFO a client has come\n{", 2))
    report = read_report(log)
    assert report.user == read_report(CONSOLE).user
    assert "3 lines that are no JSON" in report.notices[0]


def test_spans_that_are_there_twice_count_once(tmp_path: Path) -> None:
    twice = tmp_path / "spans.jsonl"
    twice.write_text(BOOKING.read_text() * 2)
    assert read_report(twice) == read_report(BOOKING)


def test_a_bot_that_was_killed_has_no_end(tmp_path: Path) -> None:
    report = read_report(written(tmp_path, lambda spans: [one for one in spans if one["name"] != "conversation"]))
    assert [line.text for line in report.user] == [text for who, text in SAID if who == "user"]
    assert "has no end" in report.notices[0]
    with pytest.raises(UsageError, match="takes one of booking"):
        read_report(tmp_path / "spans.jsonl", "other")


def test_a_turn_that_is_missing_is_said(tmp_path: Path) -> None:
    report = read_report(written(tmp_path, lambda spans: spans.remove(named(spans, "turn", 1))))
    assert "turns are missing; there are 1, 3, 4, 5" in report.notices[0]
    assert [line.text for line in report.user] == [text for who, text in SAID if who == "user"]


def test_spans_without_metrics(tmp_path: Path) -> None:
    def unmeasured(spans: Spans) -> None:
        for span in spans:
            without(span, "metrics.ttfb")

    report, measured = read_report(written(tmp_path, unmeasured)), read_report(BOOKING)
    assert sum("enable_metrics=True" in guess for guess in report.guesses) == 2
    assert not [call for call in report.model_calls if not call.error]
    assert any("4 spans of the LLM without metrics.ttfb" in notice for notice in report.notices)
    for one, other in zip(report.user, measured.user, strict=True):
        assert one.end_us == one.known_us  # the transcript, 280 ms after the voice
        assert one.begin_us >= other.begin_us
    call = call_from(tmp_path / "spans.jsonl")
    assert "reply times" in call.derived
    write_trace(call, tmp_path / "a.jsonl")
    for turn, line in zip(run(tmp_path / "a.jsonl").report.turns[1:4], call.agent[1:], strict=True):
        assert abs(turn.started_us + (turn.ttfa_us or 0) - line.begin_us) <= 20_000


def test_words_without_a_voice_detector(tmp_path: Path) -> None:
    def at_once(spans: Spans) -> None:
        span = named(spans, "stt", 1)
        span["startTimeUnixNano"] = span["endTimeUnixNano"]
        without(span, "metrics.ttfb")

    report = read_report(written(tmp_path, at_once))
    assert report.user[1].end_us - report.user[1].begin_us == 12 * 60_000
    assert any("1 span of the user whose begin is not known" in guess for guess in report.guesses)


def test_spans_without_words_are_said(tmp_path: Path) -> None:
    def wordless(spans: Spans) -> None:
        without(named(spans, "stt", 1), "transcript")
        without(named(spans, "tts", 1), "text")

    report = read_report(written(tmp_path, wordless))
    assert (len(report.user), len(report.agent)) == (4, 3)
    assert "1 span of the user without a transcript, left out" in report.notices
    assert "1 span of the agent without a text, left out" in report.notices


def test_a_request_for_a_tool_belongs_to_the_answer(tmp_path: Path) -> None:
    def tool(spans: Spans) -> None:
        asked = json.loads(json.dumps(named(spans, "llm", 1)))
        without(asked, "output")
        for key in TIMES:
            later(asked, key, -0.4)
        spans.append(asked | {"spanId": "3" * 16})

    report, usual = read_report(written(tmp_path, tool)), read_report(BOOKING)
    assert report.model_calls[1].asked_us == usual.model_calls[1].asked_us - 400_000
    assert report.model_calls[1].first_us == usual.model_calls[1].first_us
    assert any("as for a tool, 1 x" in notice for notice in report.notices)


@pytest.mark.parametrize(
    "text", ["", "\n", "{}", '{"resourceSpans": []}', '{"name": "llm"}\n{"name"', "[1]", '"a"', "{\n" * 9999]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"a\.jsonl"):
        read_report(tmp_path / "a.jsonl")


@settings(max_examples=40)  # each runs a session of twenty seconds
@given(st.data())
def test_spans_that_are_lost_lose_no_others(data: st.DataObject) -> None:
    """Whichever spans are missing: the words of those that are there are in the call, and it becomes a session."""
    spans = [span for line in otlp(BOOKING) for span in line]
    kept = data.draw(st.lists(st.sampled_from(spans), unique_by=lambda span: span["spanId"], min_size=1))
    with TemporaryDirectory() as folder:
        path = written(Path(folder), lambda _: kept)
        if not any(span["name"] in ("turn", "conversation") for span in kept):
            with pytest.raises(InputError, match="no conversation"):
                call_from(path)
            return
        call = call_from(path)
    spoken = [attributes(span)["transcript"] for span in kept if span["name"] == "stt"]
    assert [line.text for line in call.user] == sorted(spoken, key=[text for who, text in SAID if who == "user"].index)
    said = [span for span in kept if span["name"] == "tts"]
    assert len(call.agent) == len(said)
    session = played(call, plan_of(call)[1])
    assert session.pump.engine.finished == "input_ended"


# -- the recording -----------------------------------------------------------------------------------------------------


def sound(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    samples, rate_hz = soundfile.read(SOUND, dtype="int16")
    soundfile.write(folder / "call.wav", change(samples), rate_hz)
    return folder / "call.wav"


def recorded(folder: Path, path: Path) -> tuple[int, list[dict[str, Any]]]:
    code = main(
        [
            "import",
            str(BOOKING),
            "--recording",
            str(path),
            "-o",
            str(folder / "a.jsonl"),
            "--turns",
            str(folder / "a.json"),
        ]
    )
    return code, json.loads((folder / "a.json").read_text()) if code == 0 else []


def test_a_recording_that_ends_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = recorded(tmp_path, sound(tmp_path, lambda both: both[: 8_000 * 9]))
    assert code == 0
    assert [one["text"] for one in found] == [text for _, text in SAID[:3]]
    told = capsys.readouterr().err
    assert "the recording lasts 9.0 s and the call longer: 4 lines of the user lie outside" in told
    assert "2 lines of the agent lie outside" in told


@pytest.mark.parametrize("late_s", [-3, 2])
def test_a_recording_that_begins_at_another_time(
    tmp_path: Path, late_s: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def moved(both: np.ndarray) -> np.ndarray:
        silence = np.zeros((8_000 * max(0, late_s), 2), "int16")
        return np.concatenate([silence, both[8_000 * max(0, -late_s) :]])

    usual = read_report(BOOKING)
    code, found = recorded(tmp_path, sound(tmp_path, moved))
    assert code == 0
    booked = next(one for one in found if one["text"].startswith("Good."))
    assert abs(booked["start_ms"] / 1000 - late_s - usual.agent[2].begin_us / 1e6) <= 0.1
    trace = run(tmp_path / "a.jsonl").report
    assert trace.turns[-1].end_reason == "error"
    # What was measured by the clock moves with the sound.
    parts = next(turn.parts_us for turn in trace.turns if turn.user == "For two people.")
    assert parts is not None
    assert 100_000 <= dict(zip(PARTS, parts, strict=True))["llm_first_token"] <= 260_000
    began_us = with_recording(usual, read_stereo(tmp_path / "call.wav"), BOOKING).started_us
    assert abs(began_us + late_s * 1_000_000 - usual.started_us) <= 100_000


def test_the_recording_of_another_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recorded(tmp_path, sound(tmp_path, lambda both: both[:, ::-1]))[0] == 2
    assert "its channels look swapped" in capsys.readouterr().err
    assert recorded(tmp_path, sound(tmp_path, lambda both: both[8_000 * 14 :]))[0] == 2
    assert "too little of the call" in capsys.readouterr().err
    assert (
        recorded(tmp_path, sound(tmp_path, lambda both: np.random.default_rng(1).integers(-9, 9, both.shape, "int16")))[
            0
        ]
        == 2
    )


def test_a_recording_with_one_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recorded(tmp_path, sound(tmp_path, lambda both: both[:, 0]))[0] == 2
    assert "has one channel" in capsys.readouterr().err


def test_speech_without_a_transcript_is_a_turn_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, lambda spans: [span for span in spans if span is not named(spans, "stt", 1)])
    out = ["-o", str(tmp_path / "a.jsonl"), "--turns", str(tmp_path / "a.json")]
    assert main(["import", str(path), "--recording", str(SOUND), *out]) == 0
    assert "the user is heard where the report has no words, 1 x, first at 9.8 s" in capsys.readouterr().err
    assert [one["text"] for one in json.loads((tmp_path / "a.json").read_text()) if one["who"] == "user"][1] == ""


def test_words_without_sound_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def muted(both: np.ndarray) -> np.ndarray:
        both[8_000 * 6 : 8_000 * 9, 1] = 0
        return both

    code, found = recorded(tmp_path, sound(tmp_path, muted))
    assert code == 0
    assert "the agent is not heard where the report has words, 1 x" in capsys.readouterr().err
    assert not any(one["text"].startswith("Of course") for one in found)


def test_options_that_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(SOUND), "--recording", str(SOUND)]) == 2
    assert "are about reports" in capsys.readouterr().err
    assert main(["import", str(BOOKING), "--swap"]) == 2
    assert "a report has none" in capsys.readouterr().err


# -- words -------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(5, 60), st.integers(8, 60)), min_size=1, max_size=8),
    st.integers(1, 30),
    st.integers(120, 900),
)
def test_each_word_is_in_one_utterance(talk: list[tuple[int, int]], count: int, end_ms: int) -> None:
    """Whatever the silence is that ends an utterance."""
    probabilities = [(frame, p) for frame, p in enumerate(p for v, s in talk for p in [*[0.9] * v, *[0.0] * s])]
    words = " ".join(map(str, range(count)))
    line = CallLine(0, len(probabilities) * FRAME_US, words)
    spoken = SpokenWords([line], probabilities)
    utterances = heard_in(probabilities, settings_of(end_ms))
    assert " ".join(filter(None, (spoken(one.first, one.last) for one in utterances))) == words


# -- Pipecat itself ----------------------------------------------------------------------------------------------------

PACKAGES = ("pipecat-ai[tracing]==1.14.0", "opentelemetry-exporter-otlp-json-file==0.66b1")
SLOW = os.environ.get("HYPOTHESIS_PROFILE") == "deep" or "FLOWKIT_CLIENTS" in os.environ


slow = pytest.mark.skipif(not SLOW, reason="takes minutes; runs with the profile deep, or with FLOWKIT_CLIENTS=1")
PAGE = """
import asyncio, sys
from pipecat.pipeline.pipeline import Pipeline
pipeline = Pipeline([])
exec(sys.stdin.read())
assert task.turn_tracking_observer
asyncio.run(save(recorder, bytes(8), 8000, 2))
"""


@slow
def test_the_lines_that_the_page_shows(tmp_path: Path) -> None:
    python = environment("pipecat-tracing", *PACKAGES)
    [block] = [block for block in blocks("python") if "from pipecat." in block.text]
    done = subprocess.run(
        [python, "-c", PAGE], cwd=tmp_path, input=block.text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert soundfile.info(tmp_path / "call.wav").channels == 2
    assert (tmp_path / "spans.jsonl").exists()


@slow
def test_pipecat_still_writes_such_files(tmp_path: Path) -> None:
    python = environment("pipecat-tracing", *PACKAGES)
    for name in ("booking", "patient"):
        made = subprocess.run(
            [python, SAMPLES / "make.py", tmp_path, name], capture_output=True, text=True, timeout=180
        )
        assert made.returncode == 0, made.stderr
    for kept, fresh in (
        (BOOKING, tmp_path / BOOKING.name),
        (CONSOLE, tmp_path / CONSOLE.name),
        (PATIENT, tmp_path / PATIENT.name),
    ):
        then, now = call_from(kept), call_from(fresh)
        # On a busy machine another number of words may sound before the user cuts the agent off.
        assert [(who, text[:14]) for who, text in lines_of(now)] == [(who, text[:14]) for who, text in lines_of(then)]
        assert [bool(one.error) for one in now.model_calls] == [bool(one.error) for one in then.model_calls]
    shutil.copy(tmp_path / "booking.flac", tmp_path / "fresh.flac")
    assert (
        main(
            [
                "import",
                str(tmp_path / BOOKING.name),
                "--recording",
                str(tmp_path / "fresh.flac"),
                "-o",
                str(tmp_path / "a.jsonl"),
            ]
        )
        == 0
    )
    assert [turn.end_reason for turn in run(tmp_path / "a.jsonl").report.turns][-3:] == [
        "interrupted",
        "completed",
        "error",
    ]
