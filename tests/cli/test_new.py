"""``flowkit new provider`` and ``flowkit new stage`` write working packages that can be installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowkit.cli import main
from flowkit.config import load
from flowkit.config.template import template
from flowkit.plan import require
from flowkit.scaffold import write
from flowkit.stages.gate import Gate
from flowkit.stages.interrupting import While
from flowkit.stages.llm import LlmTurn
from flowkit.stages.preempting import Preempt

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    into = tmp_path_factory.mktemp("packages")
    made = [write.provider(kind, f"my_{kind}", into) for kind in write.KINDS]
    return [*made, write.stage("word_filter", into)]


@pytest.fixture(scope="module")
def site(packages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment in which the packages are installed, without a network."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), *map(str, packages)], check=True, capture_output=True)
    return site


def run(site: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_their_tests_pass_when_they_are_installed(packages: list[Path], site: Path) -> None:
    files = [str(test) for package in packages for test in package.glob("test_*.py")]
    done = run(site, "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *files, cwd=packages[0].parent)
    assert done.returncode == 0, done.stdout
    assert f"{2 * len(packages) + 1} passed" in done.stdout


def test_their_pipelines_are_sound_and_run(packages: list[Path], site: Path) -> None:
    for package in packages:
        checked = run(site, "flowkit", "check", "--deny-warnings", "pipeline.yaml", cwd=package)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    for package in packages[-2:]:
        ran = run(
            site, "flowkit", "run", "pipeline.yaml", "--no-trace", "--turns", "1", "--format", "plain", cwd=package
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "turn 1: completed" in ran.stdout


def test_what_was_asked_for_stands_in_them(tmp_path: Path) -> None:
    packages = [write.provider(kind, f"own_{kind}", tmp_path) for kind in write.KINDS]
    voice = next(package for package in packages if package.name == "flowkit-tts-own-tts")
    assert sorted(file.name for file in voice.iterdir()) == [
        "README.md",
        "flowkit_tts_own_tts.py",
        "pipeline.yaml",
        "pyproject.toml",
        "test_flowkit_tts_own_tts.py",
    ]
    assert '"tts.own_tts" = "flowkit_tts_own_tts:OwnTts"' in (voice / "pyproject.toml").read_text()
    for file in (file for package in packages for file in package.iterdir()):
        text = file.read_text()
        assert not re.search(r"\bMy[A-Z]", text)
        assert "scaffold" not in text
        assert '"mine"' not in text


def test_they_are_laid_out_like_flowkit(packages: list[Path]) -> None:
    sources = [str(file) for package in packages for file in package.glob("*.py")]
    for tool in (
        ["format", "--check", "--line-length", "120"],
        ["check", "--select", "E,F,W,B,UP", "--line-length", "132"],
    ):
        ruff = [sys.executable, "-m", "ruff", *tool, "--isolated", *sources]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["provider"], "flowkit new provider takes KIND/NAME, such as tts/mine"),
        (["provider", "mine"], "takes KIND/NAME, such as tts/mine (got 'mine')"),
        (["provider", "ttss/mine"], "there is no template for a provider of kind 'ttss'"),
        (["provider", "tts/piper"], "there is a tts provider 'piper' already"),
        (
            ["provider", "tts/My Voice"],
            "a name has lower-case letters, digits and _, and starts with a letter (got 'My Voice')",
        ),
        (["provider", "tts/../mine"], "a name has lower-case letters, digits and _"),
        (["stage"], "flowkit new stage takes a name, such as word_filter"),
        (["stage", "chunker"], "there is a kind 'chunker' already"),
        (["llm/canned", "--into", "x"], "--into is only for"),
        (["my.yaml"], "help: flowkit new -o my.yaml"),
    ],
)
def test_what_will_not_do_is_said(
    args: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", *args]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_there_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "stage", "word_filter", "--into", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'flowkit-word-filter'}\n"
    mine = tmp_path / "flowkit-word-filter" / "flowkit_word_filter.py"
    mine.write_text("# my own\n")
    assert main(["new", "stage", "word_filter", "--into", str(tmp_path)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert mine.read_text() == "# my own\n"


def test_a_pipeline_file_is_still_what_it_writes_without_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "llm/canned"]) == 0
    assert "provider: canned" in capsys.readouterr().out


def test_a_pipeline_goes_into_a_new_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my.yaml"
    assert main(["new", "llm/canned", "-o", str(file)]) == 0
    assert main(["check", str(file)]) in (0, 2)  # a key that it must be given may be missing
    assert "provider: canned" in file.read_text()
    assert capsys.readouterr().err.startswith(f"next: flowkit check {file}\n")
    assert main(["new", "-o", str(file)]) == 2
    assert f"{file} already exists" in capsys.readouterr().err


def test_a_server_without_a_provider_of_its_own_is_named_with_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "llm/Ollama"]) == 4
    help = 'write provider: openai_compatible, base_url: "http://127.0.0.1:11434/v1", model: ...'
    assert help in capsys.readouterr().err


@pytest.mark.parametrize("named", [[], ["vad/silero", "llm/llamacpp"]])
def test_a_new_pipeline_is_sound_and_so_is_every_line_that_it_offers(named: list[str], tmp_path: Path) -> None:
    text = template(named)
    offered = re.sub(r"^( *)# (\w+: )", r"\1\2", text, flags=re.MULTILINE)
    assert offered.count("\n") == text.count("\n")
    assert offered != text
    for one in (text, offered):
        file = tmp_path / "new.yaml"
        file.write_text(one)
        assert main(["check", "--deny-warnings", str(file)]) == 0
    plan = require(load("new.yaml", text=offered))
    assert "turn" in [stage.kind for stage in plan.stages]
    assert [stage.options.preempt for stage in plan.stages if isinstance(stage.options, LlmTurn.Options)] == [Preempt()]
    (gate,) = (stage.options for stage in plan.stages if isinstance(stage.options, Gate.Options))
    assert gate.by_state != While()
