"""``flowkit init`` writes a project that is sound, is tested, runs, and changes no file that is there."""

from __future__ import annotations

import io
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from flowkit.chunker.languages import load
from flowkit.cli import ask, main
from flowkit.config import load as load_config
from flowkit.errors import OutputError, UsageError
from flowkit.scaffold.phrases import LANGUAGES
from flowkit.scaffold.project import Flavour, project, samples
from tests.cli.test_run import flowkit

ROOT = Path(__file__).resolve().parents[2]
FILES = {"agent.yaml", "agent.test.yaml", "README.md", ".gitignore", ".github/workflows/voice.yaml"}
KEYS = dict.fromkeys(("ASSEMBLYAI_API_KEY", "GROQ_API_KEY", "CARTESIA_API_KEY"), "a-key-for-a-test")
MADE = [(flavour, language) for flavour in Flavour for language in LANGUAGES if flavour != "local" or language == "en"]


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("flavour", "language"), MADE)
def test_every_project_is_sound_and_its_tests_pass(
    flavour: Flavour, language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = project(tmp_path, flavour, language=language, name='Ann "the" agent: {x}')
    assert done.kept == []
    assert files_in(tmp_path) == FILES | ({"question.wav"} if flavour == "local" else set())
    pipelines = [str(tmp_path / name) for name in ("agent.yaml", "agent.test.yaml")]
    assert main(["check", "--deny-warnings", *pipelines]) == 0
    assert main(["test", str(tmp_path), "-j", "1"]) == 0
    assert "3 passed" in capsys.readouterr().out
    agent = yaml.safe_load(Path(pipelines[0]).read_text("utf-8"))
    assert agent["name"] == 'Ann "the" agent: {x}'
    assert agent["defaults"]["chunker"]["language"] == language


@pytest.mark.parametrize(("flavour", "installed"), [(Flavour.CLOUD, ("cloud", "devices")), (Flavour.TEXT, ())])
def test_what_the_readme_installs_is_all_that_the_pipeline_needs(
    flavour: Flavour, installed: tuple[str, ...], tmp_path: Path
) -> None:
    project(tmp_path, flavour)
    named = re.findall(r"flowkit-voice\[([\w,]+)\]", (tmp_path / "README.md").read_text("utf-8"))
    assert named == ([",".join(installed)] if installed else [])
    there = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [
        *there["dependencies"],
        *(line for extra in installed for line in there["optional-dependencies"][extra]),
    ]
    packages = {canonical(re.split(r"[^\w.-]", line)[0]) for line in declared}
    provided = packages_distributions()
    for stage in load_config(tmp_path / "agent.yaml", environ=KEYS).stages:
        for module in (module for choice in stage.candidates for module in choice.cls.requires):
            assert packages & set(map(canonical, provided[module])), (stage.kind, module)


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def test_its_tests_test_the_settings_of_the_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, Flavour.TEXT)
    agent = tmp_path / "agent.yaml"
    agent.write_text(agent.read_text("utf-8").replace("language: en", "max_tokens: 3"), "utf-8")
    assert main(["test", str(tmp_path), "-j", "1"]) == 1
    assert "FAILED prices stay whole" in capsys.readouterr().out


def test_every_language_has_texts_and_a_chunker() -> None:
    for code, phrases in LANGUAGES.items():
        assert load(code) is not load("base")
        assert phrases.price in phrases.answer
        assert all(getattr(phrases, name) for name in phrases.__slots__)


def test_a_text_project_runs_at_once(tmp_path: Path) -> None:
    done = flowkit("init", tmp_path / "mine", "--text", "--language", "de")
    assert done.returncode == 0
    assert set(done.stdout.splitlines()) == {str(tmp_path / "mine" / name) for name in FILES}
    assert "next: cd " in done.stderr
    done = flowkit("run", tmp_path / "mine" / "agent.yaml", "--no-trace", stdin="Hallo\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["> Hallo", "Hallo."]
    assert "speaker" not in done.stderr


def test_no_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".gitignore").symlink_to("nowhere")
    done = project(tmp_path, Flavour.TEXT)
    assert {path.name for path in done.kept} == {"README.md", ".gitignore"}
    assert (tmp_path / "README.md").read_text() == "mine"
    with pytest.raises(OutputError, match=r"agent\.yaml already exists"):
        project(tmp_path, Flavour.TEXT)


def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no texts in language 'xx'"):
        project(tmp_path, Flavour.TEXT, language="xx")
    with pytest.raises(UsageError, match="hear and speak English only"):
        project(tmp_path, Flavour.LOCAL, language="de")
    assert list(tmp_path.iterdir()) == []


def test_the_samples_are_those_of_the_repository(tmp_path: Path) -> None:
    samples(tmp_path)
    for name in ("pipelines/assistant.yaml", "pipelines/audio/question.wav", "traces/barge-in.input.flac"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    assert not (tmp_path / "traces" / "live").exists()


def test_without_a_terminal_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("what?\ncloud\nf\nRobin\n"))
    assert main(["init", str(tmp_path)]) == 0
    agent = yaml.safe_load((tmp_path / "agent.yaml").read_text("utf-8"))
    assert agent["name"] == "Robin"
    assert "Answer in French" in (tmp_path / "agent.yaml").read_text("utf-8")


def test_run_without_a_file_runs_the_agent_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 2
    assert "help: flowkit init writes one" in capsys.readouterr().err


def test_what_the_readme_says_of_a_recorded_session_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The microphone of the file was replaced by the keyboard, and a speaker was added. The same holds for the replay."""
    project(tmp_path, Flavour.TEXT)
    monkeypatch.chdir(tmp_path)
    ran = flowkit(
        "run", tmp_path / "agent.yaml", "--trace", tmp_path / "traces/hello.jsonl", stdin="Hello.\nAnd again.\n"
    )
    assert ran.returncode == 0, ran.stderr
    assert main(["replay", "traces/hello.jsonl", "--pipeline", "agent.yaml"]) == 0
    assert ": simulated, " in capsys.readouterr().out
    assert main(["approve", "traces/hello.jsonl", "--pipeline", "agent.yaml", "--yes"]) == 0
    assert "new, 2 turns" in capsys.readouterr().out
    assert main(["test", "traces", "-j", "1"]) == 0
