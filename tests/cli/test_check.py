"""The commands that look at pipeline files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowkit.cli import main
from tests.config.helpers import BASE

WRONG = BASE.replace("kind: chunker", "kind: chunker, max_tokens: 0")
WARNED = BASE.replace("kind: chunker", "kind: chunker, mode: reply")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fine.yaml").write_text(BASE)
    (tmp_path / "wrong.yaml").write_text(WRONG)
    (tmp_path / "warned.yaml").write_text(WARNED)
    return tmp_path


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["fine.yaml"], 0),
        (["wrong.yaml"], 2),
        (["warned.yaml"], 0),
        (["warned.yaml", "--deny-warnings"], 2),
        (["fine.yaml", "wrong.yaml"], 2),
        (["missing.yaml"], 2),
        (["wrong.yaml", "--set", "stages.chunker.max_tokens=3"], 0),
        (["fine.yaml", "--set", "stages.chunker.max_tokens=0"], 2),
        (["fine.yaml", "--live"], 0),
    ],
)
def test_check_says_by_its_exit_code_how_it_went(args: list[str], code: int) -> None:
    assert main(["check", *args]) == code


def test_findings_go_to_stdout_and_the_sum_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "fine.yaml", "wrong.yaml", "warned.yaml"])
    said = capsys.readouterr()
    assert said.out.startswith("warned.yaml:5:27: warning: stages[2].mode: ")
    assert "wrong.yaml:5:33: stages[2].max_tokens: must be >= 1 (got 0) [FK110]\n    help: " in said.out
    assert said.err == "1 error, 1 warning in 3 files\n"


def test_check_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "wrong.yaml", "--format", "json"])
    assert json.loads(capsys.readouterr().out)[0]["code"] == "FK110"


def test_check_reads_the_pipelines_of_a_page(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = f"# Page\n\n```yaml\n{WRONG}```\n\n```yaml wrong\n{WRONG}```\n\n```yaml\na: 1\na: 2\n```\n\n```yaml\nkind: mic\n```\n"
    (here / "page.md").write_text(page)
    assert main(["check", "page.md"]) == 2
    assert [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()[::2]] == [
        "page.md:8:33",
        "page.md:23:1",
    ]


def test_check_does_not_show_a_variables_value(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRIVATE", "hunter2")
    (here / "x.yaml").write_text(
        BASE.replace("provider: print", 'provider: "${PRIVATE}"') + "name: ${PRIVATE}\nx: ${PRIVATE}\n"
    )
    for form in ("full", "concise", "json", "github", "sarif"):
        main(["check", "x.yaml", "--format", form])
    said = capsys.readouterr()
    assert "env PRIVATE" in said.out
    assert "hunter2" not in said.out + said.err


def test_show_and_graph(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "fine.yaml", "--resolved", "--origin", "--set", "name=x"]) == 0
    assert "# --set" in capsys.readouterr().out
    for form in ("ascii", "mermaid", "dot", "svg"):
        assert main(["graph", "fine.yaml", "--format", form]) == 0
        assert "chunker" in capsys.readouterr().out
    assert main(["graph", "wrong.yaml"]) == 2
    assert capsys.readouterr().err.startswith("wrong.yaml:5:33: stages[2].max_tokens: must be >= 1 (got 0) [FK110]\n")


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "fk103"]) == 0
    assert capsys.readouterr().out.startswith("# FK103: an unknown provider")
    assert main(["explain"]) == 0
    assert "FK206  a queue without bound" in capsys.readouterr().out
    assert main(["explain", "FK999"]) == 2
    assert "there is no code 'FK999'" in capsys.readouterr().err


def test_schema(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["required"] == ["flowkit", "stages"]
    assert main(["schema", "-o", "schema.json"]) == 0
    assert json.loads((here / "schema.json").read_text())
    assert main(["schema", "-o", "no/such/folder.json"]) == 2


def test_providers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers", "tts"]) == 0
    assert "tts/print" in capsys.readouterr().out
    assert main(["providers", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert ("tts", "print", True) in [(row["kind"], row["name"], row["installed"]) for row in rows]
    assert main(["providers", "tss"]) == 2
    assert "did you mean 'tts'" in capsys.readouterr().err


def test_a_new_file_is_sound(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "asr/moonshine", "llm/canned", "tts/print"]) == 0
    (here / "new.yaml").write_text(capsys.readouterr().out)
    assert main(["check", "new.yaml"]) == 0


@pytest.mark.parametrize(("name", "code"), [("tts", 2), ("tss/print", 2), ("tts/prnt", 4), ("gate/x", 4)])
def test_new_refuses_what_it_does_not_know(name: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", name]) == code
    assert "help: " in capsys.readouterr().err


def test_looking_at_files_loads_nothing_heavy() -> None:
    code = (
        "import sys; from flowkit.cli import main; main(['check', 'fine.yaml'])\n"
        "from types import ModuleType\n"
        "print([n for n in ('trio', 'numpy', 'opentelemetry', 'asyncio') if type(sys.modules.get(n)) is ModuleType])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root)}, check=True
    )
    assert done.stdout == "[]\n"
