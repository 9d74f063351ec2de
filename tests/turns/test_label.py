"""``flowkit label``: pieces and turns, what the page saves, whom it answers, and how it ends."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from flowkit.cli import main
from flowkit.errors import InputError, OutputError
from flowkit.serve.http import HttpAnswer, HttpRequest
from flowkit.testing.turns.labelling import LabelServer
from flowkit.testing.turns.labels import UserTurn, checked, collect, read_labels
from flowkit.testing.turns.pieces import AfterSpeech, LabelPiece, heard_in, pieces_of, turns_of
from flowkit.trace.reader import read_trace

TRACES = Path(__file__).resolve().parents[2] / "traces"
HOST = {"host": "127.0.0.1:5005"}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A session with sound and three utterances."""
    for file in TRACES.glob("conversation.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "conversation.jsonl"


def asked(server: LabelServer, method: str, path: str, body: Any = None, **known: Any) -> HttpAnswer:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.answer(HttpRequest(method, path, known.get("query", {}), known.get("headers", HOST), sent))


def shown(server: LabelServer) -> Any:
    return json.loads(asked(server, "GET", "/labels").body)


# -- pieces ------------------------------------------------------------------------------------------------------------


@st.composite
def labelled(draw: st.DrawFn) -> list[UserTurn]:
    """Turns that are one after another, with and without pauses, kinds and parts."""
    turns, at = [], 0
    for pauses in draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)):
        times = [(at := at + draw(st.integers(1, 300))) / 100 for _ in range(2 * pauses + 2)]
        words = draw(st.sampled_from(["", "word"]))
        given = {"kinds": ["k"] * pauses, "parts": ["p"] * (pauses + 1)} if words else {}
        turn = {"begins": times[0], "ends": times[-1], "pauses": list(zip(times[1:-1:2], times[2:-1:2], strict=True))}
        turns.append(UserTurn.model_validate({**turn, **given, "asked": words}))
    return turns


@given(labelled())
def test_turns_become_pieces_and_turns_again(turns: list[UserTurn]) -> None:
    assert list(checked({"turns": turns_of(pieces_of(turns))}, "here").turns) == turns


def test_what_is_no_speech_leaves_its_turn_and_a_piece_that_was_split_loses_its_words() -> None:
    pieces = [
        LabelPiece(begins=1, ends=2, after=AfterSpeech.PAUSE, part="One"),
        LabelPiece(begins=2.5, ends=3, after=AfterSpeech.NONE),
        LabelPiece(begins=4, ends=5, after=AfterSpeech.TURN),
        LabelPiece(begins=6, ends=7, after=AfterSpeech.NONE),
    ]
    assert turns_of(pieces) == [{"begins": 1, "ends": 5, "pauses": [[2, 4]]}]


def test_the_pieces_of_a_trace_are_what_its_pipeline_took_for_turns(trace: Path) -> None:
    pieces = heard_in(read_trace(trace))
    turns = turns_of(pieces)
    assert [(turn["begins"], turn["ends"]) for turn in turns] == [(0.52, 1.06), (4.38, 6.12), (12.18, 13.46)]
    assert [piece.text for piece in pieces if piece.text] == [
        "Tell me about the moon.", "How many legs does a spider have?", "What is the capital of France?",
    ]  # fmt: skip
    assert checked({"turns": turns}, "here")


def test_labels_that_are_there_are_shown_with_what_was_heard(trace: Path) -> None:
    known = {"begins": 0.5, "ends": 5.0, "pauses": [[1.1, 4.3]], "kinds": ["thinks"], "asked": "What?"}
    Path(f"{trace}.labels.json").write_text(json.dumps({"turns": [known]}))
    server = LabelServer(read_trace(trace))
    first, second = shown(server)["pieces"]
    words = {"text": "Tell me about the moon.", "asked": "What?", "kind": "thinks", "part": ""}
    assert first == {"begins": 0.5, "ends": 1.1, "after": "pause", **words}
    assert (second["text"], second["after"]) == ("How many legs does a spider have?", "turn")
    asked(server, "POST", "/labels", [first, second])
    assert read_labels(server.labels).turns == (UserTurn.model_validate(known),)


# -- what is saved -----------------------------------------------------------------------------------------------------


def test_what_is_saved_is_read_back(trace: Path) -> None:
    server = LabelServer(read_trace(trace))
    pieces = shown(server)["pieces"]
    pieces[0]["after"], pieces[0]["ends"] = "pause", 1.25
    answer = asked(server, "POST", "/labels", pieces)
    assert (answer.status, json.loads(answer.body)) == (200, {"turns": 2})
    [found] = collect([str(trace.parent)])
    assert found.path == trace
    assert found.turns[0].pauses[0] == (1.25, pieces[1]["begins"])
    assert [turn.begins for turn in found.turns] == [0.52, 12.18]
    assert stat.S_IMODE(server.labels.stat().st_mode) == 0o600
    assert shown(server)["pieces"] == pieces


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        ({}, "valid tuple"),
        ([], "turns"),
        ([{"begins": 1, "ends": 2, "after": "none"}], "turns"),
        ([{"begins": 1, "ends": None}], "0.ends"),
        ([{"begins": 1, "ends": 2, "after": "never"}], "0.after"),
        ([{"begins": 1, "ends": 2, "path": "/etc"}], "0.path"),
        ([{"begins": 2, "ends": 1}], "must rise"),
        ([{"begins": -1, "ends": 1}], "begins"),
        (b'[{"begins": 1, "ends": Infinity}]', "finite"),
        (b'[{"begins": 1, "ends": NaN}]', "finite"),
        ([{"begins": 1, "ends": 3}, {"begins": 2, "ends": 4}], "after the one before has ended"),
    ],
)
def test_what_is_wrong_is_not_saved(trace: Path, body: Any, says: str) -> None:
    server = LabelServer(read_trace(trace))
    answer = asked(server, "POST", "/labels", body)
    assert answer.status == 400
    assert says in json.loads(answer.body)["error"]["message"]
    assert not server.labels.exists()


def test_a_row_can_be_heard(trace: Path) -> None:
    server = LabelServer(read_trace(trace))
    answer = asked(server, "GET", "/sound", query={"from": "4.38", "to": "6.12"})
    samples, rate_hz = soundfile.read(io.BytesIO(answer.body), dtype="int16")
    whole, _ = soundfile.read(trace.with_name("conversation.input.flac"), dtype="int16")
    assert (answer.type, len(samples)) == ("audio/wav", round(1.74 * rate_hz))
    # The sound begins with the user's voice, and goes on to its last frame.
    assert abs(samples[:1600]).max() > 10 * abs(whole[:1600]).max()
    for query in ({"from": "1"}, {"from": "x", "to": "2"}, {"from": "2", "to": "1"}, {"from": "0", "to": "inf"}):
        assert asked(server, "GET", "/sound", query=query).status == 400


# -- who is answered ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.test:5005"}, 421),
        ({}, 421),
        ({**HOST, "origin": "http://evil.test"}, 403),
        ({**HOST, "origin": "null"}, 403),
        ({**HOST, "origin": "http://127.0.0.1:5006"}, 403),
        ({**HOST, "origin": "http://127.0.0.1:5005"}, 200),
        ({"host": "localhost:5005", "origin": "http://localhost:5005"}, 200),
    ],
)
def test_only_this_page_on_this_machine_is_answered(trace: Path, headers: dict[str, str], status: int) -> None:
    server = LabelServer(read_trace(trace))
    assert asked(server, "POST", "/labels", [{"begins": 1, "ends": 2}], headers=headers).status == status
    assert server.labels.exists() == (status == 200)


def test_other_paths_and_methods_are_refused(trace: Path) -> None:
    server = LabelServer(read_trace(trace))
    assert [asked(server, *what).status for what in (("GET", "/../x"), ("GET", "/done"), ("PUT", "/labels"))] == [
        404,
        405,
        405,
    ]


def test_the_page_runs_no_script_but_its_own(trace: Path) -> None:
    server = LabelServer(read_trace(trace))
    page = asked(server, "GET", "/")
    policy = dict(page.headers)["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert b"<script>" not in page.body
    assert b"innerHTML" not in asked(server, "GET", "/label.js").body


# -- beginning and ending ----------------------------------------------------------------------------------------------


def run(server: LabelServer, act: Callable[[httpx.AsyncClient], Awaitable[None]]) -> bool:
    async def told() -> bool:
        ended = False

        async def serve(*, task_status: trio.TaskStatus[str]) -> None:
            nonlocal ended
            ended = await server.run(0, task_status.started)

        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve)
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                await act(client)
        return ended

    return trio.run(told)


def test_done_ends_it(trace: Path) -> None:
    async def act(client: httpx.AsyncClient) -> None:
        assert (await client.get("/")).status_code == 200
        pieces = (await client.get("/labels")).json()["pieces"]
        assert (await client.post("/labels", json=pieces)).json() == {"turns": 3}
        assert (await client.post("/done", json={}, headers={"host": "evil.test"})).status_code == 421
        assert (await client.post("/labels", content=b" " * 70_000)).status_code == 413
        assert (await client.post("/done", json={})).status_code == 200

    assert run(LabelServer(read_trace(trace)), act)
    assert len(read_labels(Path(f"{trace}.labels.json")).turns) == 3


def test_without_a_request_it_ends_after_half_an_hour(trace: Path) -> None:
    server, began = LabelServer(read_trace(trace)), list[str]()

    async def idle() -> tuple[bool, float]:
        since = trio.current_time()
        return await server.run(0, began.append), trio.current_time() - since

    assert trio.run(idle, clock=trio.testing.MockClock(autojump_threshold=0)) == (False, 1800)
    assert began[0].startswith("http://127.0.0.1:")


def test_a_trace_without_speech_and_labels_that_are_none_are_refused(trace: Path) -> None:
    whole = read_trace(trace)
    with pytest.raises(InputError, match="the user says nothing in it"):
        LabelServer(replace(whole, chunks=()))
    Path(f"{trace}.labels.json").write_text("mine")
    with pytest.raises(InputError, match="not JSON"):
        LabelServer(whole)


def test_labels_that_cannot_be_written_are_refused_before_the_work(trace: Path) -> None:
    Path(f"{trace}.labels.json").symlink_to("elsewhere.json")
    with pytest.raises(OutputError, match="is a link"):
        LabelServer(read_trace(trace))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(trace: Path) -> None:
    trace.parent.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write"):
        LabelServer(read_trace(trace))


def test_a_name_is_only_a_name_and_missing_sound_is_said(trace: Path) -> None:
    odd = trace.rename(trace.with_name(os.fsdecode(b"p\xff\x1b.jsonl")))
    server = LabelServer(read_trace(odd))
    told = shown(server)
    assert "\x1b" not in told["name"]
    assert (told["sound"], "is missing" in told["notice"]) == (False, True)
    assert asked(server, "GET", "/sound", query={"from": "1", "to": "2"}).status == 404


@pytest.mark.parametrize(
    ("args", "says"), [(["gone.jsonl"], "cannot read gone.jsonl"), (["a.jsonl", "--port", "70000"], "0 to 65535")]
)
def test_wrong_arguments_are_refused(args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", *args, "--no-open"]) == 2
    assert says in capsys.readouterr().err
