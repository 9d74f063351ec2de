"""The commands that look at pipeline files."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flowkit.cli import main
from flowkit.config import kinds
from flowkit.messages import Message
from flowkit.options import Options
from flowkit.plugins import Claim
from flowkit.providers import weights
from flowkit.stages.base import NOTHING, Actions, Stage
from flowkit.testing.emulators.assemblyai import AssemblyAIEmulator
from flowkit.testing.emulators.cartesia import CartesiaEmulator
from flowkit.testing.emulators.groq import GroqEmulator
from flowkit.testing.emulators.server import running
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


def test_a_misspelt_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explian", "FK103"]) == 2
    assert capsys.readouterr().err == "flowkit: there is no command 'explian'\n    help: did you mean 'explain'?\n"
    assert main(["xyz"]) == 2
    assert "flowkit --help lists them" in capsys.readouterr().err


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "fk103"]) == 0
    assert capsys.readouterr().out.startswith("# FK103: an unknown provider")
    assert main(["explain"]) == 0
    assert "FK206  an unbounded queue" in capsys.readouterr().out
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


class Odd(Stage[None]):
    """A stage of an installed package, with a content of its own."""

    kind = "odd"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses", "replaced": "replaced"}
    replying = True

    class Options(Options):
        pass

    def fresh(self) -> None:
        return None

    def step(self, state: None, message: Message, now_us: int) -> Actions:
        return NOTHING


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that adds the stage is installed."""
    claim = Claim("odd", f"{__name__}:Odd", "flowkit-odd")
    monkeypatch.setattr(kinds, "declared", {kinds.GROUP: (claim,)}.__getitem__)


@pytest.mark.usefixtures("odd")
def test_kinds_that_packages_add_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers"]) == 0
    assert capsys.readouterr().out.endswith("\nstages: odd (flowkit-odd)\n")


@pytest.mark.usefixtures("odd")
def test_a_stage_with_unknown_content_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "odd.yaml").write_text("flowkit: 1\nstages:\n  - {kind: gate}\n  - {kind: odd}\n")
    assert main(["check", "odd.yaml"]) == 2
    said = capsys.readouterr()
    assert "odd.yaml:4:12" in said.out + said.err
    assert "Odd has ports with unknown content 'replaced'" in said.out + said.err
    assert "known are audio, end, " in said.out + said.err


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


# -- asking providers --------------------------------------------------------------------------------------------------


def asks(here: Path, capsys: pytest.CaptureFixture[str], stage: str) -> tuple[int, str]:
    """`check --live` of a pipeline with this LLM, ASR or voice: its exit code, and the line about it."""
    kind, options = stage.split(" ", 1)
    stages = {
        "mic": "provider: memory",
        "vad": "provider: scripted",
        "asr": "provider: scripted",
        "gate": "",
        "llm": "provider: canned",
        "chunker": "",
        "tts": "provider: print",
        "speaker": "provider: memory",
    } | {kind: options}
    lines = (f"  - {{kind: {kind}{', ' if given else ''}{given}}}\n" for kind, given in stages.items())
    (here / "asks.yaml").write_text("flowkit: 1\nstages:\n" + "".join(lines))
    code = main(["check", "--live", "asks.yaml"])
    said = capsys.readouterr()
    return code, next(line for line in (said.out + said.err).splitlines() if line.startswith(f"{kind}: "))


def dead_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("llm provider: groq, api_key: some-key, base_url: 'http://127.0.0.1:{port}'", "refused"),
        ("llm provider: openai_compatible, model: m, base_url: 'http://127.0.0.1:{port}/v1'", "refused"),
        ("asr provider: assemblyai, api_key: some-key, base_url: 'ws://127.0.0.1:{port}'", "refused"),
        ("tts provider: cartesia, voice: v, api_key: some-key, base_url: 'ws://127.0.0.1:{port}'", "refused"),
    ],
)
def test_a_service_at_a_dead_port_is_not_ready(
    here: Path, capsys: pytest.CaptureFixture[str], stage: str, said: str
) -> None:
    code, line = asks(here, capsys, stage.format(port=dead_port()))
    assert code == 4
    assert said in line
    assert "is ready" not in line


SERVICES = [
    (GroqEmulator, "llm provider: groq, api_key: {key}, base_url: '{http}'"),
    (GroqEmulator, "llm provider: openai_compatible, model: {model}, api_key: {key}, base_url: '{http}/openai/v1'"),
    (AssemblyAIEmulator, "asr provider: assemblyai, api_key: {key}, base_url: '{ws}'"),
    (CartesiaEmulator, "tts provider: cartesia, voice: v, api_key: {key}, base_url: '{ws}'"),
]


@pytest.mark.parametrize(("emulator", "stage"), SERVICES)
@pytest.mark.parametrize(("key", "code", "said"), [("working-key", 0, "is ready"), ("wrong", 4, "401")])
def test_a_service_says_whether_the_key_works(
    here: Path, capsys: pytest.CaptureFixture[str], emulator: Any, stage: str, key: str, code: int, said: str
) -> None:
    with running(emulator()) as there:
        written = stage.format(key=key, http=there.url, ws=there.ws_url, model="llama-3.3-70b-versatile")
        found, line = asks(here, capsys, written)
    assert (found, said in line) == (code, True), line
    assert "working-key" not in line


def test_a_model_that_the_server_has_not_is_not_ready(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(GroqEmulator()) as there:
        code, line = asks(here, capsys, f"llm provider: groq, model: lama, api_key: some-key, base_url: '{there.url}'")
    assert code == 4
    assert "the server answers, but has no model 'lama'" in line


@pytest.mark.parametrize("stage", ["llm provider: llamacpp", "vad provider: silero", "asr provider: moonshine"])
def test_missing_weights_are_not_ready(
    here: Path, capsys: pytest.CaptureFixture[str], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    code, line = asks(here, capsys, stage)
    assert code == 4
    assert "not installed" in line


def test_a_part_of_a_module_that_is_loaded_late_can_be_imported_first() -> None:
    code = (
        "from flowkit.cli import quick; quick.start(); from numpy.typing import NDArray; import numpy; numpy.zeros(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
