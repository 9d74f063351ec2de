"""The files of a recording: their modes, how long they are kept, and the errors if they cannot be written."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from flowkit.cli import main
from flowkit.config.schema import TraceOptions
from flowkit.errors import OutputError
from flowkit.options import format_size, parse_mode, parse_size
from flowkit.runtime import recording
from flowkit.runtime.host import open_host
from flowkit.trace.reader import read_trace
from flowkit.trace.retention import remove_old
from flowkit.trace.rewrite import redact, repair
from tests.suite.stage import project

PIPELINE = """flowkit: 1
name: talk
stages:
  - {kind: mic, provider: scripted, speech: [{at: 100ms, lasts: 400ms}]}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted, utterances: [Hello.]}
  - {kind: gate}
  - {kind: llm, provider: scripted, replies: [{text: "One. Two."}]}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: memory}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(PIPELINE)
    return tmp_path


def modes(folder: Path) -> dict[str, int]:
    return {path.suffix: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("written", "folder", "file"),
    [
        ("", 0o700, 0o600),
        ("mode: 0640, ", 0o750, 0o640),
        ('mode: "0644", ', 0o755, 0o644),
        ("mode: 660, ", 0o770, 0o660),
    ],
)
def test_traces_are_their_owner_s_unless_it_says_otherwise(here: Path, written: str, folder: int, file: int) -> None:
    Path("p.yaml").write_text(PIPELINE + f"trace: {{{written}dir: kept/here}}\n")
    before = os.umask(0o002)
    try:
        assert main(["run", "p.yaml"]) == 0
    finally:
        os.umask(before)
    assert modes(Path("kept/here")) == {".jsonl": file, ".flac": file}
    assert Path("kept/here").stat().st_mode & 0o777 == folder


@pytest.mark.parametrize("value", ["0o640", "u+r", "0440", "777", "0640x", True, 416, 0])
def test_a_mode_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a mode is 0600"):
        parse_mode(value)


def test_sizes_have_a_unit() -> None:
    for text, size in (("5GB", 5_000_000_000), ("1.5MB", 1_500_000), ("7B", 7), ("20TB", 20_000_000_000_000)):
        assert parse_size(text) == size == parse_size(format_size(size))
    for wrong in ("5", 5, "5GiB", "-5GB", "5 GB", "9" * 400 + "GB"):
        with pytest.raises(ValueError, match="a size is"):
            parse_size(wrong)


def old(name: str, days: float, size: int = 10) -> None:
    """A recording of this age, with audio."""
    for path in (Path("kept", f"{name}.jsonl"), Path("kept", f"{name}.input.flac")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
        then = path.stat().st_mtime - days * 86_400
        os.utime(path, (then, then))


def left() -> list[str]:
    return sorted(path.name for path in Path("kept").iterdir())


def test_what_is_older_is_removed_and_nothing_else(here: Path) -> None:
    for name, days in (
        ("a-20250101-000000-1", 31),
        ("b-20250101-000000-2", 29),
        ("approved-20250101-000000-3", 99),
        ("mine", 99),
    ):
        old(name, days)
    Path("kept/approved-20250101-000000-3.expect.yaml").touch()
    Path("kept/link-20250101-000000-4.jsonl").symlink_to("mine.jsonl")
    gone = remove_old(TraceOptions.model_validate({"dir": "kept", "keep": "30d"}))
    assert [path.name for path in gone] == ["a-20250101-000000-1.jsonl"]
    assert "a-20250101-000000-1.input.flac" not in left()
    assert len(left()) == 8


def test_the_oldest_goes_first_until_there_is_room(here: Path) -> None:
    for number in range(5):
        old(f"a-20250101-000000-{number}", days=number + 1, size=1_000)
    old("a-20250101-000000-9", days=0, size=50_000)
    remove_old(TraceOptions.model_validate({"dir": "kept", "at_most": "104KB"}))
    assert [name for name in left() if name.endswith("jsonl")] == [f"a-20250101-000000-{n}.jsonl" for n in (0, 1, 9)]
    remove_old(TraceOptions.model_validate({"dir": "kept", "at_most": "1KB"}))
    assert [name for name in left() if name.endswith("jsonl")] == ["a-20250101-000000-9.jsonl"], "it may be under way"


def test_run_keeps_the_rule(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old("a-20250101-000000-1", 31)
    Path("p.yaml").write_text(PIPELINE + "trace: {dir: kept, keep: 30d}\n")
    assert main(["run", "p.yaml", "--duration", "100ms"]) == 0
    assert "removed kept/a-20250101-000000-1.jsonl, as trace.keep" in capsys.readouterr().err
    assert not Path("kept/a-20250101-000000-1.jsonl").exists()
    assert remove_old(TraceOptions.model_validate({"dir": "nowhere", "keep": "30d"})) == []


def test_a_host_keeps_the_rule_at_its_start_and_from_time_to_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it still records stays, however long it was not written to."""
    monkeypatch.setattr(recording, "_EVERY_S", 0.02)
    old("a-20250101-000000-1", 31)
    Path("p.yaml").write_text(PIPELINE + "trace: {dir: kept, keep: 30d, audio: false}\n")
    told: list[str] = []

    async def main() -> None:
        with trio.fail_after(20):
            async with open_host("p.yaml", notice=told.append) as host, trio.open_nursery() as nursery:
                assert left() == []
                nursery.start_soon(partial(host.run_session, trace=True))
                while not left():
                    await trio.sleep(0.01)
                [mine] = left()
                old("a-20250101-000000-2", 31)
                while len(left()) > 1:
                    os.utime(Path("kept", mine), (0, 0))
                    await trio.sleep(0.01)
                assert left() == [mine]
                host.close()

    trio.run(main)
    assert [line for line in told if "removed" in line] == [
        f"removed kept/a-20250101-000000-{n}.jsonl, as trace.keep and trace.at_most say" for n in (1, 2)
    ]


@pytest.mark.parametrize(("size", "audio"), [(20_000, "true"), (9_000, "false"), (500, "false")])
def test_a_full_disk_is_said_at_once_and_at_the_end(here: Path, size: int, audio: str) -> None:
    """With and without audio, in the middle and in the first line."""
    Path("p.yaml").write_text(PIPELINE + f"trace: {{audio: {audio}}}\n")
    command = [sys.executable, "-m", "flowkit", "run", "p.yaml", "--trace", "t.jsonl"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    *_, last = done.stderr.splitlines()
    assert "recording has ended: " in done.stderr
    assert "what was written is readable, and the session goes on" in done.stderr
    assert last.startswith("flowkit: the trace t.jsonl is not whole: ")
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
    assert "turn 1: completed" in done.stdout
    if size > 1_000:
        assert main(["trace", "info", "t.jsonl"]) == 0


def cut_off(folder: Path) -> Path:
    """A recording without its end, with audio that was still being recorded."""
    project(folder, "t")
    path = folder / "t.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    return path


@pytest.mark.parametrize("sound", [b"", b"RIFF", b"x" * 43])
def test_a_sound_that_cannot_be_mended_does_not_block_the_next_attempt(here: Path, sound: bytes) -> None:
    cut_off(here)
    (here / "t.input.wav").write_bytes(sound)
    for name in ("one", "two"):
        assert main(["trace", "repair", "t.jsonl", "-o", f"{name}.jsonl"]) == 0
        mended = read_trace(here / f"{name}.jsonl")
        assert mended.end is not None
        assert mended.end.sounds == ()


def test_what_cannot_be_written_whole_is_not_there(here: Path) -> None:
    path = cut_off(here)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(OutputError):
            repair(read_trace(path), here / "out.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (here / "out.jsonl").exists()
    assert repair(read_trace(path), here / "out.jsonl") is not None
    assert read_trace(here / "out.jsonl").end is not None


def test_crafted_reasons_and_names_do_not_pass_redaction(here: Path) -> None:
    project(here, "t")
    trace = read_trace(here / "t.jsonl")
    from dataclasses import replace

    assert trace.end is not None
    crafted = replace(
        trace,
        end=replace(trace.end, reason="my own words"),
        events=(trace.events or ()) + tuple(type(trace.events[0])(1, "my own words", "x") for _ in trace.events[:1]),
    )
    redact(crafted, here / "out.jsonl", [])
    assert b"my own words" not in (here / "out.jsonl").read_bytes()


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_class_of_content_that_is_none_is_an_error_of_the_file(
    here: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("p.yaml").write_text(PIPELINE + "trace: {redact: {keep: [clauses, names]}}\n")
    assert main([command, "p.yaml"]) == 2
    said = capsys.readouterr()
    assert "p.yaml:12:" in said.out + said.err
    assert "names" in said.out + said.err


@pytest.mark.parametrize(
    "sound",
    [["input", 0, 1, "D"], ["input", [], 1, "D"], ["input", 16_000, {}, "D"], ["input", 16_000, -1, "D"], ["../x", 16_000, 1, "D"],
     ["input", 10**30, 1, "D"], [None, 16_000, 1, "D"], ["input", 16_000, 1], ["input", 1.5, 1, "D"], "input", 7],
)  # fmt: skip
@pytest.mark.parametrize("command", ["trace info", "report", "replay", "trace redact"])
def test_a_sound_that_is_none_is_an_error_of_its_line(
    here: Path, command: str, sound: object, capsys: pytest.CaptureFixture[str]
) -> None:
    project(here, "t")
    *lines, last = (here / "t.jsonl").read_text("utf-8").splitlines()
    assert '"[]"' in last
    told = json.dumps(json.dumps([sound]).replace('"D"', f'"{"0" * 32}"'))
    (here / "t.jsonl").write_text("\n".join([*lines, last.replace('"[]"', told, 1)]) + "\n", "utf-8")
    assert main([*command.split(), "t.jsonl"]) == 2
    said = capsys.readouterr().err
    assert f"t.jsonl:{len(lines) + 1}: not a line of an OTLP trace by flowkit" in said
