"""Servers of speech with OpenAI's API: flowkit's providers and OpenAI's own library, with the same emulator and faults."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import Audio, Speak, Transcribe
from flowkit.providers.cloud.faults import CloudError
from flowkit.providers.openai_compatible.asr import OpenAITranscription
from flowkit.providers.openai_compatible.samples import Samples
from flowkit.providers.openai_compatible.tts import OpenAISpeech
from flowkit.testing.emulators import ServerFault, SpeechEmulator, running
from flowkit.testing.emulators.speech import header, tone
from tests.contract.sdks import Sdk, openai_client, openai_speak, openai_transcribe
from tests.contract.support import OK, SILENT, Outcome, one_call, utterance

pytest.importorskip("openai")
pytest.importorskip("groq")

TEXT, SAID = "Hello there.", "What can you do?"
SAMPLES = 12 * 480
"""Twelve characters, at 20 ms and 24 kHz."""


class Case(NamedTuple):
    """The result of a fault with flowkit and with the library: for speech, and for transcription."""

    tts: str
    tts_sdk: str
    asr: str
    asr_sdk: str
    differs: str = ""


def both(ours: str, sdk: str) -> Case:
    return Case(ours, sdk, ours, sdk)


CASES = {
    ServerFault.NONE: both(OK, "ok"),
    ServerFault.SLOW_ACCEPT: both(OK, "ok"),
    ServerFault.NEVER_ACCEPT: both(SILENT, "silent"),
    ServerFault.RST_ACCEPT: both("network", "APIConnectionError"),
    ServerFault.HTTP_400: both("request", "BadRequestError"),
    ServerFault.HTTP_401: both("auth", "AuthenticationError"),
    ServerFault.HTTP_403: both("auth", "PermissionDeniedError"),
    ServerFault.HTTP_404: both("request", "NotFoundError"),
    ServerFault.HTTP_429: both("limit", "RateLimitError"),
    ServerFault.HTTP_500: both("server", "InternalServerError"),
    ServerFault.HTTP_503: both("server", "InternalServerError"),
    ServerFault.HTML: Case("protocol", "ok", "protocol", "AttributeError", "the library speaks the page's bytes"),
    ServerFault.HTML_502: both("server", "InternalServerError"),
    ServerFault.STALL: both(SILENT, "silent"),
    ServerFault.STALL_FIRST: both(SILENT, "silent"),
    ServerFault.FIN: Case("network", "RemoteProtocolError", "network", "APIConnectionError"),
    ServerFault.RST: Case("network", "ReadError", "network", "APIConnectionError"),
    ServerFault.BAD_JSON: Case(OK, "ok", "protocol", "JSONDecodeError"),
    ServerFault.WRONG_SCHEMA: Case(OK, "ok", "protocol", "AttributeError"),
    ServerFault.MISSING_FIELD: Case(OK, "ok", "protocol", "ok", "a transcription without a text is none"),
    ServerFault.EXTRA_FIELD: both(OK, "ok"),
    ServerFault.ODD_PCM: both(OK, "ok"),
    ServerFault.EMPTY: both(OK, "ok"),
}
SPEECH = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"}
FORM = {"model": "whisper-1", "response_format": "json"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[SpeechEmulator]:
    with running(SpeechEmulator(turns=(SAID,), pause_s=0.1)) as emulator:
        yield emulator


def spoken(url: str, key: str, silent: bool = False, **more: object) -> Outcome:
    options = OpenAISpeech.Options(api_key=key, base_url=f"{url}/v1", model="tts-1", voice="alloy", **more)  # type: ignore[arg-type]
    return one_call(OpenAISpeech, options, Speak(3, TEXT), silent=silent)


def transcribed(url: str, key: str, silent: bool = False, **more: object) -> Outcome:
    options = OpenAITranscription.Options(api_key=key, base_url=f"{url}/v1", model="whisper-1", **more)  # type: ignore[arg-type]
    return one_call(OpenAITranscription, options, Transcribe(), utterance(), silent=silent)


class Ways(NamedTuple):
    tts: dict[ServerFault, Sdk]
    asr: dict[ServerFault, Sdk]


@pytest.fixture(scope="module")
def ways(emulator: SpeechEmulator) -> Ways:
    """The library with every fault, many at a time."""
    wav = header() + tone(1_000)
    with openai_client(emulator.url) as client, ThreadPoolExecutor(8) as pool:
        tts = {f: pool.submit(openai_speak, client, f"fault:{f}", SPEECH) for f in CASES}
        asr = {f: pool.submit(openai_transcribe, client, f"fault:{f}", wav, FORM) for f in CASES}
        return Ways({f: r.result() for f, r in tts.items()}, {f: r.result() for f, r in asr.items()})


@pytest.mark.parametrize("fault", CASES)
def test_flowkit(emulator: SpeechEmulator, fault: ServerFault) -> None:
    key, silent = f"fault:{fault}", CASES[fault].tts == SILENT
    speech, transcript = spoken(emulator.url, key, silent), transcribed(emulator.url, key, silent)
    assert (speech.end, transcript.end) == (CASES[fault].tts, CASES[fault].asr), (speech.error, transcript.error)
    empty = fault is ServerFault.EMPTY
    assert speech.samples == (0 if empty else SAMPLES) if speech.end == OK else speech.samples < SAMPLES
    assert transcript.finals == (["" if empty else SAID] if transcript.end == OK else [])


@pytest.mark.parametrize("fault", CASES)
def test_the_library(ways: Ways, fault: ServerFault) -> None:
    case = CASES[fault]
    assert (ways.tts[fault].end, ways.asr[fault].end) == (case.tts_sdk, case.asr_sdk)
    agree = (case.tts == OK) == (case.tts_sdk == "ok") and (case.asr == OK) == (case.asr_sdk == "ok")
    assert agree or case.differs, "flowkit and the library disagree, and nothing says why"


def test_the_requests_are_the_same_field_by_field(emulator: SpeechEmulator) -> None:
    spoken(emulator.url, "any")
    transcribed(emulator.url, "any")
    with openai_client(emulator.url) as client:
        openai_speak(client, "any", SPEECH)
        openai_transcribe(client, "any", header() + tone(1_000), FORM)
    mine, theirs = [seen for seen in emulator.seen if seen.path == "/v1/audio/speech"][-2:]
    assert mine.body == theirs.body == SPEECH
    assert mine.headers["authorization"] == theirs.headers["authorization"] == "Bearer any"
    forms = [dict(seen.body) for seen in emulator.seen if seen.path == "/v1/audio/transcriptions"][-2:]
    assert [form.pop("file")[:4] for form in forms] == [b"RIFF", b"RIFF"]
    assert forms == [FORM, FORM]


def test_the_options_are_sent(emulator: SpeechEmulator) -> None:
    spoken(emulator.url, "any", speed=1.5, extra={"instructions": "Whisper."})
    assert emulator.seen[-1].body == SPEECH | {"speed": 1.5, "instructions": "Whisper."}
    transcribed(emulator.url, "any", language="de", prompt="Zürich", extra={"temperature": 0})
    form = dict(emulator.seen[-1].body)
    del form["file"]
    assert form == FORM | {"language": "de", "prompt": "Zürich", "temperature": "0"}


def test_a_server_that_has_only_wav_files_is_understood() -> None:
    with running(SpeechEmulator(wav=True)) as emulator:
        outcome = spoken(emulator.url, "any", rate=8_000)
    assert (outcome.end, outcome.samples) == (OK, SAMPLES)
    assert {item.rate_hz for item in outcome.items if isinstance(item, Audio)} == {24_000}


def test_an_eager_transcript_is_asked_for_once(emulator: SpeechEmulator) -> None:
    emulator.files.clear()
    transcribed(emulator.url, "any")
    assert len(emulator.files) == 1
    assert emulator.files[0] < 65 * 320, "the quiet at the end was waited for"
    transcribed(emulator.url, "any", eager=False)
    assert len(emulator.files) == 2


def test_partial_transcripts_cost_requests_of_their_own(emulator: SpeechEmulator) -> None:
    emulator.files.clear()
    options: Any = OpenAITranscription.Options(
        api_key="any", base_url=f"{emulator.url}/v1", model="whisper-1", every="200ms", eager=False
    )
    outcome = one_call(OpenAITranscription, options, Transcribe(), utterance(), pause_s=0.005)
    assert len(emulator.files) > 2
    assert outcome.finals == [SAID]


@pytest.mark.parametrize("key", ["wrong", "expired"])
def test_a_wrong_key_is_an_error_that_says_so(emulator: SpeechEmulator, key: str) -> None:
    assert (spoken(emulator.url, key).end, transcribed(emulator.url, key).end) == ("auth", "auth")


def test_the_key_of_the_environment_is_for_openai_alone(
    emulator: SpeechEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for OpenAI alone")
    options = OpenAISpeech.Options(base_url=f"{emulator.url}/v1", model="tts-1", voice="alloy")
    one_call(OpenAISpeech, options, Speak(0, TEXT))
    assert emulator.seen[-1].headers["authorization"] == "Bearer none"


# -- samples from bytes ------------------------------------------------------------------------------------------------


@given(st.integers(0, 5_000), st.booleans(), st.lists(st.integers(1, 3_000), max_size=20))
def test_however_it_is_cut_the_samples_are_the_same(samples: int, wav: bool, cuts: list[int]) -> None:
    data = (header() if wav else b"") + tone(samples)
    reader, pieces, place = Samples(24_000), [], 0
    for size in [*cuts, len(data)]:
        pieces += reader.feed(data[place : place + size])
        place += size
    # Fewer than four bytes may still be the mark of a format.
    assert b"".join(pieces) == tone(samples) or samples == 1
    assert all(0 < len(piece) <= 4_800 and len(piece) % 2 == 0 for piece in pieces)


@pytest.mark.parametrize(("begin", "name"), [(b"ID3\4", "MP3"), (b"\xff\xfb\x90\0", "MP3"), (b"OggS", "Ogg")])
def test_a_compressed_format_is_refused_by_name(begin: bytes, name: str) -> None:
    with pytest.raises(CloudError, match=name):
        list(Samples(24_000).feed(begin + bytes(100)))


def test_a_wav_file_that_cannot_be_played_is_refused() -> None:
    stereo = header().replace(b"\x01\x00\x01\x00", b"\x01\x00\x02\x00")
    with pytest.raises(CloudError, match="2 channels"):
        list(Samples(24_000).feed(stereo + bytes(100)))
    with pytest.raises(CloudError, match="without samples"):
        list(Samples(24_000).feed(b"RIFF\0\0\0\0WAVE" + b"junk\4\0\0\0abcd" * 10_000))
