"""AssemblyAI in three ways, with the same emulator and faults: flowkit's provider, AssemblyAI's own library, and raw
bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from flowkit.messages import Final, Message, Partial, Transcribe
from flowkit.providers.assemblyai.asr import AssemblyAI
from flowkit.testing.emulators import AssemblyAIEmulator, ServerFault, running
from tests.contract.raw import Wire, websocket
from tests.contract.sdks import Sdk, assemblyai_listen
from tests.contract.support import OK, QUIET, SILENT, VOICE, Outcome, one_call, utterance

pytest.importorskip("assemblyai")
pytest.importorskip("websockets")

# The library's reader dies of an event that it does not expect, in a thread of its own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning", "ignore::DeprecationWarning"
)
TEXT = "what is the capital of france"
PARAMETERS: dict[str, Any] = {
    "sample_rate": 16_000,
    "encoding": "pcm_s16le",
    "speech_model": "universal-streaming-english",
    "format_turns": False,
}


class Case(NamedTuple):
    """The result of a fault: with flowkit, with the library, and on the wire."""

    ours: str
    sdk: str
    wire: str
    differs: str = ""


def refused(status: int, trouble: str) -> Case:
    return Case(trouble, f"error callback {status}", f"HTTP {status}")


def closed(code: int, trouble: str) -> Case:
    return Case(trouble, f"error callback {code}", f"close {code}")


CASES = {
    ServerFault.NONE: Case(OK, "ok", "ok"),
    ServerFault.SLOW_ACCEPT: Case(OK, "ok", "ok"),
    ServerFault.NEVER_ACCEPT: Case(SILENT, "error callback None", "silent"),
    ServerFault.SLOW_LORIS: Case(SILENT, "error callback None", "silent"),
    ServerFault.RST_ACCEPT: Case("network", "error callback None", "reset"),
    ServerFault.HTTP_401: refused(401, "auth"),
    ServerFault.HTTP_402: refused(402, "payment"),
    ServerFault.HTTP_403: refused(403, "auth"),
    ServerFault.HTTP_429: refused(429, "limit"),
    ServerFault.HTTP_429_DATE: refused(429, "limit"),
    ServerFault.HTTP_429_HOURS: refused(429, "limit"),
    ServerFault.HTTP_500: refused(500, "server"),
    ServerFault.HTTP_503: refused(503, "server"),
    ServerFault.HTML: Case("protocol", "error callback 200", "HTTP 200"),
    ServerFault.HTML_502: Case("server", "error callback 502", "HTTP 502"),
    ServerFault.SLOW_FIRST: Case(OK, "ok", "ok"),
    ServerFault.STALL: Case(OK, "silent", "silent", "what is known of an utterance is given when the time is up"),
    ServerFault.STALL_FIRST: Case(
        OK, "silent", "silent", "an utterance without an answer ends empty, so that the turn ends"
    ),
    ServerFault.FIN: Case("network", "error callback 1006", "eof"),
    ServerFault.RST: Case("network", "error callback 1006", "reset"),
    ServerFault.CLOSE_1000: Case(
        "closed", "silent", "close 1000", "a close in order, but too early, is an end that must be told"
    ),
    ServerFault.CLOSE_1008: closed(1008, "auth"),
    ServerFault.CLOSE_1011: closed(1011, "server"),
    ServerFault.CLOSE_1012: closed(1012, "server"),
    ServerFault.CLOSE_1013: closed(1013, "server"),
    ServerFault.CLOSE_3005: closed(3005, "server"),
    ServerFault.CLOSE_3006: closed(3006, "request"),
    ServerFault.CLOSE_3007: closed(3007, "request"),
    ServerFault.CLOSE_3008: closed(3008, "closed"),
    ServerFault.CLOSE_3009: closed(3009, "limit"),
    ServerFault.ERROR: Case("server", "error callback 3005", "ok"),
    ServerFault.BAD_JSON: Case("protocol", "ok", "ok", "a message that is lost may be the one that matters"),
    ServerFault.WRONG_SCHEMA: Case("protocol", "silent", "ok", "the library's reader dies of it, and nobody is told"),
    ServerFault.MISSING_FIELD: Case("protocol", "silent", "ok", "the library's reader dies of it, and nobody is told"),
    ServerFault.OVERSIZED: Case("protocol", "error callback 1006, or silent", "ok"),
    ServerFault.UNKNOWN_TYPE: Case(OK, "ok", "ok"),
    ServerFault.EXTRA_FIELD: Case(OK, "ok", "ok"),
    ServerFault.DUPLICATE: Case(OK, "ok", "ok"),
    ServerFault.LATE: Case(OK, "ok", "ok"),
    ServerFault.NO_FORCE: Case(OK, "silent", "silent", "what is known of an utterance is given when the time is up"),
    ServerFault.SELF_ENDED: Case(OK, "ok", "ok"),
}
PARTLY = {ServerFault.STALL: "what is the", ServerFault.STALL_FIRST: ""}
"""What is known of the utterance when the emulator falls silent."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[AssemblyAIEmulator]:
    with running(AssemblyAIEmulator(turns=(TEXT,) * 5_000, pause_s=0.05)) as emulator:
        yield emulator


def ours(
    emulator: AssemblyAIEmulator, key: str, fed: list[Message] | None = None, silent: bool = False, **more: Any
) -> Outcome:
    more = {"catch_up": 10, "final_within": "600ms"} | more
    made = AssemblyAI.Options(api_key=key, base_url=emulator.ws_url, **more)
    return one_call(AssemblyAI, made, Transcribe(), fed or utterance(), 0.001, silent=silent)


def by_hand(emulator: AssemblyAIEmulator, key: str) -> Wire:
    path = f"/v3/ws?{urlencode(PARAMETERS | {'format_turns': 'False'})}"
    pieces = [VOICE * 3] * 13 + [VOICE + QUIET * 2] + [QUIET * 3] * 7
    say: list[str | bytes] = [*pieces, json.dumps({"type": "ForceEndpoint"})]
    headers = {"Authorization": key, "AssemblyAI-Version": "2025-05-12"}
    return websocket(emulator.ws_url, path, headers, say, lambda text: '"end_of_turn": true' in text)


class Ways(NamedTuple):
    sdk: dict[ServerFault, Sdk]
    wire: dict[ServerFault, Wire]


@pytest.fixture(scope="module")
def ways(emulator: AssemblyAIEmulator) -> Ways:
    with ThreadPoolExecutor(8) as pool:
        url = emulator.ws_url
        sdk = {f: pool.submit(assemblyai_listen, url, f"fault:{f}", PARAMETERS) for f in CASES}
        wire = {f: pool.submit(by_hand, emulator, f"fault:{f}") for f in CASES}
        return Ways({f: r.result() for f, r in sdk.items()}, {f: r.result() for f, r in wire.items()})


@pytest.mark.parametrize("fault", CASES)
def test_flowkit(emulator: AssemblyAIEmulator, fault: ServerFault) -> None:
    outcome = ours(emulator, f"fault:{fault}", silent=CASES[fault].ours == SILENT)
    assert outcome.end == CASES[fault].ours, outcome.error
    if outcome.end == OK:
        assert outcome.finals == [PARTLY.get(fault, TEXT)]


@pytest.mark.parametrize("fault", CASES)
def test_the_library(ways: Ways, fault: ServerFault) -> None:
    assert ways.sdk[fault].end in CASES[fault].sdk.split(", or ")
    alike = (CASES[fault].ours == OK) == (CASES[fault].sdk == "ok")
    assert alike or CASES[fault].differs, "flowkit and the library disagree, and nothing says why"


@pytest.mark.parametrize("fault", CASES)
def test_the_wire(ways: Ways, fault: ServerFault) -> None:
    assert ways.wire[fault].end == CASES[fault].wire


def test_the_requests_are_the_same_field_by_field(emulator: AssemblyAIEmulator) -> None:
    ours(emulator, "any", keyterms=("Tegernsee", "flowkit"), min_silence="160ms", max_silence="2s")
    more = {"keyterms_prompt": ["Tegernsee", "flowkit"], "min_turn_silence": 160, "max_turn_silence": 2000}
    assemblyai_listen(emulator.ws_url, "any", PARAMETERS | more)
    mine, theirs = emulator.seen[-2:]
    assert mine.path == theirs.path == "/v3/ws"
    assert mine.query == theirs.query
    for name in ("authorization", "assemblyai-version"):
        assert mine.headers[name] == theirs.headers[name]
    assert [m for m in mine.messages if isinstance(m, dict)] == [{"type": "ForceEndpoint"}, {"type": "Terminate"}]
    assert [m for m in theirs.messages if isinstance(m, dict)] == [{"type": "ForceEndpoint"}, {"type": "Terminate"}]
    audio = [size for size in mine.messages if isinstance(size, int)]
    assert set(audio[:-1]) == {1_920}  # 60 ms
    assert all(50 <= size // 32 <= 1_000 for size in audio)


def test_every_session_hears_the_turns_from_the_beginning_again() -> None:
    with running(AssemblyAIEmulator(pause_s=0.05)) as emulator:
        heard = [ours(emulator, "key").finals for _ in range(3)]
    assert heard == [["what is the capital of france"]] * 3


def test_a_turn_counts_once_with_formatting(emulator: AssemblyAIEmulator) -> None:
    outcome = ours(emulator, "any", [*utterance(), *utterance(2, 65)], format=True)
    assert outcome.finals == ["What is the capital of france."] * 2


def test_the_servers_own_ends_release_where_there_is_no_vad(emulator: AssemblyAIEmulator) -> None:
    fed = [item for item in [*utterance(), *utterance(2, 65)] if type(item).__name__ == "Frames"]
    outcome = ours(emulator, "fault:self_ended", fed, ends="server")
    assert [item for item in outcome.items if isinstance(item, Final)] == [Final(TEXT, 1), Final(TEXT, 2)]


def test_partials_replace_each_other(emulator: AssemblyAIEmulator) -> None:
    outcome = ours(emulator, "any")
    partials = [item.text for item in outcome.items if isinstance(item, Partial)]
    assert partials == [" ".join(TEXT.split()[: count + 1]) for count in range(6)]


def test_a_session_is_terminated_even_when_its_call_is_cancelled(emulator: AssemblyAIEmulator) -> None:
    outcome = ours(emulator, "fault:stall_first", silent=True, final_within="10s")
    assert outcome.end == SILENT
    assert emulator.seen[-1].messages[-1] == {"type": "Terminate"}


def test_sound_of_odd_length_and_lost_frames_keep_the_clock(emulator: AssemblyAIEmulator) -> None:
    from flowkit.messages import Frames

    fed: list[Message] = []
    for item in utterance(voiced=40):
        if isinstance(item, Frames) and item.index in (20, 21):
            continue
        fed.append(Frames(item.index, 1, item.pcm[:-1]) if isinstance(item, Frames) and item.index == 5 else item)
    ours(emulator, "any", fed)
    sent = sum(size for size in emulator.seen[-1].messages if isinstance(size, int))
    assert sent // 640 in (63, 64, 65)  # every frame, the two that were lost as silence; a last piece under 50 ms stays


def test_a_model_that_does_not_exist_is_an_error_that_says_so(emulator: AssemblyAIEmulator) -> None:
    outcome = ours(emulator, "any", model="no-such-model")
    assert outcome.end == "request"
    assert "Invalid speech model" in outcome.error
