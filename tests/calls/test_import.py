"""Calls from elsewhere: what is found in them, and that their traces replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.calls.call import RATE_HZ, CallLine, ImportedCall
from flowkit.calls.doubts import drift_of, swapped
from flowkit.calls.session import plan_of, played, write_trace
from flowkit.calls.stereo import read_stereo
from flowkit.cli import main
from flowkit.errors import InputError, UsageError
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import measure
from flowkit.messages import Final, Play
from flowkit.replay import exactly, run
from flowkit.replay.manifest import IMPORTED, NAMES, manifest_of
from flowkit.replay.simulate import prepare
from flowkit.trace.reader import read_trace
from tests.calls.support import call_from

ROOT = Path(__file__).parents[2]
CALL = ROOT / "pipelines/audio/call.wav"
LIVEKIT = Path(__file__).with_name("livekit.json")
OWN = ("mic", "vad, provider: silero", "asr, provider: moonshine", "gate", "llm, provider: llamacpp", "chunker",
       "tts, provider: piper", "speaker")  # fmt: skip


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of the recorded call, with its turns beside it."""
    out = tmp_path_factory.mktemp("calls") / "call.jsonl"
    assert main(["import", str(CALL), "-o", str(out), "--turns", str(out.with_suffix(".json"))]) == 0
    return out


def test_the_manifest_claims_what_predictions_know(imported: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    write_trace(call_from(LIVEKIT), report)
    for path, recorded in ((imported, ("audio", "levels")), (report, ("transcripts",))):
        prepared = prepare(path, changed=True)
        manifest = manifest_of(prepared.trace, prepared.material)
        assert manifest.lies == ()
        assert manifest.recorded == recorded
        assert {*manifest.recorded, *manifest.derived, *manifest.missing} == NAMES


def test_trace_info_shows_the_manifest(imported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", str(imported)]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert json.loads(shown["imported"])["missing"] == ["tool outcomes"]
    assert json.loads(shown["events"]) == []


# -- a recording -------------------------------------------------------------------------------------------------------


def test_turns_are_found_where_they_are(imported: Path) -> None:
    labels, found = (
        json.loads(path.read_text()) for path in (CALL.with_suffix(".json"), imported.with_suffix(".json"))
    )
    assert [one["who"] for one in found] == [one["who"] for one in labels]
    for one, label in zip(found, labels, strict=True):
        assert abs(one["start_ms"] - label["start_ms"]) <= 100
        assert abs(one["end_ms"] - label["end_ms"]) <= 100


def test_the_trace_is_exact_and_has_the_delays_of_the_call(imported: Path) -> None:
    trace = read_trace(imported)
    assert exactly(trace).difference is None
    labels = json.loads(CALL.with_suffix(".json").read_text())
    waited = [b["start_ms"] - a["end_ms"] for a, b in pairwise(labels) if (a["who"], b["who"]) == ("user", "agent")]
    turns = run(trace).report.turns[1:]  # the greeting answers nothing
    assert len(turns) == len(waited)
    for turn, wait_ms in zip(turns, waited, strict=True):
        assert turn.ttfa_us is not None
        assert abs(turn.ttfa_us / 1000 - wait_ms) <= 100
    assert [turn.end_reason for turn in turns] == ["completed", "interrupted", "completed", "completed"]
    assert {event.name for event in trace.events} == {IMPORTED}


def test_another_silence_moves_the_answers(imported: Path) -> None:
    usual, slower = run(imported).report, run(imported, overrides=("stages.vad.end=1500ms",)).report
    assert slower.turns[1].ttfa_us > usual.turns[1].ttfa_us  # type: ignore[operator]


def test_it_can_be_tested(imported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert main(["approve", str(imported), "-y"]) == 0
    assert main(["test", str(imported)]) == 0
    expectations = imported.with_name("call.expect.yaml")
    expectations.write_text("set: [stages.vad.end=1500ms]\n" + expectations.read_text())
    assert main(["test", str(imported)]) == 1
    assert "by stages.vad.end" in capsys.readouterr().out


def stereo(path: Path, rate_hz: int = RATE_HZ, channels: int = 2, subtype: str = "PCM_16") -> Path:
    noise = np.random.default_rng(3).normal(0, 0.1, (rate_hz, channels))
    soundfile.write(path, noise, rate_hz, subtype=subtype)
    return path


@pytest.mark.parametrize(("rate_hz", "subtype"), [(8_000, "ULAW"), (44_100, "FLOAT"), (48_000, "PCM_24")])
def test_other_rates_and_widths(tmp_path: Path, rate_hz: int, subtype: str) -> None:
    both = read_stereo(stereo(tmp_path / "a.wav", rate_hz, subtype=subtype))
    assert abs(len(both.user) // 2 - RATE_HZ) <= 16
    assert len(both.agent) == len(both.user)


def test_swapped_channels_are_exchanged(tmp_path: Path) -> None:
    both, other = read_stereo(stereo(tmp_path / "a.wav")), read_stereo(tmp_path / "a.wav", swap=True)
    assert (both.user, both.agent) == (other.agent, other.user)


@pytest.mark.parametrize("drift", [0.001, -0.001])
def test_a_declared_drift_is_taken_out(tmp_path: Path, drift: float) -> None:
    path, clicks = tmp_path / "a.wav", np.zeros((20 * RATE_HZ, 2))
    clicks[10 * RATE_HZ, 0] = clicks[round(10 * RATE_HZ * (1 + drift)), 1] = 0.9
    soundfile.write(path, clicks, RATE_HZ)
    both = read_stereo(path, drift=drift)
    places = [int(np.argmax(np.abs(np.frombuffer(pcm, "<i2").astype(int)))) for pcm in (both.user, both.agent)]
    assert abs(places[0] - places[1]) <= 1


@pytest.mark.parametrize(("channels", "what"), [(1, "has one channel"), (3, "has 3 channels")])
def test_other_channels_are_refused(tmp_path: Path, channels: int, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        read_stereo(stereo(tmp_path / "a.wav", channels=channels))
    assert caught.value.hint


def test_mono_in_two_channels_is_refused(tmp_path: Path) -> None:
    one, _ = soundfile.read(stereo(tmp_path / "a.wav", channels=1))
    soundfile.write(tmp_path / "b.wav", np.stack([one, one * 0.5], axis=1), RATE_HZ)
    with pytest.raises(InputError, match="same sound"):
        read_stereo(tmp_path / "b.wav")


def test_a_drift_of_no_clock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="drift"):
        read_stereo(stereo(tmp_path / "a.wav"), drift=0.1)


# -- doubts ------------------------------------------------------------------------------------------------------------


def conversation(seed: int, drift: float = 0.0, turns: int = 75) -> tuple[list[CallLine], list[CallLine]]:
    """Questions and answers of some ten minutes. The agent's clock drifts."""
    chance, at_us = Random(seed), 500_000
    user, agent = list[CallLine](), list[CallLine]()
    for _ in range(turns):
        asked = CallLine(at_us, at_us + chance.randrange(800_000, 4_000_000))
        begin_us = asked.end_us + chance.randrange(600_000, 1_400_000)
        answer = CallLine(begin_us, begin_us + chance.randrange(1_000_000, 5_000_000))
        user.append(asked)
        agent.append(CallLine(*(round(us * (1 + drift)) for us in answer[:2])))
        at_us = answer.end_us + chance.randrange(600_000, 3_000_000)
    return user, agent


@pytest.mark.parametrize("drift", [0.001, -0.001])
def test_a_drift_is_noticed(drift: float) -> None:
    found = [drift_of(*conversation(seed, drift)) for seed in range(40)]
    seen = [one for one in found if one is not None]
    assert len(seen) >= 36
    assert all(abs(one - drift) < 0.0006 for one in seen)


def test_without_a_drift_none_is_noticed() -> None:
    assert sum(drift_of(*conversation(seed)) is not None for seed in range(100)) <= 3


def test_who_gives_way_is_the_agent() -> None:
    agent = [CallLine(at, at + 2_200_000) for at in range(0, 50_000_000, 10_000_000)]
    user = [CallLine(at + 2_000_000, at + 4_000_000) for at in range(0, 50_000_000, 10_000_000)]
    assert swapped(agent, user)
    assert not swapped(user, agent)


# -- reports -----------------------------------------------------------------------------------------------------------


def test_a_report_of_livekit(tmp_path: Path) -> None:
    call = call_from(LIVEKIT)
    assert [one.text for one in call.user][:1] == ["when does the store open number 1"]
    assert call.agent[1].text.endswith("at nine in")  # it was interrupted
    session = write_trace(call, tmp_path / "a.jsonl")
    assert session.turns == 4
    assert exactly(read_trace(tmp_path / "a.jsonl")).difference is None


def report(tmp_path: Path, **metrics: object) -> Path:
    """LiveKit's report with other metrics of its third message."""
    told = json.loads(LIVEKIT.read_text())
    messages = [item for item in told["chat_history"]["items"] if item["type"] == "message"]
    messages[2]["metrics"] |= metrics
    (tmp_path / "report.json").write_text(json.dumps(told))
    return tmp_path / "report.json"


@pytest.mark.parametrize(
    ("metrics", "what"),
    [
        ({"stopped_speaking_at": 1796029820.5}, "before it begins"),
        ({"started_speaking_at": 1796029820.05}, "before the entry before it"),
        ({"started_speaking_at": 1796029000}, "before the session"),
        ({"stopped_speaking_at": 1796039000}, "after the end of the call"),
    ],
)
def test_times_that_run_backwards_are_refused(tmp_path: Path, metrics: dict[str, float], what: str) -> None:
    with pytest.raises(InputError, match=what):
        call_from(report(tmp_path, **metrics))


def test_what_has_no_times_is_left_out_and_said(tmp_path: Path) -> None:
    call = call_from(report(tmp_path, started_speaking_at=None))
    assert len(call.user) == 3
    assert "left out" in call.notices[0]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '[{"who": "dog", "start_ms": 1, "end_ms": 2}]', '[{"who": "user"}]', "[" * 9999]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError):
        call_from(tmp_path / "a.json")


@pytest.mark.parametrize(("gap_ms", "lasts_ms"), [(0, 600), (200, 600), (200, 20), (600, 20), (600, 0)])
def test_short_lines_close_together_lose_no_word(tmp_path: Path, gap_ms: int, lasts_ms: int) -> None:
    lines = [{"who": "user", "text": text, "start_ms": 300 + n * (gap_ms + lasts_ms)} for n, text in enumerate("abc")]
    lines = [line | {"end_ms": line["start_ms"] + lasts_ms} for line in lines]  # type: ignore[operator]
    _, plan = plan_of(call := _call(lines))
    rows = played(call, plan).pump.engine.journal
    finals = {row.message.utterance: row.message.text for row in rows if isinstance(row.message, Final)}
    assert " ".join(finals.values()) == "a b c"


def test_a_report_has_no_channels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(LIVEKIT), "--swap"]) == 2
    assert "a report has none" in capsys.readouterr().err


# -- sessions ----------------------------------------------------------------------------------------------------------


@st.composite
def calls(draw: st.DrawFn) -> ImportedCall:
    """A call in which nobody talks over."""
    lines, at_ms = list[dict[str, object]](), 200
    for number in range(draw(st.integers(1, 8))):
        begin = at_ms + draw(st.integers(400, 3000))
        at_ms = begin + draw(st.integers(300, 4000))
        text = draw(
            st.sampled_from(["Yes.", "I do not know, sorry", "One, two. Three! And four or five of them?", "No"])
        )
        lines.append({"who": ("agent", "user")[number % 2], "text": text, "start_ms": begin, "end_ms": at_ms})
    return _call(lines)


def _call(lines: list[dict[str, object]]) -> ImportedCall:
    with TemporaryDirectory() as folder:
        report = Path(folder) / "turns.json"
        report.write_text(json.dumps(lines))
        return call_from(report)


@settings(max_examples=40)  # each runs a session of a minute
@given(calls())
def test_the_agent_begins_when_it_began(call: ImportedCall) -> None:
    _, plan = plan_of(call)
    session = played(call, plan)
    assert session.pump.engine.finished == "input_ended"
    begun = list(_begun(session.pump.engine.journal))
    assert len(begun) == len(call.agent)
    for at_us, speech in zip(begun, call.agent, strict=True):
        assert abs(at_us - speech.begin_us) <= 20_000
    report = measure(
        list(session.pump.engine.journal), plan=layout_of(plan), voiced=None, trace="a", level="live", digest=""
    )
    assert not report.interrupts


def _begun(journal: object) -> Iterator[int]:
    """When sound begins after silence."""
    ends_us = -1
    for row in journal:  # type: ignore[attr-defined]
        if isinstance(row.message, Play):
            if row.message.at_us > ends_us + 100_000:
                yield row.message.at_us
            ends_us = row.message.at_us + row.message.samples * 1_000_000 // row.message.rate_hz


def test_the_same_call_gives_the_same_bytes(tmp_path: Path) -> None:
    call, path = call_from(LIVEKIT), tmp_path / "a.jsonl"
    write_trace(call, path)
    first = path.read_bytes()
    path.unlink()
    write_trace(call, path)
    assert path.read_bytes() == first


def test_a_pipeline_of_ones_own(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    write_trace(call_from(LIVEKIT), out, str(ROOT / "pipelines/assistant.yaml"))
    assert run(out, pipeline=str(ROOT / "pipelines/assistant.yaml")).report.turns


def test_a_greeting_that_the_pipeline_lacks_is_not_lost_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    call = [
        ("agent", "Hello, the bistro.", 300, 1500),
        ("user", "A table.", 2000, 2800),
        ("agent", "Gladly.", 3500, 4000),
    ]
    lines = [{"who": who, "text": text, "start_ms": a, "end_ms": b} for who, text, a, b in call]
    Path("call.json").write_text(json.dumps(lines))
    own = Path("own.yaml")
    own.write_text("flowkit: 1\nname: own\nstages:\n" + "".join(f"  - {{kind: {one}}}\n" for one in OWN))
    add = """add `greeting: {text: "Hello, the bistro."}`"""
    pin = ["pin", "call.jsonl", "--turn", "2", "--name", "late", "--pipeline", "own.yaml"]
    assert main(["import", "call.json", "--pipeline", "own.yaml"]) == 0
    assert add in capsys.readouterr().err
    assert main(["approve", "call.jsonl", "--pipeline", "own.yaml", "--dry-run"]) == 1
    assert add in capsys.readouterr().err
    assert main(pin) == 2
    assert add in capsys.readouterr().err
    assert not Path("traces").exists()

    own.write_text(own.read_text() + """greeting: {text: "Hello, the bistro."}\n""")
    assert main(["approve", "call.jsonl", "--pipeline", "own.yaml", "--dry-run"]) == 1
    assert "greeting" not in capsys.readouterr().err
    assert main(pin) == 0
    assert main(["test", "traces", "-j", "1"]) == 0

    # A pinned turn that becomes too slow names the setting, with its place.
    own.write_text(own.read_text().replace("silero", "silero, end: 1500ms"))
    capsys.readouterr()
    assert main(["test", "traces", "-j", "1"]) == 1
    assert "(with stages.vad.end: 1500ms at own.yaml:5)" in capsys.readouterr().out


@pytest.mark.parametrize(("was", "now"), [("{kind: mic}", "{kind: mic, frame: 10ms}"), ("  - {kind: chunker}\n", "")])
def test_a_pipeline_that_cannot_stand_for_a_call(tmp_path: Path, was: str, now: str) -> None:
    text = (ROOT / "pipelines/assistant.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text.replace(was, now))
    with pytest.raises(UsageError, match="a call"):
        plan_of(call_from(LIVEKIT), str(tmp_path / "own.yaml"))
