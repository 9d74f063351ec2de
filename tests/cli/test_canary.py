"""A secret is never visible.

It is given in every possible way, in every encoding, and looked for in sessions, traces and errors.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio
import trio.testing

from flowkit import secrets
from flowkit.cli import main
from flowkit.errors import ProviderError
from flowkit.replay.rerun import Rerun, alike_masked
from flowkit.report.outcome import Outcome, Status
from flowkit.report.plain import PlainView
from flowkit.runtime.host import run_alone
from flowkit.testing.sessions import Kept, scripted_plan
from flowkit.trace import open_recorder
from flowkit.trace.reader import read_trace

CANARY = "sk-live/Ca+nary4711zq"
WAYS_IN = {
    "a literal key": ("api_key: CANARY", {}, ""),
    "a key of the environment": ('api_key: "${MY_API_KEY}"', {"MY_API_KEY": CANARY}, ""),
    "a key from a file": ('api_key: "${file:key.txt}"', {}, CANARY + "\n"),
    "a file's value in a mapping": ('extra: {user: "${file:key.txt}"}', {}, CANARY),
    "a file's value amid text": ('extra: {user: "me and ${file:key.txt}!"}', {}, CANARY),
    "a variable in a mapping": ('extra: {user: "${MY_TOKEN}"}', {"MY_TOKEN": CANARY}, ""),
    "a name in a mapping": ("extra: {authorization: Bearer CANARY}", {}, ""),
    "a file's value as the prompt": ('system: "${file:key.txt}"', {}, CANARY),
    "a variable that nothing names": ("seed: 1", {"DB_PASSWORD": CANARY}, ""),
}
ENCODINGS = {
    "plain": CANARY,
    "in a URL": quote(CANARY, safe=""),
    "in JSON": json.dumps({"k": CANARY}),
    "in Base64": base64.b64encode(f"user:{CANARY}".encode()).decode(),
}


def pipeline(folder: Path, option: str, said: str, base_url: str = "http://127.0.0.1:9/v1") -> Path:
    path = folder / "p.yaml"
    path.write_text(
        f"""flowkit: 1
stages:
  - {{kind: gate}}
  - kind: llm
    provider: scripted
    replies: [{{text: {json.dumps(f"Your key is {said} now. Bye.")}}}]
    failover:
      - provider: openai_compatible
        model: m
        base_url: "{base_url}"
        {option.replace("CANARY", CANARY)}
  - {{kind: chunker}}
  - {{kind: tts, provider: print}}
""",
        "utf-8",
    )
    return path


def leaks(sink: str) -> list[str]:
    """All parts of six characters of the secret, in any encoding."""
    encoded = [CANARY, quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode()[:-4]]
    encoded += [base64.b64encode(b"user:" + CANARY.encode()).decode()[8:-4]]
    return [whole[i : i + 6] for whole in encoded for i in range(len(whole) - 5) if whole[i : i + 6] in sink]


@pytest.fixture
def flowkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The output of a command. Each command knows only the secrets that it has read itself."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, **environ: str) -> str:
        secrets.forget()
        monkeypatch.setattr("sys.stdin", io.StringIO(f"say it {CANARY}\n"))
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            main(list(map(str, args)))
        said = capfd.readouterr()
        return said.out + said.err

    return run


def page_data(path: str) -> str:
    """The parts of a page that are not flowkit's own."""
    return Path(path).read_text("utf-8").partition('type="application/json"')[2]


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("way", WAYS_IN.values(), ids=WAYS_IN)
def test_the_canary_is_nowhere(
    tmp_path: Path, flowkit: Callable[..., str], way: tuple[str, dict[str, str], str], encoding: str
) -> None:
    option, environ, file = way
    path = pipeline(tmp_path, option, encoding)
    if file:
        Path("key.txt").write_text(file)
    sinks = {
        "plain": flowkit("run", path, "--text", "--trace", "t.jsonl", **environ),
        "json": flowkit("run", path, "--text", "--no-trace", "--format", "json", **environ),
        "trace": Path("t.jsonl").read_text("utf-8"),
        "report": flowkit("report", "t.jsonl"),
        "wrote": flowkit("report", "t.jsonl", "-o", "t.html"),
        "page": page_data("t.html"),
        "exact": flowkit("replay", "t.jsonl", "--exact"),
    }
    if encoding == CANARY and not file:  # show opens no file, and the words of the reply are in the pipeline here
        sinks["show"] = flowkit("show", path, "--resolved", "--origin", **environ)
    assert "Your key" in sinks["plain"]
    assert "exact" in sinks["exact"]
    assert "first difference" not in sinks["exact"]
    assert {name: leaks(text) for name, text in sinks.items() if leaks(text)} == {}


def test_a_password_in_a_url(tmp_path: Path, flowkit: Callable[..., str]) -> None:
    password = quote(CANARY, safe="")
    path = pipeline(tmp_path, "seed: 1", password, f"http://me:{password}@127.0.0.1:9/v1")
    sinks = [
        flowkit("run", path, "--text", "--trace", "t.jsonl"),
        flowkit("show", path, "--resolved"),
        Path("t.jsonl").read_text("utf-8"),
    ]
    assert [
        password[i : i + 6] for sink in sinks for i in range(len(password) - 5) if password[i : i + 6] in sink
    ] == []
    assert "http://me:" in sinks[1]


@pytest.mark.parametrize("form", ["full", "concise", "json", "github", "sarif"])
@pytest.mark.parametrize(
    "broken",
    [
        "api_key: [CANARY]",
        "api_key: CANARY\n        api_kye: CANARY",
        "extra: {token: [CANARY]}",
        "api_key: {a: CANARY}",
    ],
)
def test_a_wrong_file_does_not_show_it_either(
    tmp_path: Path, flowkit: Callable[..., str], broken: str, form: str
) -> None:
    said = flowkit("check", pipeline(tmp_path, broken, "x"), "--format", form)
    assert "FK1" in said
    assert leaks(said) == []


SAID = {
    "whole": ["Your key is ", CANARY, ". Bye."],
    "in pieces": ["Your key is s", *CANARY[1:], ". Bye."],
    "in halves": ["Your key is ", CANARY[:9], CANARY[9:], ". Bye."],
    "cut into clauses": ["Your key is sk", *CANARY[2:], " and that is all there is to it. Bye."],
    "in Base64, in halves": ["It is ", ENCODINGS["in Base64"][:20], ENCODINGS["in Base64"][20:], " now."],
}


@pytest.mark.parametrize("tokens", SAID.values(), ids=SAID)
def test_a_secret_that_a_model_says_in_pieces_comes_together_nowhere(
    tmp_path: Path, flowkit: Callable[..., str], tokens: list[str]
) -> None:
    secrets.learn(CANARY)
    plan = scripted_plan(
        mic={"speech": [{"at": "0ms", "lasts": "200ms"}]},
        asr={"utterances": (f"Is it {CANARY}?",)},
        llm={"replies": ({"text": "x", "tokens": tuple(tokens)},)},
        chunker={"max_tokens": 3},
    )
    lines, told, kept = list[str](), list[str](), Kept()
    recorder = open_recorder(tmp_path / "t.jsonl", plan, audio=False)

    async def session() -> Any:
        settled = trio.testing.wait_all_tasks_blocked
        observers = (PlainView(lines.append), recorder, kept)
        return await run_alone(plan, notice=told.append, observers=observers, settled=settled)

    outcome = trio.run(session, clock=trio.testing.MockClock(autojump_threshold=0))
    recorder.close(outcome.reason)
    sinks = {
        "view": "\n".join(lines),
        "joined": "".join(row.message.text for row in kept.all if type(row.message).__name__ in ("Token", "Clause")),
        "figures": json.dumps(outcome.figures.report().to_json(), ensure_ascii=False),
        "trace": (tmp_path / "t.jsonl").read_text("utf-8"),
        "report": flowkit("report", "t.jsonl", "-o", "t.html"),
        "page": page_data("t.html"),
    }
    assert {name: leaks(text) for name, text in sinks.items() if leaks(text)} == {}
    rows = [row.message for row in read_trace(tmp_path / "t.jsonl").rows() if row.stage == "chunker"]
    said = [(message.index, len(message.text)) for message in rows if type(message).__name__ == "Token"]
    assert said == [(index, len(token)) for index, token in enumerate(tokens)], "a masked token keeps index and length"
    assert [name for _, name, _ in kept.events if name not in ("starved", "stall")] == ["masked"], "said once"
    trace = read_trace(tmp_path / "t.jsonl")
    assert trace.masked
    again = Rerun(plan, trace.rows(), alike=alike_masked)
    assert list(again)
    assert again.difference is None


def test_errors_and_test_reports(tmp_path: Path, flowkit: Callable[..., str]) -> None:
    secrets.learn(CANARY)
    error = ProviderError(f"401: {CANARY} is no key", hint=f"not {quote(CANARY, safe='')}")
    assert leaks(f"{error} {error.hint} {error!r}") == []
    assert str(error) == "401: *** is no key"
    from flowkit.files import write_whole
    from flowkit.report.junit import junit

    write_whole(tmp_path / "j.xml", junit([Outcome(CANARY, "f", 1, Status.FAILED, notices=(CANARY,), again=CANARY)]))
    assert leaks((tmp_path / "j.xml").read_text()) == []


def test_a_key_that_a_server_quotes_is_masked_before_its_words_are_cut() -> None:
    from flowkit.providers.cloud.keys import body_message
    from flowkit.providers.cloud.line import refusal
    from flowkit.providers.cloud.text import json_object

    secrets.learn(CANARY)
    for filling in range(0, 320, 7):
        text = "x" * filling + CANARY + "y" * 300
        assert leaks(body_message({"error": {"message": text}})) == []
        assert leaks(refusal(text.encode(), {})) == []
        with pytest.raises(ProviderError) as caught:
            json_object(text)
        assert leaks(str(caught.value)) == []


def test_an_author_s_name_is_no_secret(tmp_path: Path, flowkit: Callable[..., str]) -> None:
    path = pipeline(tmp_path, "seed: 1", "Jane Austen's")
    environ = {"GIT_AUTHOR_NAME": "Jane Austen", "GIT_COMMITTER_NAME": "Jane Austen"}
    assert "Jane Austen" in flowkit("run", path, "--text", "--trace", "t.jsonl", **environ)
    assert "Jane Austen" in Path("t.jsonl").read_text("utf-8")
    assert main(["replay", "t.jsonl", "--exact"]) == 0
