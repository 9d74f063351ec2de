"""Groq in three ways, with the same emulator and faults: flowkit's provider, Groq's own library, and raw bytes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from flowkit.messages import Ask, Exchange
from flowkit.providers.groq import Groq
from flowkit.testing.emulators import GroqEmulator, ServerFault, running
from tests.contract.raw import Wire, http_post
from tests.contract.sdks import Sdk, groq_chat
from tests.contract.support import OK, SILENT, Outcome, one_call

pytest.importorskip("groq")

TEXT = "Grüße aus Köln 😀. Paris is it."
HANGS = "hangs"
"""Not run: it would not end."""
PATH = "/openai/v1/chat/completions"


class Case(NamedTuple):
    """The result of a fault: with flowkit, with the library, and on the wire."""

    ours: str
    sdk: str
    wire: str
    differs: str = ""
    """Why flowkit differs from the library on purpose, where it does."""


CASES = {
    ServerFault.NONE: Case(OK, "ok", "ok"),
    ServerFault.SLOW_ACCEPT: Case(OK, "ok", "ok"),
    ServerFault.NEVER_ACCEPT: Case(SILENT, "silent", "silent"),
    ServerFault.SLOW_LORIS: Case(
        SILENT, HANGS, "silent", "the library's timeout is for each read, so bytes one by one hold it for ever"
    ),
    ServerFault.RST_ACCEPT: Case("network", "APIConnectionError", "reset"),
    ServerFault.HTTP_400: Case("request", "BadRequestError", "HTTP 400"),
    ServerFault.HTTP_401: Case("auth", "AuthenticationError", "HTTP 401"),
    ServerFault.HTTP_402: Case("payment", "APIStatusError", "HTTP 402"),
    ServerFault.HTTP_403: Case("auth", "PermissionDeniedError", "HTTP 403"),
    ServerFault.HTTP_404: Case("request", "NotFoundError", "HTTP 404"),
    ServerFault.HTTP_429: Case("limit", "RateLimitError", "HTTP 429"),
    ServerFault.HTTP_429_DATE: Case("limit", "RateLimitError", "HTTP 429"),
    ServerFault.HTTP_429_HOURS: Case("limit", "RateLimitError", "HTTP 429"),
    ServerFault.HTTP_429_BARE: Case("limit", "RateLimitError", "HTTP 429"),
    ServerFault.HTTP_500: Case("server", "InternalServerError", "HTTP 500"),
    ServerFault.HTTP_503: Case("server", "InternalServerError", "HTTP 503"),
    ServerFault.HTML: Case("protocol", "ok", "HTML", "a page of HTML is no empty reply"),
    ServerFault.HTML_502: Case("server", "InternalServerError", "HTTP 502"),
    ServerFault.SLOW_FIRST: Case(OK, "ok", "ok"),
    ServerFault.TRICKLE: Case(OK, "ok", "ok"),
    ServerFault.STALL: Case(SILENT, "silent", "silent"),
    ServerFault.STALL_FIRST: Case(SILENT, "silent", "silent"),
    ServerFault.FIN: Case("network", "RemoteProtocolError", "eof", "the library lets httpx's own errors through"),
    ServerFault.RST: Case("network", "ReadError", "reset", "the library lets httpx's own errors through"),
    ServerFault.ERROR: Case("server", "APIError", "ok"),
    ServerFault.ERROR_EVENT: Case("server", "APIError", "ok"),
    ServerFault.ERROR_X_GROQ: Case("server", "ok", "ok", "an error in x_groq is an error"),
    ServerFault.NO_DONE: Case("network", "ok", "ok", "a reply without finish_reason is not whole"),
    ServerFault.EMPTY: Case("empty", "ok", "ok", "an empty reply would leave the user in silence"),
    ServerFault.BAD_JSON: Case("protocol", "JSONDecodeError", "ok", "the library lets the JSON parser's error through"),
    ServerFault.WRONG_SCHEMA: Case("protocol", "AttributeError", "ok", "the library does not check what it parses"),
    ServerFault.MISSING_FIELD: Case("protocol", "ok", "ok", "a chunk without choices is no chunk"),
    ServerFault.OVERSIZED: Case(
        "protocol", "JSONDecodeError", "ok", "the library keeps a line of any length in memory"
    ),
    ServerFault.UNKNOWN_TYPE: Case(OK, "ok", "ok"),
    ServerFault.EXTRA_FIELD: Case(OK, "ok", "ok"),
    ServerFault.SPLIT_UTF8: Case(OK, "ok", "ok"),
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[GroqEmulator]:
    with running(GroqEmulator(reply=lambda messages: TEXT, pause_s=0.1)) as emulator:
        yield emulator


def ours(emulator: GroqEmulator, key: str, silent: bool = False, **options: object) -> Outcome:
    made = Groq.Options(api_key=key, base_url=emulator.url, **options)  # type: ignore[arg-type]
    return one_call(Groq, made, Ask(1, "hello", (Exchange("hi", "Hello."),)), silent=silent)


BODY = {
    "messages": [
        {"role": "system", "content": "You are a friendly assistant. Answer in one or two short sentences."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "hello"},
    ],
    "model": "llama-3.3-70b-versatile",
    "max_completion_tokens": 300,
    "stream": True,
    "temperature": 0.6,
}


class Ways(NamedTuple):
    sdk: dict[ServerFault, Sdk]
    wire: dict[ServerFault, Wire]


@pytest.fixture(scope="module")
def ways(emulator: GroqEmulator) -> Ways:
    """The library and the raw client with every fault, many at a time."""
    with ThreadPoolExecutor(8) as pool:
        run = [fault for fault, case in CASES.items() if case.sdk != HANGS]
        sdk = {fault: pool.submit(groq_chat, emulator.url, f"fault:{fault}", BODY) for fault in run}
        wire = {fault: pool.submit(http_post, emulator.url, PATH, f"fault:{fault}", BODY) for fault in CASES}
        return Ways({f: r.result() for f, r in sdk.items()}, {f: r.result() for f, r in wire.items()})


@pytest.mark.parametrize("fault", CASES)
def test_flowkit(emulator: GroqEmulator, fault: ServerFault) -> None:
    outcome = ours(emulator, f"fault:{fault}", silent=CASES[fault].ours == SILENT)
    assert outcome.end == CASES[fault].ours, outcome.error
    assert outcome.text == TEXT if outcome.end == OK else TEXT.startswith(outcome.text)


@pytest.mark.parametrize("fault", CASES)
def test_the_library(ways: Ways, fault: ServerFault) -> None:
    assert CASES[fault].sdk == HANGS or ways.sdk[fault].end == CASES[fault].sdk
    told = (CASES[fault].ours == OK) == (CASES[fault].sdk == "ok") and CASES[fault].sdk != HANGS
    assert told or CASES[fault].differs, "flowkit and the library disagree, and nothing says why"


@pytest.mark.parametrize("fault", CASES)
def test_the_wire(ways: Ways, fault: ServerFault) -> None:
    assert ways.wire[fault].end == CASES[fault].wire


def test_the_requests_are_the_same_field_by_field(emulator: GroqEmulator) -> None:
    ours(emulator, "any")
    groq_chat(emulator.url, "any", BODY)
    http_post(emulator.url, PATH, "any", BODY)
    mine, theirs, raw = [seen for seen in emulator.seen if seen.path == PATH][-3:]
    assert mine.body == theirs.body == raw.body == BODY
    assert mine.path == theirs.path == raw.path
    differing = {name for name in mine.headers if mine.headers[name] != theirs.headers.get(name)}
    # flowkit uses the library's async client, with a longer time to read, and never its retries.
    assert differing <= {
        "x-stainless-async",
        "user-agent",
        "x-stainless-async-library",
        "x-stainless-read-timeout",
        "host",
    }
    assert (
        mine.headers["authorization"] == theirs.headers["authorization"] == raw.headers["authorization"] == "Bearer any"
    )
    assert mine.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize(
    ("fault", "least_s", "most_s"),
    [
        (ServerFault.HTTP_429, 1, 1),
        (ServerFault.HTTP_429_DATE, 7_190, 7_200),
        (ServerFault.HTTP_429_HOURS, 7_200, 7_200),
    ],
)
def test_how_long_to_stay_away_is_understood(
    emulator: GroqEmulator, fault: ServerFault, least_s: int, most_s: int
) -> None:
    outcome = ours(emulator, f"fault:{fault}")
    said = int(outcome.error.rsplit("retry after ", 1)[1].split(" s")[0])
    assert least_s <= said <= most_s


def test_a_key_that_a_server_quotes_back_is_masked(emulator: GroqEmulator) -> None:
    secret = "gsk_abcdef"
    model = f"no-such-{secret}"
    outcome = ours(emulator, secret, model=model)
    assert outcome.end == "request"
    assert secret not in outcome.error
    assert "***" in outcome.error


@pytest.mark.parametrize("key", ["", " ", "key\n", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(
    emulator: GroqEmulator, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    before = len(emulator.seen)
    outcome = ours(emulator, key)
    assert outcome.end == "auth"
    assert len(emulator.seen) == before


@pytest.mark.parametrize("key", ["wrong", "expired"])
def test_a_wrong_key_is_an_error_that_says_so(emulator: GroqEmulator, key: str) -> None:
    outcome = ours(emulator, key)
    assert (outcome.end, outcome.text) == ("auth", "")
    assert "401" in outcome.error
