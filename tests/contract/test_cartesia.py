"""Cartesia in three ways, with the same emulator and faults: flowkit's provider, Cartesia's own library, and raw
bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import trio

from flowkit.messages import Audio, ClauseEnded, Narrate, Speak, WordTimes
from flowkit.providers.cartesia.tts import Cartesia
from flowkit.providers.models import opened
from flowkit.testing.emulators import CartesiaEmulator, ServerFault, running
from tests.contract.raw import Wire, websocket
from tests.contract.sdks import Sdk, cartesia_speak
from tests.contract.support import OK, SILENT, Outcome, PacedItems, around, call, one_call

pytest.importorskip("cartesia")
pytest.importorskip("websockets")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library's own
CLAUSES = ["Hello there.", "How are you?"]
WORDS = ["Hello", "there.", "How", "are", "you?"]
SAMPLES = 12_000
"""25 characters, the space between the clauses included, at 20 ms and 24 kHz."""


class Case(NamedTuple):
    """The result of a fault: with flowkit, with the library, and on the wire."""

    ours: str
    sdk: str
    wire: str
    differs: str = ""


def closed(code: int, trouble: str) -> Case:
    sdk = "ConnectionClosedOK" if code == 1000 else "ConnectionClosedError"
    return Case(trouble, sdk, f"close {code}")


def refused(status: int, trouble: str) -> Case:
    return Case(trouble, "InvalidStatus", f"HTTP {status}")


CASES = {
    ServerFault.NONE: Case(OK, "ok", "ok"),
    ServerFault.SLOW_ACCEPT: Case(OK, "ok", "ok"),
    ServerFault.NEVER_ACCEPT: Case(SILENT, "silent", "silent"),
    ServerFault.SLOW_LORIS: Case(SILENT, "silent", "silent"),
    ServerFault.RST_ACCEPT: Case("network", "InvalidMessage", "reset"),
    ServerFault.HTTP_401: refused(401, "auth"),
    ServerFault.HTTP_402: refused(402, "payment"),
    ServerFault.HTTP_403: refused(403, "auth"),
    ServerFault.HTTP_404: refused(404, "request"),
    ServerFault.HTTP_429: refused(429, "limit"),
    ServerFault.HTTP_429_DATE: refused(429, "limit"),
    ServerFault.HTTP_429_HOURS: refused(429, "limit"),
    ServerFault.HTTP_500: refused(500, "server"),
    ServerFault.HTTP_503: refused(503, "server"),
    ServerFault.HTML: Case("protocol", "InvalidStatus", "HTTP 200"),
    ServerFault.HTML_502: Case("server", "InvalidStatus", "HTTP 502"),
    ServerFault.SLOW_FIRST: Case(OK, "ok", "ok"),
    ServerFault.STALL: Case(SILENT, "silent", "silent"),
    ServerFault.STALL_FIRST: Case(SILENT, "silent", "silent"),
    ServerFault.FIN: Case("network", "ConnectionClosedError", "eof"),
    ServerFault.RST: Case("network", "ConnectionClosedError", "reset"),
    ServerFault.CLOSE_1000: closed(1000, "closed"),
    ServerFault.CLOSE_1008: closed(1008, "auth"),
    ServerFault.CLOSE_1011: closed(1011, "server"),
    ServerFault.CLOSE_1012: closed(1012, "server"),
    ServerFault.CLOSE_1013: closed(1013, "server"),
    ServerFault.ERROR: Case("server", "error event 500", "ok"),
    ServerFault.BAD_JSON: Case("protocol", "JSONDecodeError", "ok"),
    ServerFault.WRONG_SCHEMA: Case("protocol", "TypeError", "ok", "the library does not check what it parses"),
    ServerFault.MISSING_FIELD: Case(
        "protocol", "ok", "ok", "a chunk without data is a piece of speech that is missing"
    ),
    ServerFault.OVERSIZED: Case("protocol", "ConnectionClosedError, or silent", "ok"),
    ServerFault.CONTEXT_EXPIRY: Case(
        OK, "error event 400", "silent", "what an expired context left unsaid goes into a new one"
    ),
    ServerFault.UNKNOWN_TYPE: Case(OK, "ok", "ok"),
    ServerFault.EXTRA_FIELD: Case(OK, "ok", "ok"),
    ServerFault.DUPLICATE: Case(OK, "ok", "ok"),
    ServerFault.LATE: Case(OK, "ok", "ok"),
    ServerFault.ODD_PCM: Case(OK, "ok", "ok"),
    ServerFault.NO_FLUSH_ID: Case(OK, "ok", "ok"),
}
REQUEST: dict[str, Any] = {
    "context_id": "flowkit-1",
    "model_id": "sonic-3",
    "voice": {"mode": "id", "id": "v"},
    "language": "en",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000},
    "add_timestamps": True,
    "max_buffer_delay_ms": 0,
}
SAID = [
    {"transcript": "Hello there.", "continue": True},
    {"transcript": "", "continue": True, "flush": True},
    {"transcript": " How are you?", "continue": True},
    {"transcript": "", "continue": True, "flush": True},
    {"transcript": "", "continue": False},
]


@pytest.fixture(scope="module")
def emulator() -> Iterator[CartesiaEmulator]:
    with running(CartesiaEmulator(pause_s=0.1)) as emulator:
        yield emulator


def options(emulator: CartesiaEmulator, key: str, **more: Any) -> Cartesia.Options:
    return Cartesia.Options(api_key=key, base_url=emulator.ws_url, voice="v", **more)


def ours(
    emulator: CartesiaEmulator, key: str, clauses: list[str] | None = None, silent: bool = False, **more: Any
) -> Outcome:
    made = options(emulator, key, **more)
    fed = [Speak(index, text) for index, text in enumerate(clauses or CLAUSES)]
    return one_call(Cartesia, made, Narrate(), fed, silent=silent)


def by_hand(emulator: CartesiaEmulator, key: str) -> Wire:
    headers = {"Authorization": f"Bearer {key}", "cartesia-version": "2026-08-14"}
    say: list[str | bytes] = [json.dumps(REQUEST | part) for part in SAID]
    return websocket(
        emulator.ws_url, "/tts/websocket", headers, say, lambda text: '"done"' in text and '"type": "done"' in text
    )


class Ways(NamedTuple):
    sdk: dict[ServerFault, Sdk]
    wire: dict[ServerFault, Wire]


@pytest.fixture(scope="module")
def ways(emulator: CartesiaEmulator) -> Ways:
    with ThreadPoolExecutor(8) as pool:
        url = emulator.ws_url
        sdk = {f: pool.submit(cartesia_speak, url, f"fault:{f}", CLAUSES, REQUEST) for f in CASES}
        wire = {f: pool.submit(by_hand, emulator, f"fault:{f}") for f in CASES}
        return Ways({f: r.result() for f, r in sdk.items()}, {f: r.result() for f, r in wire.items()})


@pytest.mark.parametrize("fault", CASES)
def test_flowkit(emulator: CartesiaEmulator, fault: ServerFault) -> None:
    outcome = ours(emulator, f"fault:{fault}", silent=CASES[fault].ours == SILENT)
    assert outcome.end == CASES[fault].ours, outcome.error
    if outcome.end == OK:
        lost = 480 if fault is ServerFault.CONTEXT_EXPIRY else 0  # the space that no clause needs any more
        assert (outcome.samples, outcome.words) == (SAMPLES - lost, WORDS)
        assert [item.clause for item in outcome.items if isinstance(item, ClauseEnded)] == [0, 1]
    else:
        assert outcome.samples < SAMPLES


@pytest.mark.parametrize("fault", CASES)
def test_the_library(ways: Ways, fault: ServerFault) -> None:
    assert ways.sdk[fault].end in CASES[fault].sdk.split(", or ")
    alike = (CASES[fault].ours == OK) == (CASES[fault].sdk == "ok")
    assert alike or CASES[fault].differs, "flowkit and the library disagree, and nothing says why"


def test_the_library_hands_on_half_samples_and_other_contexts(ways: Ways) -> None:
    """Defects of the library that flowkit does not have: it passes on audio of odd length, and chunks of other
    contexts."""
    assert ways.sdk[ServerFault.ODD_PCM].samples < SAMPLES
    assert ways.sdk[ServerFault.DUPLICATE].samples > SAMPLES


@pytest.mark.parametrize("fault", CASES)
def test_the_wire(ways: Ways, fault: ServerFault) -> None:
    assert ways.wire[fault].end == CASES[fault].wire


def test_the_requests_are_the_same_field_by_field(emulator: CartesiaEmulator) -> None:
    ours(emulator, "any")
    cartesia_speak(emulator.ws_url, "any", CLAUSES, REQUEST)
    by_hand(emulator, "any")
    mine, theirs, raw = emulator.seen[-3:]
    assert mine.messages == theirs.messages == raw.messages == [REQUEST | part for part in SAID]
    assert mine.path == theirs.path == raw.path == "/tts/websocket"
    for name in ("authorization", "cartesia-version"):
        assert mine.headers[name] == theirs.headers[name] == raw.headers[name]
    extra = {name for name in theirs.headers if name not in mine.headers and not name.startswith("x-stainless")}
    # flowkit asks for no compression, since base64 of sound hardly shrinks; the rest are the HTTP library's habits.
    assert extra <= {"sec-websocket-extensions", "accept", "content-type", "x-cartesia-client"}, extra


# -- what a session needs beyond one reply -----------------------------------------------------------------------------


async def _session(emulator: CartesiaEmulator, outcome: Outcome, steps: Any, **more: Any) -> None:
    async with opened(Cartesia, options(emulator, "any", **more), around(outcome)) as voice:
        await steps(voice)


def test_replies_share_one_connection_and_have_a_context_each(emulator: CartesiaEmulator) -> None:
    outcome, before = Outcome(), len(emulator.seen)

    async def steps(voice: Cartesia) -> None:
        for _ in range(3):
            await call(voice, outcome, Narrate(), PacedItems([Speak(0, "One."), Speak(1, "Two.")]))

    trio.run(_session, emulator, outcome, steps)
    assert len(emulator.seen) == before + 1
    contexts = [message["context_id"] for message in emulator.seen[-1].messages]
    assert sorted(set(contexts)) == ["flowkit-1", "flowkit-2", "flowkit-3"]
    assert emulator.spoken["flowkit-3"].endswith("One. Two.")


def test_a_cancelled_context_plays_out_unheard_and_is_counted() -> None:
    outcome = Outcome()
    with running(CartesiaEmulator(piece_s=0.005, always=ServerFault.PLAYS_OUT)) as emulator:

        async def steps(voice: Cartesia) -> None:
            with trio.move_on_after(0.1):
                await call(voice, Outcome(), Narrate(), PacedItems([Speak(0, "A long clause to be interrupted." * 4)]))
            while voice.late < 5:
                await trio.sleep(0.01)
            await call(voice, outcome, Narrate(), PacedItems([Speak(0, "Two.")]))

        trio.run(_session, emulator, outcome, steps)
        seen = emulator.seen[-1]
        assert {"context_id": "flowkit-1", "cancel": True} in seen.messages
    assert outcome.words == ["Two."]
    assert {item.clause for item in outcome.items if isinstance(item, Audio)} == {0}
    assert outcome.samples == 4 * 480
    assert any(name == "late" and "of a cancelled reply discarded" in detail for name, detail in outcome.events)


def test_a_connection_closed_while_idle_is_replaced_before_the_next_reply() -> None:
    outcome = Outcome()
    with running(CartesiaEmulator(idle_s=0.1)) as emulator:

        async def steps(voice: Cartesia) -> None:
            await call(voice, outcome, Narrate(), PacedItems([Speak(0, "One.")]))
            while len(emulator.seen) < 2:
                await trio.sleep(0.01)
            await call(voice, outcome, Narrate(), PacedItems([Speak(0, "Two.")]))

        trio.run(_session, emulator, outcome, steps)
    assert outcome.end == OK
    assert outcome.samples == 2 * 4 * 480


def test_a_pause_longer_than_a_context_lives_is_not_heard() -> None:
    outcome = Outcome()
    with running(CartesiaEmulator(expires_s=0.15)) as emulator:

        async def steps(voice: Cartesia) -> None:
            await call(voice, outcome, Narrate(), PacedItems([Speak(0, "One."), Speak(1, "Two.")], pause_s=0.3))

        trio.run(_session, emulator, outcome, steps)
    assert (outcome.end, outcome.words) == (OK, ["One.", "Two."])
    assert [item.samples for item in outcome.items if isinstance(item, ClauseEnded)] == [1920, 1920]


def test_word_times_count_from_their_own_clause(emulator: CartesiaEmulator) -> None:
    times = [item for item in ours(emulator, "any").items if isinstance(item, WordTimes)]
    assert times[0].words == (("Hello", 2400), ("there.", 5760))
    assert times[1].words == (("How", 1920), ("are", 3840), ("you?", 6240))


def test_a_model_that_does_not_exist_is_an_error_that_names_it(emulator: CartesiaEmulator) -> None:
    outcome = ours(emulator, "any", model="no-such-voice")
    assert outcome.end == "request"
    assert "no-such-voice" in outcome.error


def test_many_clauses_are_sent_no_further_ahead_than_can_be_sent_again(emulator: CartesiaEmulator) -> None:
    outcome = ours(emulator, "any", [f"Clause number {index}." for index in range(30)])
    assert [item.clause for item in outcome.items if isinstance(item, ClauseEnded)] == list(range(30))
    assert len(outcome.words) == 90
