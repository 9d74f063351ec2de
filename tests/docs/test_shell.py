"""Every command that a page shows is run, in the order of the page, and prints what the page shows.

Each page has a folder of its own with the samples. Commands of flowkit run in this process, those of a scripted user in virtual
time; other commands run in a shell. What cannot run here is in `NOT_RUN`, with the reason.
"""

from __future__ import annotations

import argparse
import glob
import importlib
import io
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing
import yaml

from flowkit.cli import COMMANDS, main
from tests.docs.packages import AUTHORS, installed
from tests.docs.pages import AGENT, PAGES, ROOT, Block, blocks, name

INSTALLS = "installs packages"
MODELS = "loads the embedded models and needs a microphone"
SERVES = "serves until it is stopped; tests/serve does the same on a free port"
ASKS = "asks questions at a terminal; tools/smoke.py does the same with options"
NOT_RUN: dict[tuple[str, str], str] = {
    ("README.md", "make wheel"): INSTALLS,
    ("README.md", "python3 -m venv ../agent/.venv && . ../agent/.venv/bin/activate"): INSTALLS,
    ("README.md", "pip install dist/flowkit_voice-*.whl"): INSTALLS,
    ("README.md", "cd ../agent"): "the folder of an environment that is not made",
    ("README.md", "flowkit init"): ASKS,
    ("README.md", "flowkit run"): MODELS,
    ("README.md", "make run"): MODELS,
    ("CONTRIBUTING.md", "make test"): "runs this test",
    ("docs/ci.md", "pip install 'flowkit-voice[dask]'"): INSTALLS,
    ("docs/ci.md", "dask scheduler"): "needs other machines; tests/jobs does the same on this one",
    ("docs/ci.md", "dask worker tcp://10.0.0.7:8786 --nworkers 8 --nthreads 1"): "needs other machines",
    ("docs/ci.md", "flowkit test traces/ pipelines/ --dask tcp://10.0.0.7:8786"): "needs other machines",
    ("docs/ci.md", "pip install flowkit-voice"): INSTALLS,
    ("docs/index.md", "make wheel"): INSTALLS,
    ("docs/index.md", "python3 -m venv ../agent/.venv && . ../agent/.venv/bin/activate"): INSTALLS,
    ("docs/index.md", "pip install dist/flowkit_voice-*.whl"): INSTALLS,
    ("docs/index.md", "cd ../agent"): "the folder of an environment that is not made",
    ("docs/index.md", "flowkit init"): ASKS,
    ("docs/index.md", "flowkit run"): MODELS,
    ("docs/live.md", "flowkit run pipelines/assistant.yaml"): MODELS,
    (
        "docs/languages.md",
        "flowkit run agent.yaml --text --set 'stages.tts={kind: tts, provider: print}'",
    ): "needs a key",
    ("docs/serving.md", "pip install 'flowkit-voice[serve]'"): INSTALLS,
    ("docs/serving.md", "flowkit serve pipelines/assistant.yaml"): SERVES,
    (
        "docs/serving.md",
        'curl -H "authorization: Bearer $SERVE_TOKEN" -d recording=NAME https://example.com/v1/flowkit/report -o report.html',
    ): "needs a server in the network; tests/serve does the same on loopback",
    (
        "docs/serving.md",
        "flowkit serve agent.yaml --host 0.0.0.0 --certfile fullchain.pem --keyfile privkey.pem",
    ): SERVES,
    ("docs/turn-taking.md", "flowkit label call.jsonl"): "waits for a browser; tests/turns does the same without one",
    ("docs/turns.md", "flowkit diff talk.jsonl --set stages.turn.provider=smart_turn"): "needs a model that is fetched",
    ("docs/writing-a-provider.md", "pip install -e 'flowkit-tts-hum[dev]' && pytest flowkit-tts-hum"): INSTALLS,
    ("docs/writing-a-stage.md", "pip install -e 'flowkit-word-filter[dev]' && pytest flowkit-word-filter"): INSTALLS,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A command, and what the page shows of its output; empty if it shows nothing."""

    at: Block
    command: str
    output: str = ""


def shown_in(block: Block) -> Iterator[Shown]:
    text = block.text.replace("\\\n", "")
    if block.language == "yaml":
        for job in yaml.safe_load(text)["jobs"].values():
            yield from (Shown(block, step["run"]) for step in job["steps"] if "run" in step)
    elif block.language == "console":
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield Shown(block, without_comment(command), output)
    else:
        yield from (Shown(block, without_comment(line)) for line in text.splitlines() if without_comment(line))


def without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)# .*", "", line).rstrip()


def workflows() -> list[Block]:
    return [block for block in blocks("yaml") if "\njobs:\n" in block.text]


SHOWN = [
    one
    for block in sorted((*blocks("sh", "console"), *workflows()), key=lambda b: (b.page, b.line))
    for one in shown_in(block)
]


# -- what a page takes for granted -------------------------------------------------------------------------------------

PREDICTED = "vad={kind: vad, provider: scripted, end: {complete: 200ms, unsure: 500ms, incomplete: 1200ms}}"


def samples(folder: Path, *traces: str) -> None:
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    (folder / "traces").mkdir()
    for stem in traces or ("*",):
        for file in (ROOT / "traces").glob(f"{stem}.*"):
            shutil.copy(file, folder / "traces")


def of_a_reader(folder: Path) -> None:
    samples(folder, "barge-in", "conversation", "plain-answer")


def of_a_gate(folder: Path) -> None:
    of_a_reader(folder)
    shutil.copy(ROOT / "pipelines/scripted.yaml", folder / "agent.yaml")


def of_calls(folder: Path) -> None:
    samples(folder, "none")
    shutil.copy(ROOT / "tests/calls/livekit.json", folder / "report.json")
    shutil.copy(ROOT / "pipelines/audio/call.wav", folder / "monday.wav")
    shutil.copy(ROOT / "tests/calls/pipecat/booking.otlp.jsonl", folder / "spans.jsonl")
    shutil.copy(ROOT / "tests/calls/pipecat/booking.flac", folder / "call.flac")
    (folder / "agent.yaml").write_text(AGENT)


def of_a_team(folder: Path) -> None:
    samples(folder, "busy")


def of_replays(folder: Path) -> None:
    samples(folder, "conversation", "dropped-words")
    (folder / "calls").mkdir()
    for stem in ("conversation", "plain-answer"):
        shutil.copy(ROOT / f"traces/{stem}.jsonl", folder / "calls")


def of_tools(folder: Path) -> None:
    samples(folder, "tools")
    talk = "pipelines/restaurant.yaml --text --set stages.tts.provider=print --trace talk.jsonl"
    assert run(f"flowkit run {talk}", "A table for two, please.\n").code == 0


def of_turns(folder: Path) -> None:
    samples(folder, "none")
    (folder / "turns.yaml").write_text(
        (folder / "pipelines/scripted.yaml")
        .read_text()
        .replace("{kind: vad, provider: scripted}", PREDICTED.removeprefix("vad="))
        .replace("  - {kind: gate}", "  - {kind: turn, provider: words}\n  - {kind: gate}")
    )
    assert run("flowkit run turns.yaml --trace talk.jsonl").code == 0


def of_recordings(folder: Path) -> None:
    (folder / "RECORDINGS").mkdir()
    shutil.copy(ROOT / "pipelines/audio/question.wav", folder / "RECORDINGS")
    (folder / "RECORDINGS/question.json").write_text('{"turns": [{"begins": 0.4, "ends": 1.9}]}')


PREPARED: dict[str, Callable[[Path], None]] = {
    "README.md": of_a_reader,
    "docs/calls.md": of_calls,
    "docs/ci.md": of_a_gate,
    "docs/regression-tests.md": of_a_team,
    "docs/replay.md": of_replays,
    "docs/three-handoffs.md": of_a_reader,
    "docs/tools.md": of_tools,
    "docs/tuning-latency.md": of_a_reader,
    "docs/turn-taking.md": of_recordings,
    "docs/turns.md": of_turns,
}


# -- running -----------------------------------------------------------------------------------------------------------


class Done(NamedTuple):
    code: int
    out: str
    err: str = ""


def run(command: str, typed: str = "") -> Done:
    """Run a command in the current folder."""
    ours, *behind = command.split(" | ", 1)
    if not ours.startswith("flowkit "):
        return in_a_shell(command)
    words = [name for word in shlex.split(ours)[1:] for name in (sorted(glob.glob(word)) if "*" in word else [word])]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.stdin", io.StringIO(typed))
        if words[0] == "run" and not typed and "--input" not in words:
            patched.setattr(trio, "run", in_virtual_time(trio.run))
        code = main(words)
    return in_a_shell(behind[0], out.getvalue()) if behind else Done(code, out.getvalue(), err.getvalue())


def in_a_shell(command: str, given: str = "") -> Done:
    done = subprocess.run(["bash", "-c", command], input=given, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def in_virtual_time(runs: Callable[..., Any]) -> Callable[..., Any]:
    def run(main: Any, *args: Any, **given: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return runs(main, *args, **given)
        return runs(main, *args, **given | {"clock": trio.testing.MockClock(autojump_threshold=0)})

    return run


VARIES = (
    (re.compile(r" \([\d.]+ s of work\)| in [\d.]+ s \(\d+ x\)"), ""),  # durations of work
    (re.compile(r"^ +[\d.]+( +[\d.]+)?  (user|agent|turn over) .*", re.MULTILINE), r"\2"),  # what models say, and when
    (re.compile(r"^ +[\d.]+  (?=tool)", re.MULTILINE), ""),  # when it was in a live session
)
LIVE = re.compile(r" first audio after .*")
"""In a session in real time every figure varies."""


def alike(text: str, live: bool) -> list[str]:
    """The lines without what differs between machines."""
    for pattern, instead in (*VARIES, *([(LIVE, "")] if live else [])):
        text = pattern.sub(instead, text)
    return sorted(line for line in text.splitlines() if line.strip())


def assert_alike(done: Done, shown: str, live: bool) -> None:
    """The page shows what is printed. ``...`` on a line of its own stands for any lines, and standard error may be left out. A
    session in real time may say more on a busy machine, such as a filler."""
    wanted = [line for line in alike(shown, live) if line != "..."]
    assert [line for line in wanted if line not in alike(done.out + done.err, live)] == [], done
    if not live and "..." not in shown.splitlines():
        assert [line for line in alike(done.out, live) if line not in wanted] == []


SHOWN_FILES = ("my.yaml", "talk.yaml")
"""Files that hold the pipeline which the page shows last."""


def before(at: Block) -> str:
    """The pipeline that the page shows last before a block; empty if there is none."""
    return next((b.text for b in reversed(blocks("yaml")) if b.page == at.page and b.line < at.line), "")


@pytest.fixture
def folder(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the commands of a page run."""
    monkeypatch.chdir(tmp_path)
    PREPARED.get(page, lambda folder: None)(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", sorted({one.at.page for one in SHOWN}))
def test_the_commands_of_a_page_print_what_it_shows(page: str, folder: Path) -> None:
    for one in SHOWN:
        if one.at.page != page or (page, one.command) in NOT_RUN:
            continue
        for shown in set(SHOWN_FILES).intersection(one.command.split()):
            (folder / shown).write_text(before(one.at))
        typed = "".join(f"{line[2:]}\n" for line in one.output.splitlines() if line.startswith("> "))
        # A page for authors begins with a package that is not there yet.
        there = page in AUTHORS and not one.command.startswith("flowkit new")
        with installed(page) if there else nullcontext():
            done = run(one.command, typed)
        # A page that shows no output promises that the command succeeds. A difference is what diff is asked for.
        allowed = 1 if one.command.startswith("flowkit diff") else 0
        assert done.code <= allowed or one.output, f"{one.at}: {one.command}: {done}"
        if one.output:
            assert_alike(done, one.output, live=bool(typed) or "--input" in one.command)


def test_what_is_not_run_is_shown() -> None:
    there = {(one.at.page, one.command) for one in SHOWN}
    assert [known for known in NOT_RUN if known not in there] == []


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[command][0]).add(parser.add_subparsers())
    return parser


@pytest.mark.parametrize("command", sorted({command for _, command in NOT_RUN if command.startswith("flowkit ")}))
def test_what_is_not_run_has_its_options(command: str) -> None:
    words = shlex.split(command)[1:]
    parser_of(words[0]).parse_args(words)


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options_of(below)


def unknown_in(text: str) -> list[str]:
    """The commands within sentences that do not exist, or have no such option."""
    found = []
    for said in re.findall(r"`flowkit\s+([a-z][^`]*)`", text):
        command, *words = re.sub(r"'.*?'", "", said).split()
        given = {word for word in words if word.startswith("-")}
        if command not in COMMANDS or given - set(options_of(parser_of(command))):
            found.append(said)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_within_sentences_have_their_options(page: Path) -> None:
    assert unknown_in(page.read_text("utf-8")) == []


def test_an_unknown_command_within_a_sentence_is_seen() -> None:
    text = "`flowkit run a.yaml --set 'a --b=c'` `flowkit rum a.yaml` `flowkit trace export a --stereoo b` `flowkit\nreplay T`"
    assert unknown_in(text) == ["rum a.yaml", "trace export a --stereoo b"]


def test_commands_and_what_they_print_are_found() -> None:
    text = "$ flowkit run a.yaml --set 'b=[c, d]'   # why\nagent: hello\n$ flowkit check \\\na.yaml\n"
    found = list(shown_in(Block("a.md", 1, "console", (), text)))
    assert [(one.command, one.output) for one in found] == [
        ("flowkit run a.yaml --set 'b=[c, d]'", "agent: hello\n"),
        ("flowkit check a.yaml", ""),
    ]
