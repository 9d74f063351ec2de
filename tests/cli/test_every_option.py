"""Every option of every command changes something. For each option there is an experiment whose outcome changes with
it.

The options come from the parsers, so a new one that is not in `TABLE` fails. If an option has choices, each choice is
tried, and all of them have different outcomes.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import trio
import trio.testing

from flowkit import trust
from flowkit.calls import sweep as calls_sweep
from flowkit.cli import COMMANDS, main, setup_local
from flowkit.cli import approve as cli_approve
from flowkit.cli import label as cli_label
from flowkit.cli import replay as cli_replay
from flowkit.errors import ExitCode
from flowkit.jobs import Workers
from flowkit.providers import registry
from flowkit.providers.sound import device_host
from flowkit.runtime import host, soundcheck
from flowkit.runtime.session import SessionOutcome
from flowkit.serve import parent, server
from flowkit.serve.listening import Endpoint
from flowkit.testing.emulators import Emulator
from flowkit.testing.turns.labelling import LabelServer
from tests.config.experiments import BASE
from tests.providers.support import AUDIO
from tests.suite.stage import project
from tests.trace.sessions import pipeline
from tests.trace.tool_sessions import bistro, record_as_real

# -- the options -------------------------------------------------------------------------------------------------------


def parameters(parser: argparse.ArgumentParser, command: str) -> Iterator[tuple[str, argparse.Action]]:
    """Options, optional arguments, and arguments with choices, by names such as ``run --input``."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parameters(below, f"{command} {name}".strip())
        elif action.option_strings and not isinstance(action, argparse._HelpAction):
            yield f"{command} {action.option_strings[-1]}", action
        elif action.nargs in ("?", "*") or len(list(action.choices or ())) > 1:
            yield f"{command} {action.metavar or action.dest}", action


@cache
def every_option() -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for module, _ in COMMANDS.values():
        importlib.import_module(module).add(commands)
    return dict(parameters(parser, ""))


# -- a machine for them ------------------------------------------------------------------------------------------------

VARY = re.compile(
    r"in \S+ s \(\d+ x\)|\([\d.]+ m?s( of work)?\)|\"wall_(us|ms|s)\": [\d.]+|\d{8}-\d{6}-\d+(-\d+)?"
    r"|flowkit: (other processes had|the event loop was held).*\n|(?s:\x1b\[\?25l.*(?=\x1b\[\?25h))"
)
"""Durations, times of day, what a busy machine does, and how often a picture is drawn."""


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that each command finds in its folder."""
    folder = tmp_path_factory.mktemp("stock")
    project(folder, "old", vad="end: 600ms").rename(folder / "slow.yaml")
    test = "tests: [{name: one, chunker: {feed: [One.], expect: [One.]}}]\n"
    project(folder, "a", text=test)
    (folder / "asks.yaml").write_text(BASE + test.replace("expect: [One.]", "expect: ['${WANTED:-}']"))
    (folder / "base.yaml").write_text(BASE)
    (folder / "poor.yaml").write_text(f"{BASE}interrupt: {{ignore: [...]}}\n")
    (folder / "late.yaml").write_text(f"{BASE}budgets: {{ttfa: {{p50: 700ms}}}}\n")
    (folder / "greets.yaml").write_text(f"{BASE}greeting: {{text: 'Hello, {{{{name}}}}.'}}\n")
    (folder / "tools.yaml").write_text(f"{BASE}tools: [{{call: flowkit.clock:monotonic_us}}]\n")
    clock = (
        bistro()
        .replace("bistro.tables:book", "flowkit.clock:monotonic_us")
        .replace("bistro.tables:look", "flowkit.clock:wall_us")
    )
    record_as_real(folder / "tooled.jsonl", clock)
    (folder / "torn.jsonl").write_bytes((folder / "a.jsonl").read_bytes()[:-500])
    main(["trace", "redact", str(folder / "a.jsonl"), "-o", str(folder / "masked.jsonl")])
    judged = pipeline(vad="end: {complete: 100ms}", turn="likelihood: [0.1, 0.9]")
    (folder / "judged.yaml").write_text(judged)
    for name in ("a.jsonl.labels", "old.jsonl.labels", "question"):
        (folder / f"{name}.json").write_text('{"turns": [{"begins": 0.4, "ends": 1.5, "parts": ["What?"]}]}')
    (folder / "there.wav").write_bytes(b"RIFF")
    shutil.copy(AUDIO / "call.json", folder)
    noise = np.random.default_rng(1).normal(0, 0.001, (16_000, 2))
    soundfile.write(folder / "pair.wav", noise * [1, 0], 16_000)
    shutil.copy(AUDIO / "question.wav", folder)
    shutil.copy(AUDIO.parents[1] / "tests/contract/self-signed.pem", folder)
    return folder


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Outcome(NamedTuple):
    code: object
    out: str
    err: str
    files: dict[str, str]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No devices, no keys, and clocks that jump. What cannot be tried here prints its arguments instead."""

    def in_time(main: Any, *args: Any, **given: Any) -> Any:
        # A model is kept in a thread of its own until the process ends, and would look for a time to jump to all the while.
        if threading.current_thread() is not threading.main_thread():
            return runs(main, *args, **given)
        return runs(main, *args, clock=trio.testing.MockClock(autojump_threshold=0))

    async def settled_session(plan: Any, **given: Any) -> SessionOutcome:
        return await sessions(plan, settled=trio.testing.wait_all_tasks_blocked, **given)

    async def served(emulator: Emulator, **_: Any) -> None:
        print(type(emulator).__name__, emulator.port, emulator.faults)
        raise KeyboardInterrupt

    async def serve(config: Any, endpoint: Endpoint, variables: Any, **_: Any) -> None:
        workers, tls = config.top.serve.workers, endpoint.tls() is not None
        print(config.name, endpoint.host, endpoint.port, tls, workers, variables, trust.allows("flowkit.clock"))

    async def label(server: LabelServer, port: int, ready: Any) -> bool:
        ready(f"port {port}")
        return True

    def run_jobs(job: Any, items: Any, workers: Workers, **_: Any) -> Any:
        print(f"{workers.processes} processes" if not workers.cluster else f"at {workers.cluster}")
        return (job(item) for item in items)

    def listen(name: str | None, length_us: int, meter: object) -> soundcheck.Level:
        print(f"listens to {name} for {length_us} us")
        return soundcheck.Level("it", -3.0, -60.0)

    def round_trip(mic: str | None, speaker: str | None) -> soundcheck.Trip:
        print(f"sounds on {speaker}, listens to {mic}")
        return soundcheck.Trip("it", 100_000)

    runs, sessions = trio.run, host.run_alone
    for name in ("GROQ_API_KEY", "ASSEMBLYAI_API_KEY", "CARTESIA_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(device_host, "_library", lambda: None)
    monkeypatch.setattr(device_host.PortAudio, "devices", lambda self: [])
    monkeypatch.setattr(soundcheck, "wake_ups", lambda: (0, 0))
    monkeypatch.setattr(soundcheck, "listen", listen)
    monkeypatch.setattr(soundcheck, "round_trip", round_trip)
    few = [row for row in registry.available() if row.name in ("canned", "webrtcvad", "groq")]
    monkeypatch.setattr(registry, "available", lambda: few)
    suite_run: Any = importlib.import_module("flowkit.testing.suite.run")
    monkeypatch.setattr(suite_run, "FEW", 0)
    for module in (suite_run, cli_replay, cli_approve, calls_sweep):
        monkeypatch.setattr(module, "in_order", run_jobs)
    monkeypatch.setattr(setup_local, "setup_local", lambda echo, *, free, agrees: print(f"free: {free}") or 0)
    monkeypatch.setattr(setup_local, "setup_turn", lambda echo: print("turn") or 0)
    monkeypatch.setattr(Emulator, "serve", served)
    monkeypatch.setattr(LabelServer, "run", label)
    monkeypatch.setattr(cli_label, "_open", lambda url: print(f"opens {url}"))
    monkeypatch.setattr(host, "run_alone", settled_session)
    for module in (server, parent):
        monkeypatch.setattr(module, "serve", serve)
    monkeypatch.setattr(trio, "run", in_time)
    monkeypatch.setenv("WANTED", "One.")
    monkeypatch.setattr(trust, "_allowed", set())


TEXT = (".txt", ".html", ".yaml", ".json", ".xml")


def unchanged(file: Path, folder: Path, stock: Path) -> bool:
    before = stock / file.relative_to(folder)
    return before.exists() and before.read_bytes() == file.read_bytes()


def outcome(stock: Path, line: str, typed: str, terminal: bool) -> Outcome:
    """The outcome of a command in a new folder, with the files that it wrote, without what varies from run to run."""
    out, err = (Terminal() if terminal else StringIO()), StringIO()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name, "here")
        shutil.copytree(stock, folder)
        patched.setattr(sys, "stdin", Terminal(typed) if terminal else StringIO(typed))
        with chdir(folder), redirect_stdout(out), redirect_stderr(err):
            try:
                code: object = main(shlex.split(line))
            except SystemExit as left:
                code = left.code
        written = [file for file in folder.rglob("*") if file.is_file() and not unchanged(file, folder, stock)]
        files = {str(f.relative_to(folder)): f.read_text("utf-8") if f.suffix in TEXT else "" for f in written}

    def plain(text: str) -> str:
        return VARY.sub("", text.replace(str(folder), ""))

    return Outcome(code, plain(out.getvalue()), plain(err.getvalue()), {plain(k): plain(v) for k, v in files.items()})


# -- the experiments ---------------------------------------------------------------------------------------------------


class Try(NamedTuple):
    """Add `given` to the command line `line`, and it exits with `code`. (Of an option with choices, all of them are added.) `typed`
    is what is on standard input, `terminal` whether that and the output are a terminal."""

    line: str
    given: str = ""
    code: int = ExitCode.FINE
    typed: str = ""
    terminal: bool = False


REPLY = "'stages.llm.replies=[{text: Rome.}]'"
SLOWER = "stages.vad.end=900ms"
TABLE: dict[str, Try] = {
    "init FOLDER": Try("init --text", "elsewhere"),
    "init --local": Try("init", "--local"),
    "init --cloud": Try("init", "--cloud"),
    "init --text": Try("init", "--text"),
    "init --samples": Try("init", "--samples"),
    "init --language": Try("init --cloud", "--language fr"),
    "init --name": Try("init --text", "--name Robin"),
    "run FILE": Try("run --no-trace", "base.yaml"),
    "run --input": Try("run base.yaml --no-trace", "--input question.wav --set stages.vad.provider=webrtcvad"),
    "run --output": Try("run base.yaml --no-trace", "--output new.wav"),
    "run --overwrite": Try("run base.yaml --no-trace --output there.wav", "--overwrite"),
    "run --text": Try("run base.yaml --no-trace", "--text", typed="Hello?\n"),
    "run --set": Try("run base.yaml --no-trace", f"--set {REPLY}"),
    "run --var": Try("run greets.yaml --no-trace --var name=Ann", "--var name=Bob"),
    "run --allow-tools": Try("run tools.yaml --no-trace", "--allow-tools"),
    "run --mic": Try("run base.yaml --no-trace", "--mic 1", code=ExitCode.UNAVAILABLE),
    "run --speaker": Try("run base.yaml --no-trace", "--speaker 1", code=ExitCode.UNAVAILABLE),
    "run --format": Try("run base.yaml --no-trace", terminal=True),
    "run --trace": Try("run base.yaml", "--trace new.jsonl"),
    "run --no-trace": Try("run base.yaml", "--no-trace"),
    "run --no-audio": Try("run base.yaml --trace new.jsonl", "--no-audio"),
    "run --duration": Try("run base.yaml --no-trace", "--duration 1s"),
    "run --turns": Try("run base.yaml --no-trace", "--turns 1"),
    "run --check-budgets": Try("run late.yaml --no-trace", "--check-budgets", code=ExitCode.CHECKS_FAILED),
    "check --deny-warnings": Try("check poor.yaml", "--deny-warnings", code=ExitCode.USAGE),
    "check --live": Try("check base.yaml", "--live"),
    "check --set": Try("check base.yaml", "--set interrupt.ignore=[...]"),
    "check --format": Try("check poor.yaml"),
    "show --resolved": Try("show base.yaml", "--resolved"),
    "show --origin": Try("show base.yaml", "--origin"),
    "show --set": Try("show base.yaml", f"--set {REPLY}"),
    "graph --format": Try("graph base.yaml"),
    "graph --set": Try("graph base.yaml", "--set stages.llm.queue.max=7"),
    "new KIND/PROVIDER": Try("new", "llm/canned"),
    "new --output": Try("new llm/canned", "--output new.yaml"),
    "new --into": Try("new provider tts/mine", "--into elsewhere"),
    "schema --output": Try("schema", "--output new.json"),
    "explain CODE": Try("explain", "FK103"),
    "providers KIND": Try("providers", "vad"),
    "providers --format": Try("providers"),
    "import --output": Try("import call.json", "--output new.jsonl"),
    "import --pipeline": Try("import call.json", "--pipeline none.yaml", code=ExitCode.USAGE),
    "import --recording": Try("import call.json", "--recording pair.wav", code=ExitCode.USAGE),
    "import --conversation": Try("import call.json", "--conversation a", code=ExitCode.USAGE),
    "import --swap": Try("import pair.wav", "--swap"),
    "import --drift": Try("import pair.wav", "--drift 50%", code=ExitCode.USAGE),
    "import --turns": Try("import call.json", "--turns new.json"),
    "pin --turn": Try("pin a.jsonl --name b --turn 1", "--turn 2"),
    "pin --at": Try("pin a.jsonl --name b --at 1s", "--at 0s", code=ExitCode.USAGE),
    "pin --name": Try("pin a.jsonl --turn 1 --name b", "--name c"),
    "pin --into": Try("pin a.jsonl --turn 1 --name b", "--into elsewhere"),
    "pin --pipeline": Try("pin a.jsonl --turn 1 --name b", "--pipeline p.yaml"),
    "pin --expect": Try("pin a.jsonl --turn 1 --name b", "--expect '{what: turns, equals: 1}'"),
    "sweep --set": Try("sweep a.jsonl --set stages.vad.end=300ms", "--set stages.vad.end=400ms,500ms"),
    "sweep --pipeline": Try("sweep a.jsonl --set stages.chunker.max_tokens=9", "--pipeline slow.yaml"),
    "sweep --fault": Try("sweep a.jsonl --set stages.vad.end=300ms", "--fault=llm:fail"),
    "sweep --objective": Try("sweep a.jsonl --set stages.vad.end=300ms,900ms", "--objective turns"),
    "sweep --worlds": Try("sweep a.jsonl --set stages.vad.end=300ms", "--worlds 0"),
    "sweep --plot": Try("sweep a.jsonl --set stages.vad.end=300ms", "--plot new.svg"),
    "sweep --jobs": Try("sweep a.jsonl --set stages.vad.end=300ms", "--jobs 3"),
    "sweep --dask": Try("sweep a.jsonl --set stages.vad.end=300ms", "--dask tcp://127.0.0.1:9"),
    "sweep --format": Try("sweep a.jsonl --set stages.vad.end=300ms"),
    "shrink --if": Try("shrink a.jsonl --if '{what: stale_frames, equals: 0}'", "--if '{what: turns, equals: 2}'"),
    "shrink --set": Try("shrink a.jsonl --if '{what: ttfa.p50, at_most: 1s}'", f"--set {SLOWER}", code=ExitCode.USAGE),
    "shrink --fault": Try(
        "shrink a.jsonl --if '{what: ttfa.p50, at_most: 1s}'", "--fault=llm:fail", code=ExitCode.USAGE
    ),
    "shrink --output": Try("shrink a.jsonl --if '{what: turns, at_most: 9}'", "--output new.jsonl"),
    "replay --exact": Try("replay a.jsonl", "--exact"),
    "replay --pipeline": Try("replay a.jsonl", "--pipeline slow.yaml"),
    "replay --set": Try("replay a.jsonl", f"--set {SLOWER}"),
    "replay --live-tools": Try("replay tooled.jsonl", "--live-tools", code=ExitCode.USAGE),
    "replay --allow-tools": Try("replay tooled.jsonl --live-tools", "--allow-tools"),
    "replay --fault": Try("replay a.jsonl", "--fault=llm:fail"),
    "replay --permute-ties": Try("replay a.jsonl", "--permute-ties 2"),
    "replay --schedule": Try("replay a.jsonl", "--schedule 2.1"),
    "replay --worlds": Try("replay a.jsonl --set stages.vad.end=300ms", "--worlds 0"),
    "replay --jobs": Try("replay a.jsonl", "--jobs 3"),
    "replay --dask": Try("replay a.jsonl", "--dask tcp://127.0.0.1:9"),
    "replay --format": Try("replay a.jsonl"),
    "fidelity --format": Try("fidelity a.jsonl old.jsonl"),
    "diff B": Try("diff a.jsonl", "old.jsonl", code=ExitCode.CHECKS_FAILED),
    "diff --pipeline": Try("diff a.jsonl", "--pipeline slow.yaml", code=ExitCode.CHECKS_FAILED),
    "diff --set": Try("diff a.jsonl", f"--set {SLOWER}", code=ExitCode.CHECKS_FAILED),
    "diff --fault": Try("diff a.jsonl", "--fault=llm:fail", code=ExitCode.CHECKS_FAILED),
    "diff --schedule": Try("diff a.jsonl --format json", "--schedule 2.1"),
    "diff --format": Try("diff a.jsonl old.jsonl", code=ExitCode.CHECKS_FAILED),
    "bench --pipeline": Try("bench turns a.jsonl", "--pipeline slow.yaml"),
    "bench --set": Try("bench turns a.jsonl", f"--set {SLOWER}"),
    "bench --from-labels": Try("bench turns question.wav --pipeline judged.yaml", "--from-labels"),
    "bench --plot": Try("bench turns a.jsonl", "--plot new.svg"),
    "bench --format": Try("bench turns a.jsonl"),
    "label --port": Try("label a.jsonl", "--port 5005"),
    "label --no-open": Try("label a.jsonl", "--no-open"),
    "test PATH": Try("test", "p.yaml"),
    "test --corpus": Try("test p.yaml", "--corpus .", code=ExitCode.CHECKS_FAILED),
    "test --jobs": Try("test p.yaml", "--jobs 3"),
    "test --dask": Try("test p.yaml", "--dask tcp://127.0.0.1:9"),
    "test --env": Try("test asks.yaml", "--env"),
    "test --verbose": Try("test p.yaml", "--verbose"),
    "test --report": Try("test p.yaml", "--report junit=new.xml"),
    "test --format": Try("test p.yaml"),
    "approve --pipeline": Try("approve a.jsonl --yes", "--pipeline p.yaml"),
    "approve --dry-run": Try("approve a.jsonl", "--dry-run", code=ExitCode.CHECKS_FAILED),
    "approve --jobs": Try("approve a.jsonl --yes", "--jobs 3"),
    "approve --dask": Try("approve a.jsonl --yes", "--dask tcp://127.0.0.1:9"),
    "approve --yes": Try("approve a.jsonl", "--yes", typed="n\n", terminal=True),
    "report --pipeline": Try("report a.jsonl", "--pipeline slow.yaml"),
    "report --set": Try("report a.jsonl", f"--set {SLOWER}"),
    "report --fault": Try("report a.jsonl", "--fault=llm:fail"),
    "report --output": Try("report a.jsonl", "--output new.html"),
    "trace info --format": Try("trace info a.jsonl"),
    "trace repair --output": Try("trace repair torn.jsonl", "--output new.jsonl"),
    "trace redact --keep": Try("trace redact a.jsonl --output new.txt", "--keep transcripts"),
    "trace redact --output": Try("trace redact a.jsonl", "--output new.jsonl"),
    "trace export --to": Try("trace export a.jsonl"),
    "trace export --output": Try("trace export a.jsonl", "--output new.txt"),
    "trace export --stereo": Try("trace export a.jsonl", "--stereo new.wav", code=ExitCode.USAGE),
    "trace export --turns": Try("trace export a.jsonl", "--turns new.json"),
    "trace export --subtitles": Try("trace export a.jsonl", "--subtitles new.vtt"),
    "serve --host": Try("serve base.yaml", "--host 0.0.0.0"),
    "serve --port": Try("serve base.yaml", "--port 5005"),
    "serve --workers": Try("serve base.yaml", "--workers 2"),
    "serve --certfile": Try("serve base.yaml", "--certfile self-signed.pem"),
    "serve --keyfile": Try("serve base.yaml", "--keyfile self-signed.pem", code=ExitCode.USAGE),
    "serve --set": Try("serve base.yaml", "--set name=other"),
    "serve --var": Try("serve greets.yaml --var name=Ann", "--var name=Bob"),
    "serve --allow-tools": Try("serve tools.yaml", "--allow-tools"),
    "emulate NAME": Try("emulate", code=ExitCode.INTERRUPTED),
    "emulate --port": Try("emulate groq", "--port 5005", code=ExitCode.INTERRUPTED),
    "emulate --fault": Try("emulate groq", "--fault stall", code=ExitCode.INTERRUPTED),
    "setup what": Try("setup"),
    "setup --free": Try("setup local", "--free"),
    "doctor --mic": Try("doctor", "--mic 1"),
    "doctor --speaker": Try("doctor", "--speaker 1"),
    "doctor --listen": Try("doctor", "--listen 1s"),
    "doctor --silent": Try("doctor", "--silent"),
    "doctor --live": Try("doctor", "--live"),
    "doctor --format": Try("doctor"),
}


def test_every_option_is_in_the_table() -> None:
    assert set(TABLE) == set(every_option())


@cache
def usual(stock: Path, line: str, typed: str, terminal: bool) -> Outcome:
    """The outcome without the option. It runs twice, because an outcome that varies by itself shows nothing."""
    first, second = outcome(stock, line, typed, terminal), outcome(stock, line, typed, terminal)
    assert first == second
    return first


@pytest.mark.parametrize("option", TABLE)
def test_giving_it_changes_something(option: str, stock: Path) -> None:
    line, given, code, *rest = TABLE[option]
    action = every_option()[option]
    if action.choices is None:
        outcomes = [usual(stock, line, *rest), outcome(stock, f"{line} {given}", *rest)]
    else:
        flag = action.option_strings[-1] if action.option_strings else ""
        outcomes = [usual(stock, f"{line} {flag} {choice}", *rest) for choice in action.choices]
    assert all(one != other for one, other in combinations(outcomes, 2))
    assert outcomes[-1].code == code


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("run base.yaml --text --input question.wav", "exclude each other"),
        ("run base.yaml --trace new.jsonl --no-trace", "exclude each other"),
        ("run base.yaml --overwrite", "there is none"),
        ("run base.yaml --no-trace --no-audio", "exclude each other"),
        ("init --samples --name Robin", "takes neither"),
        ("diff a.jsonl old.jsonl --set stages.vad.end=1s", "two traces are given"),
        ("replay a.jsonl --exact --set stages.vad.end=1s", "changes nothing, so it cannot be combined"),
        ("replay a.jsonl --exact --live-tools", "changes outcomes, so it cannot be combined"),
        ("replay a.jsonl --allow-tools", "otherwise a replay calls no tool"),
        ("replay masked.jsonl --set stages.vad.end=1s", "only its timing"),
        ("replay masked.jsonl --live-tools", "only its timing"),
        ("replay masked.jsonl --fault llm:fail", "only its timing"),
        ("replay a.jsonl --exact --fault llm:fail", "changes nothing, so it cannot be combined"),
        ("replay a.jsonl --schedule 2.1 --permute-ties 2", "is one order, so it cannot be combined"),
        ("report a.jsonl old.jsonl --pipeline slow.yaml", "show the replay of one trace"),
        ("doctor --silent --mic 1", "opens no device"),
        ("new llm/canned --into here", "is only for"),
        ("new stage mine --output here", "is for a pipeline"),
        ("approve a.jsonl", "there is no terminal to ask on"),
    ],
)
def test_options_of_which_one_would_change_nothing_are_refused(line: str, what: str, stock: Path) -> None:
    refused = outcome(stock, line, "", terminal=False)
    assert (refused.code, refused.files) == (ExitCode.USAGE, {})
    assert what in refused.err
